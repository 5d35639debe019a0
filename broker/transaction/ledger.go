package transaction

import (
	"slices"

	"github.com/rocketlog/rocketlog/message"
)

// earlyMax and givenMax bound what is remembered of half messages that are behind: those that were ended before the ledger's
// time, and those that were given up.
const (
	earlyMax = 1 << 20
	givenMax = 1 << 20
)

// Ledger knows which half messages are settled.
type Ledger struct {
	start message.QueueOffset // base at the begin: of half messages below it is not known how they were settled
	base  message.QueueOffset // every half message below is settled
	ended bitmap              // from base on: committed or rolled back
	moved bitmap              // from base on: copied to the end of the queue, or given up

	ending  map[message.QueueOffset]message.QueueOffset // ends under way: first half message to the one that is ended
	current map[message.QueueOffset]message.QueueOffset // pending copies: first half message to its last copy
	early   map[message.QueueOffset]struct{}            // ended below base, until the ledger is surveyed; then nil
	given   map[message.QueueOffset]struct{}            // given up: the first half message of each; nil: there were too many

	ops  []op                // in order, all not yet behind
	next message.QueueOffset // of the op queue: below are no op messages but those in ops
}

// op is an op message: until base is beyond the last half message that it names, it must be read again after a restart.
type op struct {
	offset message.QueueOffset
	last   message.QueueOffset
}

// NewLedger returns a ledger of a half queue whose messages below half are settled, and which the op messages from op on
// say more of: they are to be given to ReadOp. A survey must follow.
func NewLedger(half, op message.QueueOffset) *Ledger {
	return &Ledger{
		start: half, base: half, next: op,
		ending:  map[message.QueueOffset]message.QueueOffset{},
		current: map[message.QueueOffset]message.QueueOffset{},
		early:   map[message.QueueOffset]struct{}{},
		given:   map[message.QueueOffset]struct{}{},
	}
}

// ReadOp takes in an op message found in the op queue. Half messages from end on do not exist.
func (l *Ledger) ReadOp(offset message.QueueOffset, halfs []message.QueueOffset, end message.QueueOffset) {
	last := message.QueueOffset(-1)
	for _, half := range halfs {
		if half < end {
			l.settle(half)
			last = max(last, half)
		}
	}
	l.WroteOp(offset, last)
}

// WroteOp notes an op message that was stored: last is the highest half message that it names.
func (l *Ledger) WroteOp(offset, last message.QueueOffset) {
	at := len(l.ops) // two writers may finish out of order, but never by much
	for at > 0 && l.ops[at-1].offset > offset {
		at--
	}
	l.ops = slices.Insert(l.ops, at, op{offset, last})
	l.next = max(l.next, offset+1)
}

func (l *Ledger) settle(half message.QueueOffset) {
	if half >= l.base {
		l.ended.set(int(half - l.base))
	} else if l.early != nil && len(l.early) < earlyMax {
		l.early[half] = struct{}{}
	}
}

func (l *Ledger) isEnded(half message.QueueOffset) bool {
	if half >= l.base {
		return l.ended.has(int(half - l.base))
	}
	_, ok := l.early[half]
	return ok
}

// Next returns the first half message from offset on that is not settled; it may not exist yet.
func (l *Ledger) Next(offset message.QueueOffset) message.QueueOffset {
	offset = max(offset, l.base)
	for i := int(offset - l.base); l.ended.has(i) || l.moved.has(i); i++ {
		offset++
	}
	return offset
}

// Open counts the half messages below end that are not settled.
func (l *Ledger) Open(end message.QueueOffset) (n int) {
	for i := range int(max(end-l.base, 0)) {
		if !l.ended.has(i) && !l.moved.has(i) {
			n++
		}
	}
	return n
}

// Survey notes a half message that is not settled, on the first way through the queue: of a transaction with several, the
// last counts. It reports whether the transaction was ended by way of another, so that an op message must say so of this one.
func (l *Ledger) Survey(h *Half) (ended bool) {
	if h.First == h.Offset {
		return false
	}
	if l.isEnded(h.First) {
		l.settle(h.Offset)
		return true
	}
	if before, ok := l.current[h.First]; ok {
		l.Drop(before)
	}
	l.Drop(h.First)
	l.current[h.First] = h.Offset
	return false
}

// Surveyed says that the first way through the queue is over.
func (l *Ledger) Surveyed() { l.early = nil }

// Pending reports whether a half message is to be decided on: it is not settled, nor about to be.
func (l *Ledger) Pending(h *Half) bool {
	_, ending := l.ending[h.First]
	return !ending && l.Next(h.Offset) == h.Offset
}

// Claimed is the outcome of a claim.
type Claimed int

// The outcomes of a claim.
const (
	Granted Claimed = iota
	Busy            // another end of the same transaction is under way
	Ended           // the transaction is ended
)

// Claim begins the end of a half message's transaction. If granted, Confirm or Withdraw must follow.
func (l *Ledger) Claim(h *Half) Claimed {
	if _, busy := l.ending[h.First]; busy {
		return Busy
	}
	live, ok := l.current[h.First]
	if l.isEnded(h.Offset) || ok && l.isEnded(live) || h.First != h.Offset && l.isEnded(h.First) {
		return Ended
	}
	if h.Offset < l.base && h.Offset >= l.start && !ok && l.early == nil && l.given != nil {
		if _, given := l.given[h.First]; !given {
			return Ended // what is behind, and lives on as no copy, was ended or given up
		}
	}
	l.ending[h.First] = h.Offset
	return Granted
}

// Withdraw takes a claim back: the transaction is as it was.
func (l *Ledger) Withdraw(h *Half) { delete(l.ending, h.First) }

// Confirm ends the claimed transaction. It appends to list the half messages that an op message must name.
func (l *Ledger) Confirm(list []message.QueueOffset, h *Half) []message.QueueOffset {
	delete(l.ending, h.First)
	delete(l.given, h.First)
	l.settle(h.Offset)
	list = append(list, h.Offset)
	if live, ok := l.current[h.First]; ok && live != h.Offset {
		l.settle(live)
		list = append(list, live)
	}
	if h.First != h.Offset { // by which a survey knows the copies that it meets
		l.settle(h.First)
		list = append(list, h.First)
	}
	return list
}

// Copied notes that a half message lives on as a copy. It reports whether its transaction was ended meanwhile, so that
// the copy is settled too and an op message must say so; and whether an end is under way, which will see to it.
func (l *Ledger) Copied(h *Half, copy message.QueueOffset) (ended, ending bool) {
	ended = l.isEnded(h.Offset)
	l.Drop(h.Offset)
	if ended {
		l.settle(copy)
		return true, false
	}
	l.current[h.First] = copy
	_, ending = l.ending[h.First]
	return false, ending
}

// GiveUp notes that a half message is given up: an end that comes for it all the same counts.
func (l *Ledger) GiveUp(h *Half) {
	l.Drop(h.Offset)
	if l.given != nil {
		l.given[h.First] = struct{}{}
	}
	if len(l.given) > givenMax {
		l.given = nil
	}
}

// Drop notes that a half message is not to be looked at any more.
func (l *Ledger) Drop(half message.QueueOffset) {
	if half >= l.base {
		l.moved.set(int(half - l.base))
	}
}

// Advance forgets what is behind the first pending half message.
func (l *Ledger) Advance() {
	to := l.Next(l.base)
	for _, half := range l.ending {
		to = min(to, max(half, l.base))
	}
	if to == l.base {
		return
	}
	l.ended.shift(int(to - l.base))
	l.moved.shift(int(to - l.base))
	l.base = to
	for first, live := range l.current {
		if live < to {
			delete(l.current, first)
		}
	}
	behind := 0
	for behind < len(l.ops) && l.ops[behind].last < to {
		behind++
	}
	l.ops = slices.Delete(l.ops, 0, behind)
}

// Progress says from where on the half queue and the op queue must be read after a restart.
func (l *Ledger) Progress() (half, op message.QueueOffset) {
	if len(l.ops) > 0 {
		return l.base, l.ops[0].offset
	}
	return l.base, l.next
}
