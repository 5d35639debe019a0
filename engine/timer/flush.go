package timer

import (
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// cleanEvery is the time between two looks for files of the log that are no longer needed.
const cleanEvery = 30 * time.Second

// runFlush makes durable what changed, and deletes what is not needed any more.
func (t *Timer) runFlush() {
	defer t.done.Done()
	tick := time.NewTicker(t.opts.FlushInterval)
	defer tick.Stop()
	cleaned := time.Now()
	for {
		select {
		case <-t.stop:
			return
		case <-tick.C:
		}
		if err := t.flush(); err != nil {
			t.opts.Failed(err)
		}
		if time.Since(cleaned) < cleanEvery {
			continue
		}
		cleaned = time.Now()
		if err := vfs.Guarded(func() error { return t.log.removeBefore(t.queue.MinPhyOffset()) }); err != nil {
			t.opts.Failed(fmt.Errorf("timer: %w", err))
		}
	}
}

// flush makes durable what is taken in and delivered by now, in the order of invariant 4, and then the checkpoint that
// says so. After a sync that failed nothing can be known to be durable, and so no checkpoint is written again.
func (t *Timer) flush() error {
	f := &t.flushed
	f.Lock()
	defer f.Unlock()
	if f.err != nil {
		return f.err
	}
	t.state.Lock()
	p, next, master := t.state.progress, f.check, t.state.master
	next.ReadTime, next.LogPos, next.QueueOffset, next.MasterQueueOffset = p.readTime, t.state.logPos, t.state.queueOffset, t.state.queueOffset
	t.state.Unlock()
	if t.opts.Following {
		// The version is the master's, by which it knows when it comes back whether somebody went on meanwhile.
		next.MasterQueueOffset, next.StateVersion, next.VersionTime, next.VersionCounter = master.MasterQueueOffset, master.StateVersion, master.VersionTime, master.VersionCounter
	}
	if next == f.check && p == f.progress {
		return nil
	}
	if !t.opts.Following {
		next.VersionCounter++
		next.VersionTime = t.opts.Now().UnixMilli()
	}
	if err := t.queue.Flush(); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	_, err := t.log.queue.Flush()
	if err == nil {
		err = t.wheel.sync()
	}
	if err == nil {
		err = f.file.write(next)
	}
	if err != nil {
		f.err = fmt.Errorf("timer: a sync failed, and nothing more is made durable until the store is opened anew: %w", err)
		return f.err
	}
	f.check, f.progress = next, p
	f.readTime.Store(next.ReadTime)
	return nil
}

// Checkpoint returns what the checkpoint on disk says.
func (t *Timer) Checkpoint() Checkpoint {
	t.flushed.Lock()
	defer t.flushed.Unlock()
	return t.flushed.check
}
