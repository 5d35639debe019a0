package pop

import (
	"cmp"
	"iter"
	"slices"

	"github.com/google/btree"
)

// lateGrace is how long after its time a checkpoint that came by way of the timer stays open at least, ms: its acknowledgements
// come the same way, one second after it, and the timer has a grain of a second (Java waits as long: PopReviveService). Where the
// timer is further behind, as after a start, no time by the clock is long enough: see Brought.
const lateGrace = 3000

// A Ledger holds what is open of one queue of the revive log: the checkpoints whose messages are neither all acknowledged
// nor stored elsewhere. It is filled by the log's records, each with its offset there: as they are written, and after a
// restart as they are read again.
type Ledger struct {
	next  int64              // every record below it has been applied
	ahead map[int64]struct{} // applied, at or above next
	open  map[Key]*entry
	due   *btree.BTreeG[*entry] // by time; without those that Due has returned, and those that are in late
	late  *btree.BTreeG[*entry] // by time; those whose acknowledgements the timer may still have
	pins  *btree.BTreeG[*entry] // by offset in the revive log
}

// entry is an open checkpoint.
type entry struct {
	ckpt   *Checkpoint
	offset int64  // of its record
	acked  uint32 // bit i: Offsets[i] is done
	dueAt  int64  // ms
	taken  bool   // returned by Due
	late   bool   // in Ledger.late
}

const btreeDegree = 32

// NewLedger returns an empty ledger of a log that is applied from offset next on.
func NewLedger(next int64) *Ledger {
	byTime := func(a, b *entry) bool {
		return cmp.Or(cmp.Compare(a.dueAt, b.dueAt), cmp.Compare(a.offset, b.offset)) < 0
	}
	return &Ledger{
		next: next, ahead: map[int64]struct{}{}, open: map[Key]*entry{},
		due: btree.NewG(btreeDegree, byTime), late: btree.NewG(btreeDegree, byTime),
		pins: btree.NewG(btreeDegree, func(a, b *entry) bool { return a.offset < b.offset }),
	}
}

// Len is the number of open checkpoints.
func (l *Ledger) Len() int { return len(l.open) }

// Next is the offset of the first record that has not been applied; records behind it may have been.
func (l *Ledger) Next() int64 { return l.next }

// Behind tells whether a record that is in the log, whose end is given, has not been applied.
func (l *Ledger) Behind(end int64) bool { return l.next < end }

// Committed is the offset that a consumer of the log commits in Java's way: that of the last record before which nothing is
// open; the records behind it are all that is needed to make the ledger anew. -1: there is none.
func (l *Ledger) Committed() int64 {
	if first, ok := l.pins.Min(); ok {
		return min(first.offset, l.next) - 1
	}
	return l.next - 1
}

// Add applies a checkpoint's record at offset. Late says that the record came by way of the timer: it is due when Brought says
// that its acknowledgements came too. A checkpoint of the same
// key is replaced, as in Java: it was written twice, or anew with fewer messages. Who gives messages out asks Has before.
func (l *Ledger) Add(offset int64, c *Checkpoint, late bool) {
	if !l.apply(offset) || len(c.Offsets) == 0 {
		return
	}
	e := &entry{ckpt: c, offset: offset, dueAt: c.VisibleAt(), late: late}
	if late {
		e.dueAt += lateGrace
	}
	if old := l.open[c.Key]; old != nil {
		if old.offset > offset {
			return // applied out of order
		}
		l.remove(old)
	}
	l.open[c.Key] = e
	l.pins.ReplaceOrInsert(e)
	l.byTime(e).ReplaceOrInsert(e)
}

// byTime is where a checkpoint is that Due has not returned.
func (l *Ledger) byTime(e *entry) *btree.BTreeG[*entry] {
	if e.late {
		return l.late
	}
	return l.due
}

// Awaits tells whether a checkpoint whose time has come waits for Brought, and which time that must be told.
func (l *Ledger) Awaits(now int64) (until int64, ok bool) {
	e, ok := l.late.Min()
	return now - lateGrace, ok && e.dueAt <= now
}

// Brought notes that all the records are applied that the timer was to bring until a time: what is not acknowledged by them of
// checkpoints of that time is not acknowledged.
func (l *Ledger) Brought(until int64) {
	for e, ok := l.late.Min(); ok && e.ckpt.VisibleAt() <= until; e, ok = l.late.Min() {
		l.late.DeleteMin()
		e.late = false
		l.due.ReplaceOrInsert(e)
	}
}

// Ack applies an ack's record at offset.
func (l *Ledger) Ack(offset int64, a *Ack) {
	if l.apply(offset) {
		l.Strike(a)
	}
}

// Strike notes that messages are done, which no record of the log says.
func (l *Ledger) Strike(a *Ack) {
	e := l.open[a.Key]
	if e == nil {
		return
	}
	for _, o := range a.Offsets {
		if i, ok := slices.BinarySearch(e.ckpt.Offsets, o); ok {
			e.acked |= 1 << i
		}
	}
	if e.acked == 1<<len(e.ckpt.Offsets)-1 {
		l.remove(e)
	}
}

// Skip applies a record that says nothing: one that cannot be read, or is gone.
func (l *Ledger) Skip(offset int64) { l.apply(offset) }

// SkipTo applies all records below offset that were not: they are gone.
func (l *Ledger) SkipTo(offset int64) {
	if offset <= l.next {
		return
	}
	for o := range l.ahead {
		if o < offset {
			delete(l.ahead, o)
		}
	}
	l.next = offset
	l.join()
}

// Holds tells whether the checkpoint is open and has the message at offset, not done.
func (l *Ledger) Holds(k *Key, offset int64) bool {
	e := l.open[*k]
	if e == nil {
		return false
	}
	i, ok := slices.BinarySearch(e.ckpt.Offsets, offset)
	return ok && e.acked&(1<<i) == 0
}

// Has tells whether the checkpoint is open.
func (l *Ledger) Has(k *Key) bool { return l.open[*k] != nil }

// Left yields the open checkpoints, each with the offsets of its messages that are not done.
func (l *Ledger) Left() iter.Seq2[*Key, iter.Seq[int64]] {
	return func(yield func(*Key, iter.Seq[int64]) bool) {
		for _, e := range l.open {
			left := func(visit func(int64) bool) {
				for i, offset := range e.ckpt.Offsets {
					if e.acked&(1<<i) == 0 && !visit(offset) {
						return
					}
				}
			}
			if !yield(&e.ckpt.Key, left) {
				return
			}
		}
	}
}

// A Revival is a checkpoint whose time is over, with the messages that are not done.
type Revival struct {
	*Checkpoint
	Left []int64 // of Offsets
}

// Due returns the next checkpoint whose time has come, once; Settle ends it. It is false when there is none at that time.
func (l *Ledger) Due(now int64) (Revival, bool) {
	e, ok := l.due.Min()
	if !ok || e.dueAt > now {
		return Revival{}, false
	}
	l.due.DeleteMin()
	e.taken = true
	r := Revival{Checkpoint: e.ckpt}
	for i, o := range e.ckpt.Offsets {
		if e.acked&(1<<i) == 0 {
			r.Left = append(r.Left, o)
		}
	}
	return r, true
}

// NextDue is the time at which Due has something to return, if that does not have to wait for Brought.
func (l *Ledger) NextDue() (at int64, ok bool) {
	for _, tree := range []*btree.BTreeG[*entry]{l.due, l.late} {
		if e, found := tree.Min(); found && (!ok || e.dueAt < at) {
			at, ok = e.dueAt, true
		}
	}
	return at, ok
}

// Settle ends a checkpoint that Due has returned: its messages are stored elsewhere, or gone, or in a checkpoint of another
// key or offset.
func (l *Ledger) Settle(c *Checkpoint) {
	if e := l.open[c.Key]; e != nil && e.ckpt == c {
		l.remove(e)
	}
}

// Defer makes a checkpoint that Due has returned due again, at a later time: nothing could be done about it.
func (l *Ledger) Defer(c *Checkpoint, until int64) {
	if e := l.open[c.Key]; e != nil && e.ckpt == c && e.taken {
		e.taken, e.dueAt = false, until
		l.due.ReplaceOrInsert(e)
	}
}

// Drop ends the checkpoints for which the predicate holds: their topic or group is deleted.
func (l *Ledger) Drop(gone func(topic, group string) bool) {
	for k, e := range l.open {
		if gone(k.Topic, k.Group) {
			l.remove(e)
		}
	}
}

func (l *Ledger) remove(e *entry) {
	delete(l.open, e.ckpt.Key)
	l.pins.Delete(e)
	if !e.taken {
		l.byTime(e).Delete(e)
	}
}

// apply notes that the record at offset is applied; false when it was before.
func (l *Ledger) apply(offset int64) bool {
	if offset < l.next {
		return false
	}
	if offset == l.next {
		l.next++
		l.join()
		return true
	}
	if _, ok := l.ahead[offset]; ok {
		return false
	}
	l.ahead[offset] = struct{}{}
	return true
}

// join moves next over what was applied ahead of it.
func (l *Ledger) join() {
	for len(l.ahead) > 0 {
		if _, ok := l.ahead[l.next]; !ok {
			return
		}
		delete(l.ahead, l.next)
		l.next++
	}
}
