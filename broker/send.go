package broker

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/flow"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A sender takes in the messages of clients (Java's SendMessageProcessor). Sends are handled on the goroutine that read
// them, one after the other per connection; a message that has to wait for the disk is answered by whoever synced it.
type sender struct {
	b *Broker

	common   []byte // the properties that every message gets, in stored form
	region   []byte
	traceOn  bool
	idPrefix []byte // hexadecimal host and port, the head of every message id
	levels   int32  // delay levels there are
	waits    bool   // puts wait for the disk or for slaves

	gate *flow.Gate // of the puts that wait
}

func newSender(b *Broker, o *Options, levels int) *sender {
	s := &sender{b: b, region: []byte(o.RegionID), traceOn: o.TraceOn, levels: int32(levels), waits: o.FlushDiskType == "SYNC_FLUSH" || o.WaitsForSlaves()}
	s.gate = flow.NewGate(o.MaxPendingPuts, time.Duration(o.MaxPutWait)*time.Millisecond, b.now, b.cold.pace.Observe)
	var p message.Properties
	p = message.AppendProperty(p, message.PropertyRegion, o.RegionID)
	p = message.AppendProperty(p, message.PropertyTraceOn, strconv.FormatBool(o.TraceOn))
	p = message.AppendProperty(p, message.PropertyCluster, o.BrokerClusterName)
	s.common = p
	id := message.AppendOffsetID(nil, b.storeHost, 0)
	s.idPrefix = id[:len(id)-16]
	return s
}

// A sending is one send on its way through the store. It is used again, so that a send allocates nothing.
type sending struct {
	s      *sender
	header protocol.SendMessageRequestHeader
	facts  propertyFacts
	msg    message.Message
	props  []byte // what msg.Properties points to

	conn      *remoting.Conn
	ticket    remoting.Ticket
	mayWait   bool // on a goroutine of its own: it may make topics
	topic     *metadata.Topic
	queue     int32               // as the client is told
	uniqueKey []byte              // as the client is told
	offsets   []message.PhyOffset // of a batch, by the store
	ids       []byte
	messages  int64
	bytes     int64
	entered   flow.Place // if puts wait
	out       int64      // TIMER_OUT_MS of a message that waits for a time; 0: it does not
}

var sendings = sync.Pool{New: func() any { return new(sending) }}

// message handles SEND_MESSAGE and SEND_MESSAGE_V2, and SEND_BATCH_MESSAGE, which is the latter with a flag set.
func (s *sender) message(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return s.handle(conn, req, false)
}

// slowMessage is message where the goroutine may wait for state files.
func (s *sender) slowMessage(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return s.handle(conn, req, true)
}

func (s *sender) handle(conn *remoting.Conn, req *remoting.Command, mayWait bool) *remoting.Command {
	d := sendings.Get().(*sending)
	d.s, d.conn, d.ticket, d.mayWait = s, conn, req.Ticket(), mayWait
	if err := d.prepare(req); err != nil {
		d.free()
		if err == errMustWait {
			return s.b.offload(conn, req, s.slowMessage)
		}
		return s.refused(err)
	}
	t := s.b.topics.Destination(d.topic, d.msg.Topic)
	if !t.Enter() {
		d.free()
		return s.refused(refuse(protocol.TopicNotExist, "topic[%s] not exist: it is being deleted", t.Name))
	}
	defer t.Leave()
	if s.waits {
		d.entered = s.gate.Enter()
	}
	// From here on d is the completion's: it may be answered, freed and in use again when the put returns.
	if d.header.Batch {
		s.b.store.PutBatchAsync(&d.msg, req.Body, &d.offsets, d)
	} else {
		s.b.store.PutAsync(&d.msg, d)
	}
	return nil
}

// prepare makes the message of the request, or says why it is refused.
func (d *sending) prepare(req *remoting.Command) error {
	s, h := d.s, &d.header
	var err error
	if req.RequestCode() == protocol.SendMessage {
		err = h.Decode(&req.Fields)
	} else {
		err = h.DecodeV2(&req.Fields)
	}
	if err != nil {
		return err
	}
	h.Batch = h.Batch || req.RequestCode() == protocol.SendBatchMessage
	if err := s.admit(); err != nil {
		return err
	}
	o := s.b.options()
	if d.topic, err = s.target(d, o); err != nil {
		return err
	}
	if len(req.Body) == 0 {
		return refuse(protocol.MessageIllegal, "the message is illegal: its body is empty")
	}
	d.facts.scan(h.Properties)
	d.fill(req)
	if h.Batch {
		return d.prepareBatch(req.Body)
	}
	if bytes.HasPrefix(h.Topic, []byte(message.RetryTopicPrefix)) {
		if err := d.checkRetry(req, o); err != nil {
			return err
		}
	}
	d.prioritize()
	d.setProperties()
	return d.divert(o)
}

// admit refuses a send when the broker cannot take any, saying why.
func (s *sender) admit() error {
	if s.b.isSlave() {
		return errSlavePuts
	}
	if err := s.gate.Admit(); err != nil {
		return refuse(protocol.SystemBusy, "%v", err)
	}
	if start := s.b.options().StartAcceptSendRequestTimeStamp; start > 0 && s.b.now().UnixMilli() < start {
		return refuse(protocol.SystemError, "broker unable to service, until %s", time.UnixMilli(start).Format(time.DateTime))
	}
	return nil
}

// target finds the topic of a send, makes it where that is allowed, and checks the queue.
func (s *sender) target(d *sending, o *Options) (*metadata.Topic, error) {
	h := &d.header
	t := s.b.topics.Find(h.Topic)
	if !d.mayWait && (t == nil || bytes.HasPrefix(h.Topic, []byte(message.RetryTopicPrefix))) {
		return nil, errMustWait
	}
	if t == nil {
		var err error
		if t, err = s.createTopic(h, o); err != nil {
			return nil, err
		}
	}
	config := t.Config()
	if o.BrokerPermission&metadata.PermWrite == 0 && config.Order {
		return nil, refuse(protocol.NoPermission, "the broker[%s] sending message is forbidden", o.BrokerIP1)
	}
	if s.b.topics.SendForbidden(h.Topic) {
		return nil, refuse(protocol.NoPermission, "Sending message to topic[%s] is forbidden.", t.Name)
	}
	if t.Static {
		return nil, refuse(protocol.NoPermission, "Sending message to topic[%s] is forbidden: it is a static topic, whose mapping is not followed here", t.Name)
	}
	if h.QueueID >= max(config.WriteQueueNums, config.ReadQueueNums) {
		return nil, refuse(protocol.InvalidParameter, "request queueId[%d] is illegal, %s Producer: %s", h.QueueID, describeTopic(config), d.conn.RemoteAddr())
	}
	d.queue = h.QueueID
	if d.queue < 0 {
		if config.WriteQueueNums <= 0 {
			return nil, refuse(protocol.InvalidParameter, "there is no queue to send to: %s Producer: %s", describeTopic(config), d.conn.RemoteAddr())
		}
		d.queue = rand.Int32N(config.WriteQueueNums)
	}
	return t, nil
}

// createTopic makes the unknown topic of a send, as far as the rules of automatic creation allow.
func (s *sender) createTopic(h *protocol.SendMessageRequestHeader, o *Options) (*metadata.Topic, error) {
	if fault := metadata.TopicNameFault(h.Topic); fault != "" {
		return nil, refuse(protocol.InvalidParameter, "%s", fault)
	}
	if s.b.topics.SendForbidden(h.Topic) {
		return nil, refuse(protocol.NoPermission, "Sending message to topic[%s] is forbidden.", h.Topic)
	}
	name, now := string(h.Topic), s.b.now().UnixMilli()
	t, err := s.b.topics.CreateOnSend(name, string(h.DefaultTopic), h.DefaultTopicQueueNums, o.AutoCreateTopicEnable, now)
	if t == nil && bytes.HasPrefix(h.Topic, []byte(message.RetryTopicPrefix)) {
		t, err = s.b.topics.CreateIfAbsent(metadata.NewTopicConfig(name, 1), now)
	}
	switch {
	case t == nil:
		return nil, refuse(protocol.TopicNotExist, "topic[%s] not exist, apply first please! %v", name, err)
	case err != nil:
		s.b.log.Error("topic is not on disk", "topic", name, "error", err)
	}
	// As with Java's broker, a producer that has its first answer can count on the topic's route: a client that starts to
	// consume then gives up when there is none.
	s.b.registrar.tell(tellPatience)
	return t, nil
}

// fill sets all of the message but its properties.
func (d *sending) fill(req *remoting.Command) {
	h, m := &d.header, &d.msg
	m.Topic, m.QueueID = d.topic.Name, d.queue
	m.Flag, m.SysFlag = h.Flag, message.SysFlag(h.SysFlag)
	if d.topic.Config().TopicFilterType == protocol.FilterMultiTag {
		m.SysFlag |= message.FlagMultiTags
	}
	m.BornTimestamp, m.BornHost = h.BornTimestamp, d.conn.RemoteAddr()
	m.StoreHost = d.s.b.storeHost
	m.ReconsumeTimes, m.PreparedTransactionOffset = h.ReconsumeTimes.Or(0), 0
	m.Body, m.Properties = req.Body, nil
	d.messages, d.bytes = 1, int64(len(req.Body))
	d.uniqueKey = append(d.uniqueKey[:0], d.facts.uniqueKey...)
}

// prepareBatch checks what only batches are asked for. The properties of its messages are in the body; the store checks
// them.
func (d *sending) prepareBatch(body []byte) error {
	if bytes.HasPrefix(d.header.Topic, []byte(message.RetryTopicPrefix)) {
		return refuse(protocol.MessageIllegal, "batch request does not support retry group %s", d.topic.Name)
	}
	if len(d.header.Topic) > metadata.TopicNameMax {
		return refuse(protocol.MessageIllegal, "message topic length too long %d", len(d.header.Topic))
	}
	d.messages = 0
	for rest := body; len(rest) > 0; d.messages++ {
		var err error
		if _, rest, err = message.NextBatchItem(rest); err != nil {
			return refuse(protocol.MessageIllegal, "message %d of the batch: %v", d.messages, err)
		}
	}
	return nil
}

// setProperties makes the stored properties: those of the client, without what is the broker's to say, then the broker's.
func (d *sending) setProperties() {
	p := d.props[:0]
	if d.facts.reserved {
		for name, value := range message.Properties(d.header.Properties).All() {
			if !reservedProperty(name) {
				p = message.AppendProperty(p, string(name), value)
			}
		}
	} else {
		p = append(p, d.header.Properties...)
		if n := len(p); n > 0 && p[n-1] != 0x02 {
			p = append(p, 0x02)
		}
	}
	if len(d.uniqueKey) == 0 {
		d.uniqueKey = append(d.uniqueKey, message.NewUniqueID()...)
		p = message.AppendProperty(p, message.PropertyUniqueKey, d.uniqueKey)
	}
	d.props = append(p, d.s.common...)
	d.msg.Properties = d.props
}

// prioritize sends a message with a priority to the queue of that number. A message of another kind has none: the property
// goes (Java's SendMessageProcessor).
func (d *sending) prioritize() {
	f := &d.facts
	if f.priority == 0 || d.msg.Topic != d.topic.Name {
		return
	}
	if f.transaction || f.delayed || f.sharded {
		d.header.Properties = message.Properties(d.header.Properties).Delete(message.PropertyPriority)
		return
	}
	d.queue = min(f.priority-1, max(d.topic.Config().WriteQueueNums-1, 0))
	d.msg.QueueID = d.queue
}

// checkRetry treats a send to a retry topic, which a consumer falls back to when it cannot give a message back: one that
// has come back too often goes to the group's dead letters. So does any of a group that consumes in order, which would
// otherwise be overtaken (Java's handleRetryAndDLQ).
func (d *sending) checkRetry(req *remoting.Command, o *Options) error {
	b := d.s.b
	group := d.topic.Name[len(message.RetryTopicPrefix):]
	config, err := b.groups.FindOrCreate(group, o.AutoCreateSubscriptionGroup, b.now().UnixMilli())
	if config == nil {
		return refuse(protocol.SubscriptionGroupNotExist, "subscription group not exist, %s", group)
	}
	if err != nil {
		b.log.Error("group is not on disk", "group", group, "error", err)
	}
	most := config.RetryMaxTimes
	if req.Version >= protocol.Version3_4_9 {
		most = d.header.MaxReconsumeTimes.Or(most)
	}
	if d.msg.ReconsumeTimes <= most && !b.locks.AnyHeld(group) {
		return nil
	}
	dlq, err := b.deadLetters(group)
	if err != nil {
		return err
	}
	b.stats.NoteGroup(stats.DeadLetters, d.topic.Name, group, 1, 0)
	d.msg.Topic, d.msg.QueueID = dlq.Name, 0
	d.header.Properties = message.Properties(d.header.Properties).Set(message.PropertyDelayLevel, "-1")
	d.facts.scan(d.header.Properties)
	return nil
}

// divert sends a delayed message by way of its level, and refuses the kinds of messages that there is no service for.
func (d *sending) divert(o *Options) error {
	f, m := &d.facts, &d.msg
	transaction := m.SysFlag.Transaction()
	if f.transaction && !(m.ReconsumeTimes > 0 && f.delayLevel > 0) || transaction == message.TransactionPrepared {
		return d.prepareHalf(o)
	}
	if transaction != message.TransactionNone && transaction != message.TransactionCommit {
		return nil
	}
	if f.delayLevel > 0 {
		d.props = delayed(m, min(f.delayLevel, d.s.levels), f.timer)
		return nil
	}
	if f.timer {
		out, err := d.s.b.timers.divert(m, o)
		d.out, d.props = out, m.Properties
		return err
	}
	return nil
}

// delayed makes m one that waits in the schedule topic for as long as the level says, and returns its properties.
func delayed(m *message.Message, level int32, timer bool) []byte {
	p := message.Properties(m.Properties)
	if timer {
		p = p.Delete(message.PropertyTimerDelaySeconds).Delete(message.PropertyTimerDelayMilliseconds).Delete(message.PropertyTimerDeliverTime)
	}
	p = p.Delete(message.PropertyRealTopic).Delete(message.PropertyRealQueueID)
	p = message.AppendProperty(bytes.Clone(p), message.PropertyRealTopic, m.Topic)
	p = message.AppendProperty(p, message.PropertyRealQueueID, strconv.Itoa(int(m.QueueID)))
	m.Topic, m.QueueID, m.Properties = message.ScheduleTopic, level-1, p
	return p
}

// PutDone answers the send. It is called by the store, under ASYNC_FLUSH before the put returns.
func (d *sending) PutDone(r engine.PutResult) {
	s := d.s
	if s.waits {
		s.gate.Leave(d.entered)
	}
	if r.Status.Stored() {
		d.count(r)
	} else {
		s.b.stats.Refused.Add(1)
		s.b.stats.Refuse(r.Status.String())
	}
	if d.ticket.Oneway {
		d.free()
		return
	}
	resp := s.putAnswer(r)
	if r.Status.Stored() {
		resp.Fields.AddBytes("msgId", d.messageIDs(r))
		resp.Fields.AddInt("queueId", int64(d.queue))
		resp.Fields.AddInt("queueOffset", int64(r.QueueOffset))
		if len(d.uniqueKey) > 0 {
			resp.Fields.AddBytes("transactionId", d.uniqueKey)
		}
		if d.out > 0 && !d.header.Batch {
			if h := s.b.recallHandleOf(d.topic.Name, d.out, d.uniqueKey); h != "" {
				resp.Fields.AddBytes("recallHandle", []byte(h))
			}
		}
	}
	s.addTrace(resp)
	conn, ticket := d.conn, d.ticket
	d.free()
	conn.ReplyTo(ticket, resp) //nolint:errcheck // a client that is gone does not care
}

func (d *sending) count(r engine.PutResult) {
	d.topic.Puts.Add(d.messages, int64(r.Size))
	d.s.b.stats.Put.Add(d.messages, int64(r.Size))
}

// free gives the sending back for use by another send.
func (d *sending) free() {
	d.conn, d.topic, d.s = nil, nil, nil
	d.header = protocol.SendMessageRequestHeader{}
	d.facts = propertyFacts{}
	d.msg = message.Message{}
	d.offsets = d.offsets[:0]
	d.out = 0
	if cap(d.props) > 64<<10 {
		d.props = nil
	}
	if cap(d.ids) > 64<<10 {
		d.ids, d.offsets = nil, nil
	}
	sendings.Put(d)
}
