package bench

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// This file compares ways in which many writers can get one place each, in one order, in memory that is there. The first is
// the commit log's; docs/design/studies/append-lock.md says why the others are not.

// slab is the memory that records are appended to, over and over, and what the ways to append share.
type slab struct {
	memory []byte
	mu     sync.Mutex
	spin   atomic.Bool
	// next is the end of what is given out, queue the next queue offset; under the lock.
	next, queue int64
	ticket      int64
	// wrote is the end of what is whole: readers and syncs go by it.
	wrote atomic.Int64
	// ends[t] is the end of the record of ticket t, once that is whole.
	ends      [4096]atomic.Int64
	published atomic.Int64 // tickets below are below wrote
	gathering atomic.Bool  // one goroutine moves published and wrote
}

// take gives out the next place; the lock is held.
func (s *slab) take(m *message.Message, size int) (place []byte, end int64) {
	if at := s.next % int64(len(s.memory)); at+int64(size) > int64(len(s.memory)) {
		s.next += int64(len(s.memory)) - at
	}
	m.PhyOffset, m.QueueOffset = message.PhyOffset(s.next), message.QueueOffset(s.queue)
	at := s.next % int64(len(s.memory))
	s.next += int64(size)
	s.queue++
	return s.memory[at : at+int64(size)], s.next
}

// appendWays put one record each. scratch is the writer's own.
var appendWays = []struct {
	name string
	do   func(s *slab, m *message.Message, scratch []byte)
}{
	// The checksum before the lock, the record straight to its place under it.
	{"encode-locked", func(s *slab, m *message.Message, _ []byte) {
		size, crc := m.RecordSize(), message.BodyCRC(m.Body)
		s.mu.Lock()
		place, end := s.take(m, size)
		message.EncodeRecord(place, m, crc)
		s.wrote.Store(end)
		s.mu.Unlock()
	}},
	// The same with everything under the lock.
	{"crc-locked", func(s *slab, m *message.Message, _ []byte) {
		s.mu.Lock()
		place, end := s.take(m, m.RecordSize())
		message.EncodeRecord(place, m, message.BodyCRC(m.Body))
		s.wrote.Store(end)
		s.mu.Unlock()
	}},
	// A lock that yields instead of sleeping (Java's PutMessageSpinLock).
	{"spin", func(s *slab, m *message.Message, _ []byte) {
		size, crc := m.RecordSize(), message.BodyCRC(m.Body)
		for n := 0; !s.spin.CompareAndSwap(false, true); n++ {
			if n%64 == 63 {
				runtime.Gosched()
			}
		}
		place, end := s.take(m, size)
		message.EncodeRecord(place, m, crc)
		s.wrote.Store(end)
		s.spin.Store(false)
	}},
	// The record is made before the lock; under it offsets are patched and it is copied, as Java does.
	{"copy-locked", func(s *slab, m *message.Message, scratch []byte) {
		record := scratch[:m.RecordSize()]
		message.EncodeRecord(record, m, message.BodyCRC(m.Body))
		s.mu.Lock()
		place, end := s.take(m, len(record))
		binary.BigEndian.PutUint64(record[20:], uint64(m.QueueOffset))
		binary.BigEndian.PutUint64(record[28:], uint64(m.PhyOffset))
		copy(place, record)
		s.wrote.Store(end)
		s.mu.Unlock()
	}},
	// Only the place is taken under the lock. Each waits for those before it to tell that all up to its end is whole.
	{"reserve-wait", func(s *slab, m *message.Message, _ []byte) {
		size, crc := m.RecordSize(), message.BodyCRC(m.Body)
		s.mu.Lock()
		ticket := s.ticket
		s.ticket++
		place, end := s.take(m, size)
		s.mu.Unlock()
		message.EncodeRecord(place, m, crc)
		for n := 0; s.published.Load() != ticket; n++ {
			if n%64 == 63 {
				runtime.Gosched()
			}
		}
		s.wrote.Store(end)
		s.published.Store(ticket + 1)
	}},
	// The same, but each only marks its record as whole; whoever finds that nobody does moves the end over all marks.
	// A writer may return before its record is below the end.
	{"reserve-mark", func(s *slab, m *message.Message, _ []byte) {
		size, crc := m.RecordSize(), message.BodyCRC(m.Body)
		s.mu.Lock()
		for s.ticket-s.published.Load() >= int64(len(s.ends)) {
			s.gather()
		}
		ticket := s.ticket
		s.ticket++
		place, end := s.take(m, size)
		s.mu.Unlock()
		message.EncodeRecord(place, m, crc)
		s.ends[ticket%int64(len(s.ends))].Store(end)
		s.gather()
	}},
}

// gather moves the end of what is whole over the records that were marked.
func (s *slab) gather() {
	for s.gathering.CompareAndSwap(false, true) {
		t := s.published.Load()
		for end := s.mark(t).Swap(0); end != 0; end = s.mark(t).Swap(0) {
			s.wrote.Store(end)
			t++
		}
		s.published.Store(t)
		s.gathering.Store(false)
		if s.mark(t).Load() == 0 { // else it came while the last one left
			return
		}
	}
}

func (s *slab) mark(ticket int64) *atomic.Int64 { return &s.ends[ticket%int64(len(s.ends))] }

func newSlab(tb testing.TB, size int) *slab {
	m, err := vfs.Anonymous(size)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = m.Unmap() })
	if err := m.Preheat(0, size); err != nil {
		tb.Fatal(err)
	}
	return &slab{memory: m.Bytes()}
}

// run lets writers append so many records each.
func (s *slab) run(writers, each, body int, do func(*slab, *message.Message, []byte)) (latency Latency) {
	latencies := make([]Latency, writers)
	var running sync.WaitGroup
	for i := range writers {
		running.Go(func() {
			scratch := make([]byte, body+1024)
			w := Writers{put: func(m *message.Message) error { do(s, m, scratch); return nil }}
			_ = w.run(NewSource(i, 4, body), time.Now(), 0, int64(each), &latencies[i])
		})
	}
	running.Wait()
	for i := range latencies {
		latency.Add(&latencies[i])
	}
	return latency
}

// BenchmarkAppendLock appends records to memory that is there, in different ways.
func BenchmarkAppendLock(b *testing.B) {
	for _, body := range []int{100, 1 << 10, 16 << 10} {
		for _, writers := range []int{1, 2, 8, 64} {
			for _, way := range appendWays {
				b.Run(fmt.Sprintf("body=%d/writers=%d/way=%s", body, writers, way.name), func(b *testing.B) {
					s := newSlab(b, 64<<20)
					s.run(writers, 1000, body, way.do)
					b.ReportAllocs()
					report := reportCPU(b)
					b.ResetTimer()
					latency := s.run(writers, max(b.N/writers, 1), body, way.do)
					b.StopTimer()
					report()
					reportLatency(b, &latency)
				})
			}
		}
	}
}

// Each way gives every record a place of its own, in the order of queue offsets, and ends behind the last one.
func TestAppendWays(t *testing.T) {
	for _, way := range appendWays {
		t.Run(way.name, func(t *testing.T) {
			const writers, each, body = 4, 500, 300
			s := newSlab(t, 4<<20)
			s.run(writers, each, body, way.do)
			at, n := 0, 0
			for at < int(s.wrote.Load()) {
				r, err := message.ParseRecord(s.memory[at:])
				if err != nil {
					t.Fatal(err)
				}
				if !r.VerifyBody() || int(r.PhyOffset()) != at || int(r.QueueOffset()) != n {
					t.Fatalf("record %d at %d says that it is %d at %d", n, at, r.QueueOffset(), r.PhyOffset())
				}
				at += r.Size()
				n++
			}
			if n != writers*each {
				t.Errorf("%d records of %d", n, writers*each)
			}
		})
	}
}
