package broker

import (
	"bytes"
	"fmt"
	"math"
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

// refused answers a send that did not reach the store.
func (s *sender) refused(err error) *remoting.Command {
	s.b.stats.Refused.Add(1)
	s.b.stats.Refuse(refusalCause(err))
	c := call{resp: remoting.NewResponse(protocol.Success, "")}
	c.fail(err)
	s.addTrace(c.resp)
	return c.resp
}

// addTrace adds the fields that every answer to a send has, also a refusal.
func (s *sender) addTrace(resp *remoting.Command) {
	resp.Fields.AddBytes(message.PropertyRegion, s.region)
	resp.Fields.AddBool(message.PropertyTraceOn, s.traceOn)
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

// describeTopic is a topic's configuration as Java's refusals print it.
func describeTopic(c *protocol.TopicConfig) string {
	return fmt.Sprintf("TopicConfig [topicName=%s, readQueueNums=%d, writeQueueNums=%d, perm=%s, topicFilterType=%s, topicSysFlag=%d, order=%t, attributes=%v]",
		c.TopicName, c.ReadQueueNums, c.WriteQueueNums, describePerm(c.Perm), c.TopicFilterType, c.TopicSysFlag, c.Order, c.Attributes)
}

func describePerm(perm int32) string {
	text := []byte("---")
	for i, bit := range []int32{metadata.PermRead, metadata.PermWrite, metadata.PermInherit} {
		if perm&bit != 0 {
			text[i] = "RWX"[i]
		}
	}
	return string(text)
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

// messageIDs are the offset ids of what was stored, with commas between.
func (d *sending) messageIDs(r engine.PutResult) []byte {
	ids := d.ids[:0]
	if len(d.offsets) == 0 {
		ids = d.s.appendID(ids, r.PhyOffset)
	}
	for i, offset := range d.offsets {
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = d.s.appendID(ids, offset)
	}
	d.ids = ids
	return ids
}

func (s *sender) appendID(dst []byte, offset message.PhyOffset) []byte {
	const digits = "0123456789ABCDEF"
	dst = append(dst, s.idPrefix...)
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[uint64(offset)>>shift&15])
	}
	return dst
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

// putAnswer is the answer to a put: its code, and what went wrong in words.
func (s *sender) putAnswer(r engine.PutResult) *remoting.Command {
	code := putCode(r.Status)
	if r.Status == engine.PutOK {
		return remoting.NewResponse(code, "")
	}
	return remoting.NewResponse(code, putRemark(r, s.b.options()))
}

func putCode(status engine.PutStatus) protocol.ResponseCode {
	switch status {
	case engine.PutOK:
		return protocol.Success
	case engine.FlushDiskTimeout:
		return protocol.FlushDiskTimeout
	case engine.FlushSlaveTimeout:
		return protocol.FlushSlaveTimeout
	case engine.SlaveNotAvailable:
		return protocol.SlaveNotAvailable
	case engine.ServiceNotAvailable:
		return protocol.ServiceNotAvailable
	case engine.MessageIllegal, engine.PropertiesSizeExceeded:
		return protocol.MessageIllegal
	case engine.OSPageCacheBusy:
		return protocol.SystemBusy
	default:
		return protocol.SystemError
	}
}

// putRemark says why a put failed: what Java says, which people search for, and our cause with its numbers.
func putRemark(r engine.PutResult, o *Options) string {
	said := map[engine.PutStatus]string{
		engine.FlushDiskTimeout:       "the message is stored, but its sync to disk takes longer than syncFlushTimeout",
		engine.FlushSlaveTimeout:      "the message is stored, but no slave has it yet",
		engine.SlaveNotAvailable:      "the message is stored, but no slave is there",
		engine.ServiceNotAvailable:    "service not available now",
		engine.CreateMappedFileFailed: "create mapped file failed, server is busy or broken.",
		engine.OSPageCacheBusy:        "[PC_SYNCHRONIZED]broker busy, start flow control for a while",
		engine.PutToRemoteBrokerFail:  "no other broker takes the message",
	}[r.Status]
	switch r.Status {
	case engine.MessageIllegal, engine.PropertiesSizeExceeded:
		said = fmt.Sprintf("the message is illegal, maybe msg body or properties length not matched. msg body length limit %dB, msg properties length limit 32KB.",
			o.MaxMessageSize)
	case engine.UnknownError:
		said = "UNKNOWN_ERROR"
	case engine.LMQConsumeQueueNumExceeded:
		said = fmt.Sprintf("[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq and enableMultiDispatch, lmq consumeQueue num exceed maxLmqConsumeQueueNum config num, default limit 2w. It is %d here",
			o.MaxLmqConsumeQueueNum)
	case engine.InSyncReplicasNotEnough:
		said = "IN_SYNC_REPLICAS_NOT_ENOUGH"
	}
	if r.Err != nil {
		said += ": " + r.Err.Error()
	}
	return said
}

// propertyFacts are what a send is decided by, found in one pass over the client's properties.
type propertyFacts struct {
	uniqueKey   []byte // borrowed
	delayLevel  int32
	timer       bool // asks for a time that is no delay level's
	transaction bool
	priority    int32 // one more than it is; 0: none
	delayed     bool  // asks for a delay, whatever it is
	sharded     bool  // belongs to an order
	reserved    bool  // there is a property that is the broker's to set, or one that a reader would pass over
}

func (f *propertyFacts) scan(properties []byte) {
	*f = propertyFacts{}
	for len(properties) > 0 {
		piece := properties
		if end := bytes.IndexByte(properties, 0x02); end >= 0 {
			piece, properties = properties[:end], properties[end+1:]
		} else {
			properties = nil
		}
		at := bytes.IndexByte(piece, 0x01)
		if at <= 0 || at+1 >= len(piece) {
			f.reserved = true
			continue
		}
		f.note(piece[:at], piece[at+1:])
	}
}

func (f *propertyFacts) note(name, value []byte) {
	switch name[0] {
	case 'U':
		if string(name) == message.PropertyUniqueKey {
			f.uniqueKey = value
		}
	case 'D':
		if string(name) == message.PropertyDelayLevel {
			n, err := strconv.ParseInt(string(value), 10, 32)
			f.delayLevel, f.delayed = int32(n), true
			if err != nil {
				f.delayLevel = 0
			}
		}
	case 'T':
		switch string(name) {
		case message.PropertyTimerDelaySeconds, message.PropertyTimerDelayMilliseconds, message.PropertyTimerDeliverTime:
			f.timer, f.delayed = true, true
		case message.PropertyTransactionPrepared:
			f.transaction = bytes.EqualFold(value, []byte("true"))
		case message.PropertyTraceOn:
			f.reserved = true
		}
	case '_':
		switch string(name) {
		case message.PropertyPriority:
			if n, err := strconv.ParseInt(string(value), 10, 32); err == nil && n >= 0 {
				f.priority = int32(min(n, math.MaxInt32-1)) + 1
			}
		case message.PropertyShardingKey:
			f.sharded = true
		}
	case 'M', 'C', 'P':
		f.reserved = f.reserved || reservedProperty(name)
	}
}

// reservedProperty reports whether a property is not the client's to set.
func reservedProperty(name []byte) bool {
	switch string(name) {
	case message.PropertyRegion, message.PropertyTraceOn, message.PropertyCluster, message.PropertyPopCheckPoint:
		return true
	}
	return false
}
