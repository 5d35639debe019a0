package broker

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// What is popped from a slave that acts for its master is noted elsewhere: a checkpoint is sent, with the time at which it is
// due, to the revive log of another master that has the topic, and so are its acknowledgements. When time is over that
// master gives the messages out again, which it asks the slave for, or the master that is back (Java's PopBufferMergeService
// and those that put by way of its EscapeBridge). What was popped from the master before is in the ledger of the slave.

// addElsewhere leaves a checkpoint to another master.
func (l *reviveLog) addElsewhere(c *pop.Checkpoint) engine.PutResult {
	return l.send(&c.Key, pop.TagCheckpoint, pop.AppendCheckpoint(nil, c), pop.AppendCheckpointID(nil, c), c.VisibleAt()-parkAhead)
}

// ackElsewhere sends an acknowledgement after the checkpoint. One that comes too late is of no use there.
func (l *reviveLog) ackElsewhere(a *pop.Ack, visibleAt int64) engine.PutResult {
	if visibleAt <= l.b.now().UnixMilli() {
		return engine.PutResult{Status: engine.PutOK}
	}
	return l.send(&a.Key, a.Tag(), pop.AppendAck(nil, a), pop.AppendAckID(nil, a), visibleAt)
}

func (l *reviveLog) send(k *pop.Key, tag string, body, id []byte, at int64) engine.PutResult {
	m := l.record(0, tag, body, l.b.now().UnixMilli(), at)
	e := l.b.acting.escape
	p := e.post(m)
	p.header.Properties = message.AppendProperty(m.Properties, message.PropertyUniqueKey, id) // it is to wait there
	p.queue = func(ctx context.Context) (escapeQueue, error) { return e.reviveQueue(ctx, k) }
	return e.send(p)
}

// route has a record of the revive log that the timer brings go where its checkpoint, or the acknowledgements of that, go.
func (l *reviveLog) route(p *post, m *message.Message) {
	tag, _ := m.Properties.Get(message.PropertyTags)
	var k *pop.Key
	if c, a, _ := l.decode(tag, m.Body); c != nil {
		k = &c.Key
	} else if a != nil {
		k = &a.Key
	} else {
		return // it says nothing there either
	}
	p.queue = func(ctx context.Context) (escapeQueue, error) { return l.b.acting.escape.reviveQueue(ctx, k) }
}

// reviveElsewhere puts a message that comes again to the retry topic at another master: at one that has the topic, since there
// the group pops both. That makes the retry topic where it needs to.
func (l *reviveLog) reviveElsewhere(c *pop.Checkpoint, m *message.Message) engine.PutResult {
	e, normal := l.b.acting.escape, pop.NormalTopic(c.Topic, c.Group)
	m.Topic = pop.RetryTopicV1(normal, c.Group) // no broker takes a message for a name of the second form
	p := e.post(m)
	p.header.DefaultTopicQueueNums = 1
	p.header.MaxReconsumeTimes = protocol.Some[int32](math.MaxInt32) // consumers that pop give a message up themselves
	p.queue = func(ctx context.Context) (escapeQueue, error) {
		q, err := e.turn(ctx, normal)
		q.id = 0
		return q, err
	}
	return e.send(p)
}

// reviveQueue is the queue of the revive log that all records of a checkpoint go to, as long as the same masters are there: one
// of a master that has the topic.
func (e *escape) reviveQueue(ctx context.Context, k *pop.Key) (escapeQueue, error) {
	log, normal := e.b.popper.log.topic, pop.NormalTopic(k.Topic, k.Group)
	having, err := e.targets(ctx, normal)
	if err != nil {
		return escapeQueue{}, err
	}
	logs, err := e.targets(ctx, log)
	if err != nil {
		return escapeQueue{}, err
	}
	brokers := map[string]bool{}
	for _, q := range having.queues {
		brokers[q.broker] = true
	}
	var queues []escapeQueue
	for _, q := range logs.queues {
		if brokers[q.broker] {
			queues = append(queues, q)
		}
	}
	if len(queues) == 0 {
		return escapeQueue{}, fmt.Errorf("no other master has both %s and %s", normal, log)
	}
	h := fnv.New64a()
	h.Write(pop.AppendCheckpointID(nil, &pop.Checkpoint{Key: *k})) //nolint:errcheck // never fails
	return queues[h.Sum64()%uint64(len(queues))], nil
}
