package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func startConsumer(a *agent, args args) error {
	switch kind := args.text("kind", ""); kind {
	case "push":
		return startPush(a, args)
	case "pull":
		return startPull(a, args)
	case "poll":
		return startPoll(a, args)
	default:
		return fmt.Errorf("kind %q is not in this client", kind)
	}
}

func options(a *agent, args args) []consumer.Option {
	model := consumer.Clustering
	if args.flag("broadcast") {
		model = consumer.BroadCasting
	}
	return []consumer.Option{
		consumer.WithGroupName(args.text("group", "")),
		consumer.WithInstance(args.id),
		consumer.WithNsResolver(a.resolver()),
		consumer.WithConsumerModel(model),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumeGoroutineNums(args.number("threads", 4)),
		consumer.WithConsumeMessageBatchMaxSize(args.number("batch", 1)),
		consumer.WithMaxReconsumeTimes(int32(args.number("maxReconsume", -1))),
		consumer.WithConsumerOrder(args.flag("orderly")),
	}
}

func selector(args args) consumer.MessageSelector {
	if sql := args.text("sql", ""); sql != "" {
		return consumer.MessageSelector{Type: consumer.SQL92, Expression: sql}
	}
	return consumer.MessageSelector{Type: consumer.TAG, Expression: args.text("tags", "*")}
}

// pushConsumer stops as the client's Shutdown does.
type pushConsumer struct{ rocketmq.PushConsumer }

func (c pushConsumer) stop() error { return c.Shutdown() }

func startPush(a *agent, args args) error {
	c, err := rocketmq.NewPushConsumer(options(a, args)...)
	if err != nil {
		return fmt.Errorf("new push consumer: %w", err)
	}
	again := consumer.ConsumeRetryLater
	if args.flag("orderly") {
		again = consumer.SuspendCurrentQueueAMoment
	}
	pause := time.Duration(args.number("pause", 0)) * time.Millisecond
	err = c.Subscribe(args.text("topic", ""), selector(args), func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		got(args.id, messages)
		time.Sleep(pause)
		if fail := args.text("fail", ""); fail == "always" || fail == "once" && messages[0].ReconsumeTimes == 0 {
			return again, nil
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start push consumer: %w", err)
	}
	a.keep(args.id, pushConsumer{c})
	emit(event{ID: args.id, Event: "ready"})
	return nil
}

// pullLoop is a pull consumer with goroutines that repeat one step each until
// it is stopped.
type pullLoop struct {
	consumer rocketmq.PullConsumer
	quit     chan struct{}
	steps    sync.WaitGroup
	places   sync.Map // of startPull: *primitive.MessageQueue to the offset after what was got
}

// stop waits only so long: a step may hang in a pull that the client offers
// no way to interrupt.
func (l *pullLoop) stop() error {
	close(l.quit)
	ended := make(chan struct{})
	go func() { l.steps.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Second):
	}
	// The client forgets an offset that it was told before its first
	// rebalance, so each is told once more.
	for queue, offset := range l.places.Range {
		if err := l.consumer.UpdateOffset(queue.(*primitive.MessageQueue), offset.(int64)); err != nil {
			return fmt.Errorf("offset of %v: %w", queue, err)
		}
	}
	return l.consumer.Shutdown()
}

func (l *pullLoop) run(id string, step func() error) {
	defer l.steps.Done()
	for {
		select {
		case <-l.quit:
			return
		default:
		}
		if err := step(); err != nil {
			select {
			case <-l.quit:
				return
			case <-time.After(200 * time.Millisecond):
				emit(event{ID: id, Event: "error", Error: err.Error()})
			}
		}
	}
}

func newPullLoop(a *agent, args args) (*pullLoop, error) {
	c, err := rocketmq.NewPullConsumer(options(a, args)...)
	if err != nil {
		return nil, fmt.Errorf("new pull consumer: %w", err)
	}
	if err := c.Subscribe(args.text("topic", ""), selector(args)); err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("start pull consumer: %w", err)
	}
	return &pullLoop{consumer: c, quit: make(chan struct{})}, nil
}

// startPull pulls each queue by itself, since a pull at the end of a queue
// waits there for the next message.
func startPull(a *agent, args args) error {
	l, err := newPullLoop(a, args)
	if err != nil {
		return err
	}
	for q := range args.number("queues", 4) {
		queue := &primitive.MessageQueue{Topic: args.text("topic", ""), BrokerName: args.text("broker", "broker-a"), QueueId: q}
		offset, err := l.consumer.CurrentOffset(queue)
		if err != nil {
			return fmt.Errorf("offset of %v: %w", queue, err)
		}
		offset = max(0, offset)
		l.steps.Add(1)
		go l.run(args.id, func() error {
			r, err := l.consumer.PullFrom(context.Background(), queue, offset, 32)
			if err != nil || r.Status != primitive.PullFound {
				return err
			}
			offset = r.NextBeginOffset
			l.places.Store(queue, offset)
			got(args.id, r.GetMessageExts())
			if err := l.consumer.UpdateOffset(queue, offset); err != nil {
				return err
			}
			return l.consumer.PersistOffset(context.Background(), queue.Topic)
		})
	}
	a.keep(args.id, l)
	emit(event{ID: args.id, Event: "ready"})
	return nil
}

// startPoll takes what the client pulled in the background: its lite pull.
func startPoll(a *agent, args args) error {
	l, err := newPullLoop(a, args)
	if err != nil {
		return err
	}
	l.steps.Add(1)
	go l.run(args.id, func() error {
		r, err := l.consumer.Poll(context.Background(), 200*time.Millisecond)
		if consumer.IsNoNewMsgError(err) {
			return nil
		}
		if err == nil {
			got(args.id, r.GetMsgList())
			l.consumer.ACK(context.Background(), r, consumer.ConsumeSuccess)
		}
		return err
	})
	a.keep(args.id, l)
	emit(event{ID: args.id, Event: "ready"})
	return nil
}

func got(id string, messages []*primitive.MessageExt) {
	for _, m := range messages {
		queue := -1
		if m.Queue != nil {
			queue = m.Queue.QueueId
		}
		emit(event{ID: id, Event: "got", Name: bodyName(m.Body), Topic: m.Topic, Queue: &queue, Offset: &m.QueueOffset,
			MsgID: m.MsgId, OffsetMsgID: m.OffsetMsgId, Tags: m.GetTags(), Keys: m.GetKeys(), Reconsume: m.ReconsumeTimes,
			CRC: crc32.ChecksumIEEE(m.Body), Phy: m.CommitLogOffset, Born: m.BornTimestamp, Store: m.StoreTimestamp})
	}
}
