package broker

import (
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/broker/transaction"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// startEscape has the pending half messages of a master that is gone sent to other masters of their topics, which take
// them as half messages of their own and ask the producers (Java's TransactionalMessageServiceImpl.check of an acting
// slave). The transactor is one made for that: it puts nothing to the own log.
func (t *transactor) startEscape() {
	if err := t.load(); err != nil {
		t.b.log.Error("op queue of transactions cannot be read; some are checked again", "error", err)
	}
	t.done.Add(1)
	go t.runEscape()
}

// endEscape returns when no half message is sent any more.
func (t *transactor) endEscape() {
	t.halt()
	t.saveProgress()
}

// runEscape sends what is pending, as Java's for the first time when a master that was only restarted would be back.
func (t *transactor) runEscape() {
	defer t.done.Done()
	t.survey()
	for {
		timer := time.NewTimer(millis(t.b.options().TransactionCheckInterval))
		select {
		case <-t.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		t.escapeRound()
	}
}

// escapeRound sends all that is pending, and notes the progress: the master that comes back does not ask about what is sent.
// What no other master takes stays pending, and what is behind it is asked about by both.
func (t *transactor) escapeRound() {
	t.sweep("transactions cannot be sent to other brokers; tried again", t.leaving, t.leave)
}

// leaving makes of a pending half message one that another master takes for a producer's; nil when there is nothing to do
// about it. Neither its age nor the number of its checks counts, as in Java. One that can never be committed waits for the
// own master, who gives it up.
func (t *transactor) leaving(r message.Record) *checking {
	half, faulty := transaction.ParseHalf(r)
	if faulty != nil || !t.pending(&half) {
		return nil
	}
	c := &checking{}
	r = slices.Clone(r)
	c.half, _ = transaction.ParseHalf(r)
	r.Decode(&c.msg)
	m := &c.msg
	m.Topic, m.QueueID, m.SysFlag = string(c.half.RealTopic), c.half.RealQueueID, m.SysFlag.WithTransaction(message.TransactionPrepared)
	for _, name := range []string{
		message.PropertyRealTopic, message.PropertyRealQueueID, message.PropertyPreparedQueueOffset, message.PropertyTransactionID,
	} {
		m.Properties = m.Properties.Delete(name)
	}
	m.Properties = m.Properties.Set(message.PropertyTransactionPrepared, "true")
	return c
}

// leave sends half messages, and settles those that another master has. That some are not taken ends nothing: the next are sent.
func (t *transactor) leave(batch []*checking) error {
	var posts engine.Puts
	for _, c := range batch {
		posts.Put(t.b.scheduleStore(), &c.msg)
	}
	kept := 0
	var cause error
	for i, r := range posts.Wait() {
		if !r.Status.Stored() {
			kept, cause = kept+1, r.Err
			continue
		}
		t.mu.Lock()
		t.mu.ledger.Drop(batch[i].half.Offset)
		t.mu.Unlock()
	}
	if kept > 0 {
		t.b.log.Warn("transactions are not taken by other brokers; tried again", "kept", kept, "of", len(batch), "error", cause)
	}
	return nil
}
