package timer

import (
	"fmt"
	"slices"

	"github.com/rocketlog/rocketlog/message"
)

// replay is what a recovery tells those who take in again from the checkpoint on.
type replay struct {
	units []message.PhyOffset // sorted: the messages of the units behind the checkpoint
	// below: messages of the queue below this offset were taken in once, but the log has lost them, or a slave's master has
	// them in its own. Those due before the read time are delivered.
	below message.QueueOffset
}

// recover brings log, wheel and state into agreement with one another and with the store.
//
// The checkpoint gives a position of the log up to which log and wheel are on disk. The units behind it are what the last
// process appended since, perhaps torn by a power loss: they are read one by one, each compared with its message, and the
// log ends before the first that is not right. Their slots are brought up to them, and slots that name units behind the
// new end are mended from the log. Then the queue is read again from the checkpoint's offset on; messages that have a unit
// are passed over.
func (t *Timer) recover(check Checkpoint, p progress, known bool) error {
	from := check.LogPos
	if !t.wheel.exists() {
		from = 0 // all slots are made from the log
	}
	end, err := t.readTail(from, check.LogPos)
	if err == nil && known && t.opts.Stopped {
		err = t.mendCheckpoint(&check, p, end)
	}
	if err != nil {
		return err
	}
	if err := t.log.queue.TruncateTo(end, min(check.LogPos, end), true); err != nil {
		return err
	}
	begin := t.startOf(check, p, known)
	t.state.progress = begin
	if p.logEnd > t.queue.MaxPhyOffset() {
		// Some of what it says is delivered is lost. It must not count again when the log has grown.
		if err := t.flushed.file.replaceProgress(begin); err != nil {
			return err
		}
	} else {
		t.state.latePhy = p.latePhy
		latest := t.opts.Now().UnixMilli() + t.opts.slots*t.opts.Precision
		if p.readTime >= begin.readTime && p.readTime <= latest {
			t.state.readTime, t.state.slotPhy = p.readTime, p.slotPhy
		}
	}
	// Slots that are delivered by now, but not for certain, may yet be read once more: after another power loss.
	if err := t.mendSlots(from, end, begin.readTime/t.opts.Precision, t.opts.Stopped && end >= check.LogPos); err != nil {
		return err
	}
	t.state.queueOffset = min(max(check.QueueOffset, t.queue.MinOffset()), max(t.queue.MaxOffset(), t.queue.MinOffset()))
	if end < check.LogPos {
		// What the checkpoint says is taken in is partly lost. It is all in the queue, behind the last that has a unit.
		t.replay.below = check.QueueOffset
		if t.state.queueOffset, err = t.behindUnits(end); err != nil {
			return err
		}
	}
	if check.MasterQueueOffset > check.QueueOffset {
		// A slave had not taken in all that its master had.
		t.replay.below = max(t.replay.below, check.MasterQueueOffset)
	}
	t.state.logPos = end
	if len(t.replay.units) > 0 {
		t.state.logPos = check.LogPos
	}
	t.flushed.progress = progress{readTime: -1} // unlike any: the next flush writes
	t.flushed.readTime.Store(t.state.readTime)
	if t.flushed.file.noProgress {
		return t.flushed.file.replaceProgress(t.state.progress)
	}
	return nil
}

// mendCheckpoint tells of what a checkpoint claims that cannot be so when the one that wrote it stopped in order, and puts it
// right where it would mislead. A position of the log that is too far, or not far enough, is found out by reading. end is that
// of the log.
//
// Java's stops before it is done: it claims less of the log and of the queue than is there. Ours ends with the two files alike.
func (t *Timer) mendCheckpoint(c *Checkpoint, p progress, end int64) error {
	tell := func(field int64, format string, args ...any) {
		t.opts.Damaged(Fault{File: t.flushed.file.checkPath(), Offset: 8 * field, Text: fmt.Sprintf(format, args...), Mended: true})
		t.flushed.file.noCheck = true
	}
	ours := p.readTime == c.ReadTime
	if (c.LogPos > end || ours && c.LogPos < end) && !t.cut {
		tell(1, "the timer log is said to be on disk up to %d, its units end at %d", c.LogPos, end)
	}
	behind, err := t.behindUnits(end)
	if err == nil && c.LogPos < end && c.QueueOffset >= behind {
		c.LogPos, t.replay.units = end, nil
	}
	switch last := t.queue.MaxOffset(); {
	case err != nil:
		return err
	case ours && c.QueueOffset < behind && c.LogPos == end:
		tell(2, "messages are said to be taken in up to %d, the last unit is of the one before %d", c.QueueOffset, behind)
		c.QueueOffset = behind
	case c.QueueOffset > last && last > 0:
		tell(2, "messages are said to be taken in up to %d, the queue ends at %d", c.QueueOffset, last)
	}
	counts := p.logEnd > 0 && p.logEnd <= t.queue.MaxPhyOffset()
	switch written := c.VersionTime; {
	case counts && p.readTime > c.ReadTime:
		tell(0, "slots are said to be delivered before %d, and are before %d", c.ReadTime, p.readTime)
		c.ReadTime = p.readTime
	case written > 0 && c.ReadTime > written+t.opts.Precision && !(counts && p.readTime == c.ReadTime):
		tell(0, "slots are said to be delivered before %d, and that was written at %d", c.ReadTime, written)
		c.ReadTime = max(written-readLag, 0)
		if counts {
			c.ReadTime = max(c.ReadTime, p.readTime)
		}
	}
	return nil
}

// readLag is how far the read time may be behind the clock, at most, when a timer is stopped: ms.
const readLag = 60_000

// behindUnits is the offset of the queue behind the message of the last unit before the end of the log: messages are taken
// in in order. Where that is not known it is the queue's beginning, and some are taken in twice.
func (t *Timer) behindUnits(end int64) (next message.QueueOffset, err error) {
	next = t.queue.MinOffset()
	defer t.log.release()
	last, err := t.log.unit(t.log.before(end))
	if err != nil {
		return next, nil
	}
	err = t.queue.Record(last.phy, func(r message.Record) { next = max(next, r.QueueOffset()+1) })
	if isGone(err) {
		err = nil
	}
	return next, err
}

// startOf is the progress to begin with by the checkpoint alone.
func (t *Timer) startOf(check Checkpoint, p progress, known bool) progress {
	start := progress{readTime: check.ReadTime, slotPhy: noPhy, latePhy: noPhy, logEnd: min(p.logEnd, t.queue.MaxPhyOffset())}
	now := t.opts.Now().UnixMilli()
	now -= now % t.opts.Precision
	switch span := t.opts.slots * t.opts.Precision; {
	case !known && !t.wheel.exists() && t.log.end() == t.log.queue.MinOffset():
		start.readTime = now
	case !known || check.ReadTime > now+span:
		// As Java for a checkpoint that is very old: everything the wheel may still hold.
		start.readTime = now - span + blankSlots*t.opts.Precision
	}
	start.readTime -= start.readTime % t.opts.Precision
	return start
}

// readTail finds the end of the log: units from the checkpoint on must agree with their messages, those before it are
// only looked at to make a lost wheel again. A position that is none of a unit is taken back to its file's start.
func (t *Timer) readTail(from, durable int64) (end int64, err error) {
	from = t.unitStart(from)
	var damage error
	end, _ = t.log.walk(from, func(pos int64, u unit) bool {
		if pos < durable {
			return true
		}
		ok, err := t.agrees(u)
		if err != nil {
			damage = err
		}
		if ok {
			t.replay.units = append(t.replay.units, u.phy)
		}
		return ok
	})
	slices.Sort(t.replay.units)
	return end, damage
}

// unitStart is the position at which to begin to read for the units from pos on: that of a unit, or behind one.
func (t *Timer) unitStart(pos int64) int64 {
	begin, size := t.log.queue.MinOffset(), t.log.queue.FileSize()
	pos = min(max(pos, begin), t.log.end())
	for pos > begin && (pos%size%unitSize != 0 || t.log.isHole(t.log.before(pos))) {
		pos = (pos - 1) / size * size
	}
	return pos
}

// agrees tells whether a unit is right: its message is there, and is to be delivered when the unit says.
func (t *Timer) agrees(u unit) (ok bool, err error) {
	err = t.queue.Record(u.phy, func(r message.Record) {
		out, found := outTime(r)
		ok = int32(r.Size()) == u.size && string(r.Topic()) == message.TimerTopic && found &&
			(u.rolls() || out/t.opts.Precision == u.due()/t.opts.Precision)
	})
	if isGone(err) {
		err = nil
	}
	return ok, err
}

// mendSlots makes the slots agree with the log from a position on. Slots may be older than the log, or name units behind
// its end. Those before the time read do not matter any more.
// With whole, log and wheel are as they were left in order, and what does not agree is told as damage.
func (t *Timer) mendSlots(from, end, read int64, whole bool) error {
	bad := map[int64]slot{} // those that are to be made again, by time, as they are to be
	first := end
	tell := func(time int64, format string, args ...any) {
		t.opts.Damaged(Fault{File: t.wheel.path, Offset: time % t.wheel.total * slotSize, Text: "slot: " + fmt.Sprintf(format, args...), Mended: true})
	}
	t.wheel.each(read, func(s slot) slot {
		if s.last < end && s.first >= 0 {
			return s
		}
		if s.first >= 0 && s.first < end {
			first = min(first, s.first)
		}
		if whole {
			tell(s.time, "its units are said to lie between %d and %d, the log ends at %d", s.first, s.last, end)
			first = 0
		}
		bad[s.time] = slot{time: s.time, first: noPos, last: noPos}
		return slot{}
	}, func(time int64, s slot) {
		tell(time, "it has the time %d, which is none of its", s.time)
		first = 0
		bad[time] = slot{time: time, first: noPos, last: noPos}
	})
	if len(bad) > 0 {
		from = min(from, first)
	}
	var err error
	_, walked := t.log.walk(t.unitStart(from), func(pos int64, u unit) bool {
		time := u.due() / t.opts.Precision
		s, isBad := bad[time]
		if !isBad {
			var ok bool
			if s, ok = t.wheel.get(time); !ok {
				s = slot{time: time, first: noPos, last: noPos}
			}
		}
		if time < read || s.last >= pos {
			return true
		}
		if isBad && u.prev == noPos {
			s.first, s.num = pos, 0 // what is before it was delivered before a clock was set back
		}
		if s.first < 0 {
			s.first = pos
		}
		s.last = pos
		s.num += u.weight()
		if isBad {
			bad[time] = s
		}
		err = t.wheel.put(s)
		return err == nil
	})
	if err == nil && len(bad) > 0 {
		// What they said must not turn up again when the log has grown over it.
		err = t.wheel.sync()
	}
	if walked != nil {
		t.opts.Failed(fmt.Errorf("timer: mend the wheel: %w", walked))
	}
	return err
}

// weight is what a unit counts for in its slot, as in Java.
func (u unit) weight() int32 {
	if u.magic&magicDelete != 0 {
		return -1
	}
	return 1
}
