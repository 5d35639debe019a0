package broker

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// reviveGroup is the group whose offsets say how far the revive log is settled (Java's PopAckConstants).
const reviveGroup = message.SystemGroupPrefix + "REVIVE_GROUP"

// reviveCommit is how often the settled offsets of the revive log are committed while they change.
const reviveCommit = time.Second

// reviveRetry are the times after which a checkpoint is tried again whose messages could not be stored, the last for ever
// (Java's ckRewriteIntervalsInSeconds).
var reviveRetry = [...]time.Duration{
	10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute,
	5 * time.Minute, 6 * time.Minute, 7 * time.Minute, 8 * time.Minute, 9 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour,
}

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
	l.stop = make(chan struct{})
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

// run gives out again what is due, follows the log where others write it, and commits how far it is settled. It sleeps while
// nothing is open.
func (l *reviveLog) run() {
	defer l.done.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := l.round()
		timer.Reset(wait)
		select {
		case <-l.stop:
			return
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// round does what there is to do, and returns the time until there is more.
func (l *reviveLog) round() time.Duration {
	for i := range l.queues {
		if l.queues[i].behind.Swap(false) {
			l.follow(int32(i))
		}
		l.reviveDue(int32(i))
	}
	unsettled := l.commit()
	now := l.b.now().UnixMilli()
	at := now + time.Hour.Milliseconds()
	if unsettled {
		at = now + reviveCommit.Milliseconds()
	}
	// From here on whoever adds something that is due earlier wakes us; what was added before is seen below.
	l.armed.Store(at)
	for i := range l.queues {
		q := &l.queues[i]
		q.mu.Lock()
		if due, ok := q.mu.ledger.NextDue(); ok {
			at = min(at, due)
		}
		q.mu.Unlock()
	}
	l.armed.Store(at)
	return max(time.Duration(at-l.b.now().UnixMilli()), 1) * time.Millisecond
}

// commit notes how far the log is settled, and tells whether that may change soon.
func (l *reviveLog) commit() (unsettled bool) {
	for i := range l.queues {
		q := &l.queues[i]
		q.mu.Lock()
		committed, was := q.mu.ledger.Committed(), q.mu.committed
		q.mu.committed = committed
		unsettled = unsettled || q.mu.ledger.Len() > 0
		q.mu.Unlock()
		if committed > was && committed >= 0 {
			l.b.offsets.Commit(l.topic, reviveGroup, int32(i), committed)
			unsettled = true
		}
	}
	return unsettled
}

// reviveDue gives out again what is due in one queue.
func (l *reviveLog) reviveDue(queue int32) {
	q := &l.queues[queue]
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		q.mu.Lock()
		d, ok := q.mu.ledger.Due(l.b.now().UnixMilli())
		q.mu.Unlock()
		if !ok {
			return
		}
		l.revive(queue, d)
	}
}

// revive stores the messages of a checkpoint again that are not done, and settles it. An ack record says which are: a crash
// before the commit of the settled offset repeats nothing, and a Java broker sees them as done.
func (l *reviveLog) revive(queue int32, d pop.Revival) {
	q := &l.queues[queue]
	var failed error
	done := &pop.Ack{Key: d.Key}
	read := l.reader(d.Checkpoint)
	for _, offset := range d.Left {
		if err := l.again(d.Checkpoint, read, offset); err != nil {
			failed = err
			break
		}
		done.Offsets = append(done.Offsets, offset)
	}
	if len(done.Offsets) > 0 && l.b.isSlave() {
		l.strike(queue, done)
	} else if len(done.Offsets) > 0 {
		r := l.write(queue, done.Tag(), pop.AppendAck(nil, done))
		q.mu.Lock()
		if r.Status.Stored() {
			before := q.mu.ledger.Len()
			q.mu.ledger.Ack(int64(r.QueueOffset), done)
			l.open.Add(int64(q.mu.ledger.Len() - before))
		}
		q.mu.Unlock()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if failed != nil {
		n := q.mu.failures[d.Checkpoint]
		q.mu.failures[d.Checkpoint] = n + 1
		delay := reviveRetry[min(n, len(reviveRetry)-1)]
		q.mu.ledger.Defer(d.Checkpoint, l.b.now().Add(delay).UnixMilli())
		l.b.log.Error("popped messages cannot be given out again; tried again", "topic", d.Topic, "group", d.Group, "in", delay, "error", failed)
		return
	}
	delete(q.mu.failures, d.Checkpoint)
	before := q.mu.ledger.Len()
	q.mu.ledger.Settle(d.Checkpoint)
	l.open.Add(int64(q.mu.ledger.Len() - before))
}

// again puts one popped message to the retry topic of its group. One that is gone, or whose topic or group is, is done; a
// slave may only not have copied these yet.
func (l *reviveLog) again(c *pop.Checkpoint, read messageReader, offset int64) error {
	b := l.b
	if !b.isSlave() && (b.topics.Get(pop.NormalTopic(c.Topic, c.Group)) == nil || !l.hasGroup(c)) {
		return nil
	}
	m, err := read(offset)
	if m == nil || err != nil {
		return err
	}
	m.Topic, m.QueueID = c.Topic, 0
	if pop.SourceOf(c.Topic) == pop.FromTopic {
		m.Topic = b.popRetryTopic(c.Topic, c.Group)
	}
	m.BornHost, m.StoreHost = b.storeHost, b.storeHost
	if _, ok := m.Properties.Get(message.PropertyFirstPopTime); !ok || m.ReconsumeTimes == 0 {
		m.Properties = m.Properties.Set(message.PropertyFirstPopTime, strconv.FormatInt(c.PopTime, 10))
	}
	m.Properties = m.Properties.Set(message.PropertyOriginGroup, c.Group)
	if !c.Suspended {
		m.ReconsumeTimes++
	}
	var r engine.PutResult
	if b.acts() {
		r = l.reviveElsewhere(c, m)
	} else if err := b.ensurePopRetry(m.Topic, c.Group); err != nil {
		return err
	} else {
		r = b.put(m)
	}
	if !r.Status.Stored() {
		return &refusal{putCode(r.Status), putRemark(r, b.options())}
	}
	b.stats.Put.Add(1, int64(len(m.Body)))
	b.stats.Revived.Add(1)
	return nil
}

// hasGroup tells whether the group of a checkpoint is there. Of another broker's it may never have been here before.
func (l *reviveLog) hasGroup(c *pop.Checkpoint) bool {
	g := l.b.groups.Get(c.Group)
	if g != nil || l.isOwn(&c.Key) {
		return g != nil
	}
	g, err := l.b.groups.FindOrCreate(c.Group, l.b.options().AutoCreateSubscriptionGroup, l.b.now().UnixMilli())
	if err != nil {
		l.b.log.Error("group is not on disk", "group", c.Group, "error", err)
	}
	return g != nil
}

// popRetryTopic is the retry topic that popped messages of the topic come again in.
func (b *Broker) popRetryTopic(topic, group string) string {
	if b.options().EnableRetryTopicV2 {
		return pop.RetryTopicV2(topic, group)
	}
	return pop.RetryTopicV1(topic, group)
}

// ensurePopRetry makes the retry topic where needed; the group reads it from its beginning.
func (b *Broker) ensurePopRetry(topic, group string) error {
	if b.topics.Get(topic) != nil {
		return nil
	}
	if _, ok := b.offsets.Committed(topic, group, 0); !ok {
		b.offsets.Commit(topic, group, 0, 0)
	}
	c := metadata.NewTopicConfig(topic, 1)
	if _, err := b.ownTopic(c); err != nil {
		return err
	}
	return nil
}

// popAnswer says what a failed write to the revive log means to a client.
func popAnswer(r engine.PutResult, o *Options) error {
	if r.Status.Stored() {
		return nil
	}
	return refuse(protocol.SystemError, "%s", putRemark(r, o))
}
