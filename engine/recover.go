package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/message"
)

// plan is what an open believes of the files it finds.
type plan struct {
	clean bool
	// from is the place of a record from which the log is read: what lies
	// before it is on disk for certain.
	from  message.PhyOffset
	trust commitlog.Trust
	// durable is the end of what is known to be on disk; between it and from
	// all was written but perhaps not synced.
	durable message.PhyOffset
	// claimed is the offset below which queues and index are on disk.
	claimed message.PhyOffset
	// queues and index are known to be on disk up to here.
	queues message.PhyOffset
	index  index.State
	// ours says that a waymark fits the log, so all after it is our own.
	ours *waymark
	java Checkpoint // as it was found
}

// recover finds the end of the log, cuts queues and index to what is certain,
// and dispatches again what is missing from them.
func (s *Store) recover() error {
	began := time.Now()
	p, err := s.plan()
	if err != nil {
		return err
	}
	info := RecoveryInfo{Clean: p.clean, From: p.from}
	rebuild := s.scanThenDispatch
	if !p.clean && p.ours != nil && !s.reindex && s.opts.FlushDiskType == AsyncFlush {
		rebuild = s.dispatchWhileScanning
	}
	rec, missing, err := rebuild(p)
	if err != nil {
		return err
	}
	info.End, info.Records, info.Stopped = rec.End, rec.Records, rec.Stopped
	info.Dispatched = s.dispatch.count
	if info.Rebuilt, err = s.mendQueues(missing); err != nil {
		return err
	}
	if err := s.queues.CorrectMinOffset(s.log.MinOffset()); err != nil {
		return err
	}
	if err := s.numberUndispatched(); err != nil {
		return err
	}
	if p.ours == nil {
		// From here on the log is our own, and a waymark says so: the next
		// recovery can tell a torn record of ours, which it cannot of Java's.
		if err := s.checkpoint(false); err != nil {
			return err
		}
	}
	info.Took = time.Since(began)
	s.opts.Listener.Recovered(info)
	return nil
}

// scanThenDispatch finds the end of the log, cuts everything there, and
// dispatches what is missing. It tells whether queues are missing.
func (s *Store) scanThenDispatch(p plan) (rec commitlog.Recovery, missing bool, err error) {
	rec, err = s.log.Scan(p.from, s.log.MaxOffset(), p.trust, func(message.PhyOffset, message.Record) error { return nil })
	if err != nil {
		return rec, false, err
	}
	if err := s.cutLog(p, rec.End); err != nil {
		return rec, false, err
	}
	dispatchFrom, err := s.recoverQueues(p, rec.End)
	if err != nil {
		return rec, false, err
	}
	indexFrom, err := s.recoverIndex(p, rec.End)
	if err != nil {
		return rec, false, err
	}
	missing = s.queuesMissing(p)
	from := max(min(dispatchFrom, indexFrom), s.log.MinOffset())
	s.beginDispatch(p, from, indexFrom)
	if s.reindex {
		s.dispatch.queuesFrom = dispatchFrom // or queues of deleted topics came back
	}
	return rec, missing, s.redispatch(rec.End)
}

// dispatchWhileScanning does the same with two goroutines, one that reads and
// believes the records and one that dispatches those believed. It needs a
// waymark: that queues and index are certain below it does not depend on where
// the log ends.
func (s *Store) dispatchWhileScanning(p plan) (rec commitlog.Recovery, missing bool, err error) {
	if _, err = s.recoverQueues(p, p.from); err != nil {
		return rec, false, err
	}
	indexFrom, err := s.recoverIndex(p, p.from)
	if err != nil {
		return rec, false, err
	}
	missing = s.queuesMissing(p)
	s.beginDispatch(p, max(min(p.queues, indexFrom), s.log.MinOffset()), indexFrom)

	believed := make(chan message.PhyOffset, 64)
	var scanErr error
	go func() {
		defer close(believed)
		n := 0
		rec, scanErr = s.log.Scan(p.from, s.log.MaxOffset(), p.trust, func(off message.PhyOffset, r message.Record) error {
			if n++; n%4096 == 0 {
				believed <- off
			}
			return nil
		})
	}()
	for end := range believed {
		if err == nil {
			err = s.redispatch(end)
		}
	}
	if err = errors.Join(scanErr, err); err != nil {
		return rec, missing, err
	}
	if err := s.redispatch(rec.End); err != nil {
		return rec, missing, err
	}
	return rec, missing, s.cutLog(p, rec.End)
}

// cutLog ends the log at end. Under SyncFlush all that is left is made durable
// before anybody reads it: it may have been put and not synced yet.
func (s *Store) cutLog(p plan, end message.PhyOffset) error {
	// A clean stop of our own left zeros behind the end already.
	zero := !p.clean || p.ours == nil || end != p.ours.seal.End
	durable := end
	if !p.clean {
		durable = p.durable
	}
	if err := s.log.Truncate(end, durable, zero); err != nil {
		return err
	}
	if s.opts.FlushDiskType == SyncFlush {
		return s.log.Flush()
	}
	return nil
}

// queuesMissing tells whether the queues are not those that the waymark knew.
func (s *Store) queuesMissing(p plan) bool {
	return p.ours != nil && s.queueUnits() != p.ours.queueUnits && (!p.clean || p.ours.clean)
}

// plan decides where to begin. With a waymark that fits the log it is the
// sealed end. Else it is Java's rule (CommitLog.isMappedFileMatchedRecover): the
// last file whose first record the checkpoint says is safe.
func (s *Store) plan() (plan, error) {
	clean, err := s.wasStopped()
	if err != nil {
		return plan{}, err
	}
	cp, err := s.readCheckpoint()
	if err != nil {
		return plan{}, err
	}
	if s.opts.ConfirmedOnly {
		s.limit.Store(int64(cp.ConfirmPhyOffset))
	}
	p := plan{clean: clean, trust: commitlog.Java, java: cp, from: s.log.MinOffset()}
	if w, ok := s.readWaymark(); ok && s.log.Holds(w.seal) {
		p.ours, p.trust = &w, commitlog.Own
		s.checkpoints.java, s.checkpoints.ours = cp, w
		p.queues, p.index = w.queues, w.index
		p.from = max(w.seal.End, p.from)
	}
	p.durable, p.claimed = p.from, p.queues
	if m, ok := s.readMark(); ok && !clean && m.seal.End > p.durable && p.ours != nil {
		p.ours, p.from = &m, m.seal.End
		p.queues, p.index = m.queues, m.index
	}
	if p.ours != nil {
		return p, nil
	}
	safe := func(r message.Record) bool { return true }
	switch {
	case clean:
	case cp.LogicsPhysicalOffset > 0:
		safe = func(r message.Record) bool { return r.PhyOffset() <= cp.LogicsPhysicalOffset }
	default:
		limit := max(0, min(cp.PhysicMsgTimestamp, cp.LogicsMsgTimestamp)-3000)
		safe = func(r message.Record) bool { return r.StoreTimestamp() <= limit }
	}
	if at, ok := s.log.FileBack(safe); ok {
		p.from = at
	}
	p.queues, p.durable, p.claimed = p.from, p.from, p.from
	return p, nil
}

// recoverQueues cuts the queues to what is certain and returns from where the
// log is to be dispatched to them.
func (s *Store) recoverQueues(p plan, end message.PhyOffset) (message.PhyOffset, error) {
	if p.clean {
		if err := s.queues.Recover(end, s.log.MinOffset(), end, true); err != nil {
			return 0, err
		}
		if s.stoppedBehind(p, end) {
			return p.queues, nil
		}
		// Else a clean stop leaves no backlog, but a Java broker's queues that were
		// all deleted by hand are built again, as Java does.
		return min(max(s.queues.MaxPhy(), p.from), end, s.queuesFrom(p)), nil
	}
	from := min(p.queues, end)
	var err error
	if p.claimed < from {
		// By a mark: what lies between is as it was written, and has to be
		// synced before it is claimed.
		err = s.queues.Recover(p.claimed, s.log.MinOffset(), from, true)
	} else {
		err = s.queues.Recover(from, s.log.MinOffset(), end, false)
	}
	return from, err
}

// stoppedBehind tells whether the last run ended cleanly, and with records that
// were not confirmed, and so not dispatched.
func (s *Store) stoppedBehind(p plan, end message.PhyOffset) bool {
	return p.clean && p.ours != nil && p.ours.clean && end == p.ours.seal.End && p.queues < end
}

// queuesFrom is where dispatch begins at the latest after a clean stop: at the
// log's begin if there is no queue at all.
func (s *Store) queuesFrom(p plan) message.PhyOffset {
	if s.queues.MaxPhy() <= s.log.MinOffset() {
		return s.log.MinOffset()
	}
	return math.MaxInt64
}

func (s *Store) recoverIndex(p plan, end message.PhyOffset) (message.PhyOffset, error) {
	if s.index == nil {
		return end, nil
	}
	from, err := s.index.Recover(p.index, p.clean, p.java.IndexMsgTimestamp, end)
	if err != nil {
		return 0, err
	}
	if err := s.unclaimIndex(p.java, s.index.Mark().SealedTime); err != nil {
		return 0, err
	}
	if s.reindex {
		return s.log.MinOffset(), nil
	}
	if s.stoppedBehind(p, end) {
		return min(from, p.queues), nil
	}
	if p.clean && p.ours == nil {
		return end, nil // Java's index is complete after a clean stop
	}
	return from, nil
}

// unclaimIndex takes back what the checkpoint says of files of the index that were not kept, which end behind sealed: those
// that are built in their place end at the same times, and must not be believed after a crash before they are on disk.
func (s *Store) unclaimIndex(cp Checkpoint, sealed int64) error {
	if cp.IndexMsgTimestamp <= sealed {
		return nil
	}
	cp.IndexMsgTimestamp = sealed
	return s.writeJavaCheckpoint(cp)
}

// beginDispatch lets dispatch begin at from, and that to the index at
// indexFrom.
func (s *Store) beginDispatch(p plan, from, indexFrom message.PhyOffset) {
	d := s.dispatch
	d.it = s.log.Iterate(from, from, commitlog.Dispatched)
	d.indexFrom, d.units = indexFrom, s.queueUnits()
	s.checkpoints.last = min(from, p.claimed)
}

// redispatch feeds the records up to end to queues and index.
func (s *Store) redispatch(end message.PhyOffset) error {
	from := s.dispatch.it.Offset()
	if err := s.dispatch.dispatchTo(end, func(*Arrival) {}); err != nil {
		return fmt.Errorf("dispatch from %d: %w", from, err)
	}
	return nil
}

// damagedQueues collects the queues that were dropped at open since their
// files cannot be read.
type damagedQueues struct {
	mu    sync.Mutex
	found []*consumequeue.CorruptError
}

func (d *damagedQueues) add(e *consumequeue.CorruptError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found = append(d.found, e)
}

// inLog tells whether the log holds the record that an entry points to.
func (s *Store) inLog(key consumequeue.Key, off message.QueueOffset, u consumequeue.Unit) bool {
	ref, err := s.RecordAt(u.Offset)
	if err != nil {
		return false
	}
	defer ref.Release()
	return isMessage(ref.Record(), key, off, u)
}

// isMessage tells whether r is the message of a queue's entry: one that was put
// to it, or one that was put elsewhere and names it for multi dispatch.
func isMessage(r message.Record, key consumequeue.Key, off message.QueueOffset, u consumequeue.Unit) bool {
	if len(r) != int(u.Size) {
		return false
	}
	at, ok := entryIn(r, key)
	return ok && at == off
}

// mendQueues builds the queues again that are damaged or missing, and returns
// their names.
func (s *Store) mendQueues(missing bool) (rebuilt []string, err error) {
	causes := map[consumequeue.Key]error{}
	for _, d := range s.damaged.found {
		causes[d.Key] = d
	}
	if missing {
		if err := s.findMissing(causes); err != nil {
			return nil, err
		}
	}
	var newest consumequeue.Unit
	for _, q := range s.queues.Queues() {
		u, ok := q.Last()
		if !ok {
			continue
		}
		if cause := s.verifyLast(q, u); cause != nil {
			causes[q.Key()] = cause
		} else if u.Offset >= newest.Offset {
			newest = u
		}
	}
	// The clock may have been set back since the newest message was put.
	if t, ok := s.storeTime(newest); ok {
		s.log.NotBefore(t)
	}
	for key, cause := range causes {
		if _, err := s.rebuildQueue(key, s.ReputOffset(), cause); err != nil {
			return rebuilt, err
		}
		rebuilt = append(rebuilt, key.String())
	}
	slices.Sort(rebuilt)
	return rebuilt, nil
}

// findMissing goes through the log for queues that are gone, or have an end or
// a begin that the log does not have. Where damaged queues explain that some are
// missing, a topic without queues is one that was deleted.
func (s *Store) findMissing(causes map[consumequeue.Key]error) error {
	type span struct{ min, max message.QueueOffset }
	want := map[consumequeue.Key]span{}
	it := s.log.Iterate(s.log.MinOffset(), s.ReputOffset(), commitlog.Dispatched)
	defer it.Close()
	explained := len(causes) > 0
	for {
		r, ok := it.Next()
		if !ok && s.passDamage(it) {
			continue
		}
		if !ok {
			break
		}
		for key, at := range entriesOf(r) {
			if message.IsLightQueue(key.Topic) && !s.opts.LightQueues {
				continue // Java does not build them then either
			}
			w, seen := want[key]
			if !seen || at == 0 {
				w.min = at
			}
			w.max = at + 1
			want[key] = w
		}
	}
	for key, w := range want {
		if explained && len(s.queues.TopicQueues(key.Topic)) == 0 {
			continue
		}
		if lo, hi := s.MinOffset(key.Topic, key.QueueID), s.MaxOffset(key.Topic, key.QueueID); lo > w.min || hi < w.max {
			causes[key] = fmt.Errorf("the queue is from %d to %d, the log has messages from %d to %d", lo, hi, w.min, w.max)
		}
	}
	return it.Err()
}

// verifyLast tells what is wrong with u, the last entry of a queue. That of a
// message which the log deleted is not.
func (s *Store) verifyLast(q *consumequeue.ConsumeQueue, u consumequeue.Unit) error {
	if u.Offset < s.log.MinOffset() || s.inLog(q.Key(), q.MaxOffset()-1, u) {
		return nil
	}
	return fmt.Errorf("its last entry points to offset %d of the log, where no message of it is", u.Offset)
}
