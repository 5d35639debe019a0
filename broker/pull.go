package broker

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/longpoll"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/broker/subscription"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// The forbidden types of a refused pull.
const (
	forbiddenBroker       = 1
	forbiddenGroup        = 2
	forbiddenTopic        = 3
	forbiddenBroadcast    = 4
	forbiddenSubscription = 5
)

// holdMax bounds how long a pull may ask to be held.
const holdMax = 10 * time.Minute

// A puller serves messages to consumers that pull (Java's PullMessageProcessor). A pull is handled on the goroutine that
// read it; what it finds leaves for the connection without being copied. One that finds nothing may be held until
// something arrives.
type puller struct {
	b     *Broker
	holds *longpoll.Pulls
	cold  *coldReads
}

func newPuller(b *Broker, holds *longpoll.Pulls, cold *coldReads) *puller {
	return &puller{b: b, holds: holds, cold: cold}
}

// A pulling is one pull on its way: from its request to the write of what it found. It is used again.
type pulling struct {
	p      *puller
	conn   *remoting.Conn
	ticket remoting.Ticket
	header protocol.PullMessageRequestHeader

	mayWait      bool // on a goroutine of its own: it may make the group
	group        *protocol.SubscriptionGroupConfig
	topic        *metadata.Topic
	queue        int32
	offset       int64
	most         int32
	flags        protocol.PullSysFlag
	version      int64
	subscription *subscription.Subscription

	coldState
	res     engine.GetResult
	release func() // d.free, made once
}

var pullings sync.Pool

func newPulling() *pulling {
	if d, ok := pullings.Get().(*pulling); ok {
		return d
	}
	d := new(pulling)
	d.release = d.Free
	return d
}

// message handles PULL_MESSAGE and LITE_PULL_MESSAGE.
func (p *puller) message(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return p.handle(conn, req, false)
}

// slowMessage is message where the goroutine may wait for state files.
func (p *puller) slowMessage(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return p.handle(conn, req, true)
}

func (p *puller) handle(conn *remoting.Conn, req *remoting.Command, mayWait bool) *remoting.Command {
	d := newPulling()
	d.p, d.conn, d.ticket, d.mayWait = p, conn, req.Ticket(), mayWait
	resp := remoting.NewResponse(protocol.Success, "")
	if err := d.prepare(req, resp); err != nil {
		d.Free()
		if err == errMustWait {
			return p.b.offload(conn, req, p.slowMessage)
		}
		c := call{resp: resp}
		c.fail(err)
		return resp
	}
	d.commit()
	return d.run(resp, true)
}

// prepare finds group, topic and subscription, or says why the pull is refused. A refusal may add to resp's header.
func (d *pulling) prepare(req *remoting.Command, resp *remoting.Command) error {
	h := &d.header
	if err := h.Decode(&req.Fields); err != nil {
		return err
	}
	b := d.p.b
	o := b.options()
	if b.isSlave() && !o.SlaveReadEnable {
		return refuse(protocol.SystemBusy, "[REJECTREQUEST]system busy, start flow control for a while: the broker is a slave, and slaveReadEnable is false")
	}
	if o.BrokerPermission&metadata.PermRead == 0 {
		return forbid(resp, forbiddenBroker, "the broker[%s] pulling message is forbidden", o.BrokerIP1)
	}
	if req.RequestCode() == protocol.LitePullMessage && !o.LitePullMessageEnable {
		return forbid(resp, forbiddenBroker, "the broker[%s] for lite pull consumer is forbidden", o.BrokerIP1)
	}
	if d.group = b.groups.Find(h.ConsumerGroup); d.group == nil {
		if !d.mayWait {
			return errMustWait
		}
		var err error
		if d.group, err = b.groups.FindOrCreate(string(h.ConsumerGroup), o.AutoCreateSubscriptionGroup, b.now().UnixMilli()); d.group == nil {
			return refuse(protocol.SubscriptionGroupNotExist, "subscription group [%s] does not exist", h.ConsumerGroup)
		} else if err != nil {
			b.log.Error("group is not on disk", "group", d.group.GroupName, "error", err)
		}
	}
	if d.topic = b.topics.Find(h.Topic); d.topic == nil {
		return refuse(protocol.TopicNotExist, "topic[%s] not exist, apply first please!", h.Topic)
	}
	d.queue, d.offset, d.most, d.flags, d.version = h.QueueID, h.QueueOffset, h.MaxMsgNums, h.SysFlag, h.SubVersion
	if err := d.permitted(resp); err != nil {
		return err
	}
	if err := d.subscribe(); err != nil {
		return err
	}
	return d.allowed(resp, o)
}

// forbid refuses a pull with the type of what forbids it in the header.
func forbid(resp *remoting.Command, kind int64, format string, args ...any) error {
	resp.Fields.AddInt("forbiddenType", kind)
	return refuse(protocol.NoPermission, format, args...)
}

// permitted checks what may change while the pull is held.
func (d *pulling) permitted(resp *remoting.Command) error {
	switch {
	case !d.group.ConsumeEnable:
		return forbid(resp, forbiddenGroup, "subscription group no permission, %s", d.group.GroupName)
	case !d.topic.Readable():
		return forbid(resp, forbiddenTopic, "the topic[%s] pulling message is forbidden", d.topic.Name)
	case d.queue < 0 || d.queue >= d.topic.Config().ReadQueueNums:
		return refuse(protocol.InvalidParameter, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d] consumer:[%v]",
			d.queue, d.topic.Name, d.topic.Config().ReadQueueNums, d.conn.RemoteAddr())
	}
	return nil
}

// subscribe finds what the pull subscribes to: what it says itself, or what its group's heartbeats say.
func (d *pulling) subscribe() error {
	b := d.p.b
	if d.flags.Has(protocol.PullSubscription) {
		d.subscription = b.expressions.Get(d.header.ExpressionType, d.header.Subscription)
		if d.subscription.Filter != nil {
			b.consumers.NoteSubscription(d.group.GroupName, d.topic.Name, d.subscription)
		}
		return nil
	}
	v := b.consumers.View(d.group.GroupName, d.topic.Name)
	switch {
	case !v.Online:
		return refuse(protocol.SubscriptionNotExist, "the consumer's group info not exist: %s has no consumer that sends heartbeats", d.group.GroupName)
	case v.Subscription == nil:
		return refuse(protocol.SubscriptionNotExist, "the consumer's subscription not exist: %s does not subscribe to %s", d.group.GroupName, d.topic.Name)
	case v.Subscription.Data.SubVersion < d.version:
		return refuse(protocol.SubscriptionNotLatest, "the consumer's subscription not latest: %d is known, %d asked for", v.Subscription.Data.SubVersion, d.version)
	}
	d.subscription = v.Subscription
	return nil
}

// allowed checks what the group and its subscription may do.
func (d *pulling) allowed(resp *remoting.Command, o *Options) error {
	b, group := d.p.b, d.group.GroupName
	if err := evaluable(d.subscription, o); err != nil {
		return err
	}
	if !d.group.ConsumeBroadcastEnable || o.RejectPullConsumerEnable {
		v := b.consumers.View(group, d.topic.Name)
		if v.Broadcasting && !d.group.ConsumeBroadcastEnable {
			return forbid(resp, forbiddenBroadcast, "the consumer group[%s] can not consume by broadcast way", group)
		}
		if o.RejectPullConsumerEnable && !v.Online {
			return refuse(protocol.SubscriptionNotExist, "the consumer's group info not exist: %s has no consumer that sends heartbeats", group)
		}
	}
	if b.groups.ReadForbidden(group, d.topic.Name) {
		return forbid(resp, forbiddenSubscription, "the consumer group[%s] is forbidden for topic[%s]", group, d.topic.Name)
	}
	return nil
}

// commit takes in the offset that a pull brings along.
func (d *pulling) commit() {
	if d.flags.Has(protocol.PullCommitOffset) && !d.p.b.offsets.PendingReset(d.topic.Name, d.group.GroupName, d.queue) {
		d.p.b.offsets.Commit(d.topic.Name, d.group.GroupName, d.queue, d.header.CommitOffset)
	}
}

// run reads, and returns the answer; or nil when the pull is held, in which case d is no longer the caller's.
func (d *pulling) run(resp *remoting.Command, mayHold bool) *remoting.Command {
	b := d.p.b
	if offset, ok := b.offsets.TakeReset(d.topic.Name, d.group.GroupName, d.queue); ok {
		resp.Code, resp.Remark = int32(protocol.PullOffsetMoved), "OFFSET_RESET"
		d.res.Status, d.res.NextOffset = engine.OffsetTooSmall, message.QueueOffset(offset)
		d.res.MinOffset = b.store.MinOffset(d.topic.Name, d.queue)
		d.res.MaxOffset = b.store.MaxOffset(d.topic.Name, d.queue)
		d.addHeader(resp)
		d.Free()
		return resp
	}
	d.read()
	if d.onDisk() {
		d.res.Release()
		err := d.p.cold.take(d)
		if err == nil {
			return nil // it is answered when its messages are read
		}
		b.stats.Refuse(refusalCause(err))
		d.Free()
		c := call{resp: resp}
		c.fail(err)
		return resp
	}
	if err := d.res.Err; err != nil {
		d.Free()
		c := call{resp: resp}
		c.fail(fmt.Errorf("messages cannot be read: %w", err))
		return resp
	}
	code := d.code()
	if code != protocol.Success && d.backToMaster() {
		code = protocol.PullRetryImmediately
	}
	if code == protocol.PullNotFound && mayHold {
		held, err := d.wait()
		if held {
			return nil // the answer to hand out later is another one
		}
		if err != nil {
			b.stats.Refuse(refusalCause(err))
			d.Free()
			c := call{resp: resp}
			c.fail(err)
			return resp
		}
	}
	d.count(code)
	resp.Code, resp.Remark = int32(code), d.res.Status.String()
	d.addHeader(resp)
	if code == protocol.Success {
		resp.Segments, resp.Release = d.res.Segments, d.release
	} else {
		d.Free()
	}
	return resp
}

// read asks the store.
func (d *pulling) read() {
	b := d.p.b
	d.get = engine.GetRequest{
		Topic: d.topic.Name, QueueID: d.queue, Offset: message.QueueOffset(d.offset), MaxMsgs: int(d.most),
		HotOnly: d.hotOnly() && !d.ticket.Oneway,
	}
	if f := d.filter(); f != nil {
		d.get.Filter = f
	}
	b.store.Get(&d.get, &d.res)
	b.offsets.NotePull(d.topic.Name, d.group.GroupName, d.queue, int64(d.res.NextOffset))
}

// filter is what the store leaves out; nil when that is nothing. Retry topics have passed the filter before.
func (d *pulling) filter() *filter.Expression {
	f := d.subscription.Filter
	if f.MatchesAll() || strings.HasPrefix(d.topic.Name, message.RetryTopicPrefix) && !d.p.b.options().FilterSupportRetry {
		return nil
	}
	return f
}

// code is the answer that a status of the store means to a consumer.
func (d *pulling) code() protocol.ResponseCode {
	switch d.res.Status {
	case engine.Found:
		return protocol.Success
	case engine.MessageWasRemoving, engine.NoMatchedMessage:
		return protocol.PullRetryImmediately
	case engine.NoMatchedLogicQueue, engine.NoMessageInQueue:
		if d.offset != 0 {
			return protocol.PullOffsetMoved
		}
		return protocol.PullNotFound
	case engine.OffsetFoundNull, engine.OffsetOverflowOne:
		return protocol.PullNotFound
	default:
		return protocol.PullOffsetMoved
	}
}

func (d *pulling) count(code protocol.ResponseCode) {
	s := d.p.b.stats
	if code != protocol.Success {
		s.Missed.Add(1)
		return
	}
	s.Found.Add(1)
	s.Get.Add(int64(d.res.Count), int64(d.res.Bytes))
	s.NoteGroup(stats.Gets, d.topic.Name, d.group.GroupName, int64(d.res.Count), int64(d.res.Bytes))
}

func (d *pulling) addHeader(resp *remoting.Command) {
	f := &resp.Fields
	f.AddInt("suggestWhichBrokerId", d.suggestBroker(d.p.b.options()))
	f.AddInt("nextBeginOffset", int64(d.res.NextOffset))
	f.AddInt("minOffset", int64(d.res.MinOffset))
	f.AddInt("maxOffset", int64(d.res.MaxOffset))
	f.AddInt("topicSysFlag", int64(d.topic.Config().TopicSysFlag))
	f.AddInt("groupSysFlag", int64(d.group.GroupSysFlag))
}

// wait holds the pull, if it asks for that. When there is no room it is refused: a consumer that is told that there is
// nothing asks again at once.
func (d *pulling) wait() (held bool, err error) {
	if !d.flags.Has(protocol.PullSuspend) || d.ticket.Oneway {
		return false, nil
	}
	b, holds, conn := d.p.b, d.p.holds, d.conn
	o := b.options()
	patience := time.Duration(d.header.SuspendTimeoutMillis) * time.Millisecond
	if !o.LongPollingEnable {
		patience = time.Duration(o.ShortPollingTimeMills) * time.Millisecond
	}
	if patience <= 0 {
		return false, nil
	}
	// What the header points to is gone when the request is; nothing of it is needed any more.
	d.header = protocol.PullMessageRequestHeader{}
	h := &longpoll.Pull{Offset: d.offset, Request: longpoll.Request{
		Topic: d.topic.Name, Queue: d.queue, Filter: d.filter(),
		Until: b.now().Add(min(patience, holdMax)), Owner: conn, Waiter: d,
	}}
	if !holds.Hold(h) {
		return false, refuse(protocol.SystemBusy, "[PULL_HOLDS]system busy, start flow control for a while: %d pulls wait for messages, at most %d may",
			holds.Len(), o.MaxPullHolds)
	}
	// From here on d is the hold's: it may be answered, freed and in use again at any time.
	// A message that was dispatched after the read and before the hold has woken nobody.
	holds.Recheck(h, int64(b.store.MaxOffset(h.Topic, h.Queue)))
	if conn.Err() != nil {
		holds.Drop(conn) // it was closed before the hold was there to be dropped
	}
	return true, nil
}

// Resume answers a held pull: a message has arrived, or its time is over.
func (d *pulling) Resume(writes bool) {
	resp := remoting.NewResponse(protocol.Success, "")
	conn, ticket := d.conn, d.ticket
	if err := d.revalidate(resp); err != nil {
		c := call{resp: resp}
		c.fail(err)
		d.Free()
	} else if resp = d.run(resp, false); resp == nil {
		return // its messages must be read from disk
	}
	replyWaiting(conn, ticket, resp, writes)
}

// revalidate looks again at what may have changed while the pull was held.
func (d *pulling) revalidate(resp *remoting.Command) error {
	b := d.p.b
	if !b.topics.Still(d.topic) {
		return refuse(protocol.TopicNotExist, "topic[%s] not exist, apply first please!", d.topic.Name)
	}
	if config := b.groups.Get(d.group.GroupName); config != nil {
		d.group = config
	}
	if err := d.permitted(resp); err != nil {
		return err
	}
	if !d.flags.Has(protocol.PullSubscription) {
		if err := d.subscribe(); err != nil {
			return err
		}
	}
	return d.allowed(resp, b.options())
}

// Free ends the pull: what it has borrowed from the store goes back.
func (d *pulling) Free() {
	d.res.Release()
	d.p, d.conn, d.group, d.topic, d.subscription = nil, nil, nil, nil, nil
	d.header = protocol.PullMessageRequestHeader{}
	d.coldState = coldState{}
	pullings.Put(d)
}

// onDisk tells whether the pull found nothing but messages to be read from disk. One that got past some messages has its
// consumer go on from there.
func (d *pulling) onDisk() bool {
	return d.res.Cold && d.res.Count == 0 && d.res.NextOffset == message.QueueOffset(d.offset) && !d.ticket.Oneway
}

func (d *pulling) from() (conn *remoting.Conn, ticket remoting.Ticket, group string) {
	return d.conn, d.ticket, d.group.GroupName
}

func (d *pulling) restrained() bool {
	if d.p.b.consumers.View(d.group.GroupName, d.topic.Name).Passive {
		return false
	}
	d.most = 1
	return true
}

func (d *pulling) later(why string) *remoting.Command {
	resp := remoting.NewResponse(protocol.PullRetryImmediately, why)
	d.count(protocol.PullRetryImmediately)
	d.addHeader(resp)
	return resp
}

// evaluable refuses a subscription whose type is switched off, or that cannot be compiled.
func evaluable(s *subscription.Subscription, o *Options) error {
	switch kind := s.Data.ExpressionType; {
	case !filter.IsTag(kind) && !o.EnablePropertyFilter:
		return refuse(protocol.SystemError, "The broker does not support consumer to filter message by %s", kind)
	case s.Filter == nil && (s.InRequest || filter.IsTag(kind)):
		return refuse(protocol.SubscriptionParseFailed, "parse the consumer's subscription failed: %v", s.Fault)
	case s.Filter == nil:
		return refuse(protocol.FilterDataNotExist, "The broker's consumer filter data is not exist! Your expression may be wrong: %v", s.Fault)
	}
	return nil
}
