package interop

import (
	"slices"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestSend sends in each way that the client has, and a push consumer of the
// same client gets every message once, at the place that its answer named.
func TestSend(t *testing.T) {
	ways := []struct {
		name     string
		producer harness.Args
		send     harness.Args
	}{
		{name: "sync", send: harness.Args{"mode": "sync", "count": 200}},
		{name: "async", send: harness.Args{"mode": "async", "count": 500}},
		{name: "oneway", send: harness.Args{"mode": "oneway", "count": 200}},
		{name: "batch", send: harness.Args{"mode": "batch", "count": 300, "batch": 30}},
		{name: "vip", producer: harness.Args{"vip": true}, send: harness.Args{"mode": "sync", "count": 50}},
		{name: "large", send: harness.Args{"mode": "sync", "count": 8, "size": 1 << 20}},
	}
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				t.Parallel()
				args := harness.Args{"topic": word(t), "name": way.name, "tags": "TagA,TagB", "keys": true}
				for k, v := range way.send {
					args[k] = v
				}
				p := producer(t, a, way.producer)
				// The first message makes the topic: what is sent one-way at an unknown topic may be dropped.
				first := send(t, a, p, harness.Args{"topic": word(t), "name": "first", "count": 1, "tags": "TagA", "keys": true})
				sent := send(t, a, p, args)
				if len(sent) != args["count"] {
					t.Fatalf("%d messages answered, want %v", len(sent), args["count"])
				}
				sent = append(first, sent...)
				c := consume(t, a, harness.Args{"kind": "push", "group": "C_" + word(t), "topic": word(t), "batch": 4})
				for _, g := range settle(t, sent, 0, c) {
					if g.Tags != "TagA" && g.Tags != "TagB" || g.Keys != "key-"+g.Name+" all-"+strings.Split(g.Name, "-")[0] {
						t.Fatalf("message %s arrived with tags %q keys %q", g.Name, g.Tags, g.Keys)
					}
				}
				if way.name != "oneway" {
					denseOffsets(t, sent)
				}
			})
		}
	})
}

// denseOffsets checks that the answers name each offset of each queue once
// and leave no gap.
func denseOffsets(t *testing.T, sent []harness.Event) {
	t.Helper()
	queues := map[int][]int64{}
	for _, e := range sent {
		queues[e.Queue] = append(queues[e.Queue], e.Offset)
	}
	for queue, offsets := range queues {
		slices.Sort(offsets)
		for i, o := range offsets {
			if o != int64(i) {
				t.Fatalf("queue %d: %d. offset answered is %d", queue, i, o)
			}
		}
	}
}

// TestDelay sends with delay levels 1 and 2: not before their time, and all.
func TestDelay(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		p := producer(t, a, nil)
		topic := word(t)
		send(t, a, p, harness.Args{"topic": topic, "name": "now", "count": 1})
		c := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic})
		awaitDistinct(t, 1, soon, c)
		for level, millis := range map[int]int64{1: 1000, 2: 5000} {
			sent := send(t, a, p, harness.Args{"topic": topic, "name": "later", "first": 1000 * level, "count": 5, "delay": level})
			for _, s := range sent {
				defer func() {
					for _, g := range c.Events("got") {
						if g.Name == s.Name && g.Read.UnixMilli()-s.Read.UnixMilli() < millis-200 {
							t.Errorf("message %s of level %d came after %d ms", g.Name, level, g.Read.UnixMilli()-s.Read.UnixMilli())
						}
					}
				}()
			}
		}
		if got := awaitDistinct(t, 11, soon, c); len(got) != 11 {
			t.Fatalf("%d deliveries of 11 messages", len(got))
		}
	})
}
