package engine

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// dispatcher moves records from the log to queues and index (Java: the
// ReputMessageService). There is one, and it is the only writer of both.
type dispatcher struct {
	store *Store
	it    *commitlog.Iterator
	// indexFrom is where dispatch to the index begins again after a recovery;
	// queues find out by themselves what they hold already.
	indexFrom  message.PhyOffset
	queuesFrom message.PhyOffset // the same for the queues, where the index is built anew
	ahead      lookahead
	alone      bool // a page could not be read: no record is read ahead, so that those before it go on
	arrival    Arrival
	light      []lightEntry      // of the record whose turn it is
	hand       message.PhyOffset // of the record whose turn it is, or of a blank before it
	asked      message.PhyOffset // how far it was to dispatch at most
	count      int               // records dispatched
	units      int64             // sum of the ends of all queues
	lastTime   int64             // store time of the last record
	// gapInLog are the queues of which the log itself lacks messages.
	gapInLog map[consumequeue.Key]bool
	pace     pace
	// nextCheckpoint is the offset at which to ask for the next checkpoint.
	nextCheckpoint int64
	nextMark       int64 // the same for the next mark

	parked atomic.Bool
	wake   chan struct{}
}

const (
	// From busyPerMillisecond records on the dispatcher is busy: it comes back
	// after busyPause by itself instead of being woken for each record, which
	// would cost the putter more than the put.
	busyPerMillisecond = 10
	busyPause          = 50 * time.Microsecond
	paceInterval       = time.Millisecond

	stallPauseMin = 10 * time.Millisecond
	stallPauseMax = time.Second
)

// pace measures how many records are dispatched in a millisecond.
type pace struct {
	since time.Time
	count int
	rate  int // per millisecond, of the last interval
}

func (p *pace) measure(count int) int {
	now := time.Now()
	if elapsed := now.Sub(p.since); elapsed >= paceInterval {
		p.rate = int(int64(count-p.count) * int64(time.Millisecond) / int64(elapsed))
		p.since, p.count = now, count
	}
	return p.rate
}

// notify wakes the dispatcher. It is called after each append or flush, and
// costs one load while the dispatcher is busy. One that ended may have left a
// wake-up behind, and nobody takes another.
func (d *dispatcher) notify() {
	if d.parked.Load() && d.parked.CompareAndSwap(true, false) {
		request(d.wake)
	}
}

// run dispatches whatever the log confirms until the store closes.
func (d *dispatcher) run() {
	s := d.store
	defer s.running.Done()
	for {
		err := d.mendReported()
		if err == nil {
			err = d.dispatchTo(s.log.ConfirmOffset(), s.arrived)
		}
		if err != nil {
			if !d.stall(err) {
				return
			}
			continue
		}
		if !d.await() {
			return
		}
	}
}

// await returns when there is more to dispatch, false when the store closes.
func (d *dispatcher) await() bool {
	s := d.store
	if rate := d.pace.measure(d.count); rate >= busyPerMillisecond {
		s.log.ShareClock(rate / 2)
		time.Sleep(busyPause)
		select {
		case <-s.closing:
			return s.dispatchable() > d.asked && s.stalled.Load() == nil
		default:
			return true
		}
	}
	s.log.ShareClock(0)
	d.rewind(d.it.Offset()) // holds no file while asleep
	d.parked.Store(true)
	if s.dispatchable() > d.asked || len(s.damage) > 0 {
		if d.parked.CompareAndSwap(true, false) {
			return true
		}
	}
	select {
	case <-d.wake:
		return true
	case <-s.closing:
		// A notify that won the race has nobody to send to but the buffer.
		return s.dispatchable() > d.asked && s.stalled.Load() == nil
	}
}

// stall reports that dispatch cannot go on, and tries again until it can. It
// returns false when the store closes.
func (d *dispatcher) stall(cause error) bool {
	s := d.store
	s.stalled.Store(&cause)
	s.log.ShareClock(0) // whoever puts next does so at another time
	s.opts.Listener.DispatchStalled(cause)
	for pause := stallPauseMin; ; pause = min(2*pause, stallPauseMax) {
		select {
		case <-s.closing:
			return false
		case <-time.After(pause):
		}
		err := d.dispatchTo(s.log.ConfirmOffset(), s.arrived)
		if err == nil {
			break
		}
		s.stalled.Store(&err)
	}
	s.stalled.Store(nil)
	s.opts.Listener.DispatchStalled(nil)
	return true
}

// publishEvery bounds how far ReputOffset lags behind what is dispatched, in
// records: publishing each one costs more than it tells.
const publishEvery = 64

// dispatchTo dispatches the records up to limit, as far as readers may see
// them. After an error it begins again,
// when called again, with the record that could not be dispatched.
func (d *dispatcher) dispatchTo(limit message.PhyOffset, arrived func(*Arrival)) error {
	err := vfs.Guarded(func() error { return d.dispatchRecords(limit, arrived) })
	d.alone = err != nil && isFault(err)
	if d.alone {
		d.rewind(d.hand)
	}
	return err
}

func (d *dispatcher) dispatchRecords(limit message.PhyOffset, arrived func(*Arrival)) error {
	if first := d.store.log.MinOffset(); d.it.Offset() < first && limit > first {
		d.rewind(first) // a slave's log began in the middle of its master's
	}
	d.it.Extend(limit)
	// Java's slaves acknowledge parts of records, and so may what is confirmed end.
	visible := message.PhyOffset(d.store.limit.Load())
	d.asked = max(d.asked, min(limit, visible))
	for p := d.next(visible); p != nil; p = d.next(visible) {
		if err := d.dispatch(p, arrived); err != nil {
			d.rewind(p.off)
			return err
		}
		d.lastTime = p.record.StoreTimestamp()
		d.ahead.pop()
		d.hand = p.end()
		if d.count%publishEvery == 0 {
			d.publish(p.end())
		}
	}
	d.publish(d.it.Offset())
	return d.it.Err()
}

// publish tells how far records are dispatched, and asks for a checkpoint when
// that is far beyond the last one.
func (d *dispatcher) publish(off message.PhyOffset) {
	s := d.store
	if s.index != nil {
		s.index.Settle()
	}
	if s.recount.Swap(false) {
		d.units = s.queueUnits()
	}
	s.progress.Lock()
	s.progress.reput, s.progress.time, s.progress.units = off, d.lastTime, d.units
	s.progress.Unlock()
	s.reput.Store(int64(off))
	if int64(off) >= d.nextMark {
		d.nextMark = int64(off) + s.opts.MarkBytes
		request(s.marks.due)
	}
	if int64(off) >= d.nextCheckpoint {
		d.nextCheckpoint = int64(off) + s.opts.CheckpointBytes
		request(s.checkpoints.ready)
	}
}

// request asks for work that is done once however often it was asked for.
func request(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (d *dispatcher) close() {
	if d.it != nil {
		d.it.Close()
	}
}

// dispatch adds one record to its queue and the index and tells of it.
func (d *dispatcher) dispatch(p *pending, arrived func(*Arrival)) error {
	r := p.record
	d.count++
	if p.off < d.queuesFrom || !inQueue(r) {
		return d.toIndex(p)
	}
	q := p.queue
	if q == nil {
		var err error
		if q, err = d.queueOf(r.Topic(), r.QueueID()); err != nil {
			return err
		}
	}
	if err := d.toQueue(q, r.QueueOffset(), consumequeue.Unit{Offset: p.off, Size: int32(len(r)), TagsCode: p.tagsCode}); err != nil {
		return err
	}
	d.light = d.light[:0]
	if p.light {
		if err := d.toLightQueues(p); err != nil {
			return err
		}
	}
	if err := d.toIndex(p); err != nil {
		return err
	}
	a := &d.arrival
	*a = Arrival{
		Topic: q.Key().Topic, QueueID: r.QueueID(), QueueOffset: r.QueueOffset(),
		TagsCode: p.tagsCode, StoreTime: r.StoreTimestamp(), Record: r,
	}
	arrived(a)
	for _, e := range d.light {
		a.Topic, a.QueueID, a.QueueOffset = e.topic, message.LightQueueID, e.offset
		arrived(a)
	}
	return nil
}

// queueOf returns the queue of a topic in a record, and makes it if needed. It allocates
// for a new one only.
func (d *dispatcher) queueOf(topic []byte, queueID int32) (*consumequeue.ConsumeQueue, error) {
	if q := d.store.queues.QueueBytes(topic, queueID); q != nil {
		return q, nil
	}
	return d.store.queues.QueueOrCreate(string(topic), queueID)
}

// toQueue adds an entry to q, or if that was dropped since it was looked up, to the
// queue in its place.
func (d *dispatcher) toQueue(q *consumequeue.ConsumeQueue, off message.QueueOffset, u consumequeue.Unit) error {
	err := d.append(q, off, u)
	if !errors.Is(err, consumequeue.ErrGone) {
		return err
	}
	key := q.Key()
	if q, err = d.store.queues.QueueOrCreate(key.Topic, key.QueueID); err != nil {
		return err
	}
	return d.append(q, off, u)
}

func (d *dispatcher) append(q *consumequeue.ConsumeQueue, off message.QueueOffset, u consumequeue.Unit) (err error) {
	before := q.MaxOffset()
	if off == 0 && before > 0 && isRecreated(q, u) {
		if q, err = d.store.renewQueue(q.Key()); err != nil {
			return err
		}
		d.store.recount.Store(true)
	}
	err = q.Append(off, u)
	if isGap(err) {
		return d.mendGap(q, u, err)
	}
	d.units += int64(q.MaxOffset() - before)
	return err
}

// isRecreated tells whether u, the first message of a queue that has others,
// came after them: its topic was deleted and made again.
func isRecreated(q *consumequeue.ConsumeQueue, u consumequeue.Unit) bool {
	last, ok := q.Last()
	return ok && u.Offset > last.Offset
}

// renewQueue makes a queue empty.
func (s *Store) renewQueue(key consumequeue.Key) (*consumequeue.ConsumeQueue, error) {
	if err := s.queues.DropQueue(key); err != nil {
		return nil, err
	}
	return s.queues.QueueOrCreate(key.Topic, key.QueueID)
}

func isGap(err error) bool {
	if err == nil {
		return false // without the allocation that asking costs
	}
	var gap *consumequeue.GapError
	return errors.As(err, &gap)
}

// mendGap serves a message whose predecessors are missing from the queue. The
// queue is built again, once, as it may be the one that is damaged. Where the
// log has the gap itself, the entry goes to the end of the queue, as in Java.
func (d *dispatcher) mendGap(q *consumequeue.ConsumeQueue, u consumequeue.Unit, cause error) error {
	d.store.recount.Store(true)
	if d.gapInLog[q.Key()] {
		return q.Append(q.MaxOffset(), u)
	}
	if d.gapInLog == nil {
		d.gapInLog = map[consumequeue.Key]bool{}
	}
	gap, err := d.store.rebuildQueue(q.Key(), u.Offset+message.PhyOffset(u.Size), cause)
	d.gapInLog[q.Key()] = gap
	return err
}

func (d *dispatcher) toIndex(p *pending) error {
	if !d.indexes(p) {
		return nil
	}
	return d.store.index.Put(&p.keys, p.off, p.record.StoreTimestamp())
}

// tagsCode is what a queue of topic keeps of a record's tags: their hash, or for a
// delayed message the time in ms at which it is due.
func tagsCode[T string | []byte](s *Store, topic T, r message.Record, props message.DispatchProperties) int64 {
	if string(topic) == message.ScheduleTopic {
		if level, err := strconv.Atoi(string(props.DelayLevel)); err == nil && level > 0 {
			delay := time.Second // Java's answer for a level without an entry
			if levels := s.opts.DelayLevels; len(levels) > 0 {
				delay = levels[min(level, len(levels))-1]
			}
			return r.StoreTimestamp() + delay.Milliseconds()
		}
	}
	return message.TagsCode(props.Tags)
}

// damage is a queue that a reader found damaged, or a call that puts bytes right.
type damage struct {
	key   consumequeue.Key
	cause error
	mend  func() // in place of the other two
}

// reportDamage has the dispatcher build a queue again; a reader that meets the
// damage meanwhile reports it again.
func (s *Store) reportDamage(key consumequeue.Key, cause error) {
	select {
	case s.damage <- damage{key: key, cause: cause}:
		s.dispatch.notify()
	default:
	}
}

// mendReported builds the queues again that readers found damaged.
func (d *dispatcher) mendReported() error {
	for {
		select {
		case found := <-d.store.damage:
			if found.mend != nil {
				found.mend()
				continue
			}
			if q := d.store.queues.Queue(found.key.Topic, found.key.QueueID); q == nil || q.Check() == nil {
				continue // reported twice, and mended
			}
			d.store.recount.Store(true)
			err := vfs.Guarded(func() error {
				_, err := d.store.rebuildQueue(found.key, d.it.Offset(), found.cause)
				return err
			})
			if err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// rebuildQueue builds one queue again from the log, up to end, and tells
// whether the log lacks messages of it.
func (s *Store) rebuildQueue(key consumequeue.Key, end message.PhyOffset, cause error) (gap bool, err error) {
	q, err := s.renewQueue(key)
	if err != nil {
		return false, err
	}
	it := s.log.Iterate(s.log.MinOffset(), end, commitlog.Dispatched)
	defer it.Close()
	for {
		r, ok := it.Next()
		if !ok && s.passDamage(it) {
			continue
		}
		if !ok {
			break
		}
		at, ok := entryIn(r, key)
		if !ok {
			continue
		}
		u := consumequeue.Unit{
			Offset: it.Offset() - message.PhyOffset(len(r)), Size: int32(len(r)),
			TagsCode: tagsCode(s, key.Topic, r, r.Properties().Dispatch()),
		}
		if at == 0 && q.MaxOffset() > 0 { // the topic was made again
			if q, err = s.renewQueue(key); err != nil {
				return gap, err
			}
		}
		err := q.Append(at, u)
		if isGap(err) {
			gap = true
			err = q.Append(q.MaxOffset(), u)
		}
		if err != nil {
			return gap, fmt.Errorf("rebuild of consume queue %v: %w", key, err)
		}
	}
	if it.Err() != nil {
		return gap, it.Err()
	}
	s.metrics.queuesRebuilt.Add(1)
	s.opts.Listener.QueueRebuilt(key.Topic, key.QueueID, cause)
	return gap, nil
}

// passDamage lets a walk go on behind bytes of the log that are no record.
func (s *Store) passDamage(it *commitlog.Iterator) bool {
	var corrupt *commitlog.CorruptError
	if !errors.As(it.Err(), &corrupt) {
		return false
	}
	l := logReader{store: s, pace: func(int) error { return nil }}
	_, next, _ := l.record(corrupt.Offset, it.Limit())
	next, err := l.behind(corrupt.Offset, next, it.Limit())
	if err = errors.Join(err, l.close()); err != nil {
		return false
	}
	it.Rewind(next)
	return true
}

// inQueue tells whether a record has an entry in a consume queue.
func inQueue(r message.Record) bool {
	switch r.SysFlag().Transaction() {
	case message.TransactionPrepared, message.TransactionRollback:
		return false
	}
	return !r.SysFlag().InnerBatch() // those of BatchCQ topics have queues of another form
}
