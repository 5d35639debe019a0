package longpoll

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/message"
)

// recorder is a waiter that notes how it ended.
type recorder struct {
	mu             sync.Mutex
	resumed, freed int
	at             time.Time
}

func (r *recorder) Resume(bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resumed++
	r.at = time.Now()
}

func (r *recorder) Free() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed++
}

func (r *recorder) ended() (resumed, freed int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resumed, r.freed, r.at
}

func newHeld(topic string, offset int64, patience time.Duration, owner any) (*Pull, *recorder) {
	r := new(recorder)
	return &Pull{Offset: offset, Request: Request{Topic: topic, Until: time.Now().Add(patience), Owner: owner, Waiter: r}}, r
}

func TestHoldWakesOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPulls(10, time.Now)
		defer table.Close()
		h, r := newHeld("t", 5, time.Minute, 1)
		other, otherR := newHeld("u", 0, time.Minute, 1)
		if !table.Hold(h) || !table.Hold(other) {
			t.Fatal("not held")
		}
		table.Arrived("t", 1, 5, 0, nil)
		table.Arrived("t", 0, 4, 0, nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 0 {
			t.Fatal("woken by a message of another queue, or one before its offset")
		}
		table.Arrived("t", 0, 5, 0, nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Fatalf("resumed %d times", n)
		}
		table.Arrived("t", 0, 6, 0, nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Fatalf("resumed %d times", n)
		}
		if n, _, _ := otherR.ended(); n != 0 || table.Len() != 1 {
			t.Error("a hold of another topic ended")
		}
	})
}

func TestHoldEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPulls(1000, time.Now)
		defer table.Close()
		type one struct {
			patience time.Duration
			begin    time.Time
			r        *recorder
		}
		var all []one
		for i := range 100 {
			patience := time.Duration(rand.IntN(30000)) * time.Millisecond
			h, r := newHeld("t", int64(i), patience, i)
			all = append(all, one{patience, time.Now(), r})
			table.Hold(h)
			time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		}
		time.Sleep(time.Minute)
		for i, o := range all {
			n, _, at := o.r.ended()
			took := at.Sub(o.begin)
			if n != 1 || took < o.patience || took > o.patience+max(min(o.patience/holdLate, holdLateMax), holdGrain) {
				t.Errorf("hold %d of %v ended %d times, after %v", i, o.patience, n, took)
			}
		}
		if table.Len() != 0 {
			t.Errorf("%d are still held", table.Len())
		}
	})
}

// A message that is not wanted moves the hold on behind it.
func TestHoldMovesPastWhatItDoesNotWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPulls(10, time.Now)
		defer table.Close()
		e, err := filter.Compile("TAG", "B")
		if err != nil {
			t.Fatal(err)
		}
		h, r := newHeld("t", 5, time.Minute, 1)
		h.Filter = e
		table.Hold(h)
		for offset := int64(5); offset < 10; offset++ {
			table.Arrived("t", 0, offset, message.TagsCode([]byte("A")), nil)
		}
		table.Arrived("t", 0, 12, message.TagsCode([]byte("A")), nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 0 || h.Offset != 10 {
			t.Errorf("ended %d times, moved to %d", n, h.Offset)
		}
		table.Arrived("t", 0, 13, message.TagsCode([]byte("B")), nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Error("not woken by what it wants")
		}
	})
}

// A message between the read and the hold is found by the second look at the queue's end.
func TestHoldRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPulls(10, time.Now)
		defer table.Close()
		h, r := newHeld("t", 5, time.Minute, 1)
		table.Hold(h)
		table.Recheck(h, 5)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 0 {
			t.Error("woken though nothing came")
		}
		table.Recheck(h, 6)
		table.Recheck(h, 6)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Errorf("resumed %d times", n)
		}
	})
}

func TestHoldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPulls(3, time.Now)
		for i := range 3 {
			if h, _ := newHeld("t", 0, time.Minute, i); !table.Hold(h) {
				t.Fatal("not held")
			}
		}
		h, _ := newHeld("t", 0, time.Minute, 9)
		if table.Hold(h) {
			t.Error("more held than the limit")
		}
		table.Drop(1)
		if !table.Hold(h) {
			t.Error("not held though there is room")
		}
		table.Close()
		if h, _ := newHeld("t", 0, time.Minute, 1); table.Hold(h) {
			t.Error("held by a closed table")
		}
	})
}

// Every hold ends exactly once, whatever happens at the same time.
func TestHoldsEndOnce(t *testing.T) {
	table := NewPulls(1<<20, time.Now)
	const owners, each = 16, 300
	recorders := make([][]*recorder, owners)
	var wg sync.WaitGroup
	for owner := range owners {
		wg.Go(func() {
			for i := range each {
				h, r := newHeld(fmt.Sprint("t", i%5), int64(i), time.Duration(rand.IntN(300))*time.Millisecond, owner)
				recorders[owner] = append(recorders[owner], r)
				if !table.Hold(h) {
					t.Error("not held")
				}
				table.Recheck(h, int64(rand.IntN(2*each)))
			}
			if owner%4 == 0 {
				table.Drop(owner)
			}
		})
	}
	for topic := range 5 {
		wg.Go(func() {
			for offset := range int64(each) {
				table.Arrived(fmt.Sprint("t", topic), 0, offset, 0, nil)
			}
		})
	}
	wg.Wait()
	table.Nudge("t0", 0)
	table.Close()
	for owner, list := range recorders {
		for i, r := range list {
			if resumed, freed, _ := r.ended(); resumed+freed != 1 {
				t.Fatalf("hold %d of owner %d: resumed %d times, freed %d times", i, owner, resumed, freed)
			}
		}
	}
	for i := range table.present.slots {
		if n := table.present.slots[i].Load(); n != 0 {
			t.Fatalf("slot %d counts %d holds", i, n)
		}
	}
	if table.Len() != 0 || len(table.owners) != 0 || len(table.queues) != 0 {
		t.Error("something is left in the table")
	}
}

func BenchmarkArrivalWithoutHolds(b *testing.B) {
	table := NewPulls(10, time.Now)
	defer table.Close()
	b.ReportAllocs()
	for b.Loop() {
		table.Arrived("t", 0, 1, 1, nil)
	}
}

func BenchmarkArrivalBesideHolds(b *testing.B) {
	for _, holds := range []int{16, 10000} {
		b.Run(fmt.Sprintf("holds=%d", holds), func(b *testing.B) {
			table := NewPulls(1<<20, time.Now)
			defer table.Close()
			for i := range holds {
				h, _ := newHeld(fmt.Sprint("t", i), 0, time.Hour, i)
				table.Hold(h)
			}
			b.ReportAllocs()
			for b.Loop() {
				table.Arrived("other", 0, 1, 1, nil)
			}
		})
	}
}
