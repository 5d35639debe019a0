package interop

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestActing kills one of two masters while messages wait in it: its slave delivers them to the other when they are due.
// The master that comes back delivers none of them again, and goes on.
func TestActing(t *testing.T) {
	t.Parallel()
	heavy(t)
	settings := map[string]string{
		"brokerRole": "ASYNC_MASTER", "enableSlaveActingMaster": "true", "enableRemoteEscape": "true", "mappedFileSizeCommitLog": fmt.Sprint(replicationFile),
	}
	c := newCluster(t, suite.split, settings)
	slave := startSlave(t, c, suite.split)
	place, err := harness.NewPlace(t.TempDir(), maps.Clone(settings))
	if err != nil {
		t.Fatal(err)
	}
	place.Properties["brokerName"], place.NameServerPort = "broker-b", c.NameServerPort
	other := &harness.Cluster{Place: place, Target: suite.split}
	if err := other.StartBroker(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)

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
