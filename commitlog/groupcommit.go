package commitlog

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// Waiter is told when the record that it waits for is durable (nil), or never
// will be. It is called from the flusher and must not block.
type Waiter interface{ Durable(error) }

// group holds those who wait for a sync (Java: GroupCommitService). One sync
// serves all who were appended before it began.
type group struct {
	mu      sync.Mutex
	pending []waiting
	spare   []waiting
	failed  error
	// served is the number of waiters of the last sync; with more than one,
	// waiters leave syncing to the flusher, who gathers them.
	served atomic.Int32
	// crowd is how many the next sync serves if all who were just served come
	// back: they, and those who waited already.
	crowd int

	timeout time.Duration
	watch   *time.Timer // fires when the oldest of pending may have waited too long
	watched bool        // watch is running
}

type waiting struct {
	end    message.PhyOffset
	since  time.Time
	waiter Waiter
}

// ErrSyncTimeout is told to those whose sync takes too long. Their records are
// in the log, and may yet become durable.
var ErrSyncTimeout = errors.New("commitlog: the disk did not sync in time")

func (g *group) init(timeout time.Duration) {
	g.timeout = timeout
	g.watch = time.AfterFunc(time.Hour, g.expire)
	g.watch.Stop()
}

// add registers w, unless it need not wait.
func (g *group) add(end message.PhyOffset, flushed func() message.PhyOffset, w Waiter) (wait bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed != nil {
		return false, g.failed
	}
	if flushed() >= end {
		return false, nil
	}
	g.pending = append(g.pending, waiting{end, time.Now(), w})
	if !g.watched {
		g.watched = true
		g.watch.Reset(g.timeout)
	}
	return true, nil
}

// expire tells those who have waited too long; it looks again while anybody
// waits.
func (g *group) expire() {
	g.mu.Lock()
	now := time.Now()
	var late []waiting
	keep := g.pending[:0]
	for _, w := range g.pending {
		if now.Sub(w.since) >= g.timeout {
			late = append(late, w)
		} else {
			keep = append(keep, w)
		}
	}
	clear(g.pending[len(keep):])
	g.pending = keep
	if g.watched = len(keep) > 0; g.watched {
		g.watch.Reset(g.timeout - now.Sub(keep[0].since))
	}
	g.mu.Unlock()
	for _, w := range late {
		w.waiter.Durable(ErrSyncTimeout)
	}
}

// stop ends the watch.
func (g *group) stop() { g.watch.Stop() }

// gatherTime bounds how long a sync is put off for those who were served by the
// last one and may be back in a moment: less than a sync takes.
const gatherTime = 70 * time.Microsecond

// gatherYields bounds the same by a count that is not reached in this time, for
// tests whose clock stands still while anybody runs.
const gatherYields = 500

// gather lets those who are about to append join the next sync, which then
// serves one crowd instead of two halves in turns.
func (g *group) gather() {
	begin := time.Now()
	for range gatherYields {
		runtime.Gosched()
		g.mu.Lock()
		complete := len(g.pending) >= g.crowd
		g.mu.Unlock()
		if complete || time.Since(begin) > gatherTime {
			return
		}
	}
}

func (g *group) empty() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.pending) == 0
}

// serve tells those whose records end at or below flushed.
func (g *group) serve(flushed message.PhyOffset) {
	g.mu.Lock()
	ready := g.spare[:0]
	keep := g.pending[:0]
	for _, w := range g.pending {
		if w.end <= flushed {
			ready = append(ready, w)
		} else {
			keep = append(keep, w)
		}
	}
	clear(g.pending[len(keep):])
	g.pending, g.spare = keep, nil
	g.crowd = len(ready) + len(keep)
	g.mu.Unlock()
	g.served.Store(int32(len(ready)))
	for _, w := range ready {
		w.waiter.Durable(nil)
	}
	clear(ready)
	g.mu.Lock()
	g.spare = ready
	g.mu.Unlock()
}

// fail tells all, now and later, that nothing becomes durable any more.
func (g *group) fail(err error) {
	g.mu.Lock()
	if g.failed == nil {
		g.failed = err
	}
	all := g.pending
	g.pending = nil
	g.mu.Unlock()
	for _, w := range all {
		w.waiter.Durable(err)
	}
}

// signal is a Waiter for a goroutine that blocks.
type signal struct{ ch chan error }

func (s *signal) Durable(err error) { s.ch <- err }

var signals = sync.Pool{New: func() any { return &signal{make(chan error, 1)} }}

// NotifyDurable tells w when the log is durable up to end, perhaps before it
// returns.
func (l *CommitLog) NotifyDurable(end message.PhyOffset, w Waiter) {
	wait, err := l.group.add(end, l.FlushedOffset, w)
	if !wait {
		w.Durable(err)
		return
	}
	l.wake(l.kick)
}

// Sync returns when the log is durable up to end. A lone caller syncs itself,
// which saves two switches of goroutine; many leave it to the flusher.
func (l *CommitLog) Sync(end message.PhyOffset) error {
	if l.group.served.Load() <= 1 && l.flushMu.TryLock() {
		err := l.flushLocked()
		l.flushMu.Unlock()
		if !l.group.empty() {
			l.wake(l.kick)
		}
		if err != nil || l.FlushedOffset() >= end {
			return err
		}
	}
	s := signals.Get().(*signal)
	defer signals.Put(s)
	l.NotifyDurable(end, s)
	return <-s.ch
}

// Flush makes all that was appended durable.
func (l *CommitLog) Flush() error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	return l.flushLocked()
}

// flushLocked commits and syncs, and tells those who waited for it.
func (l *CommitLog) flushLocked() error {
	if err := l.Failure(); err != nil {
		return err
	}
	if err := l.commit(); err != nil {
		return err
	}
	before := l.q.Flushed()
	flushed, err := l.q.Flush()
	if err != nil {
		return l.fail(err)
	}
	// Those who wait come first: what follows can be done while the disk has
	// their next records.
	l.group.serve(message.PhyOffset(flushed))
	if flushed != before {
		l.opts.OnDurable()
	}
	return nil
}

// commit moves the bytes of the transient pool to the page cache.
func (l *CommitLog) commit() error {
	l.commitMu.Lock()
	before := l.q.Committed()
	after, err := l.q.Commit()
	l.commitMu.Unlock()
	if err != nil {
		return l.fail(err)
	}
	if after != before {
		l.put.Lock()
		l.put.room.Broadcast()
		l.put.Unlock()
		if !l.confirmsDurable() {
			l.opts.OnAppend()
		}
	}
	return nil
}

// runFlush syncs for those who wait at once, and for the others at intervals.
func (l *CommitLog) runFlush() {
	defer l.done.Done()
	tick := time.NewTicker(l.opts.FlushInterval)
	defer tick.Stop()
	thorough := time.Now()
	for {
		least := l.opts.FlushLeastPages
		select {
		case <-l.stop:
			return
		case <-l.kick:
			least = 0
			l.group.gather()
		case now := <-tick.C:
			if now.Sub(thorough) >= l.opts.FlushThoroughInterval {
				least, thorough = 0, now
			}
		}
		if l.dirtyPages() < least || l.Failure() != nil {
			continue
		}
		l.flushMu.Lock()
		_ = l.flushLocked() // final and told to OnFailure and to all who wait
		l.flushMu.Unlock()
		if !l.group.empty() {
			l.wake(l.kick)
		}
	}
}

// dirtyPages counts as Java does: pages begun since the flushed position.
func (l *CommitLog) dirtyPages() int {
	return int(l.q.Wrote()/pageSize - l.q.Flushed()/pageSize)
}

// runCommit empties the transient pool at intervals and when it is full.
func (l *CommitLog) runCommit() {
	defer l.done.Done()
	tick := time.NewTicker(l.opts.CommitInterval)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.pool:
		case <-tick.C:
		}
		if l.Failure() != nil {
			continue
		}
		_ = l.commit() // final and told to OnFailure
	}
}
