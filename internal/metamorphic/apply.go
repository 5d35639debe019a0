package metamorphic

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// answer is what an operation gave to its user, in a form that does not depend
// on the option set.
type answer string

// do does one operation and proves what it gave. The answer is empty where it
// may differ between option sets.
func (w *world) do(op Op) (answer, error) {
	w.points.begin(op)
	w.stats.Ops++
	a, err := w.apply(op)
	if err == nil {
		err = w.placed()
	}
	if err == nil {
		err = w.failure.get()
	}
	if err == nil {
		err = w.claims()
	}
	return a, err
}

func (w *world) apply(op Op) (answer, error) {
	switch op.Kind {
	case Put:
		return w.putAll(op, 1, w.put)
	case Stream:
		return w.putAll(op, op.N, w.stream)
	case Race:
		return w.putAll(op, op.N, w.race)
	case Batch:
		return w.putAll(op, op.N, w.batch)
	case Get:
		return w.get(op)
	case Query:
		return w.query(op)
	case Flush:
		return "", w.flush()
	case Restart:
		return "", w.restart(op)
	case Crash, Kill:
		return "", w.crash(op)
	case Clean:
		return "", w.clean()
	case Advance:
		return "", w.advance(op.pause())
	case Turn:
		w.skew.Add(int64(op.turn()))
		return "", nil
	case Fill:
		return "", w.fill(op)
	case Empty:
		w.loosen()
		return "", w.advance(3 * time.Second) // a stalled dispatch tries again each second
	}
	return "", fmt.Errorf("unknown operation %d", op.Kind)
}

// putAll draws n messages, hands them to put, and tells what became of them.
func (w *world) putAll(op Op, n int, put func([]sent) error) (answer, error) {
	all := make([]sent, n)
	for i := range all {
		m := sent{id: uint32(op.Number)<<8 | uint32(i), queue: op.Queue, key: op.Key, size: op.Size, wait: op.Wait}
		if i > 0 {
			m.size = 1 + (op.Size*7919*i)%op.Size
			m.key = (op.Key + i) % keysPerTopic
			if op.Kind != Batch {
				m.queue = (op.Queue + i*int(op.Rand%5)) % w.queues
			}
		}
		all[i] = m
	}
	w.stats.Messages += len(all)
	w.fly(all...)
	return answer(fmt.Sprint(n)), put(all)
}

func (w *world) put(all []sent) error {
	return w.answered(all[0], w.store.Load().Put(all[0].message()))
}

// answered notes the answer to the put of a message.
func (w *world) answered(m sent, res engine.PutResult) error {
	if res.Status != engine.PutOK {
		w.land(m, false)
		if res.Err == nil || res.Status.Stored() || !w.tight.Load() {
			return fmt.Errorf("message %s is refused: %v: %w", uniqueName(m.id), res.Status, cmp.Or(res.Err, errors.New("no cause")))
		}
		return nil
	}
	m.phy, m.offset, m.time, m.record = res.PhyOffset, res.QueueOffset, res.StoreTimestamp, res.Size
	w.stored(m, m.end())
	return nil
}

// stored notes that a message is stored, with all that is promised by it.
func (w *world) stored(m sent, end message.PhyOffset) {
	w.land(m, true)
	switch {
	case w.set.mode == sync_ && m.wait:
		w.promise(end, end)
	case w.set.mode == async:
		w.promise(0, end)
	}
}

// completion is told of a message put.
type completion struct {
	w    *world
	m    sent
	done *sync.WaitGroup
}

func (c *completion) PutDone(res engine.PutResult) {
	if err := c.w.answered(c.m, res); err != nil {
		c.w.failure.set(err)
	}
	c.done.Done()
}

func (w *world) stream(all []sent) error {
	var done sync.WaitGroup
	done.Add(len(all))
	for _, m := range all {
		w.store.Load().PutAsync(m.message(), &completion{w, m, &done})
	}
	done.Wait()
	return nil
}

func (w *world) race(all []sent) error {
	var done sync.WaitGroup
	for g := range 3 {
		done.Go(func() {
			for i := g; i < len(all); i += 3 {
				if err := w.put(all[i : i+1]); err != nil {
					w.failure.set(err)
				}
			}
		})
	}
	done.Wait()
	return nil
}

func (w *world) batch(all []sent) error {
	var body []byte
	for i := range all {
		body = message.AppendBatchItem(body, 0, all[i].body(nil), all[i].properties())
	}
	if len(body) > w.set.opts.MaxMessageSize {
		w.land(all[len(all)-1], false)
		return w.batch(all[:len(all)-1])
	}
	m := all[0].message()
	m.Body = nil
	res, places := w.store.Load().PutBatch(m, body, nil)
	if res.Status != engine.PutOK {
		var errs []error
		for _, m := range all {
			errs = append(errs, w.answered(m, res))
		}
		return errors.Join(errs...)
	}
	end := res.PhyOffset + message.PhyOffset(res.Size)
	for i, m := range all {
		m.phy, m.offset, m.time = places[i], res.QueueOffset+message.QueueOffset(i), res.StoreTimestamp
		next := end
		if i+1 < len(all) {
			next = places[i+1]
		}
		m.record = int32(next - m.phy)
		w.stored(m, end)
	}
	return nil
}

// placed proves that the messages stored have places behind one another, and in
// each queue offsets that follow each other.
func (w *world) placed() error {
	var at message.PhyOffset
	next := make([]message.QueueOffset, w.queues)
	var time int64
	for i := range w.log {
		m := &w.log[i]
		if m.phy < at || m.offset != next[m.queue] || m.time < time {
			return fmt.Errorf("message %s was put to %d of the log, offset %d, time %d; expected are %d or more, %d, %d or more",
				uniqueName(m.id), m.phy, m.offset, m.time, at, next[m.queue], time)
		}
		at, time = m.end(), m.time
		next[m.queue]++
	}
	return nil
}

// claims proves that what the store says of itself holds what it promised.
func (w *world) claims() error {
	s := w.store.Load()
	w.mu.Lock()
	power := w.power // before what the store says now, which can only be more
	w.mu.Unlock()
	confirmed, end := s.ConfirmOffset(), w.end()
	switch {
	case s.ReputOffset() > confirmed || confirmed > s.MaxPhyOffset() || s.FlushedOffset() > s.MaxPhyOffset():
		return fmt.Errorf("dispatched %d, confirmed %d, flushed %d, end %d are out of order", s.ReputOffset(), confirmed, s.FlushedOffset(), s.MaxPhyOffset())
	case w.set.mode == async && confirmed < end, w.set.mode == sync_ && confirmed < power:
		return fmt.Errorf("confirmed is %d, promised was %d", confirmed, max(end, power))
	}
	return nil
}

// readable waits until all that may be read can be. In a calm history that is
// everything, whatever the mode.
func (w *world) readable() error {
	s := w.store.Load()
	if w.tight.Load() {
		w.loosen() // dispatch may have stalled
	}
	if w.calm {
		if err := s.Flush(); err != nil {
			return err
		}
	}
	return settle(s)
}

func (w *world) get(op Op) (answer, error) {
	if err := w.readable(); err != nil {
		return "", err
	}
	s := w.store.Load()
	all := byQueue(w.log, w.queues, s.ConfirmOffset())[op.Queue]
	from := message.QueueOffset(int(op.Rand%1000) * (len(all) + 2) / 1000)
	var res engine.GetResult
	defer res.Release()
	s.Get(&engine.GetRequest{Topic: topicOf(op.Queue), QueueID: idOf(op.Queue), Offset: from, MaxMsgs: op.N}, &res)
	end := message.QueueOffset(len(all))
	want, next := engine.Found, from
	switch {
	case end == 0:
		if res.Status == engine.NoMatchedLogicQueue || res.Status == engine.NoMessageInQueue {
			return "no messages", nil
		}
		want = engine.NoMessageInQueue
	case from < res.MinOffset:
		want, next = engine.OffsetTooSmall, res.MinOffset
		if all[res.MinOffset-1].phy >= max(w.min, s.MinPhyOffset()) {
			return "", fmt.Errorf("get from %d: the queue begins at %d, message %d is still in the log", from, res.MinOffset, res.MinOffset-1)
		}
	case from == end:
		want = engine.OffsetOverflowOne
	case from > end:
		want, next = engine.OffsetOverflowBadly, end
	case all[from].phy < s.MinPhyOffset():
		return "expired", nil // some may be found, some not
	default:
		n, err := gotAgrees(&res, all[from:], op.N, nil)
		if err != nil {
			return "", fmt.Errorf("get from %d: %w", from, err)
		}
		return answer(fmt.Sprintf("%d from %d of %d", n, from, end)), nil
	}
	if res.Status != want || res.NextOffset != next || res.Count != 0 {
		return "", fmt.Errorf("get from %d of %d: %v, next %d, %d messages; want %v, next %d", from, end, res.Status, res.NextOffset, res.Count, want, next)
	}
	return answer(want.String()), nil
}

func (w *world) query(op Op) (answer, error) {
	if err := w.readable(); err != nil {
		return "", err
	}
	v := w.view()
	if !v.indexed {
		return "", nil
	}
	var want []message.PhyOffset
	topic, from := op.Queue%topics, max(w.min, v.MinPhyOffset())
	for _, m := range w.log {
		if m.queue%topics == topic && m.key == op.Key && m.end() <= v.ConfirmOffset() && m.phy >= from {
			want = append(want, m.phy)
		}
	}
	return "", v.keyAgrees(topic, keyName(op.Key), want, from)
}

func (w *world) flush() error {
	s := w.store.Load()
	end := w.end()
	if err := s.Flush(); err != nil {
		return err
	}
	w.promise(end, end)
	return nil
}

func (w *world) restart(op Op) error {
	if err := w.close(); err != nil {
		return err
	}
	if op.Rand%4 == 0 {
		w.set.setMode(mode(op.Rand >> 8 % uint64(modes)))
	}
	return w.recovered(w.power)
}

// crash ends the store by a power loss or a kill, and goes on with what is left.
func (w *world) crash(op Op) error {
	if op.Rand%3 == 0 {
		w.disk.Snapshot()
	}
	w.confirm()
	promised, next := w.power, w.disk
	if op.Kind == Kill {
		w.stats.Kills++
		promised, next = w.kill, w.disk.Kill()
	} else {
		w.stats.Crashes++
		next = w.disk.Crash(op.Rand)
	}
	w.abandon()
	w.lose(promised)
	w.lieOn(next)
	if err := w.recovered(promised); err != nil {
		return fmt.Errorf("after a %v: %w\n%v", op.Kind, err, next.Outcome())
	}
	return nil
}

// confirm takes the positions that the store claims as promises.
func (w *world) confirm() {
	if s := w.store.Load(); s != nil {
		w.promise(s.FlushedOffset(), s.ConfirmOffset())
	}
}

// clean runs a round of retention. What is deleted is what the options allow.
func (w *world) clean() error {
	s := w.store.Load()
	before, size := s.MinPhyOffset(), message.PhyOffset(w.set.opts.CommitLogFileSize)
	end := s.MaxPhyOffset()
	w.mu.Lock()
	w.minLimit = end - end%size
	w.mu.Unlock()
	if err := s.Clean(); err != nil {
		w.refused(fmt.Errorf("clean: %w", err))
		return w.failure.get()
	}
	after := s.MinPhyOffset()
	w.mu.Lock()
	w.min, w.minLimit = max(w.min, after), 0
	w.mu.Unlock()
	// Files expire by age only where the clock was turned so far.
	keep := message.PhyOffset(w.set.opts.MaxLogBytes)
	if after > before && time.Duration(w.skew.Load()) < 72*time.Hour && (keep == 0 || end-after < keep-size) {
		return fmt.Errorf("clean: the log begins at %d after %d, it has %d bytes and may have %d", after, before, end-before, keep)
	}
	return nil
}

// advance lets time pass, after which a pool is committed if that was long.
func (w *world) advance(d time.Duration) error {
	time.Sleep(d)
	s := w.store.Load()
	if d < w.set.opts.CommitInterval+w.set.opts.FlushInterval {
		return nil
	}
	if w.set.mode == pool && s.ConfirmOffset() < w.end() {
		return fmt.Errorf("after %v the pool is committed up to %d of %d", d, s.ConfirmOffset(), w.end())
	}
	return nil
}

// fill leaves the disk so little space that it may be full soon.
func (w *world) fill(op Op) error {
	u, err := w.disk.Usage("/")
	if err != nil {
		return err
	}
	w.tight.Store(true)
	w.disk.SetCapacity(int64(u.Total-u.Free) + int64(4<<10*op.N))
	return nil
}
