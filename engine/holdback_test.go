package engine

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestPutsWaitForDispatch puts faster than the dispatcher comes along.
func TestPutsWaitForDispatch(t *testing.T) {
	const writers, puts, most = 2, 500, 32 << 10
	opts := small()
	opts.DispatchBehindMax = most
	opts.Listener = &EventListener{Arrived: func(Arrival) { time.Sleep(20 * time.Microsecond) }}
	s := open(t, t.TempDir(), opts)
	s.holdBack.patience = time.Hour
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range puts {
				res := s.Put(newMessage("T", 0, "k", make([]byte, 1024)))
				if res.Status != PutOK {
					t.Errorf("%v, %v", res.Status, res.Err)
					return
				}
				if behind := s.behind(); behind > most+writers*int64(res.Size) {
					t.Errorf("the dispatcher is %d bytes behind, %d are allowed and a record of each writer", behind, most)
					return
				}
			}
		})
	}
	wg.Wait()
	if s.Metrics().PutHeldBack == 0 {
		t.Error("no put was held back")
	}
}

// TestPutsGoOnWhereDispatchStands has the dispatcher stand still, as when it builds a
// queue again: one put waits for it in vain, the others do not.
func TestPutsGoOnWhereDispatchStands(t *testing.T) {
	s, _, _, release := openHeld(t, func(Arrival) {})
	defer close(release)
	s.opts.DispatchBehindMax = 16 << 10
	putOne(t, s, "Held", 1)
	for range 100 {
		putOne(t, s, "T", 1024)
	}
	if held := s.Metrics().PutHeldBack; held != 1 {
		t.Errorf("%d puts were held back, 1 is expected", held)
	}
}

func TestCloseEndsPutsHeldBack(t *testing.T) {
	s, _, _, release := openHeld(t, func(Arrival) {})
	s.opts.DispatchBehindMax = 16 << 10
	s.holdBack.patience = time.Hour
	putOne(t, s, "Held", 1)
	ended := make(chan error, 1)
	go func() {
		for {
			if res := s.Put(newMessage("T", 0, "k", make([]byte, 1024))); res.Status != PutOK {
				ended <- res.Err
				return
			}
		}
	}()
	for s.Metrics().PutHeldBack == 0 {
		runtime.Gosched()
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("the put ended with %v", err)
	}
	close(release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
