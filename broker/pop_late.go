package broker

import (
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// chasePoll is the time between two looks at how far the timer is.
const chasePoll = 10 * time.Millisecond

// A chase finds out when the ledgers have all that the timer was to bring until a time. A checkpoint that came by way of the timer
// is given out again only then: its acknowledgements lie in the timer too, and come later than the clock says when the timer has
// much to do, or the broker was down at their time. Java's revive takes no other time than that of what the timer brought.
type chase struct {
	until int64 // ms; 0: there is none under way
	step  int
	log   message.PhyOffset   // is to be dispatched
	queue message.QueueOffset // of the timer topic, is to be taken in
}

// awaitTimer tells whether checkpoints whose time has come wait for what the timer is to bring. Those that need not are due.
func (l *reviveLog) awaitTimer() bool {
	c := &l.chase
	if c.until == 0 {
		until, ok := l.awaits()
		if !ok {
			return false
		}
		*c = chase{until: until}
	}
	if l.b.options().TimerWheelEnable && !c.over(l.b) {
		return true
	}
	for i := range l.queues {
		l.follow(int32(i))
		q := &l.queues[i]
		q.mu.Lock()
		q.mu.ledger.Brought(c.until)
		q.mu.Unlock()
	}
	c.until = 0
	return false
}

// awaits tells whether a checkpoint of some queue waits so, and until when the timer is to have brought all.
func (l *reviveLog) awaits() (until int64, ok bool) {
	now := l.b.now().UnixMilli()
	for i := range l.queues {
		q := &l.queues[i]
		q.mu.Lock()
		until, ok = q.mu.ledger.Awaits(now)
		q.mu.Unlock()
		if ok {
			return until, true
		}
	}
	return 0, false
}

// over goes on with the chase, and tells whether the revive log has what the timer was to bring. Step by step: the slots until the
// time are delivered; what was put meanwhile, or before, can be read, that the timer is to take in; it is taken in, and delivered,
// since its time is over; and that can be read.
func (c *chase) over(b *Broker) bool {
	timer := b.timers.timer.Load()
	if timer == nil {
		return false // it is opened anew
	}
	read, taken := timer.Reached()
	for ; ; c.step++ {
		switch c.step {
		case 0:
			if read < c.until {
				return false
			}
			c.log = b.store.MaxPhyOffset()
		case 1:
			if b.store.ReputOffset() < c.log {
				return false
			}
			c.queue = b.store.MaxOffset(message.TimerTopic, 0)
		case 2:
			if taken < c.queue {
				return false
			}
			c.log = b.store.MaxPhyOffset()
		default:
			return b.store.ReputOffset() >= c.log
		}
	}
}
