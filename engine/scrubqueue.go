package engine

import (
	"fmt"
	"path/filepath"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/message"
)

// compareQueue compares the entry that a record has at off of a queue with the
// record.
func (r *scrub) compareQueue(at message.PhyOffset, rec message.Record, props message.DispatchProperties, q *consumequeue.ConsumeQueue, off message.QueueOffset) {
	key := q.Key()
	want := consumequeue.Unit{Offset: at, Size: int32(len(rec)), TagsCode: tagsCode(r.store, key.Topic, rec, props)}
	if off < q.MinOffset() || off >= q.MaxOffset() {
		return // expired, or of an earlier life of the topic
	}
	u, ok := r.unit(q, off)
	if !ok {
		return
	}
	text := disagreement(u, want)
	if text == "" {
		r.reached(q, off)
		return
	}
	if u.Offset != want.Offset && r.isOf(key, off, u) {
		// The log has two messages for the entry: of two lives of the topic,
		// or one that says what is not so.
		if u.Offset < want.Offset {
			r.foundRecord(at, fmt.Sprintf("the record is message %d of %v, as the one at %d is", off, key, u.Offset))
		}
		return
	}
	if r.isShifted(q, off, u) {
		return
	}
	r.reached(q, off)
	r.mendUnit(q, off, u, want, text)
}

// reached takes down that the log has a message for an entry, and looks at the
// entries before for which it had none.
func (r *scrub) reached(q *consumequeue.ConsumeQueue, off message.QueueOffset) {
	key := q.Key()
	if from := max(r.next[key], q.MinOffset()); off > from {
		r.compareGap(q, from, off)
	}
	r.next[key] = max(r.next[key], off+1)
}

// isShifted tells whether an entry is right in another place than its message
// says: the log lacks messages before, and the entries behind moved up, as in
// Java. That is told once for each queue.
func (r *scrub) isShifted(q *consumequeue.ConsumeQueue, off message.QueueOffset, u consumequeue.Unit) bool {
	key := q.Key()
	ref, err := r.store.RecordAt(u.Offset)
	if err != nil {
		return false
	}
	defer ref.Release()
	rec := ref.Record()
	own, ok := entryIn(rec, key)
	if len(rec) != int(u.Size) || !ok || own == off {
		return false
	}
	if own >= q.MinOffset() && own < q.MaxOffset() {
		var at [1]consumequeue.Unit
		if n, err := q.Peek(own, at[:]); err == nil && n == 1 && at[0].Offset == u.Offset {
			return false
		}
	}
	if !r.shifted[key] {
		r.shifted[key] = true
		path, place := q.Place(off)
		r.report(ScrubFault{File: path, Offset: place, Text: fmt.Sprintf(
			"message %d of %v is message %d by the log, which lacks some before it", off, key, own)})
	}
	return true
}

// unit reads an entry. A queue that cannot be read is left to be built again.
func (r *scrub) unit(q *consumequeue.ConsumeQueue, off message.QueueOffset) (consumequeue.Unit, bool) {
	var units [1]consumequeue.Unit
	n, err := q.Peek(off, units[:])
	if err != nil {
		n, err = q.Peek(off, units[:]) // a device that fails once is no damage
	}
	if err == nil {
		return units[0], n == 1
	}
	if off < q.MinOffset() || r.store.closed.Load() {
		return units[0], false // expired meanwhile, or nothing can be read any more
	}
	path, place := q.Place(off)
	f := ScrubFault{File: path, Offset: place, Text: fmt.Sprintf("message %d of %v cannot be read: %v", off, q.Key(), err)}
	r.mend(&f, func() error {
		if r.store.queues.Queue(q.Key().Topic, q.Key().QueueID) != q {
			return nil // built again, or deleted
		}
		r.store.recount.Store(true)
		_, err := r.store.rebuildQueue(q.Key(), r.store.ReputOffset(), err)
		return err
	})
	r.report(f)
	return units[0], false
}

// isOf tells whether the log has the message that an entry points to.
func (r *scrub) isOf(key consumequeue.Key, off message.QueueOffset, u consumequeue.Unit) bool {
	return u.Offset >= 0 && r.store.inLog(key, off, u)
}

// mendUnit has an entry written as the log has it.
func (r *scrub) mendUnit(q *consumequeue.ConsumeQueue, off message.QueueOffset, u, want consumequeue.Unit, text string) {
	path, place := q.Place(off)
	if path == "" {
		return // still in memory, which no disk has damaged
	}
	f := ScrubFault{File: path, Offset: place, Text: fmt.Sprintf("message %d of %v: %s", off, q.Key(), text)}
	latest, err := r.latest(q, off, want)
	if err != nil {
		f.Err = err
	} else {
		r.mend(&f, func() error {
			if now, ok := r.store.unitAt(q.Key().Topic, q.Key().QueueID, off); ok && now != u {
				return nil // no longer what was read
			}
			return q.Rewrite(off, latest)
		})
	}
	r.report(f)
}

// latest returns the entry of the last message of that offset before the next
// entry's: a topic that was made again has more than one in the log. Only for
// the first entry of a queue the one before does not tell.
func (r *scrub) latest(q *consumequeue.ConsumeQueue, off message.QueueOffset, want consumequeue.Unit) (consumequeue.Unit, error) {
	if off > q.MinOffset() {
		return want, nil
	}
	limit := r.info.To
	if off+1 < q.MaxOffset() {
		var next [1]consumequeue.Unit
		if n, err := q.Peek(off+1, next[:]); err == nil && n == 1 && next[0].Offset > want.Offset {
			limit = min(limit, next[0].Offset)
		}
	}
	it := r.store.log.Iterate(want.Offset, limit, commitlog.Java)
	defer it.Close()
	for {
		rec, ok := it.Next()
		if !ok {
			return want, it.Err()
		}
		if own, ok := entryIn(rec, q.Key()); ok && own == off {
			want = consumequeue.Unit{
				Offset: it.Offset() - message.PhyOffset(len(rec)), Size: int32(len(rec)),
				TagsCode: tagsCode(r.store, q.Key().Topic, rec, rec.Properties().Dispatch()),
			}
		}
	}
}

// gapMax bounds the entries looked at in one gap.
const gapMax = 1000

// compareGap looks at entries for which the log had no message where they should
// be: the record of each says something else of itself, or cannot be read.
func (r *scrub) compareGap(q *consumequeue.ConsumeQueue, from, to message.QueueOffset) {
	for off := from; off < to && off < from+gapMax; off++ {
		u, ok := r.unit(q, off)
		if !ok {
			continue
		}
		switch {
		case u.Offset < r.store.log.MinOffset() || r.inDamage(u.Offset) || r.isOf(q.Key(), off, u):
		case r.store.isRecord(u.Offset):
			r.foundRecord(u.Offset, fmt.Sprintf("message %d of %v is here, the record says otherwise", off, q.Key()))
		default:
			path, place := q.Place(off)
			r.report(ScrubFault{File: path, Offset: place, Text: fmt.Sprintf(
				"message %d of %v points to %d bytes at %d, where the log has no record, and no message is left for it", off, q.Key(), u.Size, u.Offset)})
		}
	}
}

// checkEnds looks at the entries behind the last message of each queue.
func (r *scrub) checkEnds() {
	for _, q := range r.store.queues.Queues() {
		key := q.Key()
		from, end := max(r.next[key], q.MinOffset()), min(r.ends[key], q.MaxOffset())
		for end > from {
			u, ok := r.unit(q, end-1)
			if !ok || u.Offset < r.info.To {
				break
			}
			end-- // dispatched, and not told of when the round began
		}
		r.compareGap(q, from, end)
	}
}

// foundRecord takes down a record that its queue contradicts. Nobody mends the
// log.
func (r *scrub) foundRecord(off message.PhyOffset, text string) {
	path, at := r.store.logPlace(off)
	r.report(ScrubFault{File: path, Offset: at, Text: text})
}

// logPlace returns the file of the log that holds off, and the place in it.
func (s *Store) logPlace(off message.PhyOffset) (path string, at int64) {
	for _, f := range s.log.Files() {
		if off >= f.Start && off < f.End {
			return f.Path, int64(off - f.Start)
		}
	}
	return filepath.Base(s.opts.CommitLogDir), int64(off)
}
