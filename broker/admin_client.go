package broker

import (
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/broker/clients"
	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Fields of the answer to a heartbeat.
const (
	fieldSupportsV2 = "IS_SUPPORT_HEART_BEAT_V2"
	fieldSubChange  = "IS_SUB_CHANGE"
)

// heartbeat notes which groups a client belongs to and what they subscribe to.
func (b *Broker) heartbeat(c *call) error {
	var data protocol.HeartbeatData
	if err := c.body(&data); err != nil {
		return err
	}
	who := b.clientOf(c, data.ClientID)
	changed := data.HeartbeatFingerprint == 0
	for i := range data.ConsumerDataSet {
		if b.consumerBeat(who, &data.ConsumerDataSet[i], &data) {
			changed = true
		}
	}
	for _, p := range data.ProducerDataSet {
		b.producers.Register(p.GroupName, who)
	}
	if who.Channel.(*remoting.Conn).Err() != nil {
		b.connClosed(c.conn, nil) // it was closed before it was known
	}
	c.resp.Fields.AddBool(fieldSupportsV2, true)
	c.resp.Fields.AddBool(fieldSubChange, changed)
	return nil
}

func (b *Broker) clientOf(c *call, id string) clients.Client {
	return clients.Client{Channel: c.conn, ID: id, Language: c.req.Language, Version: c.req.Version}
}

// consumerBeat notes one consumer of a heartbeat. It reports whether its fingerprint is a new one.
func (b *Broker) consumerBeat(who clients.Client, data *protocol.ConsumerData, beat *protocol.HeartbeatData) bool {
	o := b.options()
	if o.RejectPullConsumerEnable && data.ConsumeType == protocol.ConsumeActively {
		return false
	}
	config, err := b.groups.FindOrCreate(data.GroupName, o.AutoCreateSubscriptionGroup, b.now().UnixMilli())
	if config == nil {
		return false
	}
	if err != nil {
		b.log.Error("group is not on disk", "group", data.GroupName, "error", err)
	}
	ordered := false
	for _, s := range data.SubscriptionDataSet {
		if t := b.topics.Get(s.Topic); t != nil && t.Config().Order {
			ordered = true
		}
	}
	if _, err := b.retryTopic(config, ordered); err != nil {
		b.log.Warn("retry topic cannot be used", "group", data.GroupName, "error", err)
	}
	tell := o.NotifyConsumerIDsChangedEnable && config.NotifyConsumerIDsChangedEnable
	changed := b.consumers.Register(who, data, beat.HeartbeatFingerprint, beat.WithoutSub, tell)
	byProperties := func(s protocol.SubscriptionData) bool { return !filter.IsTag(s.ExpressionType) }
	if slices.ContainsFunc(data.SubscriptionDataSet, byProperties) || b.filters.Knows(config.GroupName) {
		b.filters.Register(config.GroupName, b.consumers.SubscriptionsOf(config.GroupName))
	}
	return changed
}

// notifyMembers tells the members of a group that it changed, so that they share its queues anew at once.
func (b *Broker) notifyMembers(group string, members []clients.Channel) {
	for _, ch := range members {
		req := remoting.NewRequest(protocol.NotifyConsumerIDsChanged)
		(&protocol.NotifyConsumerIDsChangedRequestHeader{ConsumerGroup: group}).Encode(&req.Fields)
		if err := ch.Oneway(req); err != nil {
			b.log.Debug("consumer cannot be told of its group's change", "group", group, "client", ch.RemoteAddr(), "error", err)
		}
	}
}

func (b *Broker) unregisterClient(c *call) error {
	var h protocol.UnregisterClientRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	if h.ProducerGroup != "" {
		b.producers.Unregister(h.ProducerGroup, c.conn)
	}
	if h.ConsumerGroup != "" {
		config := b.groups.Get(h.ConsumerGroup)
		tell := b.options().NotifyConsumerIDsChangedEnable && (config == nil || config.NotifyConsumerIDsChangedEnable)
		b.consumers.Unregister(h.ConsumerGroup, c.conn, tell)
	}
	return nil
}

// checkClientConfig says whether the broker takes a subscription; consumers with others than tags ask at their start.
func (b *Broker) checkClientConfig(c *call) error {
	var body protocol.CheckClientRequestBody
	if err := c.body(&body); err != nil {
		return err
	}
	kind := body.SubscriptionData.ExpressionType
	if filter.IsTag(kind) {
		return nil
	}
	if !b.options().EnablePropertyFilter {
		return refuse(protocol.SystemError, "The broker does not support consumer to filter message by %s", kind)
	}
	if _, err := filter.Compile(kind, body.SubscriptionData.SubString); err != nil {
		return refuse(protocol.SubscriptionParseFailed, "%v", err)
	}
	return nil
}

func (b *Broker) consumerList(c *call) error {
	var h protocol.GetConsumerListByGroupRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	g := b.consumers.Snapshot(h.ConsumerGroup)
	if g == nil {
		return refuse(protocol.SystemError, "no consumer for this group, %s", h.ConsumerGroup)
	}
	body := protocol.GetConsumerListByGroupResponseBody{}
	for _, m := range g.Members {
		body.ConsumerIDList = append(body.ConsumerIDList, m.ID)
	}
	return c.json(&body)
}

func (b *Broker) lockQueues(c *call) error {
	var body protocol.LockBatchRequestBody
	if err := c.body(&body); err != nil {
		return err
	}
	owned, err := b.locks.Lock(body.ConsumerGroup, body.ClientID, body.MQSet)
	if err != nil {
		b.log.Error("locks of queues are not on disk", "group", body.ConsumerGroup, "error", err)
	}
	return c.json(&protocol.LockBatchResponseBody{LockOKMQSet: owned})
}

func (b *Broker) unlockQueues(c *call) error {
	var body protocol.UnlockBatchRequestBody
	if err := c.body(&body); err != nil {
		return err
	}
	if err := b.locks.Unlock(body.ConsumerGroup, body.ClientID, body.MQSet); err != nil {
		b.log.Error("locks of queues are not on disk", "group", body.ConsumerGroup, "error", err)
	}
	return nil
}

// consumerConnections lists the members of a group for an administrator.
func (b *Broker) consumerConnections(c *call) error {
	var h protocol.GetConsumerConnectionListRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	g := b.consumers.Snapshot(h.ConsumerGroup)
	if g == nil {
		return refuse(protocol.ConsumerNotOnline, "the consumer group[%s] not online", h.ConsumerGroup)
	}
	body := protocol.ConsumerConnection{
		ConnectionSet: connections(g.Members), ConsumeFromWhere: g.FromWhere, ConsumeType: g.ConsumeType,
		MessageModel: g.MessageModel, SubscriptionTable: map[string]protocol.SubscriptionData{},
	}
	for topic, s := range g.Subscriptions {
		body.SubscriptionTable[topic] = s.Data
	}
	return c.json(&body)
}

func (b *Broker) producerConnections(c *call) error {
	var h protocol.GetProducerConnectionListRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	members := b.producers.Snapshot(h.ProducerGroup)
	if members == nil {
		return refuse(protocol.SystemError, "the producer group[%s] not exist", h.ProducerGroup)
	}
	return c.json(&protocol.ProducerConnection{ConnectionSet: connections(members)})
}

func connections(members []clients.Client) []protocol.Connection {
	list := make([]protocol.Connection, 0, len(members))
	for _, m := range members {
		list = append(list, protocol.Connection{
			ClientAddr: m.Channel.RemoteAddr().String(), ClientID: m.ID, Language: m.Language.String(), Version: m.Version,
		})
	}
	return list
}

func (b *Broker) allProducers(c *call) error {
	body := protocol.ProducerTableInfo{Data: map[string][]protocol.ProducerInfo{}}
	for group, members := range b.producers.All() {
		for _, m := range members {
			body.Data[group] = append(body.Data[group], protocol.ProducerInfo{
				ClientID: m.ID, Language: m.Language.String(), LastUpdateTimestamp: m.LastSeen.UnixMilli(),
				RemoteIP: "/" + m.Channel.RemoteAddr().String(), Version: m.Version,
			})
		}
	}
	return c.json(&body)
}

// javaTime is a time as Java's tools print it.
func javaTime(ms int64) string {
	return time.UnixMilli(ms).Format("2006-01-02#15:04:05:") + time.UnixMilli(ms).Format(".000")[1:]
}
