package broker

import (
	"context"
	"errors"
	"time"

	"github.com/rocketlog/rocketlog/broker/clients"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// clientAnswerTimeout bounds how long a client may take to answer what an administrator asks of it.
const clientAnswerTimeout = 10 * time.Second

// runningInfo asks a consumer how it is doing, and passes its answer on as it is.
func (b *Broker) runningInfo(c *call) error {
	var h protocol.GetConsumerRunningInfoRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	return b.forward(c, h.ConsumerGroup, h.ClientID, nil)
}

// consumeDirectly has a consumer consume one message, and passes its answer on as it is.
func (b *Broker) consumeDirectly(c *call) error {
	var h protocol.ConsumeMessageDirectlyResultRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	_, offset, err := message.ParseOffsetID(h.MsgID)
	if err != nil {
		return refuse(protocol.SystemError, "message id %s: %v", h.MsgID, err)
	}
	ref, err := b.store.RecordAt(offset)
	if err != nil {
		return refuse(protocol.SystemError, "can not find message by the offset, %d", offset)
	}
	defer ref.Release()
	return b.forward(c, h.ConsumerGroup, h.ClientID, ref.Record())
}

// forward sends the request with another body to one client of a group, and takes over its answer.
func (b *Broker) forward(c *call, group, id string, body []byte) error {
	who, ok := b.consumers.Member(group, id)
	if !ok {
		return refuse(protocol.SystemError, "The Consumer <%s> <%s> not online", group, id)
	}
	if who.Version < protocol.Version3_1_8 {
		return refuse(protocol.SystemError, "The Consumer <%s> Version <%d> too low to finish, please upgrade it to V3_1_8_SNAPSHOT", id, who.Version)
	}
	req := remoting.NewRequest(c.req.RequestCode())
	for i := range c.req.Fields.Len() {
		name, value := c.req.Fields.At(i)
		req.Fields.AddBytes(string(name), value)
	}
	req.Body = body
	resp, err := ask(who, req)
	if errors.Is(err, context.DeadlineExceeded) {
		return refuse(protocol.ConsumeMsgTimeout, "consumer <%s> <%s> Timeout: %v", group, id, err)
	} else if err != nil {
		return refuse(protocol.SystemError, "invoke consumer <%s> <%s> Exception: %v", group, id, err)
	}
	c.resp.Code, c.resp.Remark, c.resp.Body = resp.Code, resp.Remark, resp.Body
	for i := range resp.Fields.Len() {
		name, value := resp.Fields.At(i)
		c.resp.Fields.AddBytes(string(name), value)
	}
	return nil
}

// ask sends a request to a client and waits for the answer.
func ask(who clients.Client, req *remoting.Command) (*remoting.Command, error) {
	conn, ok := who.Channel.(*remoting.Conn)
	if !ok {
		return nil, remoting.ErrClosed
	}
	ctx, cancel := context.WithTimeout(context.Background(), clientAnswerTimeout)
	defer cancel()
	return conn.Request(ctx, req)
}

// consumerStatus asks the consumers of a group, or one of them, where in a topic each is.
func (b *Broker) consumerStatus(c *call) error {
	var h protocol.GetConsumerStatusRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	g := b.consumers.Snapshot(h.Group)
	if g == nil {
		return refuse(protocol.SystemError, "No Any Consumer online in the consumer group: [%s]", h.Group)
	}
	body := protocol.GetConsumerStatusBody{ConsumerTable: map[string]map[protocol.MessageQueue]int64{}}
	for _, who := range g.Members {
		if h.ClientAddr != "" && h.ClientAddr != who.ID {
			continue
		}
		req := remoting.NewRequest(protocol.GetConsumerStatusFromClient)
		(&protocol.GetConsumerStatusRequestHeader{Topic: h.Topic, Group: h.Group}).Encode(&req.Fields)
		resp, err := ask(who, req)
		if err != nil || resp.ResponseCode() != protocol.Success {
			b.log.Warn("consumer does not tell its status", "group", h.Group, "client", who.ID, "error", err)
			continue
		}
		var status protocol.GetConsumerStatusBody
		if err := protocol.UnmarshalJSON(resp.Body, &status); err != nil {
			b.log.Warn("consumer's status cannot be read", "group", h.Group, "client", who.ID, "error", err)
			continue
		}
		body.ConsumerTable[who.ID] = status.MessageQueueTable
	}
	return c.json(&body)
}

// resetAtClients has the online consumers of a group go on from other offsets, as brokers before 5.0 do it.
func (b *Broker) resetAtClients(c *call, h *protocol.ResetOffsetRequestHeader, targets map[int32]int64) error {
	g := b.consumers.Snapshot(h.Group)
	if g == nil {
		return refuse(protocol.ConsumerNotOnline, "Consumer not online, so can not reset offset, Group: %s Topic: %s Timestamp: %d", h.Group, h.Topic, h.Timestamp)
	}
	body := protocol.ResetOffsetBody{OffsetTable: map[protocol.MessageQueue]int64{}}
	var forC protocol.ResetOffsetBodyForC
	for queue, offset := range targets {
		if consumed, ok := b.offsets.Committed(h.Topic, h.Group, queue); !h.IsForce && ok && offset > consumed {
			offset = consumed
		}
		body.OffsetTable[b.messageQueue(h.Topic, queue)] = offset
		forC.OffsetTable = append(forC.OffsetTable, protocol.MessageQueueForC{
			BrokerName: b.options().BrokerName, Offset: offset, QueueID: queue, Topic: h.Topic,
		})
	}
	for _, who := range g.Members {
		req := remoting.NewRequest(protocol.ResetConsumerClientOffset)
		h.Encode(&req.Fields)
		var v any = &body
		if who.Language == protocol.LanguageCPP {
			v = &forC
		}
		encoded, err := protocol.MarshalJSON(v)
		if err != nil {
			return err
		}
		req.Body = encoded
		if err := who.Channel.Oneway(req); err != nil {
			b.log.Warn("consumer cannot be told to reset its offset", "group", h.Group, "client", who.ID, "error", err)
		}
	}
	return c.json(&body)
}
