package timer

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

const (
	// scrubUnits and scrubSlots bound what is verified in one turn, between deliveries.
	scrubUnits = 512
	scrubSlots = 64 << 10
	// scrubAhead bounds the messages of the queue among which that of a damaged unit is looked for.
	scrubAhead = 4096
)

// ErrClosed says that the timer was closed.
var ErrClosed = errors.New("timer: closed")

// Scrub goes once over the timer's files while it runs: each unit of the log that is to be delivered against its message,
// the chain of each slot, the checkpoint and the progress against what was written to them last. It reads at most so many
// bytes a second, all it can if that is not positive. What is wrong is told to Options.Damaged, and put right: a unit by
// its message, which comes behind that of the unit before it, a slot by the units, the small files from memory. It returns
// how many faults there were; the error says why it did not come to its end.
func (t *Timer) Scrub(bytesPerSecond int64) (found int, err error) {
	return t.scrub(bytesPerSecond, t.do)
}

// scrub is Scrub by one who knows how fn gets its turn.
func (t *Timer) scrub(bytesPerSecond int64, do func(fn func() error) error) (found int, err error) {
	s := &scrub{timer: t, remake: map[int64]string{}}
	began, read := time.Now(), int64(0)
	for _, part := range []func() (bool, error){s.verifyUnits, s.verifySlots, s.remakeSlots, s.verifyProgress} {
		for more := true; more; {
			if err := do(func() (err error) { more, err = part(); return err }); err != nil {
				return s.found, err
			}
			read += s.read
			s.read = 0
			if bytesPerSecond > 0 {
				err = t.sleepUntil(began.Add(time.Duration(float64(read) / float64(bytesPerSecond) * float64(time.Second))))
			}
			if err != nil {
				return s.found, err
			}
		}
	}
	return s.found, s.verifyCheckpoint()
}

// Verify finds what is wrong with a timer's files that nobody has open, and puts it right: what Open does and then Scrub. It
// delivers nothing, and leaves sound files as they are. Each fault is told to Options.Damaged. On a vfs.ScratchFS it changes
// nothing and tells the same.
func Verify(root string, q Queue, opts *Options) (found int, err error) {
	o := *opts
	o.Damaged = func(f Fault) {
		found++
		opts.Damaged(f)
	}
	t, err := open(root, q, &o)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, t.closeFiles()) }()
	if _, err := t.scrub(0, vfs.Guarded); err != nil || !t.flushed.file.noCheck {
		return found, err
	}
	c := t.flushed.check
	c.ReadTime, c.LogPos, c.QueueOffset = t.state.readTime, t.state.logPos, t.state.queueOffset
	c.MasterQueueOffset = max(c.MasterQueueOffset, c.QueueOffset)
	return found, t.flushed.file.write(c)
}

// do has the run goroutine call fn, and waits for it.
func (t *Timer) do(fn func() error) error {
	done := make(chan error, 1)
	select {
	case t.jobs <- func() { done <- vfs.Guarded(fn) }:
		return <-done
	case <-t.stop:
		return ErrClosed
	}
}

func (t *Timer) sleepUntil(due time.Time) error {
	wait := time.NewTimer(time.Until(due))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-t.stop:
		return ErrClosed
	}
}

// scrub is the state of one round. What it does of log and wheel the run goroutine does.
type scrub struct {
	timer  *Timer
	pos    int64            // of the next unit
	slot   int64            // the next one, by its place in the wheel
	remake map[int64]string // times of slots that are to be made again, and what is wrong with each
	read   int64            // bytes
	found  int
}

func (s *scrub) tell(f Fault) {
	s.found++
	s.timer.opts.Damaged(f)
}

// verifyUnits verifies the next units of the log. It reports whether there are more.
func (s *scrub) verifyUnits() (more bool, err error) {
	log := s.timer.log
	defer log.release()
	size := log.queue.FileSize()
	for range scrubUnits {
		s.pos = max(s.pos, log.queue.MinOffset())
		if s.pos >= log.end() {
			return false, nil
		}
		if !log.hasUnitAt(s.pos) {
			s.pos += size - s.pos%size
			continue
		}
		if _, err := s.verifyUnit(s.pos, 0); err != nil {
			return false, err
		}
		s.verifyLast(s.pos)
		s.read += unitSize
		s.pos += unitSize
	}
	return true, nil
}

// verifyLast tells whether the slot of a unit, if it has any, goes on to it.
func (s *scrub) verifyLast(pos int64) {
	u, err := s.timer.log.unit(pos)
	time := u.due() / s.timer.opts.Precision
	if err != nil || time < s.timer.state.readTime/s.timer.opts.Precision {
		return
	}
	if have, ok := s.timer.wheel.get(time); ok && have.last < pos {
		s.remake[time] = fmt.Sprintf("it ends at %d, and has a unit at %d", have.last, pos)
	}
}

// verifyUnit compares a unit with its message and mends it. It is of the slot of a time, where that is not 0: else one that
// says that it is delivered is believed. It reports whether it changed.
func (s *scrub) verifyUnit(pos, time int64) (changed bool, err error) {
	t := s.timer
	there, err := t.log.bytes(pos)
	if err != nil || len(there) < unitSize {
		return false, err
	}
	have := bytes.Clone(there[:unitSize]) // other units are read meanwhile
	u, wrong := decodeUnit(have, pos)
	gone := false
	if wrong == nil {
		if u.due() < t.state.readTime && time == 0 {
			return false, nil // nobody reads it any more
		}
		gone = u.phy < t.queue.MinPhyOffset()
		s.read += int64(u.size)
		if ok, err := t.agrees(u); err != nil || ok && (time == 0 || u.due()/t.opts.Precision == time) {
			return false, err
		}
		wrong = fmt.Errorf("it does not agree with the message at %d", u.phy)
	}
	right, known, err := t.unitBy(pos, have, time)
	if err != nil || !known && gone || known && bytes.Equal(right, have) {
		return false, err // its message is gone, or damaged itself
	}
	f := t.faultAt(pos, fmt.Sprintf("unit: %v", wrong))
	if known {
		at := 0
		for right[at] == have[at] {
			at++
		}
		f.Offset += int64(at)
		f.Err = t.log.queue.Rewrite(pos, right)
		f.Mended = f.Err == nil
		s.remake[decodeFields(right).due()/t.opts.Precision] = ""
	}
	s.tell(f)
	return f.Mended, nil
}

// faultAt is a fault at a position of the log.
func (t *Timer) faultAt(pos int64, text string) Fault {
	f := Fault{File: t.log.dir, Offset: pos, Text: text}
	if file := t.log.queue.FileAt(pos); file != nil {
		f.File, f.Offset = file.Path(), pos-file.Start()
	}
	return f
}

// unitBy makes the bytes of a unit by its message: of those between the messages of its neighbours, the one by which the
// least of the bytes that are there has to change. known is false when there is none.
func (t *Timer) unitBy(pos int64, have []byte, time int64) (best []byte, known bool, err error) {
	var before, behind unit
	from := t.queue.MinOffset()
	at := t.log.before(pos)
	if at >= t.log.queue.MinOffset() {
		if before, err = t.log.unit(at); err != nil {
			return nil, false, nil // one after the other, from one that is right
		}
		if err = t.queue.Record(before.phy, func(r message.Record) { from = max(from, r.QueueOffset()+1) }); err != nil {
			if isGone(err) {
				err = nil
			}
			return nil, false, err
		}
	}
	next := noPhy // the message of the unit behind it
	if u, err := t.log.unit(pos + unitSize); err == nil {
		next, behind = u.phy, u
		if at < t.log.queue.MinOffset() {
			before.writeTime = u.writeTime
		}
	}
	least, looked := unitSize+1, 0
	for more := true; more && from < t.queue.MaxOffset() && looked < scrubAhead; {
		begin := from
		from, err = t.queue.Records(from, func(r message.Record) bool {
			looked++
			if more = r.PhyOffset() != next; !more {
				return false
			}
			if b, ok := t.unitOf(r, pos, have, time, before, behind); ok {
				if n := differing(b, have); n < least {
					best, least = b, n
				}
			}
			return true
		})
		if err != nil || from <= begin {
			break
		}
	}
	return best, best != nil, err
}

// unitOf makes the bytes of the unit of a message, out of those that are there as far as they agree with it. ok is false
// for one that has none, as it was late.
func (t *Timer) unitOf(r message.Record, pos int64, have []byte, time int64, before, behind unit) (b []byte, ok bool) {
	out, known := outTime(r)
	p := t.opts.Precision
	if !known || out/p < before.writeTime/p {
		return nil, false
	}
	properties := r.Properties()
	topic, _ := properties.Get(message.PropertyRealTopic)
	u := decodeFields(have)
	u.phy, u.size, u.hash = r.PhyOffset(), int32(r.Size()), message.HashString(topic)
	if _, recalls := properties.Get(message.PropertyTimerDeleteKey); recalls {
		u.magic |= magicDelete
	} else {
		u.magic &^= magicDelete
	}
	timely := u.writeTime%p == 0 && u.writeTime >= before.writeTime && (u.writeTime <= behind.writeTime || behind.size == 0)
	switch {
	case u.magic&^magicBits != 0 || u.magic&magicDefault == 0 || !u.rolls() && (u.due()/p != out/p || !timely):
		u.writeTime = before.writeTime
		due, rolls := t.place(out, u.writeTime)
		u.delay, u.magic = int32(due-u.writeTime), u.magic&magicDelete|magicDefault
		if rolls {
			u.magic |= magicRoll
		}
	case u.rolls() && time > 0 && timely:
		u.delay = int32(time*p - u.writeTime)
	case u.rolls() && time > 0:
		u.writeTime = time*p - int64(u.delay)
	}
	if u.prev < noPos || u.prev >= pos || u.prev >= 0 && !t.inSlot(u.prev, u.due()) {
		u.prev = pos - unitSize // until the chain is made again
		if u.prev < 0 {
			u.prev = noPos
		}
	}
	b = make([]byte, unitSize)
	u.encode(b)
	return b, true
}

// inSlot tells whether the unit at a position is of the slot of a time, or so old that it is no longer there.
func (t *Timer) inSlot(pos, due int64) bool {
	if pos < t.log.queue.MinOffset() {
		return true
	}
	u, err := t.log.unit(pos)
	return err == nil && u.due()/t.opts.Precision == due/t.opts.Precision
}

func differing(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

// verifySlots verifies the next slots of the wheel. It reports whether there are more.
func (s *scrub) verifySlots() (more bool, err error) {
	t := s.timer
	defer t.log.release()
	w := t.wheel
	end := min(s.slot+scrubSlots, w.total)
	read := t.state.readTime / t.opts.Precision
	for ; s.slot < end; s.slot++ {
		if s.slot = w.nextUsed(s.slot, end); s.slot == end {
			break
		}
		have, used := w.usedAt(s.slot)
		if !used {
			continue
		}
		s.read += slotSize
		time := read + (s.slot-read%w.total+w.total)%w.total // the one that the slot is of, if it holds what is to come
		wrong := ""
		switch {
		case have.time%w.total != s.slot || have.time <= 0:
			wrong = fmt.Sprintf("it has the time %d, which is not one of its", have.time)
		case have.time == time:
			if wrong, err = s.verifyChain(have); err != nil {
				return false, err
			}
		}
		if wrong != "" {
			s.remake[time] = wrong
		}
	}
	return s.slot < w.total, nil
}

// verifyChain tells what is wrong with the chain of a slot, from its last unit to its first, when its units are right.
func (s *scrub) verifyChain(have slot) (wrong string, err error) {
	log, p := s.timer.log, s.timer.opts.Precision
	for pos := have.last; ; {
		if pos < log.queue.MinOffset() && pos >= 0 {
			return "", nil // its messages are gone with the log
		}
		u, err := log.unit(pos)
		s.read += unitSize
		if log.hasUnitAt(pos) && (err != nil || u.due()/p != have.time && !s.timer.holds(u.due()/p, pos)) {
			changed, failed := s.verifyUnit(pos, have.time)
			if failed != nil {
				return "", failed
			}
			if changed {
				u, err = log.unit(pos)
			}
		}
		switch {
		case !log.hasUnitAt(pos):
			return fmt.Sprintf("there is no unit at %d", pos), nil
		case err != nil:
			return err.Error(), nil
		case u.due()/p != have.time:
			return fmt.Sprintf("the unit at %d is of another", pos), nil
		case pos == have.first:
			return "", nil
		case u.prev < have.first:
			return fmt.Sprintf("it begins at %d, the units name one at %d", have.first, u.prev), nil
		}
		pos = u.prev
	}
}

// holds tells whether the slot of a time may hold the unit at a position.
func (t *Timer) holds(time, pos int64) bool {
	s, ok := t.wheel.get(time)
	return ok && s.first <= pos && pos <= s.last
}

// remakeSlots makes slots again, and the chains of their units. A unit that names none before it begins a chain: what is
// before it was delivered before a clock was set back.
func (s *scrub) remakeSlots() (more bool, err error) {
	if len(s.remake) == 0 {
		return false, nil
	}
	t := s.timer
	slots := map[int64]slot{}
	_, err = t.log.walk(0, func(pos int64, u unit) bool {
		s.read += unitSize
		time := u.due() / t.opts.Precision
		if _, is := s.remake[time]; !is || time < t.state.readTime/t.opts.Precision {
			return true
		}
		at, begun := slots[time]
		if !begun || u.prev == noPos {
			at = slot{time: time, first: pos, last: noPos}
		}
		if u.prev != at.last && (begun || u.prev >= t.log.queue.MinOffset()) {
			s.rechain(pos, u, at.last)
		}
		at.last = pos
		at.num += u.weight()
		slots[time] = at
		return true
	})
	if err != nil {
		return false, err
	}
	for time, wrong := range s.remake {
		was, _ := t.wheel.usedAt(time % t.wheel.total)
		at, any := slots[time]
		switch {
		case !any:
			t.wheel.empty(time)
		case was.time == time && was.first == at.first && was.last == at.last:
			continue // only its units were wrong
		default:
			err = errors.Join(err, t.wheel.put(at))
		}
		if wrong != "" {
			s.tell(Fault{File: t.wheel.path, Offset: time % t.wheel.total * slotSize, Text: "slot: " + wrong, Mended: err == nil, Err: err})
		}
	}
	return false, errors.Join(err, t.wheel.sync())
}

// rechain has a unit name the one before it in its slot.
func (s *scrub) rechain(pos int64, u unit, prev int64) {
	f := s.timer.faultAt(pos+posUnitPrev, fmt.Sprintf("unit: it names one at %d before it, and that is the one at %d", u.prev, prev))
	u.prev = prev
	b := make([]byte, unitSize)
	u.encode(b)
	f.Err = s.timer.log.queue.Rewrite(pos, b)
	f.Mended = f.Err == nil
	s.tell(f)
}

// verifyProgress compares the progress with what was written last.
func (s *scrub) verifyProgress() (more bool, err error) {
	file := s.timer.flushed.file
	want := file.delivered
	have := make([]byte, len(want))
	n, err := readFull(file.progress, have)
	if err != nil || bytes.Equal(have[:n], want) {
		return false, err
	}
	f := Fault{File: file.progressPath(), Text: notAsWritten}
	p, _ := decodeProgress(want)
	f.Err = file.writeProgress(p)
	f.Mended = f.Err == nil
	s.tell(f)
	return false, nil
}

// notAsWritten is what is wrong with a file that nobody else writes.
const notAsWritten = "it has not what was written last"

// verifyCheckpoint compares the checkpoint with what was written last.
func (s *scrub) verifyCheckpoint() error {
	flushed := &s.timer.flushed
	flushed.Lock()
	defer flushed.Unlock()
	if !flushed.file.known {
		return nil
	}
	var b [CheckpointSize]byte
	n, err := readFull(flushed.file.check, b[:])
	if err != nil {
		return err
	}
	if c, err := ParseCheckpoint(b[:n]); err == nil && c == flushed.check {
		return nil
	}
	f := Fault{File: flushed.file.checkPath(), Text: notAsWritten}
	f.Err = flushed.file.write(flushed.check)
	f.Mended = f.Err == nil
	s.tell(f)
	return nil
}
