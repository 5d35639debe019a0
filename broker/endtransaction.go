package broker

import (
	"errors"
	"sync"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/transaction"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

var (
	errWrongQueueOffset = errors.New("its record is of another offset")
	errNotReadable      = errors.New("the queue cannot be read now")
)

// errNoHalf is Java's answer to the end of a transaction that is not there.
var errNoHalf = refuse(protocol.SystemError, "Find prepared transaction message failed")

func refuseTransaction(o *Options) error {
	return refuse(protocol.NoPermission, "the broker[%s] sending transaction message is forbidden", o.BrokerIP1)
}

// A commit is the message of a transaction on its way to its real topic. It is used again, so that one allocates nothing.
type commit struct {
	t      *transactor
	half   transaction.Half // without its texts, which are the record's
	msg    message.Message
	props  []byte
	topic  *metadata.Topic // nil: there is none of that name
	conn   *remoting.Conn
	ticket remoting.Ticket
}

var commitPool = sync.Pool{New: func() any { return new(commit) }}

// end handles END_TRANSACTION (Java's EndTransactionProcessor). Clients send it one-way.
func (t *transactor) end(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	var h protocol.EndTransactionRequestHeader
	err := h.Decode(&req.Fields)
	if err == nil {
		switch message.TransactionType(h.CommitOrRollback) {
		case message.TransactionCommit, message.TransactionRollback:
		default:
			return remoting.NewResponse(protocol.Success, "") // the producer does not know yet
		}
		if err = t.endWith(conn, req.Ticket(), &h); err == errLater {
			return nil
		}
	}
	c := call{resp: remoting.NewResponse(protocol.Success, "")}
	if err != nil {
		t.b.log.Debug("end of a transaction is refused", "client", conn.RemoteAddr(), "group", h.ProducerGroup, "id", h.TransactionID, "error", err)
		c.fail(err)
	}
	return c.resp
}

// errLater says that the answer is given when the commit is stored.
var errLater = errors.New("answered later")

// endWith ends the transaction that the header names.
func (t *transactor) endWith(conn *remoting.Conn, ticket remoting.Ticket, h *protocol.EndTransactionRequestHeader) error {
	if t.b.isSlave() {
		return refuse(protocol.SlaveNotAvailable, "")
	}
	ref, err := t.b.store.RecordAt(message.PhyOffset(h.CommitLogOffset))
	if err != nil {
		return errNoHalf
	}
	defer ref.Release()
	r := ref.Record()
	half, err := transaction.ParseHalf(r)
	if string(r.Topic()) != message.HalfTopic {
		return errNoHalf // Java would take any message that names a real topic
	}
	switch isCommit := message.TransactionType(h.CommitOrRollback) == message.TransactionCommit; {
	case !h.FromTransactionCheck.Or(false) && t.policy().Late(&half, t.b.now().UnixMilli()):
		return refuse(protocol.IllegalOperation, "")
	case string(half.Group) != h.ProducerGroup:
		return refuse(protocol.SystemError, "The producer group wrong")
	case int64(half.Offset) != h.TranStateTableOffset:
		return refuse(protocol.SystemError, "The transaction state table offset wrong")
	case isCommit && err != nil:
		return refuse(protocol.SystemError, "%v", err)
	default:
		return t.settle(conn, ticket, r, half, isCommit)
	}
}

// settle commits or rolls back the transaction of a half message.
func (t *transactor) settle(conn *remoting.Conn, ticket remoting.Ticket, r message.Record, half transaction.Half, isCommit bool) error {
	t.mu.Lock()
	claim := t.mu.ledger.Claim(&half)
	if claim == transaction.Granted && !isCommit {
		w := t.confirmLocked(&half)
		t.mu.Unlock()
		w.put()
		t.stats.rolledBack.Add(1)
		return nil
	}
	t.mu.Unlock()
	switch claim {
	case transaction.Busy:
		return refuse(protocol.SystemBusy, "[TRANSACTION_ENDING]system busy: the transaction is being ended by another request")
	case transaction.Ended:
		return nil // it comes again, or by way of an older copy
	}
	return t.commit(conn, ticket, r, half)
}

// confirmLocked settles a claimed transaction. It returns the op message if that is full.
func (t *transactor) confirmLocked(half *transaction.Half) *opWrite {
	t.mu.list = t.mu.ledger.Confirm(t.mu.list[:0], half)
	return t.noteSettledLocked(t.mu.list...)
}

// commit puts the message of a claimed transaction to its real topic.
func (t *transactor) commit(conn *remoting.Conn, ticket remoting.Ticket, r message.Record, half transaction.Half) error {
	c := commitPool.Get().(*commit)
	c.t, c.conn, c.ticket = t, conn, ticket
	c.topic = t.b.topics.Find(half.RealTopic)
	c.make(r, &half)
	c.half = transaction.Half{Offset: half.Offset, First: half.First}
	if c.topic != nil && !c.topic.Enter() {
		t.mu.Lock()
		t.mu.ledger.Withdraw(&c.half)
		t.mu.Unlock()
		name := c.topic.Name
		c.free()
		return refuse(protocol.TopicNotExist, "topic[%s] not exist: it is being deleted", name)
	}
	entered := c.topic
	t.b.store.PutAsync(&c.msg, c) // c is the completion's from here on
	if entered != nil {
		entered.Leave()
	}
	return errLater
}

// make makes the message that consumers get: the half message without what only the broker needs of it.
func (c *commit) make(r message.Record, half *transaction.Half) {
	b, m := c.t.b, &c.msg
	phy := r.PhyOffset()
	r.Decode(m)
	if c.topic != nil {
		m.Topic = c.topic.Name
	} else {
		m.Topic = string(half.RealTopic)
	}
	m.QueueID, m.StoreHost = half.RealQueueID, b.storeHost
	m.SysFlag = m.SysFlag.WithTransaction(message.TransactionCommit)
	m.PreparedTransactionOffset = phy
	p := c.props[:0]
	for name, value := range m.Properties.All() {
		switch string(name) {
		case message.PropertyRealTopic, message.PropertyRealQueueID, message.PropertyPreparedQueueOffset:
		default:
			p = message.AppendProperty(p, string(name), value)
		}
	}
	c.props, m.Properties = p, p
	var f propertyFacts
	f.scan(p)
	if f.delayLevel > 0 {
		c.props = delayed(m, min(f.delayLevel, b.sender.levels), f.timer)
	} else if f.timer {
		// A time that is none, or too far, does not keep the message from its consumers.
		if _, err := b.timers.divert(m, b.options()); err == nil {
			c.props = m.Properties
		}
	}
}

// PutDone settles the transaction if its message is stored, and answers the producer if it waits.
func (c *commit) PutDone(r engine.PutResult) {
	t := c.t
	var w *opWrite
	t.mu.Lock()
	if r.Status.Stored() {
		w = t.confirmLocked(&c.half)
	} else {
		t.mu.ledger.Withdraw(&c.half)
	}
	t.mu.Unlock()
	w.put()
	if r.Status.Stored() {
		t.stats.committed.Add(1)
		if c.topic != nil {
			c.topic.Puts.Add(1, int64(r.Size))
		}
		t.b.stats.Put.Add(1, int64(r.Size))
	} else {
		t.b.log.Warn("message of a transaction cannot be committed", "topic", c.msg.Topic, "status", r.Status, "error", r.Err)
	}
	if !c.ticket.Oneway {
		resp := remoting.NewResponse(protocol.Success, "")
		if !r.Status.Stored() {
			resp = t.b.sender.putAnswer(r)
		}
		c.conn.ReplyTo(c.ticket, resp) //nolint:errcheck // a client that is gone does not care
	}
	c.free()
}

func (c *commit) free() {
	c.t, c.topic, c.conn = nil, nil, nil
	topic := c.msg.Topic
	c.msg = message.Message{Topic: topic}
	if cap(c.props) > 64<<10 {
		c.props = nil
	}
	commitPool.Put(c)
}
