package broker

import (
	"time"

	"github.com/rocketlog/rocketlog/broker/longpoll"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A notifying is a request that asks, and waits, for something to pop (Java's NotificationProcessor).
type notifying struct {
	p      *popper
	conn   *remoting.Conn
	ticket remoting.Ticket

	topic   *metadata.Topic
	group   string
	queue   int32
	order   bool
	attempt string
	until   time.Time
}

// notification handles NOTIFICATION.
func (p *popper) notification(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return p.notify(conn, req, false)
}

func (p *popper) slowNotification(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return p.notify(conn, req, true)
}

func (p *popper) notify(conn *remoting.Conn, req *remoting.Command, mayWait bool) *remoting.Command {
	resp := remoting.NewResponse(protocol.Success, "")
	fail := func(err error) *remoting.Command {
		if err == errMustWait {
			return p.b.offload(conn, req, p.slowNotification)
		}
		c := call{resp: resp}
		c.fail(err)
		return resp
	}
	var h protocol.NotificationRequestHeader
	if err := h.Decode(&req.Fields); err != nil {
		return fail(err)
	}
	b := p.b
	if o := b.options(); o.BrokerPermission&metadata.PermRead == 0 {
		return fail(refuse(protocol.NoPermission, "the broker[%s] peeking message is forbidden", o.BrokerIP1))
	}
	t, g, err := b.popTarget(h.Topic, h.ConsumerGroup, h.QueueID, "peeking message", mayWait)
	if err != nil {
		return fail(err)
	}
	n := &notifying{p: p, conn: conn, ticket: req.Ticket(), topic: t, group: g.GroupName, queue: h.QueueID, order: h.Order.Or(false), attempt: h.AttemptID}
	answer := protocol.NotificationResponseHeader{HasMsg: n.ready()}
	if !answer.HasMsg {
		born := b.now()
		if h.BornTime > 0 {
			born = time.UnixMilli(h.BornTime)
		}
		n.until = minTime(born.Add(time.Duration(min(max(h.PollTime, 0), holdMax.Milliseconds()))*time.Millisecond), b.now().Add(holdMax))
		filter, err := b.popFilter(n.group, t, h.ExpType, h.Exp)
		if err != nil {
			return fail(err)
		}
		if !n.ticket.Oneway && b.now().Before(n.until) {
			w := &longpoll.Pop{Group: n.group, Request: longpoll.Request{
				Topic: t.Name, Queue: n.queue, Filter: filter, Until: n.until, Owner: conn, Waiter: n,
			}}
			if p.waits.Hold(w) {
				if n.ready() {
					p.waits.Recheck(w)
				}
				if conn.Err() != nil {
					p.waits.Drop(conn)
				}
				return nil
			}
			answer.PollingFull = true
		}
	}
	answer.Encode(&resp.Fields)
	return resp
}

func (n *notifying) ready() bool {
	return n.p.b.popReady(n.topic, n.group, n.queue, n.order, n.attempt)
}

// Resume answers a notification: something may be there, or its time is over. A message wakes one of the group: a
// notification takes none, and so passes the word on.
func (n *notifying) Resume(writes bool) {
	answer := protocol.NotificationResponseHeader{HasMsg: n.ready()}
	resp := remoting.NewResponse(protocol.Success, "")
	answer.Encode(&resp.Fields)
	if answer.HasMsg {
		n.p.waits.WakeGroup(n.topic.Name, n.group, n.queue)
	}
	replyWaiting(n.conn, n.ticket, resp, writes)
}

func (n *notifying) Free() {}

// pollingInfo handles POLLING_INFO.
func (p *popper) pollingInfo(c *call) error {
	var h protocol.PollingInfoRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	if _, _, err := p.b.popTarget(h.Topic, h.ConsumerGroup, h.QueueID, "peeking message", true); err != nil {
		return err
	}
	answer := protocol.PollingInfoResponseHeader{PollingNum: int32(p.waits.Waiting(h.Topic, h.ConsumerGroup, h.QueueID))}
	answer.Encode(&c.resp.Fields)
	return nil
}

// peek handles PEEK_MESSAGE: what would be popped next, which stays.
func (p *popper) peek(c *call) error {
	var h protocol.PeekMessageRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	b := p.b
	t, g, err := b.popTarget(h.Topic, h.ConsumerGroup, h.QueueID, "peeking message", true)
	if err != nil {
		return err
	}
	most := min(max(int(h.MaxMsgNums), 1), popMessagesMax)
	count, rest := 0, int64(0)
	peekQueue := func(name string, queue int32) {
		offset := b.popOffset(name, g.GroupName, queue, initModeMin, false)
		if count >= most {
			rest += max(int64(b.store.MaxOffset(name, queue))-offset, 0)
			return
		}
		var res engine.GetResult
		defer res.Release()
		b.store.Get(&engine.GetRequest{Topic: name, QueueID: queue, Offset: message.QueueOffset(offset), MaxMsgs: most - count}, &res)
		for _, s := range res.Segments {
			c.resp.Body = append(c.resp.Body, s...)
		}
		count += res.Count
		rest += max(int64(res.MaxOffset)-int64(res.NextOffset), 0)
	}
	peekTopic := func(t *metadata.Topic) {
		for queue := range t.Config().ReadQueueNums {
			peekQueue(t.Name, queue)
		}
	}
	if h.QueueID >= 0 {
		peekQueue(t.Name, h.QueueID)
	} else {
		peekTopic(t)
	}
	if retry := b.topics.Get(b.popRetryTopic(t.Name, g.GroupName)); retry != nil {
		peekTopic(retry)
	}
	answer := protocol.PopMessageResponseHeader{RestNum: rest}
	answer.Encode(&c.resp.Fields)
	c.resp.Remark = "FOUND"
	if count == 0 {
		c.resp.Code, c.resp.Remark = int32(protocol.PullNotFound), "NO_MESSAGE_IN_QUEUE"
	}
	return nil
}
