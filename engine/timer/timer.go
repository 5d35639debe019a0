package timer

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// The names of the files below the root of a store.
const (
	wheelName      = "timerwheel"
	logName        = "timerlog"
	progressName   = "timerprogress"
	checkpointName = "timercheck" // in config
)

// retryAfter is the time after which what failed is tried again.
const retryAfter = 500 * time.Millisecond

// A Timer takes in and delivers the messages of the timer topic of one store.
type Timer struct {
	queue Queue
	opts  Options

	wheel *wheel
	log   *unitLog // its appends and reads are the run goroutine's

	// state is how far all is. The run goroutine alone changes it, under the lock; others read it under the lock.
	state struct {
		sync.Mutex
		progress
		queueOffset message.QueueOffset // all below is in the log or delivered
		logPos      int64               // the log's end as of queueOffset
		master      Checkpoint          // of a slave's timer: how far the master's is
	}
	// flushed is what the checkpoint on disk says.
	flushed struct {
		sync.Mutex // held for a whole flush
		file       *checkpointFile
		check      Checkpoint
		progress   progress
		err        error // of a sync that failed: nothing is known to be durable since
		readTime   atomic.Int64
	}

	cut    bool // files of the log were put aside when it was opened
	work   work // the run goroutine's
	replay replay
	follow follow
	counts counts

	wake    chan struct{}
	jobs    chan func() // for the run goroutine, between two steps
	stop    chan struct{}
	done    sync.WaitGroup
	closing sync.Once
	err     error // of Close
}

// Open opens or makes the timer's files below the root of a store, brings them to a state that agrees with the store, and
// starts to take in and deliver.
func Open(root string, q Queue, opts *Options) (*Timer, error) {
	t, err := open(root, q, opts)
	if err != nil {
		return nil, err
	}
	t.done.Add(2)
	go t.run()
	go t.runFlush()
	return t, nil
}

// open is Open without the goroutines.
func open(root string, q Queue, opts *Options) (*Timer, error) {
	t := &Timer{queue: q, wake: make(chan struct{}, 1), jobs: make(chan func()), stop: make(chan struct{})}
	if opts != nil {
		t.opts = *opts
	}
	t.opts.ensureDefaults()
	if err := t.opts.validate(); err != nil {
		return nil, err
	}
	t.work.taken, t.work.late, t.work.slotPhy = noPhy, noPhy, noPhy
	t.counts.mu.topics = map[string]*TopicCount{}
	file, check, p, known, err := openCheckpoint(t.opts.FS, root)
	if err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	t.flushed.file, t.flushed.check = file, check
	for path, damaged := range map[string]bool{file.checkPath(): file.noCheck, file.progressPath(): file.noProgress} {
		if damaged {
			t.opts.Damaged(Fault{File: path, Text: "its bytes are none that a timer writes", Mended: true})
		}
	}
	put := aside{fs: t.opts.FS, root: root, keep: filepath.Join(root, asidePrefix+t.opts.Now().Format("20060102-150405")), found: t.opts.Damaged}
	if err := errors.Join(put.wheelFile(2*t.opts.slots*slotSize), put.logFiles(t.opts.LogFileSize)); err != nil {
		return nil, errors.Join(fmt.Errorf("timer: %w", err), file.close())
	}
	t.cut = put.cut
	if t.wheel, err = openWheel(t.opts.FS, filepath.Join(root, wheelName), 2*t.opts.slots); err != nil {
		return nil, errors.Join(fmt.Errorf("timer: %w", err), file.close())
	}
	if t.log, err = openLog(t.opts.FS, filepath.Join(root, logName), t.opts.LogFileSize); err != nil {
		return nil, errors.Join(fmt.Errorf("timer: %w", err), t.wheel.close(), file.close())
	}
	if err := vfs.Guarded(func() error { return t.recover(check, p, known) }); err != nil {
		return nil, errors.Join(fmt.Errorf("timer: %w", err), t.closeFiles())
	}
	return t, nil
}

func (t *Timer) closeFiles() error {
	t.log.release()
	return errors.Join(t.log.queue.Close(), t.wheel.close(), t.flushed.file.close())
}

// Close ends taking in and delivering, makes all durable and closes the files. The store must still be open.
func (t *Timer) Close() error {
	t.closing.Do(func() {
		close(t.stop)
		t.done.Wait()
		t.err = errors.Join(t.flush(), t.closeFiles())
	})
	return t.err
}

// Arrived tells that there is something new in the timer topic's queue. It does not block.
func (t *Timer) Arrived() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// OutTime is the TIMER_OUT_MS of a message that is to be delivered at a time, both in ms: the start of the slot that is
// over at that time or up to one precision later (Java's HookUtils.transformTimerMessage).
func OutTime(deliver, precision int64) int64 { return (deliver - 1) / precision * precision }

// InSlot returns how many messages fall due together with one of that TIMER_OUT_MS; none where the wheel cannot be read,
// which step tells of.
func (t *Timer) InSlot(outTime int64) int64 {
	var s slot
	_ = vfs.Guarded(func() error {
		s, _ = t.wheel.get(outTime / t.opts.Precision)
		return nil
	})
	return int64(s.num)
}

// run takes in and delivers, and sleeps until there is something to do.
func (t *Timer) run() {
	defer t.done.Done()
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-t.stop:
			return
		case job := <-t.jobs:
			job()
		case <-t.wake:
		case <-alarm.C:
		}
		for {
			wait, more := t.step()
			if !more {
				alarm.Reset(wait)
				break
			}
			select {
			case <-t.stop:
				return
			case job := <-t.jobs:
				job()
			default:
			}
		}
	}
}

// idle is the longest sleep. A clock that is set moves what is due, and no timer of the runtime follows it.
const idle = time.Second

// step does a part of what there is to do at the moment. It reports whether there is more, else how long there is not,
// unless something arrives.
func (t *Timer) step() (wait time.Duration, more bool) {
	defer t.log.release() // a file that is not in use may be unmapped
	if !t.finish() {
		return retryAfter, false // what could not be put must be before anything else is
	}
	now := t.opts.Now().UnixMilli()
	todo := t.stepAt
	if t.opts.Following {
		todo = t.followMaster
	}
	err := vfs.Guarded(func() (err error) {
		more, err = todo(now)
		if err == nil && !more && !t.opts.Following {
			wait, err = t.untilDue(now)
		}
		return err
	})
	switch {
	case err != nil:
		t.opts.Failed(err)
		return retryAfter, false
	case t.work.pending():
		return retryAfter, false
	case more:
		return 0, true
	case t.opts.Following:
		return idle, false
	}
	return wait, false
}

// stepAt is step at a time. A slot that is begun is finished first, even if the clock says by now that it is not over.
func (t *Timer) stepAt(now int64) (more bool, err error) {
	if over := t.state.readTime + t.opts.Precision; t.state.slotPhy != noPhy && now < over {
		return t.deliverDue(over)
	}
	if err := t.followClock(now); err != nil {
		return false, err
	}
	took, err := t.takeIn(now)
	if err != nil || t.work.pending() {
		return false, err
	}
	delivered, err := t.deliverDue(now)
	return took || delivered, err
}

// untilDue is the time until the next slot is over, or is to be read.
func (t *Timer) untilDue(now int64) (time.Duration, error) {
	at, err := t.prepare(now)
	wait := at - t.opts.Now().UnixMilli()
	return min(max(time.Duration(wait)*time.Millisecond, 0), idle), err
}

// followClock goes back with a clock that was set back: the slots from now on up to the read time are delivered, and are
// emptied, so that they can be used, and read, again.
func (t *Timer) followClock(now int64) error {
	read, at := t.state.readTime, now-now%t.opts.Precision
	if at >= read {
		return nil
	}
	return t.goBack(at)
}

// goBack goes back to a time. The slots from there on up to the read time are delivered.
func (t *Timer) goBack(at int64) error {
	read := t.state.readTime
	if err := t.flush(); err != nil { // what the slots still hold must be known to be delivered before they are emptied
		return err
	}
	t.wheel.clear(at/t.opts.Precision, read/t.opts.Precision)
	if err := t.wheel.sync(); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	t.state.Lock()
	t.state.readTime, t.state.slotPhy = at, noPhy
	p := t.state.progress
	t.state.Unlock()
	// A progress from before must not turn up again, not even after a power loss: it would pass over what comes now.
	err := t.flushed.file.writeProgress(p)
	if err == nil {
		err = t.flushed.file.progress.SyncData()
	}
	if err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	return t.flush()
}
