package interop

import (
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestCompressed sends bodies that the client compresses, by each of its compressors, at once and through a delay: they
// arrive as they were, and the store has them with the flags that they came with. The client does not compress batches.
func TestCompressed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		client, kind string
		flags        int // of sysFlag: by what; that it is compressed the client takes off
	}{
		{java55, "ZLIB", 0x300},
		{java55, "LZ4", 0x100},
		{java55, "ZSTD", 0x200},
		{java49, "", 0x300},
	} {
		t.Run(c.client+"/"+c.kind, func(t *testing.T) {
			t.Parallel()
			a := sharedAgent(t, c.client)
			p := producer(t, a, harness.Args{"compress": c.kind})
			topic := word(t)
			sent := send(t, a, p, harness.Args{"topic": topic, "name": "first", "count": 1})
			for _, mode := range []string{"sync", "async"} {
				sent = append(sent, send(t, a, p, harness.Args{"topic": topic, "name": mode, "mode": mode, "count": 20, "size": 20_000})...)
			}
			sent = append(sent, send(t, a, p, harness.Args{"topic": topic, "name": "batch", "mode": "batch", "batch": 5, "count": 10, "size": 20_000})...)
			asked := sharedAgent(t, java55) // it reads what the older one sends as well
			got := settle(t, sent, 0, consume(t, asked, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic}))
			if len(got) != len(sent) {
				t.Errorf("%d deliveries of %d messages", len(got), len(sent))
			}
			later := send(t, a, p, harness.Args{"topic": topic, "name": "later", "count": 3, "size": 20_000, "delay": 1})
			var all []harness.Event
			awaitWindow(t, soon, func() bool {
				s := do(t, asked, "dump", harness.Args{"topic": topic})
				await(t, s, "done", soon)
				all = s.Events("found")
				return len(all) >= len(sent)+len(later)
			}, func() string { return "delayed compressed messages do not come" })
			balance := harness.Settle(append(sent, later...), all)
			balance.Wrong = nil // the answer to a delayed send names a place in the schedule topic
			if err := balance.Err(0); err != nil {
				t.Error(err)
			}
			for _, f := range all {
				want := c.flags
				if name := f.Name; name == "first-0" || len(name) > 5 && name[:5] == "batch" {
					want = 0
				}
				if f.SysFlag&0x700 != want {
					t.Errorf("%s is stored with flags %#x, want %#x", f.Name, f.SysFlag&0x700, want)
				}
			}
		})
	}
}

// TestPriority pops from a topic of priorities: the highest that is there comes first, whenever it was sent.
func TestPriority(t *testing.T) {
	t.Parallel()
	a := sharedAgent(t, java55)
	topic := word(t)
	p := newPopper(t, a, topic)
	known := topic + "-known"
	send(t, a, p.producer, harness.Args{"topic": known, "name": "m", "count": 1})
	p.step("prioritytopic", harness.Args{"known": known, "queues": 4})
	var sent []harness.Event
	awaitWindow(t, soon, func() bool {
		s := do(t, a, "send", harness.Args{"producer": p.producer, "topic": topic, "name": "m", "count": 40, "first": len(sent), "priorities": 6})
		await(t, s, "done", soon)
		sent = append(sent, s.Events("sent")...)
		return len(sent) >= 40
	}, func() string { return "the topic of priorities cannot be sent to" })
	for _, s := range sent {
		var n int
		for _, digit := range s.Name[len("m-"):] {
			n = 10*n + int(digit-'0')
		}
		if want := min(n%6, 3); s.Queue != want {
			t.Errorf("%s with priority %d is in queue %d", s.Name, n%6, s.Queue)
		}
	}
	last := 3
	for i := range len(sent) {
		got := p.pop(harness.Args{"max": 1, "poll": 5000})
		if len(got) != 1 {
			t.Fatalf("pop %d finds %d messages", i, len(got))
		}
		p.ack(got[0].Properties["POP_CK"])
		if got[0].Queue > last {
			t.Errorf("priority %d is popped after %d", got[0].Queue, last)
		}
		last = got[0].Queue
	}
}
