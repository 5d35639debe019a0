package consumequeue

import (
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// file is one file of a queue. Its descriptor is opened when needed and closed
// when others need the place.
type file struct {
	base int64 // queue offset of its first unit

	// state is the number of users of the descriptor, or closed.
	state atomic.Int32
	used  atomic.Bool // since the clock hand last passed
	gone  atomic.Bool // removed from its queue: close as soon as nobody uses it

	mu     sync.Mutex // held while the descriptor is opened or closed
	handle vfs.File   // valid while state >= 0
	slot   int        // place in handles.ring; guarded by handles.mu
}

const closed = -1

func newFile(base int64) *file {
	f := &file{base: base, slot: -1}
	f.state.Store(closed)
	return f
}

// enter takes a use of the descriptor if it is open.
func (f *file) enter() bool {
	for {
		n := f.state.Load()
		if n < 0 {
			return false
		}
		if f.state.CompareAndSwap(n, n+1) {
			if !f.used.Load() {
				f.used.Store(true)
			}
			return true
		}
	}
}

// shut closes the state if nobody uses the descriptor, and returns the handle
// for the caller to close. The caller holds f.mu.
func (f *file) shut() vfs.File {
	if !f.state.CompareAndSwap(0, closed) {
		return nil
	}
	h := f.handle
	f.handle = nil
	return h
}

// handles bounds the open descriptors of a set. The choice of what to close is
// a clock: one bit a file, no list to reorder and no lock on the way of a
// reader whose file is open.
//
// Lock order: file.mu, then handles.mu; under handles.mu other files' mutexes
// are only tried.
type handles struct {
	limit int

	mu     sync.Mutex
	ring   []*file // those with an open descriptor
	hand   int
	closed bool
}

// acquire returns the descriptor of f, opened by open if need be. The caller
// gives it back by release.
func (c *handles) acquire(f *file, open func(*file) (vfs.File, error)) (vfs.File, error) {
	if f.enter() {
		return f.handle, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.enter() { // another goroutine was faster
		return f.handle, nil
	}
	h, err := open(f)
	if err != nil {
		return nil, err
	}
	f.handle = h
	f.used.Store(true)
	victims, ok := c.admit(f)
	closeAll(victims)
	if !ok {
		f.handle = nil
		h.Close()
		return nil, ErrClosed
	}
	f.state.Store(1)
	return h, nil
}

func (c *handles) release(f *file) {
	if f.state.Add(-1) == 0 && f.gone.Load() {
		c.drop(f)
	}
}

// admit gives f a place in the ring and returns what has to be closed for it.
func (c *handles) admit(f *file) (victims []vfs.File, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false
	}
	for len(c.ring) >= c.limit {
		h := c.evict()
		if h == nil {
			break // all in use: more readers than the limit
		}
		victims = append(victims, h)
	}
	f.slot = len(c.ring)
	c.ring = append(c.ring, f)
	return victims, true
}

// evict takes a file out of the ring that was not used for a round.
func (c *handles) evict() vfs.File {
	for range 2 * len(c.ring) {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		f := c.ring[c.hand]
		c.hand++
		if f.used.Swap(false) {
			continue
		}
		if h := c.takeLocked(f); h != nil {
			return h
		}
	}
	return nil
}

// takeLocked takes f out of the ring if nobody uses it.
func (c *handles) takeLocked(f *file) vfs.File {
	if !f.mu.TryLock() {
		return nil
	}
	defer f.mu.Unlock()
	h := f.shut()
	if h == nil {
		return nil
	}
	last := len(c.ring) - 1
	c.ring[f.slot] = c.ring[last]
	c.ring[f.slot].slot = f.slot
	c.ring[last] = nil
	c.ring = c.ring[:last]
	f.slot = -1
	return h
}

// drop closes a file that was removed, now or when its last user is done.
func (c *handles) drop(f *file) {
	f.gone.Store(true)
	c.mu.Lock()
	h := c.takeLocked(f)
	c.mu.Unlock()
	if h != nil {
		h.Close()
	}
}

// close closes what nobody uses and refuses to open more. Files still in use
// are closed by their last user.
func (c *handles) close() {
	c.mu.Lock()
	c.closed = true
	open := append([]*file(nil), c.ring...)
	c.mu.Unlock()
	for _, f := range open {
		c.drop(f)
	}
}

func (c *handles) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ring)
}

// closeAll closes descriptors whose data is the kernel's by now: an error of
// close on Linux says nothing that the next sync would not say again.
func closeAll(files []vfs.File) {
	for _, h := range files {
		h.Close()
	}
}
