package broker

import (
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/engine/timer"
	"github.com/rocketlog/rocketlog/message"
)

// BenchmarkTimers puts a million messages that wait for an hour, and then 20,000 that fall due within one second, through
// the whole store. It tells the puts of the million, the heap that they cost, and how long after its time the 99th of a
// hundred of the others is stored.
func BenchmarkTimers(b *testing.B) {
	const pending, due = 1_000_000, 20_000
	s := start(b, func(o *Options) {
		o.MappedFileSizeCommitLog, o.MappedFileSizeConsumeQueue, o.MaxHashSlotNum, o.MaxIndexNum = 1<<30, 6000000, 500000, 2000000
	})
	s.put("T", 0, "warm up")
	put := func(i int, at int64) {
		p := message.AppendProperty(nil, message.PropertyUniqueKey, "C0A80001000000000000"+strconv.Itoa(100_000_000+i))
		p = message.AppendProperty(p, message.PropertyTimerDeliverTime, strconv.FormatInt(at, 10))
		m := &message.Message{Topic: "T", QueueID: 1, Body: []byte("body of the message"), Properties: p}
		if _, err := s.timers.divert(m, s.options()); err != nil {
			b.Fatal(err)
		}
		if r := s.Broker.put(m); !r.Status.Stored() {
			b.Fatal(r.Status, r.Err)
		}
	}
	taken := func() timer.Metrics {
		s.await("all are taken in", func() bool { m := s.timers.timer.Load().Metrics(); return m.QueueOffset == m.QueueMax })
		return s.timers.timer.Load().Metrics()
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	for b.Loop() {
		before, begin := heap(), time.Now()
		for i := range pending {
			put(i, begin.UnixMilli()+3_600_000+int64(i))
		}
		b.ReportMetric(pending/time.Since(begin).Seconds(), "puts/s")
		taken()
		b.ReportMetric(pending/time.Since(begin).Seconds(), "taken/s")
		b.ReportMetric(heap()-before, "heapMiB")
		first := s.store.MaxOffset("T", 1)
		at := time.Now().UnixMilli()/1000*1000 + 4000
		for i := range due {
			put(i, at+1+int64(i)%1000)
		}
		taken()
		s.dispatched("T", 1, int64(first)+due)
		late := make([]int64, due)
		for i := range late {
			ref, err := s.store.RecordAtQueue("T", 1, first+message.QueueOffset(i))
			if err != nil {
				b.Fatal(err)
			}
			r := ref.Record()
			text, _ := r.Properties().Get(message.PropertyTimerDeliverTime)
			asked, _ := strconv.ParseInt(string(text), 10, 64)
			late[i] = r.StoreTimestamp() - asked
			ref.Release()
		}
		slices.Sort(late)
		if late[0] < 0 {
			b.Fatalf("%d ms early", -late[0])
		}
		b.ReportMetric(float64(late[due*99/100]), "p99-ms")
		b.ReportMetric(float64(late[due-1]), "max-ms")
	}
}
