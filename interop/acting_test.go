package interop

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// actingCluster starts a master, a slave that acts for it, and another master of any make, which are in one network.
func actingCluster(t *testing.T, settings map[string]string, otherMake harness.Target, others map[string]string) (c *harness.Cluster, slave *slaveBroker, other *harness.Cluster) {
	t.Helper()
	common := map[string]string{
		"brokerRole": "ASYNC_MASTER", "enableSlaveActingMaster": "true", "enableRemoteEscape": "true", "mappedFileSizeCommitLog": fmt.Sprint(replicationFile),
	}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(common)
		maps.Copy(all, more)
		return all
	}
	c = newCluster(t, suite.split, with(settings))
	slave = startSlave(t, c, suite.split)
	place, err := harness.NewPlace(t.TempDir(), with(others))
	if err != nil {
		t.Fatal(err)
	}
	place.Properties["brokerName"], place.NameServerPort = "broker-b", c.NameServerPort
	other = &harness.Cluster{Place: place, Target: otherMake}
	if err := other.StartBroker(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return c, slave, other
}

// TestActing kills one of two masters while messages wait in it: its slave delivers them to the other when they are due.
// The master that comes back delivers none of them again, and goes on.
func TestActing(t *testing.T) {
	t.Parallel()
	heavy(t)
	c, slave, _ := actingCluster(t, nil, suite.split, nil)

	a := newAgent(t, java55, c.NameServer(), "clients")
	p := producer(t, a, nil)
	consumer := consume(t, a, harness.Args{"kind": "push", "group": "C_acting", "topic": "Acted"})
	sent := send(t, a, p, harness.Args{"topic": "Acted", "name": "now", "count": 16})
	awaitDistinct(t, len(sent), soon, consumer) // offsets of a group are asked of a master only
	due := map[string]time.Time{}
	for _, args := range []harness.Args{{"name": "level", "count": 40, "delay": 4}, {"name": "timer", "count": 40, "delaySec": 30}} {
		args["topic"] = "Acted"
		begin := time.Now()
		for _, e := range send(t, a, p, args) {
			sent, due[e.Name] = append(sent, e), begin.Add(30*time.Second)
		}
	}
	awaitWindow(t, soon, func() bool { return logSum(t, c.Place) == logSum(t, slave.place) },
		func() string { return "the slave does not have what its master has" })
	c.KillBroker()

	got := awaitDistinct(t, len(sent), 3*time.Minute, consumer)
	for _, e := range got {
		if early := due[e.Name].Sub(e.Read); early > 0 {
			t.Errorf("%s comes %v early", e.Name, early)
		}
	}
	if err := c.StartBroker(); err != nil {
		t.Fatal(err)
	}
	// What is overdue would come before these.
	after := send(t, a, p, harness.Args{"topic": "Acted", "name": "after", "count": 40, "delay": 1})
	after = append(after, send(t, a, p, harness.Args{"topic": "Acted", "name": "timed", "count": 40, "delaySec": 3})...)
	times := map[string]int{}
	for _, e := range awaitDistinct(t, len(sent)+len(after), 2*time.Minute, consumer) {
		times[e.Name]++
	}
	twice := 0
	for name, n := range times {
		if n > 1 && !due[name].IsZero() {
			twice++
		}
	}
	// What the killed master gave out last is committed nowhere, but nothing that waited was given out by it.
	if twice > 0 {
		t.Errorf("%d of %d messages that waited came again", twice, len(due))
	}
}

// TestActingState kills one of two masters while transactions are open in it and messages are popped and not acknowledged: its
// slave sends the transactions to the other master, which asks about them, goes on giving out messages, and has what is not
// acknowledged come again at the other. Nothing is lost, and what was acknowledged does not come again. With -long the other is
// also RocketMQ's.
func TestActingState(t *testing.T) {
	for name, otherMake := range map[string]harness.Target{"ours": suite.split, "java": suite.java} {
		if name == "java" && !*longFlag {
			continue
		}
		t.Run("other="+name, func(t *testing.T) {
			t.Parallel()
			heavy(t)
			actingState(t, otherMake)
		})
	}
}

func actingState(t *testing.T, otherMake harness.Target) {
	// The master itself asks about no transaction.
	c, slave, _ := actingCluster(t, map[string]string{"transactionTimeOut": "3600000", "transactionCheckInterval": "3000"}, otherMake, quickChecks)
	a := newAgent(t, java55, c.NameServer(), "clients")
	const topic, each = "ActedState", 12
	p := newPopper(t, a, topic)
	sent := p.send(2 * each) // each broker has a queue
	popA := func(args harness.Args) []harness.Event {
		args["broker"] = "broker-a"
		return p.pop(args)
	}
	begin := time.Now()
	const invisible, short = 30 * time.Second, 15 * time.Second
	first := popA(harness.Args{"max": each / 2, "invisible": invisible.Milliseconds()})
	if len(first) != each/2 {
		t.Fatalf("popped %v", popNames(first))
	}
	done := map[string]bool{}
	finish := func(e harness.Event) {
		p.ack(receipt(e))
		done[e.Name] = true
	}
	finish(first[0])
	transactions := do(t, a, "transact", harness.Args{"group": "P_state", "topic": "ActedTransactions", "name": "t", "count": 25, "heartbeat": 1000})
	await(t, transactions, "done", soon)
	rolledBack := func(e harness.Event) bool { k := outcome(e.Name); return k == 1 || k == 3 }
	committing := slices.DeleteFunc(acknowledged(transactions), rolledBack)
	committed := consume(t, a, harness.Args{"kind": "push", "group": "C_state", "topic": "ActedTransactions"})
	awaitWindow(t, soon, func() bool {
		b, err := os.ReadFile(filepath.Join(slave.place.Store(), "config", "consumerOffset.json"))
		return err == nil && bytes.Contains(b, []byte(topic+"@C_"+topic)) && logSum(t, c.Place) == logSum(t, slave.place)
	}, func() string { return "the slave does not have what its master has" })
	c.KillBroker()

	var second []harness.Event // from the slave
	var popped time.Time
	awaitWindow(t, soon, func() bool {
		popped = time.Now()
		s := do(t, a, "pop", harness.Args{
			"producer": p.producer, "topic": topic, "group": p.group, "broker": "broker-a", "max": 2 * each, "invisible": short.Milliseconds(),
		})
		_ = s.Until(soon, func(e []harness.Event) bool {
			return len(e) > 0 && (e[len(e)-1].Event == "done" || e[len(e)-1].Event == "failed")
		})
		second = append(second, s.Events("got")...)
		return len(second) > 0
	}, func() string { return "nothing is popped from the slave" })
	finish(first[1])
	finish(second[0])
	slow := time.Since(begin) > invisible || time.Since(popped) > short
	if slow {
		t.Log("the machine is slow: what is acknowledged may have come again before, or at the first master")
		delete(done, first[1].Name)
		delete(done, second[0].Name)
	}
	awaitWindow(t, 2*time.Minute, func() bool { // the other master gives out its own, and all that comes again
		for _, e := range p.pop(harness.Args{"poll": 1000, "broker": "broker-b"}) {
			if done[e.Name] {
				t.Errorf("%s comes again, and is acknowledged", e.Name)
			}
			finish(e)
		}
		return len(done) == len(sent)
	}, func() string { return fmt.Sprintf("%d of %d messages are acknowledged", len(done), len(sent)) })
	awaitDistinct(t, len(committing), 2*time.Minute, committed)
	if i := slices.IndexFunc(committed.Events("got"), rolledBack); i >= 0 {
		t.Errorf("%s comes, and is rolled back", committed.Events("got")[i].Name)
	}

	if err := c.StartBroker(); err != nil {
		t.Fatal(err)
	}
	if got := popA(harness.Args{}); len(got) > 0 && !slow {
		t.Errorf("popped %v from the master that is back", popNames(got))
	}
}

// TestSlaveReads has a consumer come so late that what it reads is not in the master's memory any more: the master sends it
// to the slave, and there it reads until it is near enough.
func TestSlaveReads(t *testing.T) {
	t.Parallel()
	heavy(t)
	c := newCluster(t, suite.split, map[string]string{
		"brokerRole": "ASYNC_MASTER", "slaveReadEnable": "true", "accessMessageInMemoryMaxRatio": "1",
	})
	slave := startSlave(t, c, suite.split)
	a := newAgent(t, java55, c.NameServer(), "clients")
	const size = 200 << 10
	count := int((memory(t)/100+(48<<20))/size) + 1
	sends := do(t, a, "send", harness.Args{"producer": producer(t, a, harness.Args{"timeout": 30000}), "topic": "Copied", "name": "m", "count": count, "size": size})
	await(t, sends, "done", 4*time.Minute) // much more than the memory that the master takes for its own
	sent := acknowledged(sends)
	if len(sent) != count {
		t.Fatalf("%d of %d messages are acknowledged", len(sent), count)
	}
	awaitWindow(t, 3*time.Minute, func() bool { return slave.knowsTopic() && caughtUp(t, c) },
		func() string { return "the slave does not catch up" })

	consumer := consume(t, a, harness.Args{"kind": "push", "group": "C_" + word(t), "topic": "Copied"})
	got := awaitDistinct(t, len(sent), 3*time.Minute, consumer)
	if err := harness.Settle(sent, got).Err(len(sent)); err != nil {
		t.Fatal(err)
	}
	given := map[string]int64{}
	awaitWindow(t, soon, func() bool { // messages in and out of the brokers, in the order of their ids
		out, err := suite.split.Admin(c.Place, "clusterList", "-m")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 3 {
			return false
		}
		for i, who := range []string{"master", "slave"} {
			fields := strings.Fields(lines[i+1])
			n, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			given[who] = n
		}
		return given["slave"] > 0 && given["master"] > 0
	}, func() string { return fmt.Sprintf("the brokers gave out %v of %d messages", given, len(sent)) })
	t.Logf("%d messages, given out %v", len(sent), given)
}

// caughtUp tells whether the only slave of a master has all of its log.
func caughtUp(t *testing.T, c *harness.Cluster) bool {
	t.Helper()
	out, err := suite.split.Admin(c.Place, "haStatus", "-b", c.Broker())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	return len(fields) == 6 && fields[2] == "0" && fields[4] == "OK"
}

// memory is that of the machine, in bytes.
func memory(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Skip("how much memory the machine has is not known:", err)
	}
	var kib int64
	if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
