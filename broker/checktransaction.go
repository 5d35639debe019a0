package broker

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/transaction"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// checkBatch and checkBatchBytes bound the half messages that are copied before producers are asked about them.
const (
	checkBatch      = 256
	checkBatchBytes = 8 << 20
)

// A checking is a half message that a round decided to check or to give up.
type checking struct {
	half transaction.Half // its texts are those of msg
	msg  message.Message  // the copy
	give bool             // it is given up
}

// round looks at all half messages that are pending: it asks the producers of those whose time has come, and gives up those
// that were asked about too often.
func (t *transactor) round() {
	t.flushOps() // what is settled is not checked after a crash either
	now, policy := t.b.now().UnixMilli(), t.policy()
	t.sweep("transactions cannot be checked; tried again", func(r message.Record) *checking { return t.look(r, now, policy) }, t.carryOut)
}

// sweep goes over all half messages that are pending, has act do what look finds to be done about them, and notes the progress.
func (t *transactor) sweep(failed string, look func(message.Record) *checking, act func([]*checking) error) {
	t.mu.Lock()
	from := t.mu.ledger.Next(0)
	t.mu.Unlock()
	end := t.b.store.MaxOffset(message.HalfTopic, transactionQueue)
	for from < end {
		batch, next, err := t.decide(from, end, look)
		if err == nil {
			err = act(batch)
		}
		if err != nil {
			t.b.log.Warn(failed, "from", int64(from), "error", err)
			break
		}
		if t.stopped.Load() {
			return // who stopped it notes the progress
		}
		from = next
	}
	t.saveProgress()
}

// survey finds out which half messages are copies of others. Nothing is decided before.
func (t *transactor) survey() {
	t.mu.Lock()
	from := t.mu.ledger.Next(0)
	t.mu.Unlock()
	end := t.b.store.MaxOffset(message.HalfTopic, transactionQueue)
	for from < end && !t.stopped.Load() {
		err := t.scan(message.HalfTopic, from, end, func(r message.Record) bool {
			half, _ := transaction.ParseHalf(r)
			var w *opWrite
			t.mu.Lock()
			if t.mu.ledger.Survey(&half) {
				w = t.noteSettledLocked(half.Offset)
			}
			from = t.mu.ledger.Next(half.Offset + 1)
			t.mu.Unlock()
			w.put()
			return from == half.Offset+1
		}, t.gone)
		t.mu.Lock()
		from = t.mu.ledger.Next(from)
		t.mu.Unlock()
		if err != nil {
			t.b.log.Warn("half messages cannot be read", "from", int64(from), "error", err)
			break
		}
	}
	t.mu.Lock()
	t.mu.ledger.Surveyed()
	t.mu.Unlock()
	close(t.surveyed)
}

// decide collects what look finds to be done about the half messages from an offset on, and says where to go on.
func (t *transactor) decide(from, end message.QueueOffset, look func(message.Record) *checking) (batch []*checking, next message.QueueOffset, err error) {
	next = from
	size := 0
	full := func() bool { return len(batch) >= checkBatch || size >= checkBatchBytes }
	for next < end && !full() {
		t.mu.Lock()
		at := t.mu.ledger.Next(next)
		t.mu.Unlock()
		if next = min(at, end); next == end {
			break
		}
		err = t.scan(message.HalfTopic, next, end, func(r message.Record) bool {
			if c := look(r); c != nil {
				batch, size = append(batch, c), size+len(r)
			}
			next = r.QueueOffset() + 1
			t.mu.Lock()
			at := t.mu.ledger.Next(next)
			t.mu.Unlock()
			return at == next && !full()
		}, t.gone)
		if err != nil {
			return batch, next, err
		}
	}
	return batch, next, nil
}

// gone settles half messages that are not there any more, or cannot be read.
func (t *transactor) gone(from, to message.QueueOffset, cause string) {
	t.mu.Lock()
	lost := 0
	for at := t.mu.ledger.Next(from); at < to; at = t.mu.ledger.Next(at + 1) {
		t.mu.ledger.Drop(at)
		lost++
	}
	t.mu.Unlock()
	if lost > 0 {
		t.b.log.Error("half messages are passed over: they cannot be read", "from", int64(from), "to", int64(to), "pending", lost, "cause", cause)
	}
}

// look decides on one half message; nil when there is nothing to do about it.
func (t *transactor) look(r message.Record, now int64, policy transaction.Policy) *checking {
	half, faulty := transaction.ParseHalf(r)
	action := transaction.Wait
	if t.pending(&half) {
		action = policy.Decide(&half, now)
	}
	if action == transaction.Wait {
		return nil
	}
	if faulty != nil && action == transaction.Check {
		t.b.log.Error("half message can never be committed and is given up", "queueOffset", int64(half.Offset), "group", string(half.Group), "error", faulty)
		action = transaction.Discard
	}
	return newChecking(slices.Clone(r), t.b, action == transaction.Discard)
}

// pending tells whether a half message is to be decided on.
func (t *transactor) pending(half *transaction.Half) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.ledger.Pending(half)
}

// newChecking makes the copy of a half message: for the half queue, or for the topic of those that are given up. The record
// is the copy's.
func newChecking(r message.Record, b *Broker, give bool) *checking {
	c := &checking{give: give}
	c.half, _ = transaction.ParseHalf(r)
	r.Decode(&c.msg)
	c.msg.QueueID, c.msg.StoreHost = transactionQueue, b.storeHost
	if give {
		c.msg.Topic = message.TransCheckMaxTopic
		return c
	}
	c.msg.Properties = c.msg.Properties.
		Set(message.PropertyTransactionCheckTimes, strconv.Itoa(int(c.half.Checks)+1)).
		Set(message.PropertyPreparedQueueOffset, strconv.FormatInt(int64(c.half.First), 10))
	return c
}

// carryOut copies the half messages of a batch and asks their producers. An error says that the store takes nothing now.
func (t *transactor) carryOut(batch []*checking) error {
	var copies engine.Puts
	store := guardedStore{t.b.store, t.b.topics, t.b.cold}
	for _, c := range batch {
		if c.give {
			t.giveUpTopic()
		}
		copies.Put(store, &c.msg)
	}
	var failed error
	for i, r := range copies.Wait() {
		switch c := batch[i]; {
		case r.Status.Stored() && c.give:
			t.givenUp(c)
		case r.Status.Stored():
			t.copied(c, r)
		case !c.give && (r.Status == engine.MessageIllegal || r.Status == engine.PropertiesSizeExceeded):
			// It cannot even be copied, and would hold up nothing but itself, for ever.
			t.b.log.Error("half message cannot be checked and is given up", "queueOffset", int64(c.half.Offset), "group", string(c.half.Group), "error", r.Err)
			t.giveUpTopic()
			c.msg.Topic = message.TransCheckMaxTopic
			c.msg.Properties = c.msg.Properties.Delete(message.PropertyPreparedQueueOffset).Delete(message.PropertyTransactionCheckTimes)
			if r := t.b.put(&c.msg); r.Status.Stored() || r.Status == engine.MessageIllegal || r.Status == engine.PropertiesSizeExceeded {
				t.givenUp(c)
			} else {
				failed = fmt.Errorf("%v: %w", r.Status, r.Err)
			}
		case r.Status == engine.MessageIllegal || r.Status == engine.PropertiesSizeExceeded:
			t.givenUp(c)
		default:
			failed = fmt.Errorf("%v: %w", r.Status, r.Err)
		}
	}
	return failed
}

// giveUpTopic makes the topic of half messages that are given up.
func (t *transactor) giveUpTopic() {
	if t.b.topics.Get(message.TransCheckMaxTopic) != nil {
		return
	}
	if _, err := t.b.topics.CreateIfAbsent(metadata.NewTopicConfig(message.TransCheckMaxTopic, 1), t.b.now().UnixMilli()); err != nil {
		t.b.log.Error("topic is not on disk", "topic", message.TransCheckMaxTopic, "error", err)
	}
}

func (t *transactor) givenUp(c *checking) {
	t.mu.Lock()
	t.mu.ledger.GiveUp(&c.half)
	t.mu.Unlock()
	t.stats.givenUp.Add(1)
	t.b.log.Warn("transaction is given up", "topic", string(c.half.RealTopic), "group", string(c.half.Group),
		"id", string(c.half.UniqueKey), "checks", c.half.Checks, "born", c.half.Born)
}

// copied notes a copy and asks the producer about it.
func (t *transactor) copied(c *checking, r engine.PutResult) {
	t.mu.Lock()
	ended, ending := t.mu.ledger.Copied(&c.half, r.QueueOffset)
	var w *opWrite
	if ended {
		w = t.noteSettledLocked(r.QueueOffset)
	}
	t.mu.Unlock()
	w.put()
	if ended || ending {
		return
	}
	t.stats.checked.Add(1)
	if !t.ask(c, r) {
		t.stats.unasked.Add(1)
		t.b.log.Debug("no producer of the group is online to be asked about its transaction", "group", string(c.half.Group), "id", string(c.half.UniqueKey))
	}
}

// ask sends CHECK_TRANSACTION_STATE to one producer of the group; they take turns. It reports whether there was one.
func (t *transactor) ask(c *checking, r engine.PutResult) bool {
	members := t.b.producers.Snapshot(string(c.half.Group))
	if len(members) == 0 {
		return false
	}
	h := protocol.CheckTransactionStateRequestHeader{
		Topic: message.HalfTopic, TranStateTableOffset: int64(r.QueueOffset), CommitLogOffset: int64(r.PhyOffset),
		MsgID: string(c.half.UniqueKey), TransactionID: string(c.half.UniqueKey),
		OffsetMsgID: string(message.AppendOffsetID(nil, t.b.storeHost, r.PhyOffset)),
	}
	h.TargetBroker = t.b.options().BrokerName
	m := c.msg
	m.Topic, m.QueueID = string(c.half.RealTopic), c.half.RealQueueID
	m.PhyOffset, m.QueueOffset, m.StoreTimestamp = r.PhyOffset, r.QueueOffset, r.StoreTimestamp
	body := make([]byte, m.RecordSize())
	message.EncodeRecord(body, &m, message.BodyCRC(m.Body))
	turn := int(t.next.Add(1))
	for i := range members {
		req := remoting.NewRequest(protocol.CheckTransactionState)
		h.Encode(&req.Fields)
		req.Body = body
		if members[(turn+i)%len(members)].Channel.Oneway(req) == nil {
			return true
		}
	}
	return false
}

// resumeCheck gives a transaction that was given up, or checked often, its checks again: it handles RESUME_CHECK_HALF_MESSAGE.
func (b *Broker) resumeCheck(c *call) error {
	var h protocol.ResumeCheckHalfMessageRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	const failed = "Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed."
	_, offset, err := message.ParseOffsetID(h.MsgID)
	if err != nil {
		return refuse(protocol.SystemError, "%s message id %s: %v", failed, h.MsgID, err)
	}
	ref, err := b.store.RecordAt(offset)
	if err != nil {
		return refuse(protocol.SystemError, "%s can not find message by the offset, %d", failed, offset)
	}
	defer ref.Release()
	r := ref.Record()
	half, err := transaction.ParseHalf(r)
	topic := string(r.Topic())
	if err != nil || topic != message.TransCheckMaxTopic && topic != message.HalfTopic {
		return refuse(protocol.SystemError, "%s The message is not one of a transaction", failed)
	}
	m := new(message.Message)
	r.Decode(m)
	m.Topic, m.QueueID, m.StoreHost = message.HalfTopic, transactionQueue, b.storeHost
	m.Properties = m.Properties.Set(message.PropertyTransactionCheckTimes, "0").Delete(message.PropertyPreparedQueueOffset)
	if topic == message.HalfTopic {
		m.Properties = m.Properties.Set(message.PropertyPreparedQueueOffset, strconv.FormatInt(int64(half.First), 10))
	}
	put := b.put(m)
	if !put.Status.Stored() {
		return refuse(protocol.SystemError, "%s %s", failed, putRemark(put, b.options()))
	}
	if topic == message.HalfTopic {
		b.transactions.resumed(&half, put.QueueOffset)
	}
	return nil
}

// resumed notes the copy of a half message that begins its checks anew.
func (t *transactor) resumed(half *transaction.Half, copied message.QueueOffset) {
	t.mu.Lock()
	var w *opWrite
	if ended, _ := t.mu.ledger.Copied(half, copied); ended {
		w = t.noteSettledLocked(copied)
	}
	t.mu.Unlock()
	w.put()
}
