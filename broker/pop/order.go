package pop

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// A Batch is what an ordered queue has given out last: one entry of Java's consumerOrderInfo.json, in its shape.
type Batch struct {
	PopTime       int64           `json:"popTime"`
	InvisibleTime int64           `json:"i"`            // ms
	Offsets       []int64         `json:"o"`            // the first as it is, the others by their distance from it
	VisibleAt     map[int64]int64 `json:"ot,omitempty"` // by offset, where the consumer asked for another time
	Counts        map[int64]int32 `json:"oc,omitempty"` // by offset: how often it was given out before
	LastConsumed  int64           `json:"l"`            // Unix ms
	Done          int64           `json:"cm"`           // bit i: Offsets[i] is acknowledged
	AttemptID     string          `json:"a,omitempty"`  // of the pop
}

// batchMax is the most messages that a batch has: a bit each.
const batchMax = 64

// Valid tells whether a batch that was read from disk can be worked with.
func (b *Batch) Valid() bool {
	if len(b.Offsets) == 0 || len(b.Offsets) > batchMax || b.Offsets[0] < 0 || b.PopTime < 0 || b.InvisibleTime < 0 {
		return false
	}
	for i := 1; i < len(b.Offsets); i++ {
		if b.Offsets[i] <= 0 || b.Offsets[i] > math.MaxInt32 || i > 1 && b.Offsets[i] <= b.Offsets[i-1] {
			return false
		}
	}
	return b.PopTime <= math.MaxInt64/2 && b.InvisibleTime <= math.MaxInt64/2
}

// offset is the queue offset of message i.
func (b *Batch) offset(i int) int64 {
	if i == 0 {
		return b.Offsets[0]
	}
	return b.Offsets[0] + b.Offsets[i]
}

func (b *Batch) index(offset int64) int {
	for i := range b.Offsets {
		if b.offset(i) == offset {
			return i
		}
	}
	return -1
}

func (b *Batch) done(i int) bool { return b.Done&(1<<i) != 0 }

// freeAt is the time from which the batch blocks no more: when all that is not done is visible again. 0: it blocks nothing.
func (b *Batch) freeAt() (at int64) {
	for i := range b.Offsets {
		if b.done(i) {
			continue
		}
		visible := b.PopTime + b.InvisibleTime
		if other, ok := b.VisibleAt[b.offset(i)]; ok {
			visible = other
		}
		at = max(at, visible)
	}
	return at
}

// next is the first offset that is not done.
func (b *Batch) next() int64 {
	for i := range b.Offsets {
		if !b.done(i) {
			return b.offset(i)
		}
	}
	return b.offset(len(b.Offsets)-1) + 1
}

// OrderKey names a queue that a group consumes in order.
type OrderKey struct {
	Topic, Group string
	Queue        int32
}

// Orders holds the batches of ordered queues (Java's ConsumerOrderInfoManager).
type Orders struct {
	batches map[OrderKey]*Batch
}

// NewOrders returns an empty table.
func NewOrders() *Orders { return &Orders{batches: map[OrderKey]*Batch{}} }

// Len is the number of queues that have a batch.
func (o *Orders) Len() int { return len(o.batches) }

// All calls visit for each batch, which it may not keep.
func (o *Orders) All(visit func(OrderKey, *Batch)) {
	for k, b := range o.batches {
		visit(k, b)
	}
}

// Restore puts a batch that was read from disk into its place.
func (o *Orders) Restore(k OrderKey, b *Batch) {
	if b.Valid() {
		o.batches[k] = b
	}
}

// Blocked tells whether the queue gives nothing out at that time, except to the attempt that was given the batch before and
// whose answer was lost.
func (o *Orders) Blocked(k OrderKey, attempt string, now int64) bool {
	b := o.batches[k]
	return b != nil && (attempt == "" || b.AttemptID != attempt) && now < b.freeAt()
}

// FreeAt is the time from which the queue gives out again; false when it has no batch.
func (o *Orders) FreeAt(k OrderKey) (int64, bool) {
	b := o.batches[k]
	if b == nil {
		return 0, false
	}
	return b.freeAt(), true
}

// A Count says how often a message was given out before.
type Count struct {
	Offset int64
	Times  int32
}

// Give makes the messages at offsets, which grow and are at least one, the queue's batch. It returns the counts of those
// that were given out before, and the least count of all.
func (o *Orders) Give(k OrderKey, attempt string, offsets []int64, popTime, invisible, now int64) (counts []Count, least int32) {
	offsets = offsets[:min(len(offsets), batchMax)]
	b := &Batch{PopTime: popTime, InvisibleTime: invisible, LastConsumed: now, AttemptID: attempt}
	b.Offsets = append(b.Offsets, offsets[0])
	for _, offset := range offsets[1:] {
		b.Offsets = append(b.Offsets, offset-offsets[0])
	}
	if old := o.batches[k]; old != nil {
		b.Counts = mergeCounts(old, attempt, offsets)
	}
	o.batches[k] = b
	least = math.MaxInt32
	for _, offset := range offsets {
		times := b.Counts[offset]
		least = min(least, times)
		if times > 0 {
			counts = append(counts, Count{offset, times})
		}
	}
	return counts, least
}

// mergeCounts counts those of the offsets that the old batch had too. The same attempt again is no other time.
func mergeCounts(old *Batch, attempt string, offsets []int64) map[int64]int32 {
	if old.AttemptID != "" && old.AttemptID == attempt {
		return old.Counts
	}
	counts := map[int64]int32{}
	for i := range old.Offsets {
		if offset := old.offset(i); slices.Contains(offsets, offset) {
			counts[offset] = old.Counts[offset] + 1
		}
	}
	return counts
}

// A Verdict is what became of an acknowledgement.
type Verdict int8

// The verdicts.
const (
	Accepted Verdict = iota // the group is to go on at the offset returned
	Stale                   // it was for a batch given out before: nothing changes
	Unknown                 // it was for a message that the batch does not have
)

// Ack notes that a message of the batch that was popped at popTime is done, and returns the first offset that is not.
func (o *Orders) Ack(k OrderKey, offset, popTime int64) (next int64, v Verdict) {
	b := o.batches[k]
	switch {
	case b == nil:
		return offset + 1, Accepted
	case b.PopTime != popTime:
		return 0, Stale
	}
	i := b.index(offset)
	if i < 0 {
		return 0, Unknown
	}
	b.Done |= 1 << i
	return b.next(), Accepted
}

// Postpone makes a message of the batch that was popped at popTime visible at another time.
func (o *Orders) Postpone(k OrderKey, offset, popTime, visibleAt int64) bool {
	b := o.batches[k]
	if b == nil || b.PopTime != popTime {
		return false
	}
	if b.index(offset) >= 0 {
		if b.VisibleAt == nil {
			b.VisibleAt = map[int64]int64{}
		}
		b.VisibleAt[offset] = visibleAt
	}
	return true
}

// Forget takes the queue's batch away: the group goes on elsewhere.
func (o *Orders) Forget(k OrderKey) { delete(o.batches, k) }

// Clean forgets the batches for which the predicate holds.
func (o *Orders) Clean(gone func(OrderKey, *Batch) bool) {
	for k, b := range o.batches {
		if gone(k, b) {
			delete(o.batches, k)
		}
	}
}

// Keys returns the queues with a batch, in order.
func (o *Orders) Keys() []OrderKey {
	keys := make([]OrderKey, 0, len(o.batches))
	for k := range o.batches {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b OrderKey) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Queue, b.Queue))
	})
	return keys
}

// Clone returns a copy that shares nothing with b.
func (b *Batch) Clone() *Batch {
	c := *b
	c.Offsets = slices.Clone(b.Offsets)
	c.VisibleAt = maps.Clone(b.VisibleAt)
	c.Counts = maps.Clone(b.Counts)
	return &c
}
