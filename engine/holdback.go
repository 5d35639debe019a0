package engine

import (
	"sync/atomic"
	"time"
)

const (
	// holdBackPause is how often a put that is held back looks whether it may go on.
	holdBackPause = 100 * time.Microsecond
	// holdBackPatience is how long the dispatcher may stand still before puts no
	// longer wait for it: it builds a queue again, which may take minutes, or its
	// page comes from a slow device.
	holdBackPatience = 50 * time.Millisecond
	// holdBackRoom is the part of the bound by which the dispatcher has to come
	// nearer before puts go on, so that one of thousands waits for a few
	// milliseconds and not each a little.
	holdBackRoom = 16
)

// holdBack has puts wait while the dispatcher is far behind the log: what it
// has not reached nobody can read yet, and an open after a kill has to dispatch
// again.
type holdBack struct {
	patience time.Duration
	stuckAt  atomic.Int64 // where the dispatcher stood still for so long
	held     atomic.Int64 // puts that had to wait
}

// behind is how many bytes of the log could be dispatched and are not.
func (s *Store) behind() int64 { return int64(s.dispatchable()) - s.reput.Load() }

// admit returns when a put may go on, or why it is refused.
func (s *Store) admit() error {
	if err := s.refusal(); err != nil {
		return err
	}
	if s.opts.DispatchBehindMax < 0 || s.behind() < s.opts.DispatchBehindMax {
		return nil
	}
	return s.awaitDispatch()
}

// awaitDispatch waits until the dispatcher has come nearer, or stands still.
func (s *Store) awaitDispatch() error {
	h := &s.holdBack
	enough := s.opts.DispatchBehindMax - s.opts.DispatchBehindMax/holdBackRoom
	at, since := s.reput.Load(), time.Now()
	if at == h.stuckAt.Load() {
		return nil
	}
	h.held.Add(1)
	for s.behind() > enough {
		time.Sleep(holdBackPause)
		if err := s.refusal(); err != nil {
			return err
		}
		if now := s.reput.Load(); now != at {
			at, since = now, time.Now()
		} else if time.Since(since) > h.patience {
			h.stuckAt.Store(at)
			return nil
		}
	}
	return nil
}
