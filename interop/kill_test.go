package interop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestKill kills the broker again and again under load from real clients and
// restarts it on the same store. No acknowledged message is missing at the
// end, and no place in a queue was ever given to two messages, neither in an
// answer to a producer nor in the hands of a consumer.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, flush := range []string{"ASYNC_FLUSH", "SYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) {
			t.Parallel()
			heavy(t)
			killAndComeBack(t, flush)
		})
	}
}

// loads are what the producers do. The rates are for a short run.
var loads = []struct {
	client string
	args   harness.Args
}{
	{java55, harness.Args{"topic": "KillSync", "rate": 200, "size": 300, "keys": true, "tags": "A,B"}},
	{java55, harness.Args{"topic": "KillAsync", "rate": 400, "mode": "async", "size": 1000}},
	{java55, harness.Args{"topic": "KillBatch", "rate": 400, "mode": "batch", "batch": 20}},
	{golang, harness.Args{"topic": "KillGo", "rate": 200, "size": 3000}},
	{java55, harness.Args{"topic": orderTopic, "rate": 100, "shards": 4}},
	{java55, harness.Args{"topic": delayTopic, "rate": 50, "delay": 1}},
}

const (
	orderTopic = "KillOrder" // consumed in order
	delayTopic = "KillDelay" // answered with places in the schedule topic
)

func killAndComeBack(t *testing.T, flush string) {
	c := newCluster(t, suite.target, map[string]string{
		"flushDiskType": flush,
		// Kills then fall near the ends of files as well.
		"mappedFileSizeCommitLog": fmt.Sprint(2 << 20), "mappedFileSizeConsumeQueue": "20000",
	})
	agents := map[string]*harness.Agent{
		java55: newAgent(t, java55, c.NameServer(), "load"),
		golang: newAgent(t, golang, c.NameServer(), "load"),
	}
	// The long run has the same number of messages a minute as memory has room for.
	slower := 1 + *killsFlag/20
	var sends, consumers []*harness.Stream
	for _, l := range loads {
		a := agents[l.client]
		args := harness.Args{"producer": producer(t, a, harness.Args{"group": "P_" + l.args["topic"].(string), "timeout": 3000}),
			"name": l.args["topic"]}
		for k, v := range l.args {
			args[k] = v
		}
		args["rate"] = l.args["rate"].(int) / slower
		sends = append(sends, do(t, a, "send", args))
		await(t, sends[len(sends)-1], "sent", soon)
		consumers = append(consumers, consume(t, a, harness.Args{"kind": "push", "group": "C_" + l.args["topic"].(string),
			"topic": l.args["topic"], "orderly": l.args["topic"] == orderTopic}))
	}
	for range *killsFlag {
		time.Sleep(500*time.Millisecond + rand.N(2500*time.Millisecond))
		c.KillBroker()
		if err := c.StartBroker(); err != nil {
			t.Fatal(err)
		}
		for i, s := range sends {
			answered := len(s.Events("sent"))
			awaitWindow(t, 60*time.Second, func() bool { return len(s.Events("sent")) > answered },
				func() string {
					return fmt.Sprintf("no send to %v is answered since the broker is back", loads[i].args["topic"])
				})
		}
	}
	for _, s := range sends {
		stop(t, s)
		await(t, s, "done", 60*time.Second)
	}
	reader := newAgent(t, java55, c.NameServer(), "reader")
	for i, l := range loads {
		checkKilled(t, reader, l.args["topic"].(string), sends[i], consumers[i])
	}
	if err := c.StopBroker(); err != nil {
		t.Fatal(err)
	}
	if err := suite.ours.CheckStore(c.Place); err != nil {
		t.Error(err)
	}
}

// place is where a message lies in a topic.
type place struct {
	queue  int
	offset int64
}

// checkKilled settles one topic after the last restart.
func checkKilled(t *testing.T, reader *harness.Agent, topic string, sends, consumer *harness.Stream) {
	t.Helper()
	acknowledged := map[string]harness.Event{}
	for _, e := range sends.Events("sent") {
		if e.Status == "SEND_OK" {
			acknowledged[e.Name] = e
		}
	}
	// First wait for what the broker still owes the consumers: what is delayed is stored late.
	awaitWindow(t, 90*time.Second, func() bool { return missing(acknowledged, consumer.Events("got")) == 0 },
		func() string {
			return fmt.Sprintf("%s: %d of %d acknowledged messages not consumed", topic, missing(acknowledged, consumer.Events("got")), len(acknowledged))
		})
	stored := dumpKilled(t, reader, topic, sends, consumer)
	got := consumer.Events("got")
	if topic == orderTopic {
		if err := inOrderButBack(got); err != nil {
			t.Errorf("%s: %v", topic, err)
		}
	}
	t.Logf("%s: %d acknowledged, %d refused, %d stored, %d deliveries of %d", topic, len(acknowledged),
		len(sends.Events("refused")), len(stored), len(got), distinct(got))
}

// dumpKilled reads the topic and compares the places of its messages with
// those that the answers and the consumer told: each place is one message's.
func dumpKilled(t *testing.T, reader *harness.Agent, topic string, sends, consumer *harness.Stream) []harness.Event {
	t.Helper()
	owner := map[place]string{}
	claim := func(who string, e harness.Event) {
		at := place{e.Queue, e.Offset}
		if before, ok := owner[at]; ok && before != e.Name {
			t.Errorf("%s: offset %d of queue %d is %s, and by %s it is %s", topic, e.Offset, e.Queue, before, who, e.Name)
		}
		owner[at] = e.Name
	}
	acknowledged := map[string]harness.Event{}
	for _, e := range sends.Events("sent") {
		if e.Status == "SEND_OK" && topic != delayTopic {
			acknowledged[e.Name] = e
			claim("an answer", e)
		}
	}
	s := do(t, reader, "dump", harness.Args{"topic": topic})
	await(t, s, "done", 120*time.Second)
	stored := s.Events("found")
	next, phys := map[int]int64{}, map[int64]string{}
	for _, e := range stored {
		claim("the store", e)
		if e.Offset != next[e.Queue] {
			t.Errorf("%s: queue %d has offset %d after %d messages", topic, e.Queue, e.Offset, next[e.Queue])
		}
		next[e.Queue] = e.Offset + 1
		if before, ok := phys[e.Phy]; ok {
			t.Errorf("%s: physical offset %d is both %s and %s", topic, e.Phy, before, e.Name)
		}
		phys[e.Phy] = e.Name
	}
	for name, a := range acknowledged {
		if owner[place{a.Queue, a.Offset}] != name || a.Offset >= next[a.Queue] {
			t.Errorf("%s: acknowledged message %s is not at offset %d of queue %d (%d stored)", topic, name, a.Offset, a.Queue, next[a.Queue])
		}
	}
	for _, e := range consumer.Events("got") {
		if e.Reconsume == 0 {
			claim("a consumer", e)
		}
	}
	return stored
}

// inOrderButBack checks that no queue's deliveries leave one out, though a
// consumer may have to begin again further back.
func inOrderButBack(got []harness.Event) error {
	next := map[int]int64{}
	for _, g := range got {
		if g.Offset > next[g.Queue] {
			return fmt.Errorf("queue %d: offset %d before %d", g.Queue, g.Offset, next[g.Queue])
		}
		next[g.Queue] = max(next[g.Queue], g.Offset+1)
	}
	return nil
}

// merged are the deliveries of several consumers of one agent, as they came.
func merged(streams ...*harness.Stream) []harness.Event {
	got := gather(streams...)
	slices.SortStableFunc(got, func(a, b harness.Event) int { return a.Read.Compare(b.Read) })
	return got
}

func missing(want map[string]harness.Event, got []harness.Event) int {
	have := make(map[string]bool, len(got))
	for _, g := range got {
		have[g.Name] = true
	}
	n := 0
	for name := range want {
		if !have[name] {
			n++
		}
	}
	return n
}
