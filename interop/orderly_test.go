package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestOrderly sends in order per shard; orderly consumers get each queue in
// order, over a stop and a successor, and with a second consumer beside.
func TestOrderly(t *testing.T) {
	const shards, count = 8, 600
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		sent := send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": "m", "count": count, "shards": shards})
		inShardOrder(t, sent, shards)

		args := harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic, "orderly": true, "pause": 5}
		first := consume(t, leaver(t, client), args)
		awaitDistinct(t, count/4, soon, first)
		leave(t, first)
		second := consume(t, a, args)
		awaitDistinct(t, count/2, soon, first, second)
		third := consume(t, a, args)
		// A client that goes without unlocking its queues keeps them for a minute.
		awaitDistinct(t, count, 90*time.Second, first, second, third)

		runs := []*harness.Stream{first, second, third}
		for i, s := range runs {
			if err := inQueueOrder(s.Events("got")); err != nil {
				t.Errorf("consumer %d: %v", i, err)
			}
		}
		// Each handing over may repeat what the one before had in hand: a pull of each queue.
		settle(t, sent, 4*32, runs...)
	})
}

// TestOrderlyFailOnce refuses each message once: the queue waits for it and
// nothing overtakes.
func TestOrderlyFailOnce(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		sent := send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": "m", "count": 12, "shards": 4})
		c := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic, "orderly": true, "fail": "once"})
		want := 2 * len(sent)
		if err := c.Until(soon, func(e []harness.Event) bool { return len(e)-1 >= want }); err != nil {
			t.Fatal(err)
		}
		next := map[int]int64{}
		for _, g := range c.Events("got") {
			if g.Offset != next[g.Queue]/2 {
				t.Fatalf("queue %d: offset %d as delivery %d", g.Queue, g.Offset, next[g.Queue])
			}
			next[g.Queue]++
		}
	})
}

// inShardOrder checks that the answers of a shard's messages are in order in one queue.
func inShardOrder(t *testing.T, sent []harness.Event, shards int) {
	t.Helper()
	last := map[int]harness.Event{}
	for i, e := range sent {
		if before, ok := last[i%shards]; ok && (before.Queue != e.Queue || before.Offset >= e.Offset) {
			t.Fatalf("shard %d: %s at %d/%d, after it %s at %d/%d", i%shards, before.Name, before.Queue, before.Offset, e.Name, e.Queue, e.Offset)
		}
		last[i%shards] = e
	}
}

// inQueueOrder checks that each queue's deliveries follow each other without
// gap. A queue that was away and comes back may start again further back.
func inQueueOrder(got []harness.Event) error {
	last := map[int]int64{}
	for _, g := range got {
		if before, ok := last[g.Queue]; ok && g.Offset > before+1 {
			return fmt.Errorf("queue %d: offset %d after %d", g.Queue, g.Offset, before)
		} else if ok && g.Offset <= before && before-g.Offset > 2 {
			return fmt.Errorf("queue %d: offset %d again after %d", g.Queue, g.Offset, before)
		}
		last[g.Queue] = g.Offset
	}
	return nil
}
