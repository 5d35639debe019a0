package timer

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// benchStore is a store that keeps nothing but records made on demand, so that what is measured is the timer.
type benchStore struct {
	memStore
	due       func(i int) int64 // of the i-th message, ms
	n         int
	size      int64
	delivered []int64 // ms after due
	record    []byte
	cache     map[int]message.Record // of those that are read twice
}

func (s *benchStore) MaxOffset() message.QueueOffset  { return message.QueueOffset(s.n) }
func (s *benchStore) MinOffset() message.QueueOffset  { return 0 }
func (s *benchStore) MaxPhyOffset() message.PhyOffset { return message.PhyOffset(int64(s.n) * s.size) }
func (s *benchStore) Flush() error                    { return nil }

func (s *benchStore) at(i int) message.Record {
	if r, ok := s.cache[i]; ok {
		return r
	}
	p := message.AppendProperty(nil, message.PropertyUniqueKey, fmt.Sprintf("C0A80001%024d", i))
	p = message.AppendProperty(p, message.PropertyTimerDeliverTime, strconv.FormatInt(s.due(i), 10))
	p = message.AppendProperty(p, message.PropertyTimerOutTime, strconv.FormatInt(OutTime(s.due(i), 1000), 10))
	p = message.AppendProperty(p, message.PropertyRealTopic, "topic")
	p = message.AppendProperty(p, message.PropertyRealQueueID, "3")
	m := &message.Message{Topic: message.TimerTopic, Body: []byte("body"), Properties: p, QueueOffset: message.QueueOffset(i), PhyOffset: message.PhyOffset(int64(i) * s.size)}
	s.record = slices.Grow(s.record[:0], m.RecordSize())[:m.RecordSize()]
	message.EncodeRecord(s.record, m, 0)
	if s.cache != nil && i%everyDue == 0 {
		s.cache[i] = slices.Clone(s.record)
	}
	return s.record
}

func (s *benchStore) Records(from message.QueueOffset, visit func(message.Record) bool) (message.QueueOffset, error) {
	for i := from; i < min(from+256, s.MaxOffset()); i++ {
		if !visit(s.at(int(i))) {
			return i, nil
		}
	}
	return min(from+256, s.MaxOffset()), nil
}

func (s *benchStore) Record(at message.PhyOffset, visit func(message.Record)) error {
	visit(s.at(int(int64(at) / s.size)))
	return nil
}

func (s *benchStore) Put(m *message.Message, done Completion) {
	if s.delivered != nil {
		due, _ := m.Properties.Get(message.PropertyTimerDeliverTime)
		ms, _ := strconv.ParseInt(string(due), 10, 64)
		s.delivered = append(s.delivered, time.Now().UnixMilli()-ms)
	}
	done.PutDone(Outcome{End: m.PhyOffset})
}

// What is pending costs files, not memory: as much of it is held for a hundred messages as for a hundred thousand.
func TestMemoryDoesNotGrow(t *testing.T) {
	heap := func(n int) int64 {
		now := time.Now().UnixMilli()
		s := &benchStore{n: n, size: 1000, due: func(i int) int64 { return now + 3_600_000 + int64(i) }}
		tm, err := open(t.TempDir(), s, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tm.closeFiles() //nolint:errcheck // what it held is measured
		for more := true; more; {
			_, more = tm.step()
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if got := tm.Metrics().Pending; got != int64(n) {
			t.Fatalf("%d of %d are pending", got, n)
		}
		return int64(m.HeapAlloc)
	}
	const few, many = 100, 100_000
	if grown := heap(many) - heap(few); grown > many {
		t.Errorf("%d bytes more for %d messages", grown, many-few)
	}
}

// BenchmarkTakeIn takes a million messages into the wheel; heapMiB is what they cost besides mapped files.
func BenchmarkTakeIn(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("pending=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var before, after runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				now := time.Now().UnixMilli()
				s := &benchStore{n: n, size: 1000, due: func(i int) int64 { return now + 3_600_000 + int64(i) }}
				tm, err := open(b.TempDir(), s, nil)
				if err != nil {
					b.Fatal(err)
				}
				for more := true; more; {
					_, more = tm.step()
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				if m := tm.Metrics(); m.Pending != int64(n) {
					b.Fatalf("%+v", m)
				}
				if err := tm.closeFiles(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), "heapMiB")
		})
	}
}

// everyDue: one in so many messages falls due while BenchmarkLateness looks.
const everyDue = 51

// BenchmarkLateness has 20,000 messages of one second fall due among a million that wait; it tells how long after its time
// the 99th of a hundred is put.
func BenchmarkLateness(b *testing.B) {
	const due, others = 20_000, 1_000_000
	for b.Loop() {
		at := time.Now().UnixMilli()/1000*1000 + 10_000
		s := &benchStore{n: due + others, size: 1000, delivered: make([]int64, 0, due), cache: map[int]message.Record{}, due: func(i int) int64 {
			if i%everyDue == 0 {
				return at + 1 + int64(i/everyDue)%1000
			}
			return at + 3_600_000 + int64(i)
		}}
		tm, err := Open(b.TempDir(), s, nil)
		if err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Until(time.UnixMilli(at + 2000)))
		if err := tm.Close(); err != nil {
			b.Fatal(err)
		}
		late := s.delivered
		if len(late) < due || slices.Min(late) < 0 {
			b.Fatalf("%d delivered, the earliest %d ms after its time", len(late), slices.Min(late))
		}
		slices.Sort(late)
		b.ReportMetric(float64(late[len(late)*99/100]), "p99-ms")
		b.ReportMetric(float64(late[len(late)-1]), "max-ms")
	}
}
