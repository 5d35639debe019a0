package timer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/rocketlog/rocketlog/message"
)

// errNoTime is the reason of a message without TIMER_OUT_MS.
var errNoTime = errors.New("it does not say when it is due")

func isGone(err error) bool { return errors.Is(err, ErrGone) }

// outTime is the TIMER_OUT_MS of a record.
func outTime(r message.Record) (ms int64, ok bool) {
	v, ok := r.Properties().Get(message.PropertyTimerOutTime)
	if !ok {
		return 0, false
	}
	ms, err := strconv.ParseInt(string(v), 10, 64)
	return ms, err == nil && ms >= 0
}

// takeIn takes the next messages of the queue: each into its slot, or into the work at hand when its slot is delivered
// already. It reports whether it took any.
//
// What is late is put before anything behind it is taken in: after a crash a message whose unit is there must not hide
// one before it that was not put yet.
func (t *Timer) takeIn(now int64) (took bool, err error) {
	from := t.state.queueOffset
	if from >= t.queue.MaxOffset() {
		return false, nil
	}
	var failed error
	next, err := t.queue.Records(from, func(r message.Record) bool {
		var ok bool
		ok, failed = t.take(r, now)
		return ok
	})
	t.work.next = next
	t.finish()
	if err = errors.Join(err, failed); err != nil {
		return false, fmt.Errorf("timer: take in from %d: %w", from, err)
	}
	return next > from, nil
}

// take takes one message in. It returns false when the batch ends before it.
func (t *Timer) take(r message.Record, now int64) (ok bool, err error) {
	phy := r.PhyOffset()
	if phy <= t.work.taken {
		return true, nil
	}
	if t.opts.Following && r.QueueOffset() >= t.follow.limit {
		return false, nil
	}
	out, known := outTime(r)
	switch {
	case !known:
		t.drop(phy, errNoTime)
	case t.isReplay(r, out):
	case out < t.state.readTime && out+t.opts.Precision <= now:
		if len(t.work.puts) == batchSize {
			return false, nil
		}
		t.work.late = phy
		t.deliver(unit{phy: phy, size: int32(r.Size()), magic: magicDefault, writeTime: math.MaxInt64}, r)
	case len(t.work.puts) > 0:
		return false, nil
	default:
		if ok, err := t.enqueue(r, out, now); !ok {
			return false, err
		}
	}
	t.work.taken = phy
	return true, nil
}

// isReplay tells whether a message was dealt with before the last start.
func (t *Timer) isReplay(r message.Record, out int64) bool {
	phy := r.PhyOffset()
	if _, found := slices.BinarySearch(t.replay.units, phy); found {
		return true
	}
	if out >= t.state.readTime {
		return false
	}
	return phy <= t.state.latePhy || r.QueueOffset() < t.replay.below
}

// place is the time in whose slot a message waits that is taken in at a time, and whether it goes round once more then.
func (t *Timer) place(out, write int64) (due int64, rolls bool) {
	p := t.opts.Precision
	due = max(out, t.state.readTime)
	window := t.opts.RollWindow * p
	switch {
	case due-write < window:
		return due, false
	case due-write-window < t.opts.RollWindow/3*p:
		// As Java: what is left after this round must not be too short for the next.
		return write + t.opts.RollWindow/2*p, true
	default:
		return write + window, true
	}
}

// enqueue notes a message in the log and its slot. It returns false when there is no room for it yet.
func (t *Timer) enqueue(r message.Record, out, now int64) (ok bool, err error) {
	p, magic := t.opts.Precision, int32(magicDefault)
	write := max(now-now%p, 0)
	due, rolls := t.place(out, write)
	if t.opts.Following {
		write, due, rolls = t.placeFollowing(r, out)
	}
	if rolls {
		magic |= magicRoll
	}
	time := due / p
	if time >= t.state.readTime/p+t.wheel.total {
		return false, nil // its slot is that of messages that are overdue for long, and come first
	}
	if time >= t.flushed.readTime.Load()/p+t.wheel.total {
		// That they are delivered must be known for certain before their slot is taken.
		if err := t.flush(); err != nil {
			return false, err
		}
	}
	properties := r.Properties()
	if _, recalls := properties.Get(message.PropertyTimerDeleteKey); recalls {
		magic |= magicDelete
	}
	topic, _ := properties.Get(message.PropertyRealTopic)
	s, found := t.wheel.get(time)
	if !found {
		s = slot{time: time, first: noPos, last: noPos}
	}
	u := unit{prev: s.last, magic: magic, writeTime: write, delay: int32(due - write), phy: r.PhyOffset(), size: int32(r.Size()), hash: message.HashString(topic)}
	pos, err := t.log.append(u)
	if err != nil {
		return false, err
	}
	if s.first < 0 {
		s.first = pos
	}
	s.last = pos
	s.num += u.weight()
	if err := t.wheel.put(s); err != nil {
		return false, err
	}
	t.counts.taken.Add(1)
	t.counts.add(topic, int64(u.weight()), now)
	return true, nil
}
