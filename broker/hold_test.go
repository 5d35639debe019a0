package broker

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

func (r *recorder) resume(bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resumed++
	r.at = time.Now()
}

func (r *recorder) free() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed++
}

func (r *recorder) ended() (resumed, freed int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resumed, r.freed, r.at
}

func newHeld(topic string, offset int64, patience time.Duration, owner any) (*hold, *recorder) {
	r := new(recorder)
	return &hold{offset: offset, waiting: waiting[*hold]{topic: topic, until: time.Now().Add(patience), owner: owner, waiter: r}}, r
}

func TestHoldWakesOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newHoldTable(10, time.Now)
		defer table.close()
		h, r := newHeld("t", 5, time.Minute, 1)
		other, otherR := newHeld("u", 0, time.Minute, 1)
		if !table.hold(h) || !table.hold(other) {
			t.Fatal("not held")
		}
		table.arrived("t", 1, 5, 0, nil)
		table.arrived("t", 0, 4, 0, nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 0 {
			t.Fatal("woken by a message of another queue, or one before its offset")
		}
		table.arrived("t", 0, 5, 0, nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Fatalf("resumed %d times", n)
		}
		table.arrived("t", 0, 6, 0, nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Fatalf("resumed %d times", n)
		}
		if n, _, _ := otherR.ended(); n != 0 || table.len() != 1 {
			t.Error("a hold of another topic ended")
		}
	})
}

func TestHoldEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newHoldTable(1000, time.Now)
		defer table.close()
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
			table.hold(h)
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
		if table.len() != 0 {
			t.Errorf("%d are still held", table.len())
		}
	})
}

// A message that is not wanted moves the hold on behind it.
func TestHoldMovesPastWhatItDoesNotWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newHoldTable(10, time.Now)
		defer table.close()
		e, err := filter.Compile("TAG", "B")
		if err != nil {
			t.Fatal(err)
		}
		h, r := newHeld("t", 5, time.Minute, 1)
		h.filter = e
		table.hold(h)
		for offset := int64(5); offset < 10; offset++ {
			table.arrived("t", 0, offset, message.TagsCode([]byte("A")), nil)
		}
		table.arrived("t", 0, 12, message.TagsCode([]byte("A")), nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 0 || h.offset != 10 {
			t.Errorf("ended %d times, moved to %d", n, h.offset)
		}
		table.arrived("t", 0, 13, message.TagsCode([]byte("B")), nil)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Error("not woken by what it wants")
		}
	})
}

// A message between the read and the hold is found by the second look at the queue's end.
func TestHoldRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newHoldTable(10, time.Now)
		defer table.close()
		h, r := newHeld("t", 5, time.Minute, 1)
		table.hold(h)
		table.recheck(h, 5)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 0 {
			t.Error("woken though nothing came")
		}
		table.recheck(h, 6)
		table.recheck(h, 6)
		synctest.Wait()
		if n, _, _ := r.ended(); n != 1 {
			t.Errorf("resumed %d times", n)
		}
	})
}

func TestHoldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newHoldTable(3, time.Now)
		for i := range 3 {
			if h, _ := newHeld("t", 0, time.Minute, i); !table.hold(h) {
				t.Fatal("not held")
			}
		}
		h, _ := newHeld("t", 0, time.Minute, 9)
		if table.hold(h) {
			t.Error("more held than the limit")
		}
		table.drop(1)
		if !table.hold(h) {
			t.Error("not held though there is room")
		}
		table.close()
		if h, _ := newHeld("t", 0, time.Minute, 1); table.hold(h) {
			t.Error("held by a closed table")
		}
	})
}

// Every hold ends exactly once, whatever happens at the same time.
func TestHoldsEndOnce(t *testing.T) {
	table := newHoldTable(1<<20, time.Now)
	const owners, each = 16, 300
	recorders := make([][]*recorder, owners)
	var wg sync.WaitGroup
	for owner := range owners {
		wg.Go(func() {
			for i := range each {
				h, r := newHeld(fmt.Sprint("t", i%5), int64(i), time.Duration(rand.IntN(300))*time.Millisecond, owner)
				recorders[owner] = append(recorders[owner], r)
				if !table.hold(h) {
					t.Error("not held")
				}
				table.recheck(h, int64(rand.IntN(2*each)))
			}
			if owner%4 == 0 {
				table.drop(owner)
			}
		})
	}
	for topic := range 5 {
		wg.Go(func() {
			for offset := range int64(each) {
				table.arrived(fmt.Sprint("t", topic), 0, offset, 0, nil)
			}
		})
	}
	wg.Wait()
	table.nudge("t0", 0)
	table.close()
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
	if table.len() != 0 || len(table.owners) != 0 || len(table.queues) != 0 {
		t.Error("something is left in the table")
	}
}

func BenchmarkArrivalWithoutHolds(b *testing.B) {
	table := newHoldTable(10, time.Now)
	defer table.close()
	b.ReportAllocs()
	for b.Loop() {
		table.arrived("t", 0, 1, 1, nil)
	}
}

func BenchmarkArrivalBesideHolds(b *testing.B) {
	for _, holds := range []int{16, 10000} {
		b.Run(fmt.Sprintf("holds=%d", holds), func(b *testing.B) {
			table := newHoldTable(1<<20, time.Now)
			defer table.close()
			for i := range holds {
				h, _ := newHeld(fmt.Sprint("t", i), 0, time.Hour, i)
				table.hold(h)
			}
			b.ReportAllocs()
			for b.Loop() {
				table.arrived("other", 0, 1, 1, nil)
			}
		})
	}
}
