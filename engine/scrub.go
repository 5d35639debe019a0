package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// ScrubFault is a place of a file that a scrub found damaged.
type ScrubFault struct {
	File   string // path
	Offset int64  // byte in the file
	Text   string
	Mended bool  // the bytes are right again
	Err    error // why they could not be mended, if that was tried
}

// String returns the fault in one line.
func (f ScrubFault) String() string {
	state := "not mended"
	switch {
	case f.Mended:
		state = "mended"
	case f.Err != nil:
		state = fmt.Sprintf("not mended: %v", f.Err)
	}
	return fmt.Sprintf("%s: at byte %d: %s (%s)", f.File, f.Offset, f.Text, state)
}

// ScrubInfo is what one round over the store came to.
type ScrubInfo struct {
	From, To message.PhyOffset // of the log, all of it that was dispatched
	Records  int
	Bytes    int64 // read, of all files
	Found    int   // faults, reported or not
	Mended   int
	Took     time.Duration
}

const (
	// scrubDelay is how long after an open the first round begins.
	scrubDelay = 10 * time.Minute
	// scrubReports bounds the faults that one round reports; all are counted.
	scrubReports = 1000
	// scrubSleepMin is how far a scrub gets ahead before it waits.
	scrubSleepMin = 10 * time.Millisecond
	// scrubUnitCost is what reading one queue entry counts, in bytes.
	scrubUnitCost = 512
)

// runScrub goes over the store at intervals.
func (s *Store) runScrub() {
	defer s.running.Done()
	wait := min(scrubDelay, s.opts.ScrubInterval)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-s.closing:
			timer.Stop()
			return
		case <-timer.C:
		}
		if _, err := s.Scrub(s.opts.ScrubBytesPerSecond); err != nil && !errors.Is(err, ErrClosed) {
			s.opts.Listener.Background("scrub", err)
		}
		wait = s.opts.ScrubInterval
	}
}

// Scrub goes once over all that is dispatched: each record of the log by its
// checksum and place, the queue entry and the index entries of each, the
// structure of the index, and the checkpoint files. It reads at most so many bytes a second, all it can if
// that is not positive. What is wrong with queues and index is put right from the
// log, and checkpoints are written again; the log is never touched. Faults go to EventListener.ScrubFound; the error
// says why the round did not come to its end.
func (s *Store) Scrub(bytesPerSecond int64) (ScrubInfo, error) {
	s.scrubbing.Lock()
	defer s.scrubbing.Unlock()
	r := &scrub{
		store: s, rate: bytesPerSecond, began: time.Now(),
		ends: map[consumequeue.Key]message.QueueOffset{}, next: map[consumequeue.Key]message.QueueOffset{}, shifted: map[consumequeue.Key]bool{},
	}
	for _, q := range s.queues.Queues() {
		r.ends[q.Key()] = q.MaxOffset()
	}
	err := vfs.Guarded(r.run)
	r.info.Took = time.Since(r.began)
	if err == nil {
		s.metrics.scrubs.Add(1)
		s.opts.Listener.Scrubbed(r.info)
	}
	return r.info, err
}

// scrub is the state of one round.
type scrub struct {
	store *Store
	rate  int64
	began time.Time
	info  ScrubInfo

	reader  logReader
	index   *index.Scrub
	ends    map[consumequeue.Key]message.QueueOffset // of each queue, when the round began
	next    map[consumequeue.Key]message.QueueOffset // behind the last entry of each that the log had a message for
	shifted map[consumequeue.Key]bool                // queues of which that is told
	// damaged is where the log was last found damaged; entries may point there.
	damaged []hole
}

// hole is a range of the log that holds no record that can be read.
type hole struct{ from, to message.PhyOffset }

func (r *scrub) run() (err error) {
	s := r.store
	r.info.From, r.info.To = s.log.MinOffset(), s.ReputOffset()
	r.reader = logReader{store: s, pace: r.pace}
	defer func() { err = errors.Join(err, r.reader.close()) }()
	if s.index != nil {
		entries := s.index.BeginScrub(index.ScrubOptions{Pace: r.pace, Found: r.foundIndex, IsRecord: s.isRecord})
		r.index = entries // until it cannot be read
		defer func() { err = errors.Join(err, entries.Close()) }()
	}
	if err := r.walk(); err != nil {
		return err
	}
	r.checkEnds()
	if r.index != nil {
		if err := r.indexFailed(r.index.Finish()); err != nil {
			return err
		}
	}
	return r.checkState()
}

// walk reads the records of the log one after the other.
func (r *scrub) walk() error {
	for at := r.info.From; at < r.info.To; {
		rec, next, err := r.reader.record(at, r.info.To)
		var corrupt *commitlog.CorruptError
		switch {
		case errors.As(err, &corrupt):
			next, err := r.reader.behind(at, next, r.info.To)
			if err != nil {
				return err
			}
			r.foundLog(corrupt, at, next)
			at = next
			continue
		case err != nil:
			return err
		case rec != nil:
			if err := r.visit(at, rec); err != nil {
				return err
			}
		}
		if expired := r.store.log.MinOffset(); expired > at { // deleted meanwhile
			next = max(next, expired)
			if r.index != nil {
				r.index.Skip(at, next)
			}
		}
		at = next
	}
	return nil
}

// visit compares a record with its queue and the index.
func (r *scrub) visit(at message.PhyOffset, rec message.Record) error {
	r.info.Records++
	props := rec.Properties().Dispatch()
	if inQueue(rec) {
		if err := r.pace(scrubUnitCost); err != nil {
			return err
		}
		if q := r.store.queues.QueueBytes(rec.Topic(), rec.QueueID()); q != nil { // else of a topic that was deleted
			r.compareQueue(at, rec, props, q, rec.QueueOffset())
		}
		for name, off := range props.LightQueues(rec.Topic()) {
			if q := r.store.queues.QueueBytes(name, message.LightQueueID); q != nil {
				r.compareQueue(at, rec, props, q, off)
			}
		}
	}
	if r.index == nil || rec.SysFlag().Transaction() == message.TransactionRollback {
		return nil
	}
	return r.indexFailed(r.index.Compare(&index.Message{
		Topic: rec.Topic(), UniqueKey: props.UniqueKey, Keys: props.Keys, Tag: props.Tags, Offset: at, StoreTime: rec.StoreTimestamp(),
	}))
}

// indexFailed ends the comparison with an index that cannot be read.
func (r *scrub) indexFailed(err error) error {
	var corrupt *index.CorruptError
	if !errors.As(err, &corrupt) {
		return err
	}
	r.foundIndex(corrupt, nil)
	err = r.index.Close()
	r.index = nil
	return err
}

// foundLog takes down a fault of the log, which nobody mends.
func (r *scrub) foundLog(c *commitlog.CorruptError, from, to message.PhyOffset) {
	r.damaged = append(r.damaged, hole{from, to})
	if len(r.damaged) > scrubReports {
		r.damaged = r.damaged[1:]
	}
	if r.index != nil {
		r.index.Skip(from, to)
	}
	start := c.Offset - c.Offset%message.PhyOffset(r.store.log.FileSize())
	r.report(ScrubFault{
		File: c.Path, Offset: int64(c.Offset - start),
		Text: fmt.Sprintf("the log has no record at its offset %d, the next one is at %d: %v", c.Offset, to, c.Err),
	})
}

func (r *scrub) inDamage(off message.PhyOffset) bool {
	for _, d := range r.damaged {
		if off >= d.from && off < d.to {
			return true
		}
	}
	return false
}

// foundIndex takes down a fault of the index and has it mended.
func (r *scrub) foundIndex(c *index.CorruptError, mend func() error) {
	f := ScrubFault{File: c.File, Offset: c.Offset, Text: c.Reason}
	r.mend(&f, mend)
	r.report(f)
}

// mend has the dispatcher, which alone writes queues and index, put bytes right.
func (r *scrub) mend(f *ScrubFault, fn func() error) {
	if fn == nil {
		return
	}
	f.Err = r.store.onDispatcher(fn)
	f.Mended = f.Err == nil
}

func (r *scrub) report(f ScrubFault) {
	m := &r.store.metrics
	m.scrubFound.Add(1)
	if f.Mended {
		r.info.Mended++
		m.scrubMended.Add(1)
	}
	if r.info.Found++; r.info.Found <= scrubReports {
		r.store.opts.Listener.ScrubFound(f)
	}
}

// pace counts bytes about to be read, and waits until they are due.
func (r *scrub) pace(n int) error {
	s := r.store
	r.info.Bytes += int64(n)
	s.metrics.scrubBytes.Add(int64(n))
	ahead := time.Duration(0)
	if r.rate > 0 {
		due := time.Duration(float64(r.info.Bytes) / float64(r.rate) * float64(time.Second))
		ahead = due - time.Since(r.began)
	}
	if ahead < scrubSleepMin {
		ahead = 0
	}
	timer := time.NewTimer(ahead)
	defer timer.Stop()
	if ahead == 0 {
		select {
		case <-s.closing:
			return ErrClosed
		default:
			return nil
		}
	}
	select {
	case <-s.closing:
		return ErrClosed
	case <-timer.C:
		return nil
	}
}

// isRecord tells whether a record of the log begins at off.
func (s *Store) isRecord(off message.PhyOffset) bool {
	ref, err := s.RecordAt(off)
	ref.Release()
	return err == nil
}

// onDispatcher has the dispatcher call fn between two records, and waits for it.
func (s *Store) onDispatcher(fn func() error) error {
	done := make(chan error, 1)
	select {
	case s.damage <- damage{mend: func() { done <- vfs.Guarded(fn) }}:
		s.dispatch.notify()
	case <-s.closing:
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-s.closing:
		return ErrClosed
	}
}
