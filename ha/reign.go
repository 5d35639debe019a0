package ha

import (
	"math"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// Reign is what a master with epochs begins with.
type Reign struct {
	ID       int64  // its own broker id
	Epochs   Epochs // the last of them is its own
	Members  []int64
	SetEpoch int32 // grows with each decision on the members
	// Confirm is how far readers may have seen the log.
	Confirm message.PhyOffset
}

// Everything is the confirm offset of a log of which readers may see all that is
// as durable as it promises.
const Everything message.PhyOffset = math.MaxInt64

// reign is what a Leader decides under epochs: who is in sync, how far the log
// is safe with them, and so how far it may be read and acknowledged. Java:
// AutoSwitchHAService.
//
// The in-sync set is not the master's to change: it proposes, and who rules is
// asked until an answer comes. Until then it is not known what is decided, and
// whoever is in the set, or was proposed, must have what is confirmed. So
// whichever answer comes, and whoever of the set is made master, it holds all
// that was acknowledged.
//
// A slave joins in two steps. While the master is alone its confirm offset is
// the end of its log, which a slave never meets under load. So first the offset
// waits for the slave, for a short time, and when the slave has met it the slave is
// proposed.
type reign struct {
	Reign
	began    time.Time
	proposed []int64 // all who were proposed since the last decision
	asked    []int64 // the last proposal, nil if it is decided on
	askedAt  time.Time

	joining   int64 // the slave that is waited for, 0 nobody
	joinUntil time.Time
	nextJoin  time.Time

	caught map[int64]time.Time // when a slave had all of the log, of those that were here
	told   message.PhyOffset   // the last DoConfirm
}

const (
	// joinGap is how many bytes a slave that joins may be behind.
	joinGap      = 4 << 20
	joinPatience = time.Second
	// joinPause goes by before one is waited for that did not make it.
	joinPause = 5 * time.Second
	// proposePause goes by before a proposal without an answer is made again.
	proposePause = time.Second
)

func newReign(r Reign, now time.Time) *reign {
	if !slices.Contains(r.Members, r.ID) {
		r.Members = append(slices.Clone(r.Members), r.ID)
	}
	return &reign{Reign: r, began: now, caught: map[int64]time.Time{}, told: -1}
}

// confirms tells whether nothing is acknowledged or read before all members of
// the set have it.
func (l *Leader) confirms() bool { return l.reign != nil && l.opts.AllAckInSyncStateSet }

// Members is the in-sync set as decided on last; nil without epochs.
func (l *Leader) Members() (ids []int64, setEpoch int32) {
	if l.reign == nil {
		return nil, 0
	}
	return l.reign.Members, l.reign.SetEpoch
}

// Confirmed is how far the log, which ends at end, is safe with the set.
func (l *Leader) Confirmed(end message.PhyOffset) message.PhyOffset {
	if !l.confirms() {
		return end
	}
	return l.reign.confirmed(end)
}

// counts tells whether what a slave has decides what is confirmed.
func (r *reign) counts(id int64) bool {
	return id == r.joining || slices.Contains(r.Members, id) || slices.Contains(r.proposed, id)
}

// alone tells whether nobody but the master counts.
func (r *reign) alone() bool { return r.joining == 0 && len(r.proposed) == 0 && len(r.Members) == 1 }

func (r *reign) confirmed(end message.PhyOffset) message.PhyOffset {
	if r.alone() {
		return end
	}
	return min(r.Confirm, end)
}

// covers tells whether all who count have the log up to an offset. What is
// answered while the master is alone, a slave that joins must have.
func (r *reign) covers(off message.PhyOffset) bool {
	if r.alone() {
		r.Confirm = max(r.Confirm, off)
	}
	return r.Confirm >= off
}

// label completes what is sent: bytes of one epoch, and how far the log is safe.
func (l *Leader) label(do *Effect, e Input) {
	entry, end, _ := l.reign.Epochs.at(do.Offset)
	do.Epoch, do.Confirm = entry, l.Confirmed(e.End)
	do.Size = int(min(int64(do.Size), max(int64(end-do.Offset), 0)))
}

// meet notes who a slave is and tells it the epochs.
func (l *Leader) meet(f *follower, e Input, out []Effect) []Effect {
	out = l.name(f, e, out)
	f.sending = true
	return append(out, Effect{Kind: DoGreet, Conn: f.id, Epochs: l.reign.Epochs, Offset: e.End})
}

// keep forgets the epochs of what the log does not have any more.
func (l *Leader) keep(e Input, out []Effect) []Effect {
	kept := l.reign.Epochs.keep(e.Begin)
	if len(kept) == len(l.reign.Epochs) {
		return out
	}
	l.reign.Epochs = kept
	return append(out, Effect{Kind: DoKeep, Epochs: kept})
}

// rule takes in who is in the set.
func (l *Leader) rule(e Input, out []Effect) []Effect {
	r := l.reign
	if r == nil || e.SetEpoch <= r.SetEpoch || !slices.Contains(e.Members, r.ID) {
		return out // old, or of another reign
	}
	r.freeze(e)
	r.Members, r.SetEpoch = slices.Clone(e.Members), e.SetEpoch
	r.proposed, r.asked = nil, nil
	return l.govern(e, out)
}

// freeze keeps what readers may have seen and producers been told while the
// master was alone.
func (r *reign) freeze(e Input) {
	if r.alone() {
		r.Confirm = max(r.Confirm, e.End)
	}
}

// caughtUp notes when a slave had all of the log.
func (r *reign) caughtUp(f *follower, e Input) {
	switch {
	case !f.named || !f.asked:
	case f.ack >= e.End:
		r.caught[f.hello.ID] = e.Now
	case f.ack >= f.endSent:
		r.caught[f.hello.ID] = latest(r.caught[f.hello.ID], f.sentAt)
	default:
		r.caught[f.hello.ID] = latest(r.caught[f.hello.ID], time.Time{})
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// govern moves the confirm offset, lets slaves join and leave, and answers what
// is safe.
func (l *Leader) govern(e Input, out []Effect) []Effect {
	r := l.reign
	for _, f := range l.conns {
		if f.ack >= e.End {
			r.caughtUp(f, e)
		}
	}
	l.join(e)
	l.advance(e)
	out = l.propose(e, out)
	upTo := Everything
	if l.confirms() && !r.alone() {
		upTo = r.Confirm
	}
	if upTo == r.told {
		return out
	}
	r.told = upTo
	return l.serveConfirmed(append(out, Effect{Kind: DoConfirm, Offset: upTo}), upTo)
}

// tooFew says of puts that all who count have that these are too few: the set
// has shrunk since the puts were taken.
func (l *Leader) tooFew() error {
	if len(l.reign.Members) < l.opts.MinInSyncReplicas {
		return ErrSlaveNotAvailable
	}
	return nil
}

// serveConfirmed answers the puts that all who count have.
func (l *Leader) serveConfirmed(out []Effect, upTo message.PhyOffset) []Effect {
	if !l.confirms() {
		return out
	}
	n := 0
	for ; n < len(l.waiting) && l.waiting[n].end <= upTo; n++ {
		out = append(out, Effect{Kind: DoAnswer, Waiter: l.waiting[n].waiter, Err: l.tooFew()})
		l.reign.Confirm = max(l.reign.Confirm, l.waiting[n].end)
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
	return out
}

// named is the connection of a slave that has reported, nil if there is none.
func (l *Leader) named(id int64) *follower {
	for _, f := range l.conns {
		if f.named && f.asked && f.hello.ID == id {
			return f
		}
	}
	return nil
}

// join lets the confirm offset wait for a slave that is near the end, or no
// longer for one that did not come nearer.
func (l *Leader) join(e Input) {
	r := l.reign
	if r.joining != 0 {
		if l.named(r.joining) == nil || e.Now.After(r.joinUntil) {
			r.joining, r.nextJoin = 0, e.Now.Add(joinPause)
		}
		return
	}
	if r.asked != nil || e.Now.Before(r.nextJoin) {
		return
	}
	began := r.Epochs[len(r.Epochs)-1].Start
	for _, f := range l.conns {
		if f.named && f.asked && !f.hello.Learner && !r.counts(f.hello.ID) && f.ack >= began && e.End-f.ack <= joinGap {
			r.freeze(e)
			r.joining, r.joinUntil = f.hello.ID, e.Now.Add(joinPatience)
			return
		}
	}
}

// advance moves the confirm offset to what all who count have. One that is not
// there holds it where it is.
func (l *Leader) advance(e Input) {
	r := l.reign
	if r.alone() {
		return
	}
	upTo := e.End
	for _, ids := range [...][]int64{r.Members, r.proposed, {r.joining}} {
		for _, id := range ids {
			if id == r.ID || id == 0 {
				continue
			}
			f := l.named(id)
			if f == nil {
				return
			}
			upTo = min(upTo, f.ack)
		}
	}
	r.Confirm = max(r.Confirm, upTo)
}

// propose asks for the set that ought to be.
func (l *Leader) propose(e Input, out []Effect) []Effect {
	r := l.reign
	again := r.asked != nil
	if again && e.Now.Sub(r.askedAt) < proposePause {
		return out
	}
	want := slices.DeleteFunc(slices.Clone(r.Members), func(id int64) bool { return l.expired(id, e) })
	for _, id := range append([]int64{r.joining}, r.proposed...) {
		if f := l.named(id); id != 0 && f != nil && f.ack >= r.Confirm && !slices.Contains(want, id) && !l.expired(id, e) {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	if !again && slices.Equal(want, r.Members) {
		return out
	}
	r.asked, r.askedAt = want, e.Now
	for _, id := range want {
		if !slices.Contains(r.proposed, id) {
			r.proposed = append(r.proposed, id)
		}
	}
	if slices.Contains(want, r.joining) {
		r.joining = 0 // it counts as proposed from now on: the master is not alone for a moment
	}
	return append(out, Effect{Kind: DoPropose, Members: want, SetEpoch: r.SetEpoch})
}

// expired tells whether a member is to leave the set: it is gone, or has not
// had all of the log for too long. One that did not come yet has as long.
func (l *Leader) expired(id int64, e Input) bool {
	r := l.reign
	if id == r.ID {
		return false
	}
	last, seen := r.caught[id]
	if !seen || last.Before(r.began) {
		last = r.began
	}
	return seen && l.named(id) == nil || e.Now.Sub(last) > l.opts.MaxTimeNotCaughtUp
}
