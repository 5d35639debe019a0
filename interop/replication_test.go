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
	for _, master := range []harness.Target{suite.split, suite.java} {
		for _, slave := range []harness.Target{suite.split, suite.java} {
			roles := []string{"SYNC_MASTER", "ASYNC_MASTER"}
			if master == suite.split && slave == suite.split {
				roles = append(roles, autoSwitch) // beside Java's: TestAutoSwitch
			}
			for _, role := range roles {
				t.Run(fmt.Sprintf("master=%s/slave=%s/%s", master.Name(), slave.Name(), role), func(t *testing.T) {
					replicate(t, master, slave, role)
				})
			}
		}
	}
}

// autoSwitch stands for the protocol with epochs, in the roles that brokers have at first.
const autoSwitch = "auto-switch"

// replicationFile is small, so that the log has several files.
const replicationFile = 1 << 20

func replicate(t *testing.T, masterMake, slaveMake harness.Target, role string) {
	heavy(t)
	properties := map[string]string{
		"brokerRole": role, "inSyncReplicas": "2", "slaveTimeout": "15000", "mappedFileSizeCommitLog": fmt.Sprint(replicationFile),
	}
	if role == autoSwitch {
		maps.Copy(properties, map[string]string{
			"brokerRole": "SYNC_MASTER", "brokerId": "1", "enableAutoSwitchHA": "true", "allAckInSyncStateSet": "true", "minInSyncReplicas": "2",
		})
	}
	c := newCluster(t, harness.Mixed{Title: "replication", NameServer: suite.split, Broker: masterMake}, properties)
	slave := startSlave(t, c, slaveMake)
	a := newAgent(t, java55, c.NameServer(), "sender")
	p := producer(t, a, harness.Args{"timeout": 30000})
	// A Java slave says nothing for its first five seconds.
	awaitWindow(t, soon, func() bool {
		s := do(t, a, "send", harness.Args{"producer": p, "topic": "Warm", "name": "warm", "count": 1})
		await(t, s, "done", soon)
		sent := s.Events("sent")
		return len(sent) == 1 && sent[0].Status == "SEND_OK" && logSum(t, c.Place) == logSum(t, slave.place)
	}, func() string { return "the slave does not have the master's log:\n" + slave.process.Tail(2000) })

	sent := send(t, a, p, harness.Args{"topic": "Copied", "name": "one", "count": 1500, "size": 2000, "keys": true})
	sent = append(sent, send(t, a, p, harness.Args{"topic": "Copied", "name": "batch", "count": 400, "mode": "batch", "batch": 20})...)
	awaitWindow(t, soon, func() bool { return logSum(t, c.Place) == logSum(t, slave.place) },
		func() string { return "the logs differ" })
	if files := logFiles(t, slave.place); len(files) < 3 {
		t.Fatalf("the slave's log has %d files", len(files))
	}
	for _, look := range []struct {
		command string
		want    []string
	}{
		{"haStatus -b " + c.Broker(), []string{"#SlaveNum\t1\n#InSyncSlaveNum\t1\n", " OK "}},
		{"haStatus -b " + slave.place.Broker(), []string{"#MasterAddr\t127.0.0.1:"}},
		{"clusterList", []string{c.Broker(), slave.place.Broker(), " true\n"}},
	} {
		if out, err := suite.split.Admin(c.Place, strings.Fields(look.command)...); err != nil || !containsAll(out, look.want) {
			t.Errorf("%s: %v: no %q in\n%s", look.command, err, look.want, out)
		}
	}
	awaitWindow(t, 3*time.Minute, func() bool { return slave.knowsTopic() }, func() string { return "the slave does not know the topic" })

	c.KillBroker()
	reader := newAgent(t, java55, c.NameServer(), "reader")
	s := consume(t, reader, harness.Args{"kind": "push", "group": "C_" + word(t), "topic": "Copied"})
	got := awaitDistinct(t, len(sent), 2*time.Minute, s)
	if err := harness.Settle(sent, got).Err(len(sent)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d messages, log %s", len(sent), logSum(t, slave.place))
}

// slaveBroker is a slave of a cluster's broker.
type slaveBroker struct {
	place   harness.Place
	process *harness.Process
}

func startSlave(t *testing.T, c *harness.Cluster, target harness.Target) *slaveBroker {
	t.Helper()
	place, err := harness.NewPlace(t.TempDir(), maps.Clone(c.Properties))
	if err != nil {
		t.Fatal(err)
	}
	place.NameServerPort = c.NameServerPort
	place.Properties["brokerRole"], place.Properties["brokerId"], place.Properties["slaveReadEnable"] = "SLAVE", "1", "true"
	if place.Properties["enableAutoSwitchHA"] != "" {
		place.Properties["brokerId"] = "2" // the master's own is 1
	}
	s := &slaveBroker{place: place}
	if s.process, err = target.StartBroker(place); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the slave:\n%s", s.process.Tail(4000))
		}
		s.process.Kill()
	})
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
