package broker

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// collect pops from the queues, one after the other, until there is enough. The retry topic has its turn before the topic in
// some pops and after it in the others, so that neither starves.
func (d *popping) collect() error {
	p, b := d.p, d.p.b
	o := b.options()
	d.reset()
	d.now = b.now().UnixMilli()
	d.revive = pop.OrderQueue
	if !d.order {
		d.revive = p.log.next()
		if p.log.full() && !p.log.parks() {
			return refuse(protocol.SystemBusy, "[POP_IN_FLIGHT]system busy, start flow control for a while: %d pops are not acknowledged, at most %d may",
				p.log.open.Load(), o.MaxPopInFlight)
		}
	}
	dice := rand.Int32N(100)
	retryShare := o.PopFromRetryProbability
	first := dice
	if d.byPriority(dice) {
		retryShare, first = o.PopFromRetryProbabilityForPriority, 0
	}
	retry := b.popRetryTopic(d.topic.Name, d.group.GroupName)
	// Receipts of one answer may name retry topics of one version only.
	if o.EnableRetryTopicV2 && o.RetrieveMessageFromPopRetryTopicV1 && dice%2 == 0 {
		retry = pop.RetryTopicV1(d.topic.Name, d.group.GroupName)
	}
	retryFirst := dice < retryShare
	if retryFirst && !d.order {
		d.fromTopic(b.topics.Get(retry), first)
	}
	if d.queue < 0 {
		d.fromTopic(d.topic, first)
	} else {
		d.fromQueue(d.topic, d.queue)
	}
	if !retryFirst && !d.order {
		d.fromTopic(b.topics.Get(retry), first)
	}
	if d.count == 0 {
		return d.failed
	}
	return nil
}

// byPriority tells whether the topic's messages have priorities, which are its queues, and this pop goes by them. The
// attribute priority.factor of the group says how many pops of a hundred do.
func (d *popping) byPriority(dice int32) bool {
	if d.order || d.topic.Config().Attributes["message.type"] != "PRIORITY" {
		return false
	}
	factor, err := strconv.ParseInt(d.group.Attributes["priority.factor"], 10, 64)
	return err != nil || int64(dice) < factor
}

// fromTopic pops from the queues in turn, beginning so many behind the one of the highest priority.
func (d *popping) fromTopic(t *metadata.Topic, first int32) {
	if t == nil {
		return
	}
	queues := t.Config().ReadQueueNums
	ascending := d.p.b.options().PriorityOrderAsc
	for i := range queues {
		next := i
		if ascending {
			next = queues - 1 - i
		}
		d.fromQueue(t, (next+first)%queues)
	}
}

// fromQueue pops from one queue what there is room for.
func (d *popping) fromQueue(t *metadata.Topic, queue int32) {
	b, group := d.p.b, d.group.GroupName
	lock := d.p.lock(t.Name, group, queue)
	lock.Lock()
	defer lock.Unlock()
	offset := b.popOffset(t.Name, group, queue, d.initMode, true)
	if reset, ok := b.offsets.TakeReset(t.Name, group, queue); ok {
		d.p.orders.forget(t.Name, group, queue)
		b.offsets.Commit(t.Name, group, queue, reset)
		offset = reset
	}
	if d.order && d.p.orders.blocked(t.Name, group, queue, d.attempt, d.now) {
		return // what is behind the block is not waited for: its end wakes
	}
	if d.count >= d.most {
		d.rest += max(int64(b.store.MaxOffset(t.Name, queue))-offset, 0)
		return
	}
	res := d.result()
	offset = d.read(t, queue, offset, res)
	if res.Count > 0 {
		if !d.give(t, queue, offset, res) {
			return
		}
	} else if next := int64(res.NextOffset); next > offset {
		b.offsets.Commit(t.Name, group, queue, next) // nothing there for this group
	}
	d.rest += max(int64(res.MaxOffset)-int64(res.NextOffset), 0)
}

// read reads the queue from offset, or from where it has messages, and returns that.
func (d *popping) read(t *metadata.Topic, queue int32, offset int64, res *engine.GetResult) int64 {
	b := d.p.b
	req := engine.GetRequest{Topic: t.Name, QueueID: queue, Offset: message.QueueOffset(offset), MaxMsgs: d.most - d.count}
	if d.filter != nil && (t == d.topic || b.options().FilterSupportRetry) {
		req.Filter = d.filter
	}
	req.HotOnly = d.hotOnly() && !d.ticket.Oneway
	b.store.Get(&req, res)
	switch res.Status {
	case engine.OffsetTooSmall, engine.OffsetOverflowBadly, engine.OffsetFoundNull:
		offset = int64(res.NextOffset)
		b.offsets.Commit(t.Name, d.group.GroupName, queue, offset)
		req.Offset = res.NextOffset
		b.store.Get(&req, res)
	}
	if res.Cold && res.Count == 0 && !d.onDisk {
		d.onDisk, d.get = true, req
		d.get.Offset = res.NextOffset
	}
	return offset
}

// give makes what was read from offset on the group's, and adds it to the answer. It is false when that cannot be made
// durable: then it is nobody's.
func (d *popping) give(t *metadata.Topic, queue int32, offset int64, res *engine.GetResult) bool {
	b, group := d.p.b, d.group.GroupName
	d.found = d.found[:0]
	if err := message.EachRecord(res.Segments, func(r message.Record) { d.found = append(d.found, int64(r.OffsetIn(t.Name))) }); err != nil {
		d.failed = fmt.Errorf("messages of %s/%d at %d: %w", t.Name, queue, offset, err)
		return false
	}
	source := pop.SourceOf(t.Name)
	if d.order {
		d.orderInfo = d.p.orders.give(d.orderInfo, source, pop.OrderKey{Topic: t.Name, Group: group, Queue: queue}, d.attempt, d.found, d.now, d.invisible)
		b.offsets.Commit(t.Name, group, queue, offset)
	} else {
		c := &pop.Checkpoint{
			Key:           pop.Key{Topic: t.Name, Group: group, Queue: queue, Start: offset, PopTime: d.now, BrokerName: b.options().BrokerName},
			InvisibleTime: d.invisible, Offsets: append([]int64(nil), d.found...),
		}
		if d.p.log.has(d.revive, &c.Key) { // a reset of the offset within the millisecond
			d.failed = refuse(protocol.SystemBusy, "[POP_AGAIN]system busy: the same messages were popped at the same time")
			return false
		}
		if d.failed = popAnswer(d.p.log.add(d.revive, c), b.options()); d.failed != nil {
			return false
		}
		b.offsets.Commit(t.Name, group, queue, int64(res.NextOffset))
	}
	d.starts = pop.AppendStartOffset(d.starts, source, queue, offset)
	d.offsets = pop.AppendMessageOffsets(d.offsets, source, queue, d.found)
	d.count += res.Count
	d.bytes += res.Bytes
	if source == pop.FromTopic || t == d.topic {
		d.segments = append(d.segments, res.Segments...)
		return true
	}
	d.addRetried(source, offset, res)
	return true
}

// addRetried adds messages of a retry topic as those of the topic that was asked for, with their receipts.
func (d *popping) addRetried(source pop.Source, start int64, res *engine.GetResult) {
	message.EachRecord(res.Segments, func(r message.Record) { //nolint:errcheck // they were read before
		m := new(message.Message)
		r.Decode(m)
		receipt := pop.Handle{
			StartOffset: start, PopTime: d.now, InvisibleTime: d.invisible, ReviveQueue: d.revive, Source: source,
			BrokerName: d.p.b.options().BrokerName, QueueID: m.QueueID, QueueOffset: int64(m.QueueOffset),
		}
		m.Topic = d.topic.Name
		m.Properties = m.Properties.Set(message.PropertyPopCheckPoint, string(receipt.Append(nil)))
		record := make([]byte, m.RecordSize())
		message.EncodeRecord(record, m, r.BodyCRC())
		d.segments = append(d.segments, record)
	})
}
