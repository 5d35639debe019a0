package engine

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/message"
)

// openHeld opens a store whose dispatcher waits in the call that tells of the first
// message to topic Held until release is closed.
func openHeld(t *testing.T, arrived func(Arrival)) (s *Store, dir string, stalls *atomic.Int32, release chan struct{}) {
	dir, stalls, release = t.TempDir(), new(atomic.Int32), make(chan struct{})
	opts := small()
	opts.Listener = &EventListener{
		Arrived: func(a Arrival) {
			if a.Topic == "Held" {
				<-release
			}
			arrived(a)
		},
		DispatchStalled: func(cause error) {
			if cause != nil {
				stalls.Add(1)
			}
		},
	}
	s = open(t, dir, opts)
	return s, dir, stalls, release
}

func putOne(t *testing.T, s *Store, topic string, size int) message.PhyOffset {
	t.Helper()
	res := s.Put(newMessage(topic, 0, "k", make([]byte, size)))
	if res.Status != PutOK {
		t.Fatalf("%v, %v", res.Status, res.Err)
	}
	return res.PhyOffset + message.PhyOffset(res.Size)
}

// A queue that is dropped after it was looked up for records in hand is begun anew
// with them.
func TestQueueDroppedAhead(t *testing.T) {
	var s *Store
	s, _, stalls, release := openHeld(t, func(a Arrival) {
		if a.Topic == "T" && a.QueueOffset == 2 {
			if err := s.DeleteTopic("T"); err != nil {
				t.Error(err)
			}
		}
	})
	putOne(t, s, "T", 10)
	dispatched(t, s)
	putOne(t, s, "Held", 10)
	for range 6 {
		putOne(t, s, "T", 10)
	}
	close(release)
	dispatched(t, s)
	if first, end := s.MinOffset("T", 0), s.MaxOffset("T", 0); first != 3 || end != 7 {
		t.Errorf("the queue has [%d, %d), want [3, 7)", first, end)
	}
	if n := stalls.Load(); n > 0 {
		t.Errorf("%d stalls", n)
	}
}

// Records before a page that cannot be read are dispatched, once each, and those
// behind it when it can.
func TestPageLostAhead(t *testing.T) {
	const left, count = 16 << 10, 7
	arrivals := new(atomic.Int32)
	s, dir, _, release := openHeld(t, func(a Arrival) {
		if a.Topic == "T" {
			arrivals.Add(1)
		}
	})
	putOne(t, s, "Held", 10)
	readable, before := message.PhyOffset(0), int32(0)
	for range count {
		if end := putOne(t, s, "T", 3500); end <= left {
			readable = end
			before++
		}
	}
	undo := cut(t, filepath.Join(dir, "commitlog", mappedfile.FileName(0)), left).undo
	close(release)
	for deadline := time.Now().Add(10 * time.Second); s.ReputOffset() < readable && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if got := s.ReputOffset(); got != readable || before == 0 || before == count {
		t.Errorf("dispatched to %d, want %d, with %d of %d messages", got, readable, before, count)
	}
	undo()
	dispatched(t, s)
	if n := arrivals.Load(); n != count || s.MaxOffset("T", 0) != count {
		t.Errorf("%d arrivals of %d, the queue ends at %d", n, count, s.MaxOffset("T", 0))
	}
}
