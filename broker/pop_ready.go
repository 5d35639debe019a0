package broker

import (
	"strings"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// longpoll.target finds topic and group of a request that pops, or asks whether it could.
func (b *Broker) popTarget(topicName, groupName string, queue int32, what string, mayWait bool) (*metadata.Topic, *protocol.SubscriptionGroupConfig, error) {
	t := b.topics.Get(topicName)
	if t == nil {
		return nil, nil, refuse(protocol.TopicNotExist, "topic[%s] not exist, apply first please!", topicName)
	}
	if !t.Readable() {
		return nil, nil, refuse(protocol.NoPermission, "the topic[%s] %s is forbidden", topicName, what)
	}
	if most := t.Config().ReadQueueNums; queue >= most {
		return nil, nil, refuse(protocol.InvalidParameter, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d]", queue, topicName, most)
	}
	g := b.groups.Get(groupName)
	if g == nil {
		if !mayWait {
			return nil, nil, errMustWait
		}
		var err error
		if g, err = b.groups.FindOrCreate(groupName, b.options().AutoCreateSubscriptionGroup, b.now().UnixMilli()); g == nil {
			return nil, nil, refuse(protocol.SubscriptionGroupNotExist, "subscription group [%s] does not exist", groupName)
		} else if err != nil {
			b.log.Error("group is not on disk", "group", groupName, "error", err)
		}
	}
	if !g.ConsumeEnable {
		return nil, nil, refuse(protocol.NoPermission, "subscription group no permission, %s", groupName)
	}
	return t, g, nil
}

// popFilter is what the request leaves out; nil when that is nothing.
func (b *Broker) popFilter(group string, t *metadata.Topic, kind, text string) (*filter.Expression, error) {
	if text == "" {
		kind, text = filter.TypeTag, "*"
	}
	s := b.expressions.Get([]byte(kind), []byte(text))
	if s.Filter == nil {
		return nil, refuse(protocol.SubscriptionParseFailed, "parse the consumer's subscription failed: %v", s.Fault)
	}
	b.consumers.NoteSubscription(group, t.Name, s)
	if s.Filter.MatchesAll() {
		return nil, nil
	}
	return s.Filter, nil
}

// popOffset is where the group goes on in the queue. The first offset of a group is committed, where init asks for it.
func (b *Broker) popOffset(topic, group string, queue, initMode int32, init bool) int64 {
	if offset, ok := b.offsets.Committed(topic, group, queue); ok && offset >= 0 {
		return offset
	}
	first, last := int64(b.store.MinOffset(topic, queue)), int64(b.store.MaxOffset(topic, queue))
	var offset int64
	switch {
	case initMode == initModeMin || strings.HasPrefix(topic, message.RetryTopicPrefix):
		offset = max(first, 0)
	case first <= 0 && b.startsYoung(topic, queue):
		offset = 0
	default:
		offset = max(last-1, 0) // Java begins with the last one too
	}
	if init {
		b.offsets.Commit(topic, group, queue, offset)
	}
	return offset
}

// popReady tells whether the group could pop something of the topic or its retry topics; filters are not asked.
func (b *Broker) popReady(t *metadata.Topic, group string, queue int32, order bool, attempt string) bool {
	if queue >= 0 {
		if b.popQueueReady(t.Name, group, queue, order, attempt) {
			return true
		}
	} else if b.popTopicReady(t, group, order, attempt) {
		return true
	}
	if order {
		return false
	}
	for _, name := range pop.RetryTopics(t.Name, group) {
		if retry := b.topics.Get(name); retry != nil && b.popTopicReady(retry, group, false, "") {
			return true
		}
	}
	return false
}

func (b *Broker) popTopicReady(t *metadata.Topic, group string, order bool, attempt string) bool {
	for queue := range t.Config().ReadQueueNums {
		if b.popQueueReady(t.Name, group, queue, order, attempt) {
			return true
		}
	}
	return false
}

func (b *Broker) popQueueReady(topic, group string, queue int32, order bool, attempt string) bool {
	if order && b.popper.orders.blocked(topic, group, queue, attempt, b.now().UnixMilli()) {
		return false
	}
	return int64(b.store.MaxOffset(topic, queue)) > b.popOffset(topic, group, queue, initModeMin, false)
}
