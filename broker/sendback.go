package broker

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// firstRetryLevel is the delay level of the first retry when the consumer does not ask for one: 10 s.
const firstRetryLevel = 3

// sendBack takes back a message that a consumer could not do: it comes again after a delay by way of the group's retry
// topic, and after too many times goes to the group's dead letters (Java's consumerSendMsgBack).
func (b *Broker) sendBack(c *call) error {
	var h protocol.ConsumerSendMsgBackRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	o := b.options()
	config, err := b.groups.FindOrCreate(h.Group, o.AutoCreateSubscriptionGroup, b.now().UnixMilli())
	switch {
	case config == nil:
		return refuse(protocol.SubscriptionGroupNotExist, "subscription group not exist, %s", h.Group)
	case err != nil:
		b.log.Error("group is not on disk", "group", h.Group, "error", err)
	case o.BrokerPermission&metadata.PermWrite == 0:
		return refuse(protocol.NoPermission, "the broker[%s] sending message is forbidden", o.BrokerIP1)
	case config.RetryQueueNums <= 0:
		return nil
	}
	ref, err := b.store.RecordAt(message.PhyOffset(h.Offset))
	if err != nil {
		return refuse(protocol.SystemError, "look message by offset failed, %d: %v", h.Offset, err)
	}
	defer ref.Release()
	most := config.RetryMaxTimes
	if c.req.Version >= protocol.Version3_4_9 {
		most = h.MaxReconsumeTimes.Or(most)
	}
	m, err := b.retried(ref.Record(), config, h.DelayLevel, most)
	if err != nil {
		return err
	}
	original, ok := m.Properties.Get(message.PropertyRetryTopic)
	if !ok {
		original = ref.Record().Topic()
	}
	back := string(original)
	if r := b.put(m); r.Status != engine.PutOK {
		return refuse(protocol.SystemError, "%s", putRemark(r, o))
	}
	b.stats.NoteGroup(stats.SendBacks, back, h.Group, 1, 0)
	if m.Topic == message.DLQTopic(config.GroupName) {
		b.stats.NoteGroup(stats.DeadLetters, back, h.Group, 1, 0)
	}
	return nil
}

// put stores a message of the broker's own.
func (b *Broker) put(m *message.Message) engine.PutResult {
	if t := b.topics.Get(m.Topic); t != nil {
		if !t.Enter() {
			return engine.PutResult{Status: engine.MessageIllegal, Err: fmt.Errorf("topic %s is being deleted", m.Topic)}
		}
		defer t.Leave()
	}
	return b.store.Put(m)
}

// retried is the message that goes into the store for one given back.
func (b *Broker) retried(r message.Record, config *protocol.SubscriptionGroupConfig, level, most int32) (*message.Message, error) {
	m := new(message.Message)
	r.Decode(m)
	p := m.Properties
	if _, ok := p.Get(message.PropertyRetryTopic); !ok {
		p = p.Set(message.PropertyRetryTopic, m.Topic)
	}
	if _, ok := p.Get(message.PropertyOriginMessageID); !ok {
		p = p.Set(message.PropertyOriginMessageID, string(message.AppendOffsetID(nil, m.StoreHost, r.PhyOffset())))
	}
	// Java sets WAIT to false here. With SYNC_FLUSH a power loss could then take a message whose consumer has moved on.
	p = p.Delete(message.PropertyWait)
	m.StoreHost = b.storeHost
	dead := m.ReconsumeTimes >= most || level < 0
	m.ReconsumeTimes++
	if dead {
		t, err := b.deadLetters(config.GroupName)
		if err != nil {
			return nil, err
		}
		m.Topic, m.QueueID, m.Properties = t.Name, 0, p.Set(message.PropertyDelayLevel, "0")
		return m, nil
	}
	t, err := b.retryTopic(config, false)
	if err != nil {
		return nil, err
	}
	if level == 0 {
		level = firstRetryLevel + m.ReconsumeTimes - 1
	}
	level = min(level, b.sender.levels)
	m.Topic, m.QueueID = t.Name, rand.Int32N(config.RetryQueueNums)
	m.Properties = p.Set(message.PropertyDelayLevel, strconv.Itoa(int(level)))
	delayed(m, level, true)
	return m, nil
}

// retryTopic returns the group's retry topic, made where needed.
func (b *Broker) retryTopic(config *protocol.SubscriptionGroupConfig, order bool) (*metadata.Topic, error) {
	c := metadata.NewTopicConfig(message.RetryTopic(config.GroupName), config.RetryQueueNums)
	c.Order = order
	return b.ownTopic(c)
}

// deadLetters returns the group's dead-letter topic, made where needed.
func (b *Broker) deadLetters(group string) (*metadata.Topic, error) {
	return b.ownTopic(metadata.NewTopicConfig(message.DLQTopic(group), dlqQueues))
}

func (b *Broker) ownTopic(c *protocol.TopicConfig) (*metadata.Topic, error) {
	t, err := b.topics.CreateIfAbsent(c, b.now().UnixMilli())
	if err != nil {
		b.log.Error("topic is not on disk", "topic", c.TopicName, "error", err)
	}
	if !t.Writeable() {
		return nil, refuse(protocol.NoPermission, "the topic[%s] sending message is forbidden", c.TopicName)
	}
	return t, nil
}
