package interop

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// javaProgram is one of ours that is told by lines what to do, and answers each by a line.
type javaProgram struct {
	name    string
	process *harness.Process
}

// startJavaProgram waits until the program that was started is ready.
func startJavaProgram(t *testing.T, name string, process *harness.Process, err error) *javaProgram {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, process.Tail(6000))
		}
		process.Kill()
	})
	p := &javaProgram{name, process}
	p.answer(t, "ready", 0)
	return p
}

// answer waits for a line of answer behind a place of the log.
func (p *javaProgram) answer(t *testing.T, want string, from int64) (line string) {
	t.Helper()
	awaitWindow(t, soon, func() bool {
		b, err := os.ReadFile(p.process.Log)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(b[from:]), "== ")
		if !ok {
			return false
		}
		line, _, ok = strings.Cut(rest, "\n")
		return ok
	}, func() string { return p.name + " does not answer:\n" + p.process.Tail(2000) })
	if !strings.HasPrefix(line, want) {
		t.Fatalf("%s says %q, want %q:\n%s", p.name, line, want, p.process.Tail(3000))
	}
	return line
}

// tell gives a line and waits for the answer.
func (p *javaProgram) tell(t *testing.T, want, format string, args ...any) string {
	t.Helper()
	before := logLen(t, p.process)
	if _, err := fmt.Fprintf(p.process.Stdin, format+"\n", args...); err != nil {
		t.Fatal(err)
	}
	return p.answer(t, want, before)
}

// switchPeer is RocketMQ's store with its auto-switch HA.
type switchPeer struct {
	*javaProgram
	place  harness.Place
	haAddr string
}

func startSwitchPeer(t *testing.T, id int64, fileSize int) *switchPeer {
	t.Helper()
	place, err := harness.NewPlace(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	haPort := place.BrokerPort + 1
	p := &switchPeer{place: place, haAddr: fmt.Sprintf("127.0.0.1:%d", haPort)}
	process, err := suite.java.StartSwitch(place.Dir, id, haPort, fileSize)
	p.javaProgram = startJavaProgram(t, "the Java store", process, err)
	return p
}

// state is the end of the Java store's log, and all that it says of itself.
func (p *switchPeer) state(t *testing.T) (end int64, text string) {
	t.Helper()
	text = p.tell(t, "max", "state")
	if _, err := fmt.Sscanf(text, "max %d", &end); err != nil {
		t.Fatal(err)
	}
	return end, text
}

// sameAsOurs tells whether both logs have the same bytes up to the end of the Java store's log, and ours none behind.
func (p *switchPeer) sameAsOurs(t *testing.T, ours harness.Place) bool {
	t.Helper()
	end, _ := p.state(t)
	java, own := bytes.Join(logFiles(t, p.place), nil), bytes.Join(logFiles(t, ours), nil)
	return end > 0 && int64(len(java)) >= end && int64(len(own)) >= end && bytes.Equal(java[:end], own[:end]) &&
		len(bytes.Trim(own[end:], "\x00")) == 0
}

func (p *switchPeer) awaitSame(t *testing.T, ours harness.Place) {
	t.Helper()
	awaitWindow(t, soon, func() bool { return p.sameAsOurs(t, ours) }, func() string {
		_, text := p.state(t)
		own := bytes.TrimRight(bytes.Join(logFiles(t, ours), nil), "\x00")
		return fmt.Sprintf("the logs differ: Java's: %s; ours has about %d bytes", text, len(own))
	})
}

// TestAutoSwitch has our broker and RocketMQ's store be master and slave of each other by turns. Each time the old master
// writes on for a while before it hears of the new one, and what it wrote is cut off.
func TestAutoSwitch(t *testing.T) {
	t.Parallel()
	heavy(t)
	java := startSwitchPeer(t, 2, replicationFile)
	place, err := harness.NewPlace(t.TempDir(), map[string]string{
		"enableAutoSwitchHA": "true", "brokerId": "1", "brokerRole": "SYNC_MASTER", "haMasterAddress": java.haAddr, "brokerIP2": "127.0.0.1",
		"allAckInSyncStateSet": "true", "slaveTimeout": "20000", "haSendHeartbeatInterval": "500", "mappedFileSizeCommitLog": fmt.Sprint(replicationFile),
	})
	if err != nil {
		t.Fatal(err)
	}
	haAddr := fmt.Sprintf("127.0.0.1:%d", place.BrokerPort+1)
	c := startCluster(t, suite.split, place)
	a := newAgent(t, java55, c.NameServer(), "sender")
	p := producer(t, a, harness.Args{"timeout": 30000})

	// Our master, Java's slave.
	sent := send(t, a, p, harness.Args{"topic": "Copied", "name": "one", "count": 800, "size": 2000, "keys": true})
	java.tell(t, "slave", "slave 1 %s", haAddr)
	java.awaitSame(t, place)
	sent = append(sent, send(t, a, p, harness.Args{"topic": "Copied", "name": "two", "count": 200, "size": 2000, "keys": true})...)
	java.awaitSame(t, place)
	_, text := java.state(t)
	if !strings.Contains(text, "epochs 1-0,") || strings.Contains(text, "confirm 0 ") {
		t.Fatalf("the Java slave says %s", text)
	}

	// Java's master, our slave, which first has messages of its own.
	java.tell(t, "master", "master 2")
	send(t, a, p, harness.Args{"topic": "Copied", "name": "lost", "count": 20, "size": 2000, "keys": true})
	java.tell(t, "put", "put 100 2000 java")
	if err := suite.split.SetRole(place, 2, 2); err != nil {
		t.Fatal(err)
	}
	java.awaitSame(t, place)
	java.tell(t, "put", "put 300 2000 more")
	java.awaitSame(t, place)
	awaitWindow(t, soon, func() bool { _, text = java.state(t); return strings.Contains(text, "set [1, 2]") },
		func() string { return "our slave is not in the Java master's in-sync set: " + text })

	// And back: Java's store has messages of its own that are cut.
	if err := suite.split.SetRole(place, 1, 3); err != nil {
		t.Fatal(err)
	}
	awaitWindow(t, soon, func() bool { _, text = java.state(t); return strings.Contains(text, "set [2]") },
		func() string { return "our broker does not leave the Java master: " + text })
	java.tell(t, "put", "put 20 2000 lost")
	after := newAgent(t, java55, c.NameServer(), "after")
	p = producer(t, after, harness.Args{"timeout": 30000})
	awaitWindow(t, soon, func() bool {
		s := do(t, after, "send", harness.Args{"producer": p, "topic": "Copied", "name": "three", "count": 60, "size": 2000, "keys": true})
		await(t, s, "done", soon)
		return len(s.Events("refused")) == 0
	}, func() string { return "our broker takes no messages as master again" })
	java.tell(t, "slave", "slave 3 %s", haAddr)
	java.awaitSame(t, place)
	sent = append(sent, send(t, after, p, harness.Args{"topic": "Copied", "name": "four", "count": 100, "size": 2000, "keys": true})...)
	java.awaitSame(t, place)
	epochs, err := os.ReadFile(place.Store() + "/epochFileCheckpoint")
	if err != nil {
		t.Fatal(err)
	}
	javas, err := os.ReadFile(java.place.Store() + "/epochFileCheckpoint")
	if err != nil || !bytes.Equal(epochs, javas) {
		t.Errorf("%v; the files of epochs differ:\n%s\nand Java's:\n%s", err, epochs, javas)
	}

	// All that was acknowledged can be read.
	reader := newAgent(t, java55, c.NameServer(), "reader")
	s := consume(t, reader, harness.Args{"kind": "push", "group": "C_" + word(t), "topic": "Copied"})
	have := map[string]bool{}
	awaitWindow(t, 2*soon, func() bool {
		for _, e := range s.Events("got") {
			have[e.Name] = true
		}
		for _, e := range sent {
			if !have[e.Name] {
				return false
			}
		}
		return true
	}, func() string {
		return fmt.Sprintf("%d different messages of %d and more are read", len(have), len(sent))
	})
}

// TestAutoSwitchAdmin has the official admin tool look at a master with a slave.
func TestAutoSwitchAdmin(t *testing.T) {
	t.Parallel()
	heavy(t)
	java := startSwitchPeer(t, 2, replicationFile)
	place, err := harness.NewPlace(t.TempDir(), map[string]string{
		"enableAutoSwitchHA": "true", "brokerId": "1", "brokerRole": "SYNC_MASTER", "brokerIP2": "127.0.0.1",
		"allAckInSyncStateSet": "true", "haSendHeartbeatInterval": "500", "mappedFileSizeCommitLog": fmt.Sprint(replicationFile),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, suite.split, place)
	a := newAgent(t, java55, c.NameServer(), "sender")
	send(t, a, producer(t, a, nil), harness.Args{"topic": "Copied", "name": "one", "count": 10, "size": 100})
	java.tell(t, "slave", "slave 1 127.0.0.1:%d", place.BrokerPort+1)
	admin, err := suite.java.StartAdmin(c.Place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Kill)
	for _, command := range []struct {
		line string
		want []string
	}{
		{"getSyncStateSet -a " + place.Broker() + " -b broker-a", []string{"#SyncStateSetNums\t2", "#MasterEpoch\t1", "#MasterBrokerId\t1"}},
		{"haStatus -b " + place.Broker(), []string{"#InSyncSlaveNum\t1", "OK"}},
		{"getBrokerEpoch -b broker-a", []string{"#Epoch: EpochEntry{epoch=1, startOffset=0"}},
	} {
		var out string
		awaitWindow(t, soon, func() bool { out = runAdmin(t, admin, command.line); return containsAll(out, command.want) },
			func() string { return fmt.Sprintf("mqadmin %s: no %q in\n%.3000s", command.line, command.want, out) })
		ourAdminToo(t, admin, c.Place, command.line)
	}
}
