package broker

import (
	"strings"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// queryOffset answers how far a group has consumed a queue. For one that has not, of a queue whose first message is still
// there and not old, that is zero: a group that is new to a young topic gets all of it, whatever it asks for (Java's
// ConsumerManageProcessor).
func (b *Broker) queryOffset(c *call) error {
	var h protocol.QueryConsumerOffsetRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	offset, ok := b.offsets.Committed(h.Topic, h.ConsumerGroup, h.QueueID)
	if !ok {
		if !h.SetZeroIfNotFound.Or(true) || !b.startsYoung(h.Topic, h.QueueID) {
			return refuse(protocol.QueryNotFound, "Not found, maybe this group consumer boot first")
		}
		offset = 0
	}
	c.resp.Fields.AddInt("offset", offset)
	return nil
}

// startsYoung reports whether the queue's first message ever is there, and among the newest that fit into memory.
func (b *Broker) startsYoung(topic string, queue int32) bool {
	var res engine.GetResult
	b.store.Get(&engine.GetRequest{Topic: topic, QueueID: queue, Offset: 0, MaxMsgs: 1}, &res)
	defer res.Release()
	return res.Status == engine.Found && !res.SuggestSlave
}

func (b *Broker) updateOffset(c *call) error {
	var h protocol.UpdateConsumerOffsetRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	switch {
	case b.groups.Get(h.ConsumerGroup) == nil:
		return refuse(protocol.SubscriptionGroupNotExist, "Group %s not exist!", h.ConsumerGroup)
	case b.topics.Get(h.Topic) == nil:
		return refuse(protocol.TopicNotExist, "Topic %s not exist!", h.Topic)
	case h.QueueID < 0 || h.CommitOffset < 0:
		return refuse(protocol.InvalidParameter, "queueId %d and offset %d must not be negative", h.QueueID, h.CommitOffset)
	case b.offsets.PendingReset(h.Topic, h.ConsumerGroup, h.QueueID):
		c.resp.Remark = "Offset has been previously reset"
		return nil
	}
	b.offsets.Commit(h.Topic, h.ConsumerGroup, h.QueueID, h.CommitOffset)
	return nil
}

func (b *Broker) maxOffset(c *call) error {
	var h protocol.GetMaxOffsetRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	offset := b.store.MaxOffset(h.Topic, h.QueueID)
	if !h.Committed {
		offset = max(offset, b.store.NextOffset(h.Topic, h.QueueID))
	}
	c.resp.Fields.AddInt("offset", int64(offset))
	return nil
}

func (b *Broker) minOffset(c *call) error {
	var h protocol.GetMinOffsetRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	c.resp.Fields.AddInt("offset", int64(b.store.MinOffset(h.Topic, h.QueueID)))
	return nil
}

func (b *Broker) searchOffset(c *call) error {
	var h protocol.SearchOffsetRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	boundary := consumequeue.Lower
	if strings.EqualFold(h.BoundaryType, "upper") {
		boundary = consumequeue.Upper
	}
	offset, err := b.store.OffsetByTime(h.Topic, h.QueueID, h.Timestamp, boundary)
	if err != nil {
		return err
	}
	c.resp.Fields.AddInt("offset", int64(offset))
	return nil
}

func (b *Broker) earliestTime(c *call) error {
	var h protocol.GetEarliestMsgStoreTimeRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	c.resp.Fields.AddInt("timestamp", b.earliestTimeOf(h.Topic, h.QueueID))
	return nil
}

func (b *Broker) earliestTimeOf(topic string, queue int32) int64 {
	if at, ok := b.store.EarliestTime(topic, queue); ok {
		return at
	}
	return -1
}

// storeTime is the store time of a message of the queue, -1 when there is none.
func (b *Broker) storeTime(topic string, queue int32, offset int64) int64 {
	if offset < 0 {
		return -1
	}
	if at, ok := b.store.StoreTimeAt(topic, queue, message.QueueOffset(offset)); ok {
		return at
	}
	return -1
}

// resetOffset makes a group go on from another place: by the time of messages, or in one queue from an offset. Its next
// pulls are told so.
func (b *Broker) resetOffset(c *call) error {
	var h protocol.ResetOffsetRequestHeader
	h.QueueID = -1
	if err := c.header(&h); err != nil {
		return err
	}
	if _, ok := c.req.Fields.Get("queueId"); !ok {
		h.QueueID = -1
	}
	t := b.topics.Get(h.Topic)
	switch {
	case t == nil:
		return refuse(protocol.TopicNotExist, "Topic %s does not exist", h.Topic)
	case b.groups.Get(h.Group) == nil:
		return refuse(protocol.SubscriptionGroupNotExist, "Group %s does not exist", h.Group)
	}
	targets, err := b.resetTargets(t, &h)
	if err != nil {
		return err
	}
	if !b.options().UseServerSideResetOffset {
		return b.resetAtClients(c, &h, targets)
	}
	body := protocol.ResetOffsetBody{OffsetTable: map[protocol.MessageQueue]int64{}}
	for queue, offset := range targets {
		b.offsets.Reset(t.Name, h.Group, queue, offset)
		b.holds.Nudge(t.Name, queue)
		body.OffsetTable[b.messageQueue(t.Name, queue)] = offset
	}
	b.log.Info("offsets are reset", "topic", t.Name, "group", h.Group, "offsets", targets, "by", c.conn.RemoteAddr())
	return c.json(&body)
}

// resetTargets are the offsets that a reset asks for, by queue.
func (b *Broker) resetTargets(t *metadata.Topic, h *protocol.ResetOffsetRequestHeader) (map[int32]int64, error) {
	targets := map[int32]int64{}
	if offset := h.Offset.Or(-1); h.QueueID >= 0 && offset != -1 {
		first, last := int64(b.store.MinOffset(t.Name, h.QueueID)), int64(b.store.MaxOffset(t.Name, h.QueueID))
		if offset < first || offset > last+1 {
			return nil, refuse(protocol.SystemError, "Target offset %d not in consume queue range [%d-%d]", offset, first, last)
		}
		targets[h.QueueID] = offset
		return targets, nil
	}
	first, last := h.QueueID, h.QueueID
	if h.QueueID < 0 {
		first, last = 0, t.Config().ReadQueueNums-1
	}
	for queue := first; queue <= last; queue++ {
		if h.Timestamp < 0 {
			targets[queue] = int64(b.store.MaxOffset(t.Name, queue))
			continue
		}
		offset, err := b.store.OffsetByTime(t.Name, queue, h.Timestamp, consumequeue.Lower)
		if err != nil {
			return nil, err
		}
		targets[queue] = int64(offset)
	}
	if len(targets) == 0 {
		return nil, refuse(protocol.SystemError, "No queues to reset.")
	}
	return targets, nil
}

func (b *Broker) messageQueue(topic string, queue int32) protocol.MessageQueue {
	return protocol.MessageQueue{BrokerName: b.options().BrokerName, QueueID: queue, Topic: topic}
}

// cloneOffset gives a group the offsets of another.
func (b *Broker) cloneOffset(c *call) error {
	var h protocol.CloneGroupOffsetRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	topics := []string{h.Topic}
	if h.Topic == "" {
		topics = b.offsets.TopicsOf(h.SrcGroup)
	}
	for _, topic := range topics {
		if b.topics.Get(topic) == nil {
			continue
		}
		if g := b.consumers.Snapshot(h.SrcGroup); !h.Offline && g != nil && g.Subscriptions[topic] == nil {
			continue
		}
		b.offsets.CopyGroup(topic, h.SrcGroup, h.DestGroup)
	}
	return nil
}

// allOffsets answers a slave's GET_ALL_CONSUMER_OFFSET with the members that Java's has. A Java slave passes over those beside
// its offsets, which it cannot do where queues are named by bare numbers: where groups last read, it is not told.
func (b *Broker) allOffsets(c *call) error {
	s := b.offsets.Snapshot()
	return c.json(&metadata.OffsetsFile{
		DataVersion: s.DataVersion, GroupTopicMap: s.GroupTopicMap, OffsetTable: s.OffsetTable, PullOffsets: map[string]map[int32]int64{},
	})
}

func (b *Broker) allDelayOffsets(c *call) error { return c.json(b.schedule.Snapshot()) }

// consumeStats tells how far a group is in its topics.
func (b *Broker) consumeStats(c *call) error {
	var h protocol.GetConsumeStatsRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	var topics []string
	for topic := range strings.SplitSeq(h.TopicList, ";") {
		if topic != "" {
			topics = append(topics, topic)
		}
	}
	switch {
	case len(topics) > 0:
	case h.Topic != "":
		topics = []string{h.Topic}
	default:
		topics = b.topicsInUse(h.ConsumerGroup)
	}
	body := protocol.ConsumeStats{OffsetTable: map[protocol.MessageQueue]protocol.OffsetWrapper{}}
	inFlight, budget := b.popper.log.inFlight(), newLagBudget()
	for _, topic := range topics {
		b.addConsumeStats(&body, topic, h.ConsumerGroup, inFlight, &budget)
	}
	return c.json(&body)
}

// topicsInUse are the topics of a group's offsets, without those it does not subscribe to any more.
func (b *Broker) topicsInUse(group string) (list []string) {
	g := b.consumers.Snapshot(group)
	for _, topic := range b.offsets.TopicsOf(group) {
		if g == nil || len(g.Subscriptions) == 0 || g.Subscriptions[topic] != nil {
			list = append(list, topic)
		}
	}
	return list
}

func (b *Broker) addConsumeStats(body *protocol.ConsumeStats, topic, group string, inFlight map[lagKey]popped, budget *lagBudget) {
	t := b.topics.Get(topic)
	if t == nil {
		return
	}
	expr, _ := b.lagFilter(topic, group)
	for queue := range t.Config().ReadQueueNums {
		consumed, _ := b.offsets.Committed(topic, group, queue)
		lag := b.queueLag(topic, group, queue, expr, inFlight[lagKey{topicGroup{topic, group}, queue}], budget)
		body.OffsetTable[b.messageQueue(topic, queue)] = protocol.OffsetWrapper{
			BrokerOffset:   int64(b.store.MaxOffset(topic, queue)),
			ConsumerOffset: consumed,
			LastTimestamp:  max(b.storeTime(topic, queue, consumed-1), 0),
			PullOffset:     max(consumed, b.offsets.Pulled(topic, group, queue)),
			LagMessages:    lag.Messages, LagBytes: lag.Bytes, LagSince: lag.Oldest, LagEstimate: lag.Estimate || lag.BytesEstimate,
		}
	}
	minute, _, _, _ := b.stats.Windows(stats.GroupGetNums, topic+metadata.GroupSeparator+group, b.topics.PutsTo, b.now().UnixMilli())
	body.ConsumeTps += minute.PerSecond()
}

// brokerConsumeStats tells the same of all groups.
func (b *Broker) brokerConsumeStats(c *call) error {
	var h protocol.GetConsumeStatsInBrokerHeader
	if err := c.header(&h); err != nil {
		return err
	}
	body := protocol.ConsumeStatsList{BrokerAddr: b.Addr()}
	inFlight, budget := b.popper.log.inFlight(), newLagBudget()
	for _, group := range b.groups.Names() {
		list := []protocol.ConsumeStats{}
		for _, topic := range b.topicsInUse(group) {
			t := b.topics.Get(topic)
			if t == nil || h.IsOrder && !t.Config().Order {
				continue
			}
			stats := protocol.ConsumeStats{OffsetTable: map[protocol.MessageQueue]protocol.OffsetWrapper{}}
			b.addConsumeStats(&stats, topic, group, inFlight, &budget)
			for _, w := range stats.OffsetTable {
				body.TotalDiff += w.BrokerOffset - w.ConsumerOffset
				body.TotalInflightDiff += w.PullOffset - w.ConsumerOffset
			}
			list = append(list, stats)
		}
		body.ConsumeStatsList = append(body.ConsumeStatsList, map[string][]protocol.ConsumeStats{group: list})
	}
	return c.json(&body)
}

// timeSpan tells for each queue from when to when its messages are, and how late the group is.
func (b *Broker) timeSpan(c *call) error {
	var h protocol.QueryConsumeTimeSpanRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	t := b.topics.Get(h.Topic)
	if t == nil {
		return refuse(protocol.TopicNotExist, "topic[%s] not exist", h.Topic)
	}
	body := protocol.QueryConsumeTimeSpanBody{}
	for queue := range t.Config().WriteQueueNums {
		last := int64(b.store.MaxOffset(h.Topic, queue))
		consumed, ok := b.offsets.Committed(h.Topic, h.Group, queue)
		span := protocol.QueueTimeSpan{
			MessageQueue: b.messageQueue(h.Topic, queue),
			MinTimeStamp: b.earliestTimeOf(h.Topic, queue),
			MaxTimeStamp: b.storeTime(h.Topic, queue, last-1),
		}
		span.ConsumeTimeStamp = span.MinTimeStamp
		if ok && consumed > 0 {
			span.ConsumeTimeStamp = b.storeTime(h.Topic, queue, consumed-1)
		}
		if next := b.storeTime(h.Topic, queue, consumed); consumed < last && next >= 0 {
			span.DelayTime = b.now().UnixMilli() - next
		}
		span.MinTimeStampStr, span.MaxTimeStampStr, span.ConsumeTimeStampStr =
			javaTime(span.MinTimeStamp), javaTime(span.MaxTimeStamp), javaTime(span.ConsumeTimeStamp)
		body.ConsumeTimeSpanSet = append(body.ConsumeTimeSpanSet, span)
	}
	return c.json(&body)
}

// correctionOffsets are for each queue the least that any group but those named has consumed.
func (b *Broker) correctionOffsets(c *call) error {
	var h protocol.QueryCorrectionOffsetHeader
	if err := c.header(&h); err != nil {
		return err
	}
	skip := map[string]bool{}
	for group := range strings.SplitSeq(h.FilterGroups, ",") {
		skip[strings.TrimSpace(group)] = true
	}
	body := protocol.QueryCorrectionOffsetBody{CorrectionOffsets: map[int32]int64{}}
	for _, group := range b.offsets.GroupsOf(h.Topic) {
		if skip[group] {
			continue
		}
		for queue, offset := range b.offsets.Queues(h.Topic, group) {
			if least, ok := body.CorrectionOffsets[queue]; !ok || offset < least {
				body.CorrectionOffsets[queue] = offset
			}
		}
	}
	const behind = 1<<63 - 1 // the compared group is ahead: nothing to correct
	for queue, offset := range b.offsets.Queues(h.Topic, h.CompareGroup) {
		if least, ok := body.CorrectionOffsets[queue]; ok && offset > least {
			body.CorrectionOffsets[queue] = behind
		}
	}
	return c.json(&body)
}
