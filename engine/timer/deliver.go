package timer

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"

	"github.com/rocketlog/rocketlog/message"
)

const (
	// batchSize bounds the messages that are put and waited for together. A killed process repeats no more.
	batchSize = 1024
	// partSize bounds the units of a slot that are held at a time.
	partSize = 64 << 10
	// yieldEvery is after how many puts those come to run that hand the messages on. A slot is put without a wait where the
	// store does not wait for the disk, and on few cores its first messages would else be late by turns of 10 ms.
	yieldEvery = 32
	// readAhead is how long before its time is over the units of a slot are read: that takes a while where they are many, and
	// its first messages would be late by it.
	readAhead = 200 // ms
)

// work is what the run goroutine has at hand.
type work struct {
	puts    []*put              // of the batch, until they are waited for
	wait    sync.WaitGroup      // for those under way
	spare   []*put              // for use again
	failed  []unit              // those of the batch that must be put again
	next    message.QueueOffset // what the batch takes in ends here
	taken   message.PhyOffset   // the last message that this process took in
	late    message.PhyOffset   // the last message of the batch that was late; noPhy: none
	slotPhy message.PhyOffset   // the last message of the batch that is of the slot; noPhy: none
	end     message.PhyOffset   // what was put ends here

	slot    int64               // the one that part and deletes are of, in precisions; 0: none
	last    int64               // its last position when they were read
	part    []unit              // those of its units that come next
	more    bool                // there are more behind part
	ahead   bool                // the slot is not begun, and may get more units
	buf     []unit              // of part
	deletes map[string]struct{} // what its messages recall

	msg   message.Message
	props message.Properties
}

// pending tells that there are puts that failed.
func (w *work) pending() bool { return len(w.failed) > 0 }

// put is one message that is being put.
type put struct {
	unit unit
	Outcome
	work *work
}

// PutDone takes the outcome.
func (p *put) PutDone(o Outcome) {
	p.Outcome = o
	p.work.wait.Done()
}

// Reasons for which messages are dropped.
var (
	errNoPlace = errors.New("it does not say where it is meant for")
	errOther   = errors.New("another message is at its place")
)

func (t *Timer) drop(phy message.PhyOffset, reason error) {
	t.counts.dropped.Add(1)
	t.opts.Dropped(Drop{PhyOffset: phy, Reason: reason})
}

// deliverDue delivers a batch of the first slot that is over. It reports whether there was one.
func (t *Timer) deliverDue(now int64) (delivered bool, err error) {
	p := t.opts.Precision
	over := now / p // the first slot that is not
	slot, ok := t.wheel.next(t.state.readTime/p, over)
	if !ok {
		slot = over
	}
	if ms := slot * p; ms > t.state.readTime {
		t.moveTo(ms)
	}
	if !ok {
		return false, nil
	}
	s, _ := t.wheel.get(slot)
	if err := t.readSlot(s); err != nil {
		return false, err
	}
	w := &t.work
	w.ahead = false
	if len(w.part) == 0 {
		t.wheel.done(slot)
		w.slot, w.deletes = 0, nil
		t.moveTo((slot + 1) * p)
		return true, nil
	}
	n := min(len(w.part), batchSize)
	batch := w.part[:n]
	if err := t.deliverUnits(batch); err != nil {
		return false, err
	}
	w.part, w.slotPhy = w.part[n:], batch[n-1].phy
	t.finish()
	return true, nil
}

// readSlot sees to it that what comes next of a slot is at hand.
func (t *Timer) readSlot(s slot) error {
	w := &t.work
	switch {
	case w.slot == s.time && w.ahead && w.last != s.last:
		return t.readNewer(s)
	case w.slot != s.time || len(w.part) == 0 && (w.more || w.last != s.last):
		return t.readPart(s)
	}
	return nil
}

// prepare reads the first slot that is not over, if it is soon. It returns when there is something to do for it again.
func (t *Timer) prepare(now int64) (at int64, err error) {
	slot, ok := t.nextSlot(now)
	if !ok {
		return now + idle.Milliseconds(), nil
	}
	over := (slot + 1) * t.opts.Precision
	if now < over-readAhead {
		return over - readAhead, nil
	}
	if s, _ := t.wheel.get(slot); t.work.slot != slot {
		t.work.ahead = true
		err = t.readPart(s)
	}
	return over, err
}

// nextSlot is the first slot from the read time on that has messages, if it is over soon.
func (t *Timer) nextSlot(now int64) (slot int64, ok bool) {
	p := t.opts.Precision
	return t.wheel.next(t.state.readTime/p, now/p+idle.Milliseconds()/p+1)
}

// moveTo begins with the slot of a time.
func (t *Timer) moveTo(ms int64) {
	t.state.Lock()
	defer t.state.Unlock()
	t.state.readTime, t.state.slotPhy = ms, noPhy
}

// readPart reads the next units of a slot, in the order of their messages, and all that the slot recalls.
func (t *Timer) readPart(s slot) error {
	w := &t.work
	w.slot, w.last, w.deletes = s.time, s.last, nil
	var recalls []unit
	part := w.buf[:0]
	w.more = false
	collect := func(u unit) {
		switch {
		case u.recalls():
			recalls = append(recalls, u)
		case u.phy > t.state.slotPhy:
			if len(part) == 2*partSize {
				part = firstUnits(part)
				w.more = true
			}
			part = append(part, u)
		}
	}
	if err := t.eachOf(s, noPos, collect); err != nil {
		t.opts.Failed(err) // and the slot is read in another way
		recalls, part = nil, part[:0]
		if err := t.eachBetween(s, collect); err != nil {
			t.opts.Failed(err)
		}
	}
	w.more = w.more || len(part) > partSize
	w.buf = firstUnits(part)
	w.part = w.buf
	return t.readRecalls(recalls)
}

// readNewer adds the units that a slot got since it was read: their messages are behind those of the others.
func (t *Timer) readNewer(s slot) error {
	w := &t.work
	var recalls []unit
	part := w.part
	err := t.eachOf(s, w.last, func(u unit) {
		if u.recalls() {
			recalls = append(recalls, u)
		} else if !w.more { // else they come when those before them did
			part = append(part, u)
		}
	})
	if err != nil {
		return t.readPart(s)
	}
	w.last, w.more = s.last, w.more || len(part) > partSize
	w.buf = firstUnits(part)
	w.part = w.buf
	return t.readRecalls(recalls)
}

// firstUnits sorts units by their messages, each of which stays once, and returns the first ones.
func firstUnits(units []unit) []unit {
	slices.SortFunc(units, func(a, b unit) int { return cmp.Compare(a.phy, b.phy) })
	units = slices.CompactFunc(units, func(a, b unit) bool { return a.phy == b.phy })
	return units[:min(len(units), partSize)]
}

// eachOf follows a slot's chain from the newest unit on, up to the one at end. The part of it that is in files deleted since
// is not there.
func (t *Timer) eachOf(s slot, end int64, visit func(unit)) error {
	for pos := s.last; pos >= t.log.queue.MinOffset() && pos != noPos && pos != end; {
		u, err := t.log.unit(pos)
		if err != nil {
			return err
		}
		if u.due()/t.opts.Precision != s.time {
			return &CorruptError{File: t.log.dir, Offset: pos, Reason: fmt.Sprintf("the unit is due at %d and is in the chain of slot %d", u.due(), s.time)}
		}
		visit(u)
		pos = u.prev
	}
	return nil
}

// eachBetween finds a slot's units without their chain.
func (t *Timer) eachBetween(s slot, visit func(unit)) error {
	_, err := t.log.walk(max(s.first, 0), func(pos int64, u unit) bool {
		if u.due()/t.opts.Precision == s.time {
			visit(u)
		}
		return pos < s.last
	})
	return err
}

// readRecalls reads which messages a slot recalls.
func (t *Timer) readRecalls(recalls []unit) error {
	for _, u := range recalls {
		err := t.queue.Record(u.phy, func(r message.Record) {
			if key, ok := r.Properties().Get(message.PropertyTimerDeleteKey); ok && int32(r.Size()) == u.size {
				if t.work.deletes == nil {
					t.work.deletes = map[string]struct{}{}
				}
				t.work.deletes[string(key)] = struct{}{}
			}
		})
		if err != nil && !isGone(err) {
			return fmt.Errorf("timer: read the recall at %d: %w", u.phy, err)
		}
	}
	return nil
}

// recalled tells whether the slot recalls a message. Java's brokers ask for it by the unique key, or by topic and key with
// a plus between, depending on appendTopicForTimerDeleteKey; either is understood.
func (t *Timer) recalled(topic, key []byte) bool {
	if len(t.work.deletes) == 0 || len(key) == 0 {
		return false
	}
	if _, ok := t.work.deletes[string(key)]; ok {
		return true
	}
	_, ok := t.work.deletes[string(topic)+"+"+string(key)]
	return ok
}

// deliverUnits starts to put the messages of units of a slot.
func (t *Timer) deliverUnits(units []unit) error {
	if slices.ContainsFunc(units, unit.rolls) {
		// Where a message goes round depends on the time at which it was taken in: it must not be taken in again.
		if err := t.flush(); err != nil {
			return err
		}
	}
	for i, u := range units {
		if i%yieldEvery == yieldEvery-1 {
			runtime.Gosched()
		}
		err := t.queue.Record(u.phy, func(r message.Record) { t.deliverRecord(u, r) })
		switch {
		case isGone(err):
			t.drop(u.phy, err)
		case err != nil:
			// It counts as a put that failed.
			t.begin(u).PutDone(Outcome{Err: err})
		}
	}
	return nil
}

// deliverRecord puts the message of a unit if it is the one that the unit is for.
func (t *Timer) deliverRecord(u unit, r message.Record) {
	if int32(r.Size()) != u.size || string(r.Topic()) != message.TimerTopic {
		t.drop(u.phy, errOther)
		return
	}
	topic, _ := r.Properties().Get(message.PropertyRealTopic)
	key, _ := r.Properties().Get(message.PropertyUniqueKey)
	if !u.rolls() && t.recalled(topic, key) {
		t.counts.recalled.Add(1) // and its recall has taken it out of the topic's count
		return
	}
	t.counts.add(topic, int64(-u.weight()), t.opts.Now().UnixMilli())
	t.deliver(u, r)
}

// begin adds a put to the batch.
func (t *Timer) begin(u unit) *put {
	w := &t.work
	var p *put
	if n := len(w.spare); n > 0 {
		p, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		p = &put{work: w}
	}
	p.unit, p.Outcome = u, Outcome{}
	w.puts = append(w.puts, p)
	w.wait.Add(1)
	return p
}

// deliver puts one message.
func (t *Timer) deliver(u unit, r message.Record) {
	if err := t.timeUp(u, r); err != nil {
		if !errors.Is(err, errIsRecall) {
			t.drop(u.phy, err)
		}
		return
	}
	t.queue.Put(&t.work.msg, t.begin(u))
}

// errIsRecall says that a message is there for the deletion of others only.
var errIsRecall = errors.New("it recalls others")

// timeUp makes of a record the message that is put: to its real topic, or, if its slot was only a round, to the timer
// topic again (Java's TimerMessageStore.convert).
func (t *Timer) timeUp(u unit, r message.Record) error {
	m := &t.work.msg
	r.Decode(m)
	m.PreparedTransactionOffset = 0
	now := t.opts.Now().UnixMilli()
	own := m.Properties
	kept := own.Delete(message.PropertyTimerEnqueueTime).Delete(message.PropertyTimerDequeueTime)
	if u.rolls() {
		times, _ := own.Get(message.PropertyTimerRollTimes)
		n, _ := strconv.Atoi(string(times))
		kept = kept.Set(message.PropertyTimerRollTimes, strconv.Itoa(n+1))
	} else {
		if _, recall := own.Get(message.PropertyTimerDeleteKey); recall {
			return errIsRecall
		}
		topic, _ := own.Get(message.PropertyRealTopic)
		queue, _ := own.Get(message.PropertyRealQueueID)
		id, err := strconv.ParseInt(string(queue), 10, 32)
		if err != nil || id < 0 || len(topic) == 0 {
			return errNoPlace
		}
		if to := string(topic); to == message.TimerTopic || to == message.ScheduleTopic || to == message.HalfTopic {
			return fmt.Errorf("it is meant for %s, which no message is delivered to", topic)
		}
		m.Topic, m.QueueID = string(topic), int32(id)
	}
	p := append(t.work.props[:0], kept...)
	p = message.AppendProperty(p, message.PropertyTimerEnqueueTime, strconv.FormatInt(u.writeTime, 10))
	p = message.AppendProperty(p, message.PropertyTimerDequeueTime, strconv.FormatInt(now, 10))
	m.Properties, t.work.props = p, p
	return nil
}

// finish waits for the batch, and puts again what could not be put the last time. While there is such a message, finish
// returns false, and nothing else may be done. When all is put the progress is noted.
func (t *Timer) finish() bool {
	w := &t.work
	failed := w.failed
	w.failed = nil
	for _, u := range failed {
		t.putAgain(u)
	}
	t.settle()
	if w.pending() {
		return false
	}
	t.noteProgress()
	return true
}

// settle waits for the puts under way and empties the batch.
func (t *Timer) settle() {
	w := &t.work
	w.wait.Wait()
	var cause error
	for _, p := range w.puts {
		switch {
		case p.Err == nil:
			w.end = max(w.end, p.End)
			t.counts.delivered.Add(1)
		case errors.Is(p.Err, ErrRefused):
			t.drop(p.unit.phy, p.Err)
		default:
			cause = p.Err
			w.failed = append(w.failed, p.unit)
		}
	}
	w.spare = append(w.spare, w.puts...)
	w.puts = w.puts[:0]
	if cause != nil {
		t.opts.Failed(fmt.Errorf("timer: %d messages cannot be delivered: %w", len(w.failed), cause))
	}
}

// putAgain puts a message whose put failed.
func (t *Timer) putAgain(u unit) {
	err := t.queue.Record(u.phy, func(r message.Record) { t.deliver(u, r) })
	switch {
	case isGone(err):
		t.drop(u.phy, err)
	case err != nil:
		t.begin(u).PutDone(Outcome{Err: err})
	}
}

// noteProgress says what the batch did, to others and to the progress file.
func (t *Timer) noteProgress() {
	w := &t.work
	t.state.Lock()
	defer t.state.Unlock()
	s := &t.state
	if w.next > s.queueOffset {
		s.queueOffset = w.next
		if n := len(t.replay.units); n > 0 && w.taken >= t.replay.units[n-1] {
			t.replay.units = nil
		}
		if t.replay.units == nil { // else the next recovery has to find them again
			s.logPos = t.log.end()
		}
	}
	before := s.progress
	s.latePhy = max(s.latePhy, w.late)
	s.slotPhy = max(s.slotPhy, w.slotPhy)
	s.logEnd = max(s.logEnd, w.end)
	w.slotPhy, w.late = noPhy, noPhy
	if s.progress == before {
		return
	}
	if err := t.flushed.file.writeProgress(s.progress); err != nil {
		t.opts.Failed(fmt.Errorf("timer: %w", err))
	}
}
