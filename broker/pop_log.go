package broker

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// reviveGroup is the group whose offsets say how far the revive log is settled (Java's PopAckConstants).
const reviveGroup = message.SystemGroupPrefix + "REVIVE_GROUP"

// reviveCommit is how often the settled offsets of the revive log are committed while they change.
const reviveCommit = time.Second

// A reviveLog keeps what is popped and not done: in memory as ledgers, one for each queue of the revive topic, and as
// records of that topic, in Java's shapes, from which the ledgers are made anew at a start. One goroutine gives out again
// what nobody acknowledged in time, by way of the group's retry topic (Java's PopReviveService).
//
// A record is written straight to the revive topic, where Java lets the timer put it when its time has come: the ledger
// knows the times, and every put through the timer is two. Java's revive reads such records as its own: see
// docs/design/0014-pop.md. What is invisible for long, or finds no room in memory, goes through the timer here too, and is
// followed when it comes by that way, as are the records that a Java broker has left there. On a slave it runs while that
// acts for its master.
type reviveLog struct {
	b     *Broker
	topic string
	max   int64 // open checkpoints at most

	queues [reviveQueues]reviveQueue
	open   atomic.Int64 // checkpoints in all ledgers
	turn   atomic.Uint32

	wake  chan struct{}
	armed atomic.Int64  // ms at which run wakes by itself
	stop  chan struct{} // nil: it does not run
	done  sync.WaitGroup

	chase  chase                // the run goroutine's
	silent map[string]time.Time // brokers that did not answer, and until when they are not asked; the run goroutine's
}

// reviveQueue is one queue of the revive log.
type reviveQueue struct {
	mu struct {
		sync.Mutex
		ledger    *pop.Ledger
		failures  map[*pop.Checkpoint]int // tries that failed, of those that are due
		committed int64
	}
	behind atomic.Bool // a record came that is not ours
}

func newReviveLog(b *Broker, o *Options) *reviveLog {
	l := &reviveLog{
		b: b, topic: message.ReviveTopicPrefix + o.BrokerClusterName, max: int64(o.MaxPopInFlight),
		wake: make(chan struct{}, 1), silent: map[string]time.Time{},
	}
	l.armed.Store(1<<63 - 1)
	for i := range l.queues {
		l.queues[i].mu.ledger = pop.NewLedger(0)
		l.queues[i].mu.failures = map[*pop.Checkpoint]int{}
	}
	return l
}

// load makes the ledgers from the records behind the committed offsets. Nothing may run.
func (l *reviveLog) load() {
	for i := range l.queues {
		q := &l.queues[i]
		next := int64(0)
		if committed, ok := l.b.offsets.Committed(l.topic, reviveGroup, int32(i)); ok {
			next = committed + 1
		}
		q.mu.Lock()
		l.open.Add(-int64(q.mu.ledger.Len()))
		q.mu.committed = next - 1
		q.mu.ledger = pop.NewLedger(next)
		clear(q.mu.failures)
		q.mu.Unlock()
		l.follow(int32(i))
	}
}

func (l *reviveLog) start() {
	l.stop, l.chase = make(chan struct{}), chase{}
	l.done.Add(1)
	go l.run()
}

// close ends the goroutine and commits what is settled.
func (l *reviveLog) close() {
	if l.stop == nil {
		return
	}
	close(l.stop)
	l.done.Wait()
	l.stop = nil
	l.commit()
}

// arrived is told of each record of the revive topic, on the path of the dispatch. Our own have been applied.
func (l *reviveLog) arrived(queue int32, r message.Record) {
	if queue < 0 || queue >= reviveQueues {
		return
	}
	if late(r) {
		l.queues[queue].behind.Store(true)
		l.kick()
	}
}

func (l *reviveLog) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// full tells whether no checkpoint can be taken in.
func (l *reviveLog) full() bool { return l.open.Load() >= l.max }

// next picks the queue for the checkpoints of one pop.
func (l *reviveLog) next() int32 { return int32(l.turn.Add(1) % reviveQueues) }

// parkAfter is the invisible time from which a checkpoint is left to the timer, as Java leaves all: it needs no memory until
// its time comes, and does not keep the log from being settled for so long.
const parkAfter = 5 * time.Minute

// add makes a checkpoint durable and open, or leaves it to the timer. The caller holds the lock of its queue and group, and
// none is open by its key.
func (l *reviveLog) add(queue int32, c *pop.Checkpoint) engine.PutResult {
	if l.b.acts() {
		return l.addElsewhere(c)
	}
	if l.full() || c.InvisibleTime >= parkAfter.Milliseconds() {
		if r, ok := l.park(queue, pop.TagCheckpoint, pop.AppendCheckpoint(nil, c), pop.AppendCheckpointID(nil, c), c.VisibleAt()-parkAhead); ok {
			return r
		}
	}
	r := l.write(queue, pop.TagCheckpoint, pop.AppendCheckpoint(nil, c))
	if !r.Status.Stored() {
		return r
	}
	q := &l.queues[queue]
	q.mu.Lock()
	before := q.mu.ledger.Len()
	q.mu.ledger.Add(int64(r.QueueOffset), c, false)
	l.open.Add(int64(q.mu.ledger.Len() - before))
	q.mu.Unlock()
	if c.VisibleAt() < l.armed.Load() {
		l.kick()
	}
	return r
}

// ack makes an acknowledgement durable, of those of its offsets that are open. Those of no open checkpoint are in the timer,
// by us or by a Java broker, as long as they are invisible: the acknowledgement goes the same way. None is success too: the
// message has come again or is done.
func (l *reviveLog) ack(queue int32, a *pop.Ack, visibleAt int64) engine.PutResult {
	q := &l.queues[queue]
	q.mu.Lock()
	known := q.mu.ledger.Has(&a.Key)
	if known {
		a.Offsets = slices.DeleteFunc(a.Offsets, func(offset int64) bool { return !q.mu.ledger.Holds(&a.Key, offset) })
	}
	q.mu.Unlock()
	switch {
	case len(a.Offsets) == 0:
		return engine.PutResult{Status: engine.PutOK}
	case known && l.b.acts():
		l.strike(queue, a)
		return engine.PutResult{Status: engine.PutOK}
	case l.b.acts():
		return l.ackElsewhere(a, visibleAt)
	case !known:
		if r, ok := l.park(queue, a.Tag(), pop.AppendAck(nil, a), pop.AppendAckID(nil, a), visibleAt); ok {
			return r
		}
		return engine.PutResult{Status: engine.PutOK}
	}
	r := l.write(queue, a.Tag(), pop.AppendAck(nil, a))
	if r.Status.Stored() {
		q.mu.Lock()
		before := q.mu.ledger.Len()
		q.mu.ledger.Ack(int64(r.QueueOffset), a)
		l.open.Add(int64(q.mu.ledger.Len() - before))
		q.mu.Unlock()
	}
	return r
}

// strike notes on a slave what is done of a checkpoint of its master's. No record says so: what a crash takes of it, or the
// master does not hear of, comes again.
func (l *reviveLog) strike(queue int32, a *pop.Ack) {
	q := &l.queues[queue]
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.mu.ledger.Len()
	q.mu.ledger.Strike(a)
	l.open.Add(int64(q.mu.ledger.Len() - before))
}

// replace adds a checkpoint in place of the one message of an old one. Between the two records a crash leaves both: the
// message may come twice, and comes.
func (l *reviveLog) replace(queue int32, old *pop.Key, visibleAt int64, c *pop.Checkpoint) engine.PutResult {
	for l.has(queue, &c.Key) {
		c.PopTime++ // another of that millisecond
	}
	r := l.add(queue, c)
	if !r.Status.Stored() {
		return r
	}
	return l.ack(queue, &pop.Ack{Key: *old, Offsets: []int64{c.Offsets[0]}}, visibleAt)
}

// has tells whether a checkpoint is open. It stays so while its key's lock is held, where it is not.
func (l *reviveLog) has(queue int32, k *pop.Key) bool {
	q := &l.queues[queue]
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.ledger.Has(k)
}

// parkAhead is how long before its time the timer is to bring a checkpoint, ms: before its acknowledgements, which it brings
// at their time, in another slot of a second.
const parkAhead = 1000

// park leaves a record to the timer, as Java does, until a time. It is false when that is past, or there is no timer.
func (l *reviveLog) park(queue int32, tag string, body, id []byte, at int64) (engine.PutResult, bool) {
	now := l.b.now().UnixMilli()
	if at <= now || !l.parks() {
		return engine.PutResult{}, false
	}
	m := l.record(queue, tag, body, now, at)
	m.Properties = message.AppendProperty(m.Properties, message.PropertyUniqueKey, id)
	if out, err := l.b.timers.divert(m, l.b.options()); err != nil || out == 0 {
		return engine.PutResult{}, false
	}
	return l.b.put(m), true
}

// parks tells whether records can be left to the timer.
func (l *reviveLog) parks() bool { return l.b.timers.timer.Load() != nil }

// write puts a record. Its time of delivery is now: that is how Java's revive tells how far the log has come.
func (l *reviveLog) write(queue int32, tag string, body []byte) engine.PutResult {
	now := l.b.now().UnixMilli()
	return l.b.put(l.record(queue, tag, body, now, now))
}

func (l *reviveLog) record(queue int32, tag string, body []byte, now, at int64) *message.Message {
	var p message.Properties
	p = message.AppendProperty(p, message.PropertyTimerDeliverTime, strconv.FormatInt(at, 10))
	p = message.AppendProperty(p, message.PropertyTags, tag)
	return &message.Message{
		Topic: l.topic, QueueID: queue, Body: body, Properties: p, BornTimestamp: now, BornHost: l.b.storeHost, StoreHost: l.b.storeHost,
	}
}

// follow applies the records of the queue that are not, up to its end.
func (l *reviveLog) follow(queue int32) {
	q := &l.queues[queue]
	var res engine.GetResult
	defer res.Release()
	for {
		q.mu.Lock()
		next := q.mu.ledger.Next()
		q.mu.Unlock()
		l.b.cold.Get(&engine.GetRequest{Topic: l.topic, QueueID: queue, Offset: message.QueueOffset(next), MaxMsgs: 32}, &res)
		switch res.Status {
		case engine.Found:
		case engine.OffsetTooSmall, engine.MessageWasRemoving, engine.OffsetFoundNull:
			if int64(res.NextOffset) <= next {
				return
			}
		default:
			return
		}
		q.mu.Lock()
		before := q.mu.ledger.Len()
		err := message.EachRecord(res.Segments, func(r message.Record) { l.apply(q.mu.ledger, r) })
		if err != nil {
			l.b.log.Error("records of the revive log cannot be read and are passed over", "queue", queue, "offset", next, "error", err)
		}
		q.mu.ledger.SkipTo(int64(res.NextOffset)) // what is gone, or cannot be read
		l.open.Add(int64(q.mu.ledger.Len() - before))
		q.mu.Unlock()
	}
}

// late tells of a record that it was not written at once: it came by way of the timer, or from a broker that acts for its
// master, which sends what it would put.
func late(r message.Record) bool {
	_, timed := r.Properties().Get(message.PropertyTimerOutTime)
	return timed || r.BornHost() != r.StoreHost()
}

// apply tells the ledger of a record.
func (l *reviveLog) apply(ledger *pop.Ledger, r message.Record) {
	offset := int64(r.QueueOffset())
	tag, _ := r.Properties().Get(message.PropertyTags)
	switch c, a, err := l.decode(tag, r.Body()); {
	case c != nil:
		ledger.Add(offset, c, late(r))
	case a != nil:
		ledger.Ack(offset, a)
	default:
		ledger.Skip(offset)
		if err != nil {
			l.b.log.Warn("record of the revive log is passed over", "queue", r.QueueID(), "offset", offset, "error", err)
		}
	}
}

// decode reads what a record says: a checkpoint or an acknowledgement, or nothing.
func (l *reviveLog) decode(tag, body []byte) (c *pop.Checkpoint, a *pop.Ack, err error) {
	switch string(tag) {
	case pop.TagCheckpoint:
		c, err = pop.DecodeCheckpoint(body)
	case pop.TagAck, pop.TagBatchAck:
		a, err = pop.DecodeAck(body, l.b.options().BrokerName)
	}
	return c, a, err
}

// popAnswer says what a failed write to the revive log means to a client.
func popAnswer(r engine.PutResult, o *Options) error {
	if r.Status.Stored() {
		return nil
	}
	return refuse(protocol.SystemError, "%s", putRemark(r, o))
}
