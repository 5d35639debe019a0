package mappedfile

import (
	"errors"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Allocator makes the next file before the writer needs it, and keeps a window
// of pages ahead of the writer in memory, or filled with zeros (Java:
// AllocateMappedFileService and the warm-up of DefaultMappedFile). All of it happens on one goroutine, off
// the put path: the writer only compares a number (Queue.attention).
//
// The window follows the writer's speed: it doubles when the writer caught up
// with it and halves when the writer is slow, so an idle store does not dirty
// pages that nobody writes.
type Allocator struct {
	q *Queue

	mu      sync.Mutex
	changed *sync.Cond
	closed  bool
	running bool
	wrote   int64 // last progress reported
	tail    *File // what the writer fills
	next    *File // made ahead, pinned once; starts at tail's end
	want    int64 // start of the file to make, or -1
	err     error // why the last attempt at want failed
	tries   int   // attempts that ended

	window    int64 // bytes to make ready ahead, 0 when that is off
	chunk     int64 // how many at a time
	preheated int64 // offset up to which they were asked for
	preparing bool  // some are being made ready just now
	asked     time.Time
}

// ErrClosed is returned by Roll after Close.
var ErrClosed = errors.New("mappedfile: closed")

const (
	preheatMin   = 2 << 20
	preheatChunk = 2 << 20 // one huge page: the unit in which the kernel fills fastest
	preheatSlow  = 200 * time.Millisecond
)

func newAllocator(q *Queue) *Allocator {
	a := &Allocator{q: q, want: -1, chunk: preheatChunk}
	if q.ring != nil {
		a.chunk = zeroChunk
	}
	a.changed = sync.NewCond(&a.mu)
	if (q.ring == nil || q.opts.ZeroAhead) && q.opts.PreheatMax > 0 {
		a.window = min(preheatMin, q.opts.PreheatMax)
	}
	return a
}

// setTail tells which file is written; called by the writer.
func (a *Allocator) setTail(f *File) {
	a.mu.Lock()
	a.tail = f
	a.mu.Unlock()
}

// progress is called by the writer when it passed the position returned last;
// it wakes the worker and returns the next such position.
func (a *Allocator) progress(wrote int64) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tail == nil || a.closed {
		return wrote + a.q.opts.FileSize
	}
	a.wrote = wrote
	half := a.tail.start + a.q.opts.FileSize/2
	next := a.tail.End()
	if wrote < half {
		next = half
	} else if a.next == nil && a.want < 0 && a.err == nil {
		a.want = a.tail.End()
	}
	if a.window > 0 {
		next = min(next, a.resizeWindow(wrote))
	}
	a.start()
	a.changed.Broadcast()
	return next
}

// resizeWindow follows the writer's speed and returns when to ask again.
func (a *Allocator) resizeWindow(wrote int64) int64 {
	now := time.Now()
	switch slow := now.Sub(a.asked) > preheatSlow; {
	case slow:
		a.window = max(a.window/2, min(preheatMin, a.q.opts.PreheatMax))
	case a.preheated < wrote+a.window/4:
		a.window = min(2*a.window, a.q.opts.PreheatMax)
	}
	a.asked = now
	return wrote + max(a.window/4, 256<<10)
}

// start runs the worker if it is not running yet.
func (a *Allocator) start() {
	if !a.running && !a.closed {
		a.running = true
		go a.run()
	}
}

// take hands over the file that starts at start, waiting for it to be made.
func (a *Allocator) take(start int64) (*File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = nil
	for {
		if f := a.next; f != nil && f.start == start {
			a.next = nil
			return f, nil
		}
		if a.closed {
			return nil, ErrClosed
		}
		if a.want != start {
			a.want = start
			a.start()
			a.changed.Broadcast()
		}
		tries := a.tries
		for a.tries == tries && !a.closed {
			a.changed.Wait()
		}
		if a.err != nil {
			err := a.err
			a.err = nil
			return nil, err
		}
	}
}

// drop deletes a file made ahead.
func (a *Allocator) drop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for (a.want >= 0 || a.preparing) && !a.closed {
		a.changed.Wait()
	}
	f := a.next
	a.next, a.tail, a.err, a.preheated = nil, nil, nil, 0
	if f == nil {
		return nil
	}
	err := f.remove()
	f.release()
	return err
}

func (a *Allocator) close() error {
	err := a.drop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.changed.Broadcast()
	for a.running {
		a.changed.Wait()
	}
	return err
}

// run serves wishes: a file first, then pages.
func (a *Allocator) run() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.closed {
		if a.want >= 0 {
			a.makeNext()
			continue
		}
		if f, from, n := a.nextChunk(); f != nil {
			a.prepare(f, from, n)
			continue
		}
		a.changed.Wait()
	}
	a.running = false
	a.changed.Broadcast()
}

// prepare makes n bytes of f ready for the writer, with the lock released
// meanwhile.
func (a *Allocator) prepare(f *File, from, n int64) {
	a.preheated, a.preparing = from+n, true
	f.pins.Add(1) // hot anyhow: the writer or the allocator has it pinned
	a.mu.Unlock()
	// A failure is not told: without memory to spare the writer's own fault
	// brings the page in, and a disk that takes no zeros is met by the next
	// commit or sync.
	if a.q.ring == nil {
		_ = f.mapping.Preheat(int(from-f.start), int(n))
	} else {
		_ = a.q.ahead.zero(f, from, n, a.q.Wrote)
	}
	f.release()
	a.mu.Lock()
	a.preparing = false
	a.changed.Broadcast()
}

// makeNext makes the wanted file, with the lock released meanwhile.
func (a *Allocator) makeNext() {
	start := a.want
	a.mu.Unlock()
	f, err := createFile(a.q.fs, a.q.dir, start, a.q.opts.FileSize)
	if err == nil {
		err = f.acquireOnce()
		if err == nil && a.q.ring == nil {
			_ = f.mapping.Advise(0, int(f.size), vfs.HugePage) // a hint
		}
	}
	a.mu.Lock()
	a.want, a.err = -1, err
	a.tries++
	if err == nil {
		a.next = f
	}
	a.changed.Broadcast()
}

// nextChunk returns the pages to bring in next, or nil when the window is
// filled.
func (a *Allocator) nextChunk() (f *File, from, n int64) {
	if a.window == 0 || a.tail == nil {
		return nil, 0, 0
	}
	from = max(a.preheated, a.wrote)
	if from >= a.wrote+a.window {
		return nil, 0, 0
	}
	switch {
	case from < a.tail.End():
		f = a.tail
	case a.next != nil && from < a.next.End():
		f = a.next
	default:
		return nil, 0, 0
	}
	n = min(a.chunk-(from-f.start)%a.chunk, f.End()-from)
	return f, from, n
}
