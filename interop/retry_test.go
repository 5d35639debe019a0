package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestRetry refuses each message once: it comes again after the first retry
// delay, and then no more.
func TestRetry(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		sent := send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": "m", "count": 20, "tags": "A,B", "keys": true})
		c := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic, "fail": "once"})
		got := awaitTimes(t, c, sent, 2, 45*time.Second)
		for _, g := range got {
			if g.Topic != topic || g.Keys != "key-"+g.Name+" all-m" {
				t.Errorf("message %s came back as of topic %s with keys %q", g.Name, g.Topic, g.Keys)
			}
		}
	})
}

// TestDeadLetter refuses always: each message comes max reconsume times more,
// after the delays of levels 3 and 4, and then lies in the dead letter topic.
func TestDeadLetter(t *testing.T) {
	for _, c := range []struct {
		max    int
		within time.Duration
	}{{1, 60 * time.Second}, {2, 100 * time.Second}} {
		t.Run(fmt.Sprintf("max=%d", c.max), func(t *testing.T) {
			eachClient(t, func(t *testing.T, client string) { deadLetter(t, client, c.max, c.within) })
		})
	}
}

func deadLetter(t *testing.T, client string, maxReconsume int, within time.Duration) {
	a := sharedAgent(t, client)
	topic, group := word(t), "C_"+word(t)
	sent := send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": "m", "count": 10})
	c := consume(t, a, harness.Args{"kind": "push", "group": group, "topic": topic, "fail": "always", "maxReconsume": maxReconsume})
	awaitTimes(t, c, sent, maxReconsume+1, within)

	reader := sharedAgent(t, java55)
	var dead []harness.Event
	awaitWindow(t, soon, func() bool {
		s := do(t, reader, "dump", harness.Args{"topic": "%DLQ%" + group})
		_ = s.Until(soon, func(e []harness.Event) bool {
			return len(e) > 0 && (e[len(e)-1].Event == "done" || e[len(e)-1].Event == "failed")
		})
		dead = s.Events("found")
		return len(dead) >= len(sent)
	}, func() string { return fmt.Sprintf("%d of %d dead letters", len(dead), len(sent)) })
	balance := harness.Settle(sent, dead)
	balance.Wrong = nil // a dead letter has a place of its own
	if err := balance.Err(0); err != nil {
		t.Fatal(err)
	}
	for _, d := range dead {
		if d.Properties["RETRY_TOPIC"] != topic && d.Properties["DLQ_ORIGIN_TOPIC"] != topic {
			t.Errorf("dead letter %s does not name its topic: %v", d.Name, d.Properties)
		}
	}
	if got := c.Events("got"); len(got) != len(sent)*(maxReconsume+1) {
		t.Errorf("%d deliveries of %d messages, want %d each", len(got), len(sent), maxReconsume+1)
	}
}

// awaitTimes waits until each message came n times, with reconsume times
// 0 to n-1, and no sooner than the delay before each.
func awaitTimes(t *testing.T, c *harness.Stream, sent []harness.Event, n int, within time.Duration) []harness.Event {
	t.Helper()
	awaitWindow(t, within, func() bool { return len(c.Events("got")) >= n*len(sent) }, func() string {
		return fmt.Sprintf("%d deliveries of %d messages, want %d each", len(c.Events("got")), len(sent), n)
	})
	time.Sleep(200 * time.Millisecond)
	deliveries := map[string][]harness.Event{}
	for _, g := range c.Events("got") {
		deliveries[g.Name] = append(deliveries[g.Name], g)
	}
	delays := []time.Duration{10 * time.Second, 30 * time.Second}
	for _, s := range sent {
		d := deliveries[s.Name]
		if len(d) != n {
			t.Fatalf("message %s came %d times, want %d", s.Name, len(d), n)
		}
		for i, g := range d {
			if g.Reconsume != i || g.CRC != s.CRC {
				t.Fatalf("message %s: delivery %d says it is reconsume %d (crc %08x, sent %08x)", s.Name, i, g.Reconsume, g.CRC, s.CRC)
			}
			if i > 0 && g.Read.Sub(d[i-1].Read) < delays[i-1]-time.Second {
				t.Fatalf("message %s: delivery %d after %v, want %v", s.Name, i, g.Read.Sub(d[i-1].Read), delays[i-1])
			}
		}
	}
	return c.Events("got")
}
