package broker

import (
	"bytes"
	"strconv"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// reply handles SEND_REPLY_MESSAGE and its V2: the answer of a consumer to one request. It is pushed to the client that asked
// and, so that it can be looked up later, stored as a message of the cluster's reply topic (Java's ReplyMessageProcessor).
func (s *sender) reply(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	d := sendings.Get().(*sending)
	defer d.free()
	d.s, d.conn, d.mayWait = s, conn, true
	c := call{conn: conn, req: req, resp: remoting.NewResponse(protocol.Success, "")}
	if err := d.reply(&c); err != nil {
		c.fail(err)
	}
	s.addTrace(c.resp)
	return c.resp
}

func (d *sending) reply(c *call) error {
	s, h, o := d.s, &d.header, d.s.b.options()
	decode := h.DecodeV2
	if c.req.RequestCode() == protocol.SendReplyMessage {
		decode = h.Decode
	}
	if err := decode(&c.req.Fields); err != nil {
		return err
	}
	if err := s.admit(); err != nil {
		return err
	}
	var err error
	if d.topic, err = s.target(d, o); err != nil {
		return err
	}
	p := message.Properties(bytes.Clone(h.Properties)).Delete(message.PropertyRegion).Delete(message.PropertyTraceOn)
	p = message.AppendProperty(p, message.PropertyRegion, o.RegionID)
	p = message.AppendProperty(p, message.PropertyTraceOn, strconv.FormatBool(o.TraceOn))
	failed := s.push(d, p, c.req.Body)
	id, offset := []byte("0"), int64(0) // what clients can decode, unless it is stored
	stored := false
	if o.StoreReplyMessageEnable {
		if r := d.storeReply(p, c.req.Body); r.Status.Stored() {
			id, offset, stored = s.appendID(nil, r.PhyOffset), int64(r.QueueOffset), true
		}
	}
	if stored || failed == nil {
		c.resp.Fields.AddBytes("msgId", id)
		c.resp.Fields.AddInt("queueId", int64(d.queue))
		c.resp.Fields.AddInt("queueOffset", offset)
	}
	return failed
}

// storeReply stores the reply. One that is pushed counts all the same when that fails.
func (d *sending) storeReply(p message.Properties, body []byte) engine.PutResult {
	b := d.s.b
	r := b.put(&message.Message{
		Topic: d.topic.Name, QueueID: d.queue, Flag: d.header.Flag, BornTimestamp: d.header.BornTimestamp,
		BornHost: d.conn.RemoteAddr(), StoreHost: b.storeHost, ReconsumeTimes: d.header.ReconsumeTimes.Or(0),
		Body: body, Properties: p,
	})
	if !r.Status.Stored() {
		b.log.Warn("reply is not stored", "topic", d.topic.Name, "status", r.Status, "error", r.Err)
		return r
	}
	d.messages = 1
	d.count(r)
	return r
}

// push gives the reply to the client that asked, and waits until it has it.
func (s *sender) push(d *sending, p message.Properties, body []byte) error {
	h := &d.header
	to, ok := p.Get(message.PropertyReplyToClient)
	if !ok {
		return refuse(protocol.SystemError, "reply message properties[%s] is null", message.PropertyReplyToClient)
	}
	who, ok := s.b.producers.WithID(string(to))
	if !ok {
		return refuse(protocol.SystemError, "push reply message fail, channel of <%s> not found.", to)
	}
	now := s.b.now().UnixMilli()
	header := protocol.ReplyMessageRequestHeader{
		ProducerGroup: string(h.ProducerGroup), Topic: d.topic.Name, DefaultTopic: string(h.DefaultTopic), DefaultTopicQueueNums: h.DefaultTopicQueueNums,
		QueueID: h.QueueID, SysFlag: h.SysFlag, BornTimestamp: h.BornTimestamp, Flag: h.Flag, ReconsumeTimes: h.ReconsumeTimes, UnitMode: h.UnitMode,
		BornHost: d.conn.RemoteAddr().String(), StoreHost: s.b.storeHost.String(),
		StoreTimestamp: now, Properties: string(p.Set(message.PropertyPushReplyTime, strconv.FormatInt(now, 10))),
	}
	req := remoting.NewRequest(protocol.PushReplyMessageToClient)
	header.Encode(&req.Fields)
	req.Body = bytes.Clone(body) // it may be on its way when the wait is over
	if resp, err := ask(who, req); err != nil || resp.ResponseCode() != protocol.Success {
		return refuse(protocol.SystemError, "push reply message to %sfail.", to) // Java's words, without the space
	}
	return nil
}
