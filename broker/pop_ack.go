package broker

import (
	"math/bits"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// ended wraps a handler of what ends or changes a receipt. It writes to the revive log, and so waits for the disk where the
// store does; see writesWait.
func (p *popper) ended(handle func(c *call) error) remoting.Handler {
	h := answer(handle)
	return func(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
		if p.writesWait() {
			return p.b.offload(conn, req, h)
		}
		return h(conn, req)
	}
}

// receipt reads the receipt of a request and checks what it is for.
func (p *popper) receipt(text, topicName string, queue int32) (h pop.Handle, t *metadata.Topic, err error) {
	if t = p.b.topics.Get(topicName); t == nil {
		return h, nil, refuse(protocol.TopicNotExist, "topic[%s] not exist, apply first please!", topicName)
	}
	if most := t.Config().ReadQueueNums; queue < 0 || queue >= most {
		return h, nil, refuse(protocol.MessageIllegal, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d]", queue, topicName, most)
	}
	if h, err = pop.ParseHandle(text); err != nil {
		return h, nil, err
	}
	return h, t, checkReviveQueue(h.ReviveQueue)
}

func checkReviveQueue(queue int32) error {
	if queue != pop.OrderQueue && (queue < 0 || queue >= reviveQueues) {
		return refuse(protocol.MessageIllegal, "revive queue %d is illegal, there are %d", queue, reviveQueues)
	}
	return nil
}

// groupName is the name of the group, as one string for all that is kept of it where the group is known.
func (p *popper) groupName(name string) string {
	if g := p.b.groups.Get(name); g != nil {
		return g.GroupName
	}
	return name
}

// ack handles ACK_MESSAGE (Java's AckMessageProcessor). What is acknowledged too late is answered with success too: the
// message comes again.
func (p *popper) ack(c *call) error {
	var h protocol.AckMessageRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	receipt, t, err := p.receipt(h.ExtraInfo, h.Topic, h.QueueID)
	if err != nil {
		return err
	}
	first, last := int64(p.b.store.MinOffset(t.Name, h.QueueID)), int64(p.b.store.MaxOffset(t.Name, h.QueueID))
	if h.Offset < first || h.Offset > last {
		return refuse(protocol.NoMessage, "offset is illegal, key:%s@%d, commit:%d, store:%d~%d", t.Name, h.QueueID, h.Offset, first, last)
	}
	group := p.groupName(h.ConsumerGroup)
	if receipt.Ordered() {
		return p.ackOrdered(t, group, h.QueueID, h.Offset, receipt.PopTime)
	}
	r := p.log.ack(receipt.ReviveQueue, &pop.Ack{
		Key: pop.Key{
			Topic: t.Name, Group: group, Queue: h.QueueID, Start: receipt.StartOffset, PopTime: receipt.PopTime, BrokerName: receipt.BrokerName,
		},
		Offsets: []int64{h.Offset},
	}, receipt.VisibleAt())
	return p.acked(r, t, group, 1)
}

// ackOrdered notes that a message of an ordered queue is done. When it was the first that was not, the group moves on.
func (p *popper) ackOrdered(t *metadata.Topic, group string, queue int32, offset, popTime int64) error {
	b := p.b
	lock := p.lock(t.Name, group, queue)
	lock.Lock()
	defer lock.Unlock()
	if committed, ok := b.offsets.Committed(t.Name, group, queue); ok && offset < committed {
		return nil // done before
	}
	next, verdict := p.orders.ack(pop.OrderKey{Topic: t.Name, Group: group, Queue: queue}, offset, popTime)
	switch verdict {
	case pop.Unknown:
		return refuse(protocol.MessageIllegal, "offset is illegal, key:%s@%d, old:%d, commit:%d, next:%d", t.Name, queue, next, offset, -1)
	case pop.Stale:
		return nil
	}
	b.stats.NoteGroup(stats.Acks, t.Name, group, 1, 0)
	if !b.offsets.PendingReset(t.Name, group, queue) {
		b.offsets.Commit(t.Name, group, queue, next)
	}
	if !p.orders.blocked(t.Name, group, queue, "", b.now().UnixMilli()) {
		p.waits.WakeGroup(t.Name, group, queue)
	}
	return nil
}

// batchAck handles BATCH_ACK_MESSAGE. Entries for queues and offsets that are not there are passed over.
func (p *popper) batchAck(c *call) error {
	var body protocol.BatchAckMessageRequestBody
	if len(c.req.Body) > 0 {
		if err := c.body(&body); err != nil {
			return err
		}
	}
	if len(body.Acks) == 0 {
		return refuse(protocol.NoMessage, "")
	}
	for i := range body.Acks {
		if err := p.ackEntry(&body.Acks[i], body.BrokerName); err != nil {
			return err
		}
	}
	return nil
}

func (p *popper) ackEntry(e *protocol.BatchAck, brokerName string) error {
	source := pop.FromTopic
	switch e.Retry {
	case "0":
	case "1":
		source = pop.FromRetryV1
	case "2":
		source = pop.FromRetryV2
	default:
		return refuse(protocol.SystemError, "batch ack: retry %q is none of 0, 1 and 2", e.Retry)
	}
	t := p.b.topics.Get(source.Topic(e.Topic, e.ConsumerGroup))
	if t == nil || e.QueueID < 0 || e.QueueID >= t.Config().ReadQueueNums {
		return nil
	}
	if err := checkReviveQueue(e.ReviveQueueID); err != nil {
		return err
	}
	group := p.groupName(e.ConsumerGroup)
	first, last := int64(p.b.store.MinOffset(t.Name, e.QueueID)), int64(p.b.store.MaxOffset(t.Name, e.QueueID))
	var offsets []int64
	for i, set := range e.Bits[:min(len(e.Bits), batchAckBytes)] {
		for ; set != 0; set &= set - 1 {
			offset := e.StartOffset + int64(i*8+bits.TrailingZeros8(set))
			if offset < first || offset > last {
				continue
			}
			offsets = append(offsets, offset)
		}
	}
	if e.ReviveQueueID == pop.OrderQueue {
		for _, offset := range offsets {
			if err := p.ackOrdered(t, group, e.QueueID, offset, e.PopTime); err != nil {
				return err
			}
		}
		return nil
	}
	r := p.log.ack(e.ReviveQueueID, &pop.Ack{
		Key:     pop.Key{Topic: t.Name, Group: group, Queue: e.QueueID, Start: e.StartOffset, PopTime: e.PopTime, BrokerName: brokerName},
		Offsets: offsets,
	}, e.PopTime+e.InvisibleTime)
	return p.acked(r, t, group, len(offsets))
}

// acked counts messages that are done, and says what became of the record that says so.
func (p *popper) acked(r engine.PutResult, t *metadata.Topic, group string, messages int) error {
	if r.Status.Stored() {
		p.b.stats.NoteGroup(stats.Acks, t.Name, group, int64(messages), 0)
	}
	return popAnswer(r, p.b.options())
}

// batchAckBytes bounds the bits of one entry: offsets of one checkpoint can lie far apart where a filter left much out.
const batchAckBytes = 64 << 10

// changeInvisible handles CHANGE_MESSAGE_INVISIBLETIME: the message comes again at another time, under another receipt.
func (p *popper) changeInvisible(c *call) error {
	var h protocol.ChangeInvisibleTimeRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	receipt, t, err := p.receipt(h.ExtraInfo, h.Topic, h.QueueID)
	if err != nil {
		return err
	}
	b := p.b
	if h.Offset < int64(b.store.MinOffset(t.Name, h.QueueID)) || h.Offset >= int64(b.store.MaxOffset(t.Name, h.QueueID)) {
		return refuse(protocol.NoMessage, "")
	}
	if h.InvisibleTime < 0 || h.InvisibleTime > invisibleMax {
		return refuse(protocol.InvalidParameter, "invisibleTime %d is illegal, it may be 0 to %d ms", h.InvisibleTime, invisibleMax)
	}
	group, now := p.groupName(h.ConsumerGroup), b.now().UnixMilli()
	answer := protocol.ChangeInvisibleTimeResponseHeader{PopTime: now, InvisibleTime: h.InvisibleTime, ReviveQid: receipt.ReviveQueue}
	if receipt.Ordered() {
		answer.PopTime, answer.InvisibleTime = receipt.PopTime, now+h.InvisibleTime-receipt.PopTime
		if !p.postponeOrdered(t, group, h.QueueID, h.Offset, receipt.PopTime, now+h.InvisibleTime) {
			answer = protocol.ChangeInvisibleTimeResponseHeader{}
		}
		answer.Encode(&c.resp.Fields)
		return nil
	}
	next := &pop.Checkpoint{
		Key:           pop.Key{Topic: t.Name, Group: group, Queue: h.QueueID, Start: h.Offset, PopTime: now, BrokerName: receipt.BrokerName},
		InvisibleTime: h.InvisibleTime, Offsets: []int64{h.Offset}, Suspended: h.Suspend,
	}
	old := next.Key
	old.Start, old.PopTime = receipt.StartOffset, receipt.PopTime
	lock := p.lock(t.Name, group, h.QueueID)
	lock.Lock()
	defer lock.Unlock()
	if err := popAnswer(p.log.replace(receipt.ReviveQueue, &old, receipt.VisibleAt(), next), b.options()); err != nil {
		return err
	}
	answer.PopTime = next.PopTime
	answer.Encode(&c.resp.Fields)
	return nil
}

// postponeOrdered is false when the message is done.
func (p *popper) postponeOrdered(t *metadata.Topic, group string, queue int32, offset, popTime, visibleAt int64) bool {
	lock := p.lock(t.Name, group, queue)
	lock.Lock()
	defer lock.Unlock()
	if committed, ok := p.b.offsets.Committed(t.Name, group, queue); ok && offset < committed {
		return false
	}
	p.orders.postpone(pop.OrderKey{Topic: t.Name, Group: group, Queue: queue}, offset, popTime, visibleAt)
	return true
}
