package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A messageReader reads a message of a checkpoint by its offset. One that is gone is nil.
type messageReader func(offset int64) (*message.Message, error)

// silentRest is how long a broker that did not answer is not asked again: the messages of all others would wait for it.
const silentRest = 5 * time.Second

// reader reads the messages of a checkpoint. Those of another broker's are there: a slave that acted for it gave them out, and
// left the checkpoint here (Java: EscapeBridge.getMessage).
func (l *reviveLog) reader(c *pop.Checkpoint) messageReader {
	if l.isOwn(&c.Key) {
		return func(offset int64) (*message.Message, error) { return l.read(c, offset) }
	}
	addr := "" // it is asked for once a checkpoint
	return func(offset int64) (m *message.Message, err error) {
		if l.b.now().Before(l.silent[c.BrokerName]) {
			return nil, fmt.Errorf("broker %s does not answer", c.BrokerName)
		}
		ctx, cancel := context.WithTimeout(l.b.registrar.ctx, escapeTimeout)
		defer cancel()
		if addr == "" {
			addr, err = l.b.registrar.brokerOf(ctx, c.Topic, c.BrokerName)
		}
		if err == nil {
			m, err = l.readElsewhere(ctx, addr, c, offset)
		}
		var refused *refusal
		if err != nil && !errors.As(err, &refused) {
			if len(l.silent) > escapeMax {
				clear(l.silent)
			}
			l.silent[c.BrokerName] = l.b.now().Add(silentRest)
		}
		return m, err
	}
}

// isOwn tells whether the messages of a checkpoint are in the own store.
func (l *reviveLog) isOwn(k *pop.Key) bool {
	return k.BrokerName == "" || k.BrokerName == l.b.options().BrokerName
}

// read reads a message of the own store.
func (l *reviveLog) read(c *pop.Checkpoint, offset int64) (*message.Message, error) {
	b := l.b
	ref, err := b.store.RecordAtQueue(c.Topic, c.Queue, message.QueueOffset(offset))
	if err != nil {
		if offset < int64(b.store.MinOffset(c.Topic, c.Queue)) || err == engine.ErrNoMessage {
			return nil, nil
		}
		return nil, err
	}
	defer ref.Release()
	m := new(message.Message)
	slices.Clone(ref.Record()).Decode(m)
	return m, nil
}

// readElsewhere pulls a message from another broker. Only what that has no more is gone: a slave may not have it yet.
func (l *reviveLog) readElsewhere(ctx context.Context, addr string, c *pop.Checkpoint, offset int64) (*message.Message, error) {
	o := l.b.options()
	h := protocol.PullMessageRequestHeader{
		ConsumerGroup: fmt.Appendf(nil, "InnerConsumerGroup_%s_%d", o.BrokerName, o.BrokerID), Topic: []byte(c.Topic), QueueID: c.Queue, QueueOffset: offset,
		MaxMsgNums: 1, SysFlag: protocol.PullSubscription, Subscription: []byte("*"), ExpressionType: []byte("TAG"), SubVersion: l.b.now().UnixMilli(),
	}
	req := remoting.NewRequest(protocol.PullMessage)
	h.Encode(&req.Fields)
	resp, err := l.b.registrar.client.Call(ctx, addr, req)
	if err != nil {
		return nil, fmt.Errorf("broker %s: %w", c.BrokerName, err)
	}
	var found *message.Message
	switch code := resp.ResponseCode(); code {
	case protocol.Success:
		r, err := message.ParseRecord(resp.Body)
		if err != nil {
			return nil, fmt.Errorf("broker %s: %w", c.BrokerName, err)
		}
		if int64(r.OffsetIn(c.Topic)) == offset {
			found = new(message.Message)
			slices.Clone(r).Decode(found)
			return found, nil
		}
	case protocol.PullNotFound, protocol.PullRetryImmediately, protocol.PullOffsetMoved:
	default:
		return nil, fmt.Errorf("broker %s: %w", c.BrokerName, &refusal{code, resp.Remark})
	}
	var answer protocol.PullMessageResponseHeader
	if err := answer.Decode(&resp.Fields); err != nil {
		return nil, fmt.Errorf("broker %s: %w", c.BrokerName, err)
	}
	if offset >= answer.MaxOffset {
		return nil, fmt.Errorf("broker %s: %w", c.BrokerName, refuse(resp.ResponseCode(), "it has %s/%d up to %d, and not %d", c.Topic, c.Queue, answer.MaxOffset, offset))
	}
	return nil, nil
}
