package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// transactions is the listener of a producer of transactions. What becomes of a
// message follows from its number: of five in a row the first is committed at
// once, the second rolled back; the others are left open, and when the broker
// asks, the third is committed, the fourth rolled back, and the fifth committed
// when it asks again.
type transactions struct {
	id string

	mu     sync.Mutex
	checks map[string]int
}

func startTransactions(a *agent, args args) error {
	t := &transactions{id: args.id, checks: map[string]int{}}
	p, err := rocketmq.NewTransactionProducer(t,
		producer.WithGroupName(args.text("group", "")),
		producer.WithInstanceName(args.id),
		producer.WithNsResolver(a.resolver()),
		producer.WithSendMsgTimeout(10*time.Second),
		producer.WithDefaultTopicQueueNums(4),
	)
	if err != nil {
		return fmt.Errorf("new producer: %w", err)
	}
	if err := p.Start(); err != nil {
		return fmt.Errorf("start producer: %w", err)
	}
	// An endless one that is stopped leaves the producer there to be asked.
	stopped, count := make(chan struct{}), args.number("count", 0)
	a.keep(args.id, stopFunc(func() error {
		close(stopped)
		if count == 0 {
			return nil
		}
		return p.Shutdown()
	}))
	emit(event{ID: args.id, Event: "ready"})
	var gap time.Duration
	if rate := args.number("rate", 0); rate > 0 {
		gap = time.Second / time.Duration(rate)
	}
	for n := 0; count == 0 || n < count; n++ {
		name := fmt.Sprintf("%s-%d", args.text("name", ""), n)
		m := primitive.NewMessage(args.text("topic", ""), makeBody(name, 0))
		m.WithProperty("n", strconv.Itoa(n))
		m.WithTag("tag")
		m.WithKeys([]string{"key-" + name})
		r, err := p.SendMessageInTransaction(context.Background(), m)
		switch {
		case err == nil:
			emit(event{ID: args.id, Event: "sent", Name: name, Queue: &r.MessageQueue.QueueId, Status: statusNames[r.Status],
				MsgID: r.MsgID, CRC: crc32.ChecksumIEEE(m.Body)})
		case count > 0:
			return fmt.Errorf("message %s: %w", name, err)
		default:
			emit(event{ID: args.id, Event: "refused", Name: name, Error: err.Error()})
		}
		select {
		case <-stopped:
			emit(event{ID: args.id, Event: "done"})
			return nil
		case <-time.After(gap):
		}
	}
	emit(event{ID: args.id, Event: "done"})
	return nil
}

// stopFunc stops what it is made of.
type stopFunc func() error

func (f stopFunc) stop() error { return f() }

func kind(m *primitive.Message) int {
	n, _ := strconv.Atoi(m.GetProperty("n"))
	return n % 5
}

func (t *transactions) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	switch kind(m) {
	case 0:
		return primitive.CommitMessageState
	case 1:
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func (t *transactions) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	name := bodyName(m.Body)
	t.mu.Lock()
	t.checks[name]++
	times := t.checks[name]
	t.mu.Unlock()
	emit(event{ID: t.id, Event: "checked", Name: name, Topic: m.Topic, Keys: m.GetKeys(), Tags: m.GetTags()})
	switch k := kind(&m.Message); {
	case k == 1, k == 3: // what was rolled back at once is asked about where a kill took that
		return primitive.RollbackMessageState
	case k == 4 && times == 1:
		return primitive.UnknowState
	}
	return primitive.CommitMessageState
}
