package interop

import (
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestQuery finds messages of each client by key, by unique key and by
// message id. The Go client has no queries: a Java client asks for its messages.
func TestQuery(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		p := producer(t, a, nil)
		sent := send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": 40, "keys": true, "tags": "T"})
		sent = append(sent, send(t, a, p, harness.Args{"topic": topic, "name": "b", "count": 20, "keys": true, "mode": "batch", "batch": 10})...)
		asker := client
		if client == golang {
			asker = java55
		}
		q := sharedAgent(t, asker)
		qp := p
		if asker != client {
			qp = producer(t, q, nil)
		}
		for i, s := range sent {
			if i%7 != 0 {
				continue
			}
			found(t, s, do(t, q, "query", harness.Args{"producer": qp, "topic": topic, "key": "key-" + s.Name}))
			if s.MsgID != "" { // the Go client gives the messages of a batch no unique key
				found(t, s, do(t, q, "view", harness.Args{"producer": qp, "topic": topic, "msgId": s.MsgID}))
			}
			found(t, s, do(t, q, "view", harness.Args{"producer": qp, "topic": topic, "msgId": s.OffsetMsgID}))
		}
		all := do(t, q, "query", harness.Args{"producer": qp, "topic": topic, "key": "all-m"})
		await(t, all, "done", soon)
		if n := distinct(all.Events("found")); n != 40 {
			t.Errorf("%d messages found by their common key, want 40", n)
		}
		none := do(t, q, "query", harness.Args{"producer": qp, "topic": topic, "key": "key-of-nobody"})
		await(t, none, "done", soon)
		if e := none.Events("found"); len(e) > 0 {
			t.Errorf("found %v by a key that no message has", e)
		}
	})
}

// found checks that the query s found the one message wanted.
func found(t *testing.T, want harness.Event, s *harness.Stream) {
	t.Helper()
	await(t, s, "done", soon)
	foundOne(t, want, s.Events("found"))
}

func foundOne(t *testing.T, want harness.Event, e []harness.Event) {
	t.Helper()
	if len(e) != 1 {
		t.Fatalf("message %s found %d times, want once: %v", want.Name, len(e), e)
	}
	if err := harness.Settle([]harness.Event{want}, e).Err(0); err != nil {
		t.Fatal(err)
	}
}

// TestOffsets asks for the least, the greatest and the offset of a moment.
func TestOffsets(t *testing.T) {
	t.Parallel()
	for _, client := range clients() {
		if client == golang {
			continue // it has no such questions
		}
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			a := sharedAgent(t, client)
			topic := word(t)
			p := producer(t, a, nil)
			before := time.Now().UnixMilli()
			send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": 40, "shards": 4})
			time.Sleep(20 * time.Millisecond)
			between := time.Now().UnixMilli()
			time.Sleep(20 * time.Millisecond)
			send(t, a, p, harness.Args{"topic": topic, "name": "n", "count": 40, "shards": 4})

			for at, want := range map[int64]int64{0: 0, between: 10, time.Now().UnixMilli() + 10_000: 20} {
				s := do(t, a, "offsets", harness.Args{"producer": p, "topic": topic, "time": at})
				await(t, s, "done", soon)
				queues := s.Events("queue")
				if len(queues) != 4 {
					t.Fatalf("%d queues, want 4", len(queues))
				}
				for _, q := range queues {
					if q.Offset != 0 || q.Max != 20 || q.At != want {
						t.Errorf("queue %d: offsets %d to %d, at %d: %d, want 0 to 20, %d", q.Queue, q.Offset, q.Max, at, q.At, want)
					}
					if q.Earliest < before || q.Earliest > between {
						t.Errorf("queue %d: earliest message of %d, want %d to %d", q.Queue, q.Earliest, before, between)
					}
				}
			}
		})
	}
}
