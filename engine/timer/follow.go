package timer

import (
	"sync/atomic"

	"github.com/rocketlog/rocketlog/message"
)

// follow is what the timer of a slave knows of its master's. A slave has the same timer topic, takes in what its master has
// taken in, and delivers nothing: what the master delivers comes by the log. So that it delivers what is left when it is
// made a master, and not what was, it has to know how far the master is.
type follow struct {
	master atomic.Pointer[Checkpoint] // the newest that was told; nil: none yet
	limit  message.QueueOffset        // take in below this offset only; the run goroutine's
	judged int64                      // ms: no message below limit was taken in by the master later than this
}

// Follow tells the timer of a slave how far its master's was at some time. The caller has seen to it that the log has by now
// all that the master's had at that time: what is delivered by then is not delivered again.
func (t *Timer) Follow(c Checkpoint) {
	t.follow.master.Store(&c)
	t.Arrived()
}

// followMaster does a part of what a slave has to do: it moves on to where the master is, and takes in what the master has.
func (t *Timer) followMaster(now int64) (more bool, err error) {
	c := t.follow.master.Load()
	if c == nil {
		return false, nil
	}
	if err := t.moveWith(c); err != nil {
		return false, err
	}
	if t.state.queueOffset >= t.follow.limit {
		return false, nil
	}
	return t.takeIn(now)
}

// moveWith makes the master's read time the slave's. When the master's clock was set back the slots from there on are free.
func (t *Timer) moveWith(c *Checkpoint) error {
	p := t.opts.Precision
	read := c.ReadTime - c.ReadTime%p
	if read < t.state.readTime {
		if err := t.goBack(read); err != nil {
			return err
		}
	}
	t.follow.limit, t.follow.judged = c.MasterQueueOffset, max(c.VersionTime, c.ReadTime)
	// What the master took in that was due before its read time is delivered (Timer.isReplay).
	t.replay.below = max(t.replay.below, c.MasterQueueOffset)
	t.state.Lock()
	defer t.state.Unlock()
	if read != t.state.readTime {
		t.state.readTime, t.state.slotPhy = read, noPhy
	}
	t.state.master = *c
	return nil
}

// placeFollowing is place for a slave. When a message goes round before it is due the slot depends on when it was taken in,
// which the slave knows within bounds only. It takes the latest of the slots: a message may then come twice when the slave
// takes over just between the two, and none is missed.
func (t *Timer) placeFollowing(r message.Record, out int64) (write, due int64, rolls bool) {
	p := t.opts.Precision
	first, last := r.StoreTimestamp(), max(t.follow.judged, r.StoreTimestamp())
	early, earlyRolls := t.place(out, first-first%p)
	write = max(last-last%p, 0)
	due, rolls = t.place(out, write)
	if earlyRolls {
		early += write - (first - first%p)
	}
	if early > due {
		due, rolls = early, earlyRolls
	}
	return write, due, rolls
}
