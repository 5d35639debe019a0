package interop

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestReplication has masters and slaves of either make: the slave's log is the
// master's, byte for byte, and when the master is killed consumers read every
// message from the slave.
func TestReplication(t *testing.T) {
	t.Parallel()
	for _, master := range []harness.Target{suite.split, suite.java} {
		for _, slave := range []harness.Target{suite.split, suite.java} {
			for _, role := range []string{"SYNC_MASTER", "ASYNC_MASTER", autoSwitch} {
				t.Run(fmt.Sprintf("master=%s/slave=%s/%s", master.Name(), slave.Name(), role), func(t *testing.T) {
					t.Parallel()
					heavy(t)
					if role == autoSwitch {
						replicateSwitching(t, master, slave)
					} else {
						replicate(t, master, slave, role)
					}
				})
			}
		}
	}
}

// autoSwitch stands for the protocol with epochs: see replicateSwitching.
const autoSwitch = "auto-switch"

// replicationFile is small, so that the log has several files.
const replicationFile = 1 << 20

func replicate(t *testing.T, masterMake, slaveMake harness.Target, role string) {
	p := newPair(t, masterMake, slaveMake, map[string]string{
		"brokerRole": role, "inSyncReplicas": "2", "slaveTimeout": "15000", "mappedFileSizeCommitLog": fmt.Sprint(replicationFile),
	})
	p.slave.start(t)
	p.awaitJoin()
	p.copyMessages()
	p.KillBroker()
	p.readAll()
	t.Logf("%d messages, log %s", len(p.sent), logSum(t, p.slave.place))
}

// pair is a master and its slave, and what was sent to them.
type pair struct {
	t *testing.T
	*harness.Cluster
	slave *slaveBroker
	agent *harness.Agent

	producer string
	consumer *harness.Stream
	sent     []harness.Event
}

// newPair starts the master, with a name server of ours; the slave's place is chosen.
func newPair(t *testing.T, masterMake, slaveMake harness.Target, properties map[string]string) *pair {
	t.Helper()
	p := &pair{t: t, Cluster: newCluster(t, harness.Mixed{Title: "replication", NameServer: suite.split, Broker: masterMake}, properties)}
	p.slave = newSlave(t, p.Cluster, slaveMake)
	p.agent = newAgent(t, java55, p.NameServer(), "sender")
	p.producer = producer(t, p.agent, harness.Args{"timeout": 30000})
	return p
}

func (p *pair) sameLogs() bool { return logSum(p.t, p.Place) == logSum(p.t, p.slave.place) }

// slaveShowsAll tells whether the slave's queues have all that was sent. With epochs a slave shows what the master said that
// all in sync have, and a Java master says so with the next messages or, when there are none, with its next heartbeat.
func (p *pair) slaveShowsAll() bool {
	ends := map[int]int64{}
	for _, e := range p.sent {
		ends[e.Queue] = max(ends[e.Queue], e.Offset+1)
	}
	for queue, end := range ends {
		if have, err := harness.MaxOffset(p.slave.place.Broker(), "Copied", queue); err != nil || have < end {
			return false
		}
	}
	return true
}

// awaitJoin sends until an answer says that the slave has the message too. A Java slave says nothing for its first five seconds.
func (p *pair) awaitJoin() {
	p.t.Helper()
	awaitWindow(p.t, soon, func() bool {
		s := do(p.t, p.agent, "send", harness.Args{"producer": p.producer, "topic": "Warm", "name": "warm", "count": 1})
		await(p.t, s, "done", soon)
		sent := s.Events("sent")
		return len(sent) == 1 && sent[0].Status == "SEND_OK" && p.sameLogs()
	}, func() string { return "the slave does not have the master's log:\n" + p.slave.process.Tail(2000) })
}

// copyMessages sends, waits until the logs are equal, and has the admin tool look.
func (p *pair) copyMessages() {
	t := p.t
	t.Helper()
	p.sent = send(t, p.agent, p.producer, harness.Args{"topic": "Copied", "name": "one", "count": 500, "size": 6000, "keys": true})
	p.sent = append(p.sent, send(t, p.agent, p.producer, harness.Args{"topic": "Copied", "name": "batch", "count": 400, "mode": "batch", "batch": 20})...)
	awaitWindow(t, soon, p.sameLogs, func() string { return "the logs differ" })
	awaitWindow(t, soon, p.slaveShowsAll, func() string { return "the slave does not show all" })
	if files := logFiles(t, p.slave.place); len(files) < 3 {
		t.Fatalf("the slave's log has %d files", len(files))
	}
	for _, look := range []struct {
		command string
		want    []string
	}{
		{"haStatus -b " + p.Broker(), []string{"#SlaveNum\t1\n#InSyncSlaveNum\t1\n", " OK "}},
		{"haStatus -b " + p.slave.place.Broker(), []string{"#MasterAddr\t127.0.0.1:"}},
		{"clusterList", []string{p.Broker(), p.slave.place.Broker(), " true\n"}},
	} {
		var out string
		var err error
		awaitWindow(t, soon, func() bool {
			out, err = suite.split.Admin(p.Place, strings.Fields(look.command)...)
			return err == nil && containsAll(out, look.want)
		}, func() string { return fmt.Sprintf("%s: %v: no %q in\n%s", look.command, err, look.want, out) })
	}
	awaitWindow(t, 3*time.Minute, p.slave.knowsTopic, func() string { return "the slave does not know the topic" })
}

// readAll has one consumer read all that was sent so far, at the queues and offsets answered.
func (p *pair) readAll() {
	p.t.Helper()
	if p.consumer == nil {
		reader := newAgent(p.t, java55, p.NameServer(), "reader")
		p.consumer = consume(p.t, reader, harness.Args{"kind": "push", "group": "C_" + word(p.t), "topic": "Copied"})
	}
	got := awaitDistinct(p.t, len(p.sent), 2*time.Minute, p.consumer)
	if err := harness.Settle(p.sent, got).Err(len(p.sent)); err != nil {
		p.t.Fatal(err)
	}
}

// slaveBroker is a slave of a cluster's broker.
type slaveBroker struct {
	make    harness.Target
	place   harness.Place
	process *harness.Process
}

// newSlave chooses the slave's place.
func newSlave(t *testing.T, c *harness.Cluster, target harness.Target) *slaveBroker {
	t.Helper()
	place, err := harness.NewPlace(t.TempDir(), maps.Clone(c.Properties))
	if err != nil {
		t.Fatal(err)
	}
	place.NameServerPort = c.NameServerPort
	place.Properties["brokerRole"], place.Properties["brokerId"], place.Properties["slaveReadEnable"] = "SLAVE", "1", "true"
	return &slaveBroker{make: target, place: place}
}

func (s *slaveBroker) start(t *testing.T) {
	t.Helper()
	var err error
	if s.process, err = s.make.StartBroker(s.place); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the slave:\n%s", s.process.Tail(4000))
		}
		s.process.Kill()
	})
}

func startSlave(t *testing.T, c *harness.Cluster, target harness.Target) *slaveBroker {
	t.Helper()
	s := newSlave(t, c, target)
	s.start(t)
	return s
}

// knowsTopic tells whether the topics have come from the master.
func (s *slaveBroker) knowsTopic() bool {
	b, err := os.ReadFile(filepath.Join(s.place.Store(), "config", "topics.json"))
	return err == nil && bytes.Contains(b, []byte(`"Copied"`))
}

// logFiles reads the files of a log, but for those at its end that are made
// ahead and empty.
func logFiles(t *testing.T, p harness.Place) [][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.Store(), "commitlog", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var files [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.Trim(b, "\x00")) == 0 {
			break
		}
		files = append(files, b)
	}
	return files
}

// logSum is a checksum over a whole log.
func logSum(t *testing.T, p harness.Place) string {
	t.Helper()
	h := sha256.New()
	for _, b := range logFiles(t, p) {
		h.Write(b)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
