package broker

import (
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// reviveRetry are the times after which a checkpoint is tried again whose messages could not be stored, the last for ever
// (Java's ckRewriteIntervalsInSeconds).
var reviveRetry = [...]time.Duration{
	10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute,
	5 * time.Minute, 6 * time.Minute, 7 * time.Minute, 8 * time.Minute, 9 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour,
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
	}
	least := time.Millisecond
	if l.awaitTimer() {
		least = chasePoll
	}
	for i := range l.queues {
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
	return max(time.Duration(at-l.b.now().UnixMilli())*time.Millisecond, least)
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
