package mappedfile

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Allocator makes the next file before the writer needs it, and keeps a window
// of pages ahead of the writer in memory, or filled with zeros (Java:
// AllocateMappedFileService and the warm-up of DefaultMappedFile). All of it happens off the put
// path, on one goroutine for the pages and one for each file: the writer only compares
// a number (Queue.attention).
//
// The next file is made when the present one is half full, or will be full within
// seconds: behind the dirty pages of a fast writer the syncs of a new file take two
// seconds, in which more than half a file is written. More than one is not made: of
// one file alone, the newest, a crash may leave the name without the space.
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
	wrote   int64     // last progress reported
	tail    *File     // what the writer fills
	began   time.Time // when it was first reported to be written, at beganAt
	beganAt int64
	ahead   []*File // made ahead, each pinned once; the first starts at tail's end
	depth   int     // how many there should be
	demand  int64   // start of the file that take waits for, or -1
	making  bool    // one is being made
	err     error   // why the last attempt failed; none is made before take has told it
	tries   int     // attempts that ended

	window    int64 // bytes to make ready ahead, 0 when that is off
	chunk     int64 // how many at a time
	preheated int64 // offset up to which they were asked for
	preparing bool  // some are being made ready just now
	receiving bool  // none are to be, as who writes them makes them
	asked     time.Time
}

// ErrClosed is returned by Roll after Close.
var ErrClosed = errors.New("mappedfile: closed")

const (
	preheatMin   = 2 << 20
	preheatChunk = 2 << 20 // one huge page: the unit in which the kernel fills fastest
	preheatSlow  = 200 * time.Millisecond

	// fastFill is the time to the end of its file below which a writer is fast.
	fastFill = 5 * time.Second
)

func newAllocator(q *Queue) *Allocator {
	a := &Allocator{q: q, demand: -1, chunk: preheatChunk}
	if q.ring != nil {
		a.chunk = zeroChunk
	}
	a.changed = sync.NewCond(&a.mu)
	if (q.ring == nil || q.opts.ZeroAhead) && q.opts.PreheatMax > 0 {
		a.window = a.windowMin()
	}
	return a
}

// windowMin is the window of a slow writer.
func (a *Allocator) windowMin() int64 { return min(preheatMin, a.q.opts.PreheatMax) }

// setTail tells which file is written; called by the writer.
func (a *Allocator) setTail(f *File) {
	a.mu.Lock()
	a.beginTail(f)
	a.mu.Unlock()
}

// setReceiving tells whether the bytes that are written come by Receive; called by the writer.
func (a *Allocator) setReceiving(on bool) {
	a.mu.Lock()
	a.receiving = on
	a.mu.Unlock()
}

func (a *Allocator) beginTail(f *File) { a.tail, a.began, a.depth = f, time.Time{}, 0 }

// progress is called by the writer when it passed the position returned last;
// it wakes the worker and returns the next such position.
func (a *Allocator) progress(wrote int64) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tail == nil || a.closed {
		return wrote + a.q.opts.FileSize
	}
	a.wrote = wrote
	now := time.Now()
	next := a.setDepth(wrote, now)
	if a.window > 0 && !a.receiving {
		next = min(next, a.resizeWindow(wrote, now))
	}
	a.start()
	a.changed.Broadcast()
	return next
}

// setDepth decides how many files are made ahead, and returns at which position to
// ask again.
func (a *Allocator) setDepth(wrote int64, now time.Time) (again int64) {
	if a.began.IsZero() {
		a.began, a.beganAt = now, wrote
	}
	half := a.tail.start + a.q.opts.FileSize/2
	measured := min(a.beganAt+a.q.opts.FileSize/16, half)
	if wrote < measured {
		return measured
	}
	if wrote >= half {
		a.depth = 1
	}
	if written := wrote - a.beganAt; written > 0 {
		left := float64(a.tail.End()-wrote) / float64(written)
		if time.Duration(left*float64(now.Sub(a.began))) < fastFill {
			a.depth = 1
		}
	}
	if wrote >= half {
		return a.tail.End()
	}
	return half
}

// resizeWindow follows the writer's speed and returns when to ask again.
func (a *Allocator) resizeWindow(wrote int64, now time.Time) int64 {
	switch slow := now.Sub(a.asked) > preheatSlow; {
	case slow:
		a.window = max(a.window/2, a.windowMin())
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
		if len(a.ahead) > 0 {
			f := a.ahead[0]
			if f.start != start {
				panic(fmt.Sprintf("mappedfile: %s was made ahead where one at %d is due", f.path, start))
			}
			a.ahead = slices.Delete(a.ahead, 0, 1)
			a.beginTail(f) // at once: what is made ahead is counted from it
			return f, nil
		}
		if a.closed {
			return nil, ErrClosed
		}
		if err := a.err; err != nil {
			a.err = nil
			return nil, err
		}
		a.demand = start
		a.start()
		a.changed.Broadcast()
		for tries := a.tries; a.tries == tries && !a.closed; {
			a.changed.Wait()
		}
	}
}

// drop deletes the files made ahead, newest first and each for certain before the
// next, as removeFrom does.
func (a *Allocator) drop() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tail, a.depth = nil, 0
	for (a.making || a.demand >= 0 || a.preparing) && !a.closed {
		a.changed.Wait()
	}
	var errs []error
	for _, f := range slices.Backward(a.ahead) {
		errs = append(errs, f.remove(), a.q.fs.SyncDir(a.q.dir))
		f.release()
	}
	a.ahead, a.err, a.preheated = nil, nil, 0
	return errors.Join(errs...)
}

func (a *Allocator) close() error {
	err := a.drop()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.changed.Broadcast()
	for a.running || a.making {
		a.changed.Wait()
	}
	return err
}

// run serves wishes. Pages do not wait for a file.
func (a *Allocator) run() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !a.closed {
		if !a.making && (a.demand >= 0 || len(a.ahead) < a.depth && a.err == nil) {
			a.making = true
			go a.makeNext(a.nextStart())
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

// nextStart returns where the next file to make starts.
func (a *Allocator) nextStart() int64 {
	switch n := len(a.ahead); {
	case n > 0:
		return a.ahead[n-1].End()
	case a.demand >= 0:
		return a.demand
	default:
		return a.tail.End()
	}
}

func (a *Allocator) makeNext(start int64) {
	f, err := createFile(a.q.fs, a.q.dir, start, a.q.opts.FileSize)
	if err == nil {
		err = f.acquireOnce()
		if err == nil && a.q.ring == nil {
			_ = f.mapping.Advise(0, int(f.size), vfs.HugePage) // a hint
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.demand, a.making, a.err = -1, false, err
	a.tries++
	if err == nil {
		a.ahead = append(a.ahead, f)
	}
	a.changed.Broadcast()
}

// nextChunk returns the pages to bring in next, or nil when the window is
// filled.
func (a *Allocator) nextChunk() (f *File, from, n int64) {
	if a.window == 0 || a.receiving || a.tail == nil {
		return nil, 0, 0
	}
	from = max(a.preheated, a.wrote)
	if from >= a.wrote+a.window {
		return nil, 0, 0
	}
	switch {
	case from < a.tail.End():
		f = a.tail
	case len(a.ahead) > 0 && from < a.ahead[0].End():
		f = a.ahead[0]
	default:
		return nil, 0, 0
	}
	n = min(a.chunk-(from-f.start)%a.chunk, f.End()-from)
	return f, from, n
}
