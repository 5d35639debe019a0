package interop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// smallFiles makes a store roll every kind of file over after a few hundred
// messages. The log files of both makes then have more than one end.
var smallFiles = map[string]string{
	"mappedFileSizeCommitLog":    fmt.Sprint(1 << 20),
	"mappedFileSizeConsumeQueue": "4000",
	"mappedFileSizeTimerLog":     "1040",
	"maxHashSlotNum":             "100",
	"maxIndexNum":                "400",
	"defaultTopicQueueNums":      "64",
}

// TestStore hands a store from one make of broker to the other and back: each
// serves what the other wrote, goes on with it, and finds its own again.
func TestStore(t *testing.T) {
	t.Parallel()
	for _, order := range []struct {
		name          string
		first, second harness.Target
	}{{"begin", suite.target, suite.java}, {"java-begins", suite.java, suite.target}} {
		for _, kill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/kill=%v", order.name, kill), func(t *testing.T) {
				t.Parallel()
				heavy(t)
				handOver(t, order.first, order.second, kill)
			})
		}
	}
}

func handOver(t *testing.T, first, second harness.Target, kill bool) {
	place, err := harness.NewPlace(t.TempDir(), smallFiles)
	if err != nil {
		t.Fatal(err)
	}
	w := &storeWriter{t: t, place: place, kill: kill, topics: map[string]int{}}
	var before map[string]string
	for turn, target := range []harness.Target{first, second, first} {
		c := startCluster(t, target, place)
		w.connect()
		if turn > 0 {
			sameContent(t, fmt.Sprintf("turn %d, %s", turn, target.Name()), before, w.content())
			w.checkGroup()
			w.checkDelayed()
		}
		w.write(turn)
		w.checkQueries(turn)
		w.checkGroup()
		w.sendDelayed(turn)
		before = w.content()
		if kill && turn < 2 {
			c.KillBroker()
			c.Close()
			continue
		}
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := suite.ours.CheckStore(place); err != nil {
			t.Errorf("store of %s after turn %d: %v", target.Name(), turn, err)
		}
	}
}

// storeWriter writes to whatever runs at the place and reads it back.
type storeWriter struct {
	t      *testing.T
	place  harness.Place
	kill   bool // how each turn ends
	java   *harness.Agent
	golang *harness.Agent

	topics  map[string]int // with the number of messages sent
	sent    []harness.Event
	delayed []harness.Event
	group   []harness.Event // what the consumer group got in all turns
}

const (
	topicPlain, topicBig, topicBatch, topicMany, topicGo, topicLater = "Plain", "Big", "Batch", "Many", "FromGo", "Later"
	storeGroup                                                       = "C_store"
)

// connect starts the clients at the first turn; they live through the others.
func (w *storeWriter) connect() {
	if w.java == nil {
		w.java = newAgent(w.t, java55, w.place.NameServer(), "writer")
		w.golang = newAgent(w.t, golang, w.place.NameServer(), "writer")
	}
}

func (w *storeWriter) write(turn int) {
	w.t.Helper()
	few := producer(w.t, w.java, nil)
	for _, args := range []harness.Args{
		{"topic": topicPlain, "count": 300, "tags": "A,B,Ünïcode", "shards": 4},
		{"topic": topicBig, "count": 40, "size": 40_000, "shards": 4},
		{"topic": topicBatch, "count": 200, "mode": "batch", "batch": 20},
	} {
		w.send(turn, w.java, few, args)
	}
	many := producer(w.t, w.java, harness.Args{"queues": 64})
	w.send(turn, w.java, many, harness.Args{"topic": topicMany, "count": 256, "shards": 64})
	w.send(turn, w.golang, producer(w.t, w.golang, nil), harness.Args{"topic": topicGo, "count": 100, "mode": "async"})
}

func (w *storeWriter) send(turn int, a *harness.Agent, producer string, args harness.Args) {
	w.t.Helper()
	args["name"], args["keys"] = fmt.Sprintf("%s_%d", strings.ToLower(args["topic"].(string)), turn), true
	sent := send(w.t, a, producer, args)
	w.sent = append(w.sent, sent...)
	w.topics[args["topic"].(string)] += len(sent)
}

// content reads all topics, each message told by one line under its place.
func (w *storeWriter) content() map[string]string {
	w.t.Helper()
	lines := map[string]string{}
	for topic, count := range w.topics {
		s := do(w.t, w.java, "dump", harness.Args{"topic": topic})
		await(w.t, s, "done", 60*time.Second)
		found := s.Events("found")
		if err := harness.Settle(w.sentTo(topic), found).Err(0); err != nil {
			w.t.Fatalf("topic %s: %v", topic, err)
		}
		if len(found) != count {
			w.t.Fatalf("topic %s: %d messages, sent %d", topic, len(found), count)
		}
		for _, e := range found {
			// The client adds the ends of the queue, which are not the message's.
			maps.DeleteFunc(e.Properties, func(k, _ string) bool { return k == "MIN_OFFSET" || k == "MAX_OFFSET" })
			lines[fmt.Sprintf("%s/%d/%d", topic, e.Queue, e.Offset)] = fmt.Sprintf("%s %08x %s %s phy=%d born=%d stored=%d reconsume=%d %v",
				e.Name, e.CRC, e.MsgID, e.OffsetMsgID, e.Phy, e.Born, e.Store, e.Reconsume, e.Properties)
		}
	}
	return lines
}

func (w *storeWriter) sentTo(topic string) []harness.Event {
	var sent []harness.Event
	for _, e := range w.sent {
		if e.Topic == topic {
			sent = append(sent, e)
		}
	}
	return sent
}

func sameContent(t *testing.T, where string, want, have map[string]string) {
	t.Helper()
	different := 0
	for _, place := range slices.Sorted(maps.Keys(want)) {
		if want[place] != have[place] {
			if different++; different <= 3 {
				t.Errorf("%s: %s\nhave %s\nwant %s", where, place, have[place], want[place])
			}
		}
	}
	if different > 0 || len(want) != len(have) {
		t.Fatalf("%s: %d of %d messages differ; %d there", where, different, len(want), len(have))
	}
}

// checkQueries looks some messages of all turns up by key and by id.
func (w *storeWriter) checkQueries(turn int) {
	w.t.Helper()
	p := producer(w.t, w.java, nil)
	for i, e := range w.sent {
		if i%83 != turn {
			continue
		}
		byKey := do(w.t, w.java, "query", harness.Args{"producer": p, "topic": e.Topic, "key": "key-" + e.Name})
		await(w.t, byKey, "done", soon)
		// After a crash a Java broker indexes again what it had indexed: the same message is then found twice.
		foundOne(w.t, e, slices.CompactFunc(byKey.Events("found"), func(a, b harness.Event) bool {
			return w.kill && a.OffsetMsgID == b.OffsetMsgID
		}))
		found(w.t, e, do(w.t, w.java, "view", harness.Args{"producer": p, "topic": e.Topic, "msgId": e.MsgID}))
		found(w.t, e, do(w.t, w.java, "view", harness.Args{"producer": p, "topic": e.Topic, "msgId": e.OffsetMsgID}))
	}
}

// checkGroup lets a consumer group go on with the plain topic. It gets
// nothing twice over a clean hand-over; a killed broker may have forgotten
// the last seconds of what it was told.
func (w *storeWriter) checkGroup() {
	w.t.Helper()
	c := consume(w.t, w.java, harness.Args{"kind": "pull", "group": storeGroup, "topic": topicPlain})
	plain := w.sentTo(topicPlain)
	have := append(slices.Clone(w.group), c.Events("got")...)
	awaitWindow(w.t, soon, func() bool {
		have = append(slices.Clone(w.group), c.Events("got")...)
		return distinct(have) >= len(plain)
	}, func() string { return fmt.Sprintf("the group has %d of %d messages", distinct(have), len(plain)) })
	time.Sleep(300 * time.Millisecond)
	stop(w.t, c)
	w.group = append(w.group, c.Events("got")...)
	twiceMax := 0
	if w.kill {
		twiceMax = len(plain)
	}
	if err := harness.Settle(plain, w.group).Err(twiceMax); err != nil {
		w.t.Fatal(err)
	}
}

// sendDelayed leaves messages that are due in the next turn, at whoever runs then.
func (w *storeWriter) sendDelayed(turn int) {
	w.t.Helper()
	w.delayed = append(w.delayed, send(w.t, w.java, producer(w.t, w.java, nil), harness.Args{"topic": topicLater,
		"name": fmt.Sprintf("later_%d", turn), "count": 5, "delay": 3})...)
	w.delayed = append(w.delayed, send(w.t, w.java, producer(w.t, w.java, nil), harness.Args{"topic": topicLater,
		"name": fmt.Sprintf("timer_%d", turn), "count": 40, "delaySec": 10})...)
}

func (w *storeWriter) checkDelayed() {
	w.t.Helper()
	var have []harness.Event
	awaitWindow(w.t, soon, func() bool {
		s := do(w.t, w.java, "dump", harness.Args{"topic": topicLater})
		_ = s.Until(soon, func(e []harness.Event) bool {
			return len(e) > 0 && (e[len(e)-1].Event == "done" || e[len(e)-1].Event == "failed")
		})
		have = s.Events("found")
		return distinct(have) >= len(w.delayed)
	}, func() string { return fmt.Sprintf("%d of %d delayed messages", distinct(have), len(w.delayed)) })
	balance := harness.Settle(w.delayed, have)
	balance.Wrong = nil // the answer to a delayed send names a place in the schedule topic
	twiceMax := 0
	if w.kill {
		twiceMax = len(w.delayed)
	}
	if err := balance.Err(twiceMax); err != nil {
		w.t.Fatal(err)
	}
}
