package bench

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// backlogMessages is what a reading study reads, over and over: 60 MiB, so it stays in the page cache.
const backlogMessages = 50_000

// fill opens a store with a backlog.
func fill(b *testing.B, queues int) *engine.Store {
	b.Helper()
	store := openStore(b, nil)
	if _, err := NewWriters(store, 1, queues, bodySize).Run(0, backlogMessages); err != nil {
		b.Fatal(err)
	}
	return store
}

// BenchmarkGet reads a queue from its beginning to its end, 32 messages a get; one op is one message.
func BenchmarkGet(b *testing.B) {
	for _, queues := range []int{1, 4} {
		b.Run(fmt.Sprintf("order=sequential/queues=%d", queues), func(b *testing.B) {
			store := fill(b, queues)
			req := engine.GetRequest{Topic: Topic(0), MaxMsgs: 32}
			var res engine.GetResult
			var latency Latency
			b.ReportAllocs()
			b.ResetTimer()
			report := reportCPU(b)
			for n := 0; n < b.N; n += res.Count {
				begin := time.Now()
				store.Get(&req, &res)
				res.Release()
				latency.Record(time.Since(begin))
				if res.Status != engine.Found {
					b.Fatalf("get at %d: %v", req.Offset, res.Status)
				}
				if req.Offset = res.NextOffset; req.Offset == res.MaxOffset {
					req.Offset = 0
				}
			}
			report()
			reportLatency(b, &latency)
		})
	}
}

// BenchmarkQueryByKey looks up keys at random: those of the backlog, or some that no message has.
func BenchmarkQueryByKey(b *testing.B) {
	store := fill(b, 4)
	end := time.Now().Add(time.Hour).UnixMilli()
	for _, c := range []struct {
		found  bool
		format string
	}{{true, "order-0000%012x"}, {false, "order-none%012x"}} {
		b.Run(fmt.Sprintf("messages=%d/found=%v", backlogMessages, c.found), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			measureEach(b, func() error {
				key := fmt.Sprintf(c.format, r.IntN(backlogMessages))
				res, err := store.QueryByKey(Topic(0), key, 32, 0, end)
				if err == nil && c.found && len(res.Offsets) == 0 {
					err = fmt.Errorf("key %s is not found", key)
				}
				return err
			})
		})
	}
}

// BenchmarkRecordAt reads single records by physical offset.
func BenchmarkRecordAt(b *testing.B) {
	store := fill(b, 4)
	var offsets []message.PhyOffset
	for at := store.MinPhyOffset(); at < store.MaxPhyOffset() && len(offsets) < 10_000; {
		ref, err := store.RecordAt(at)
		if err != nil {
			b.Fatal(err)
		}
		offsets = append(offsets, at)
		at += message.PhyOffset(ref.Record().Size())
		ref.Release()
	}
	b.Run("order=random", func(b *testing.B) {
		i := 0
		measureEach(b, func() error {
			ref, err := store.RecordAt(offsets[i*7919%len(offsets)])
			ref.Release()
			i++
			return err
		})
	})
}

// measureEach measures op, the latency of each call included: one reading of the clock is in its time.
func measureEach(b *testing.B, op func() error) {
	var latency Latency
	b.ReportAllocs()
	report := reportCPU(b)
	last := time.Now()
	for b.Loop() {
		if err := op(); err != nil {
			b.Fatal(err)
		}
		now := time.Now()
		latency.Record(now.Sub(last))
		last = now
	}
	report()
	reportLatency(b, &latency)
}
