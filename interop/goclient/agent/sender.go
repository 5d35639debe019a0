package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// inFlightMax bounds the asynchronous sends without an answer.
const inFlightMax = 64

// sender is a started producer.
type sender struct {
	producer rocketmq.Producer
	stopped  atomic.Bool
}

// shardSelector puts a message with a sharding key into the queue of that
// number, any other into the next queue.
type shardSelector struct{ producer.QueueSelector }

func (s shardSelector) Select(m *primitive.Message, queues []*primitive.MessageQueue, lastBroker string) *primitive.MessageQueue {
	shard, err := strconv.Atoi(m.GetShardingKey())
	if err != nil {
		return s.QueueSelector.Select(m, queues, lastBroker)
	}
	return queues[shard%len(queues)]
}

func startSender(a *agent, args args) error {
	p, err := rocketmq.NewProducer(
		producer.WithGroupName(args.text("group", "")),
		producer.WithInstanceName(args.id),
		producer.WithNsResolver(a.resolver()),
		producer.WithVIPChannel(args.flag("vip")),
		producer.WithRetry(args.number("retries", 2)),
		producer.WithSendMsgTimeout(time.Duration(args.number("timeout", 10_000))*time.Millisecond),
		producer.WithDefaultTopicQueueNums(args.number("queues", 4)),
		producer.WithQueueSelector(shardSelector{producer.NewRoundRobinQueueSelector()}),
	)
	if err != nil {
		return fmt.Errorf("new producer: %w", err)
	}
	if err := p.Start(); err != nil {
		return fmt.Errorf("start producer: %w", err)
	}
	a.keep(args.id, &sender{producer: p})
	emit(event{ID: args.id, Event: "ready"})
	return nil
}

func (s *sender) stop() error {
	s.stopped.Store(true)
	return s.producer.Shutdown()
}

// sendJob is one send command.
type sendJob struct {
	args     args
	producer rocketmq.Producer
	tags     []string
	inFlight chan struct{}
	stopped  atomic.Bool
}

func (j *sendJob) stop() error {
	j.stopped.Store(true)
	return nil
}

// send sends count messages, or with count 0 until it or its producer is
// stopped.
func (s *sender) send(a *agent, args args) error {
	j := &sendJob{args: args, producer: s.producer, inFlight: make(chan struct{}, inFlightMax)}
	if t := args.text("tags", ""); t != "" {
		j.tags = strings.Split(t, ",")
	}
	a.keep(args.id, j)
	count, batch := args.number("count", 0), max(1, args.number("batch", 1))
	var gap time.Duration
	if rate := args.number("rate", 0); rate > 0 {
		gap = time.Second * time.Duration(batch) / time.Duration(rate)
	}
	next := time.Now()
	for n := 0; (count == 0 || n < count) && !j.stopped.Load() && !s.stopped.Load(); n += batch {
		size := batch
		if count > 0 {
			size = min(batch, count-n)
		}
		j.sendOnce(args.number("first", 0)+n, size)
		if next = next.Add(gap); time.Until(next) > 0 {
			time.Sleep(time.Until(next))
		} else {
			next = time.Now()
		}
	}
	for range inFlightMax {
		j.inFlight <- struct{}{}
	}
	emit(event{ID: args.id, Event: "done"})
	return nil
}

func (j *sendJob) sendOnce(n, batch int) {
	messages := make([]*primitive.Message, batch)
	for i := range messages {
		messages[i] = j.message(n + i)
	}
	if err := j.deliver(messages); err != nil {
		j.refused(messages, err)
		if j.args.number("count", 0) == 0 {
			// An endless send outlives its broker: it goes on, but not in a tight loop.
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (j *sendJob) message(n int) *primitive.Message {
	prefix := j.args.text("name", "")
	name := fmt.Sprintf("%s-%d", prefix, n)
	m := primitive.NewMessage(j.args.text("topic", ""), makeBody(name, j.args.number("size", 0)))
	m.WithProperty("n", strconv.Itoa(n))
	if len(j.tags) > 0 {
		m.WithTag(j.tags[n%len(j.tags)])
	}
	if j.args.flag("keys") {
		m.WithKeys([]string{"key-" + name, "all-" + prefix})
	}
	if shards := j.args.number("shards", 0); shards > 0 {
		m.WithShardingKey(strconv.Itoa(n % shards))
	}
	if level := j.args.number("delay", 0); level > 0 {
		m.WithDelayTimeLevel(level)
	}
	return m
}

func (j *sendJob) deliver(messages []*primitive.Message) error {
	ctx := context.Background()
	switch mode := j.args.text("mode", "sync"); mode {
	case "sync", "batch":
		r, err := j.producer.SendSync(ctx, messages...)
		if err == nil {
			j.sent(messages, r)
		}
		return err
	case "async":
		j.inFlight <- struct{}{}
		err := j.producer.SendAsync(ctx, func(_ context.Context, r *primitive.SendResult, err error) {
			if err != nil {
				j.refused(messages, err)
			} else {
				j.sent(messages, r)
			}
			<-j.inFlight
		}, messages...)
		if err != nil {
			<-j.inFlight
		}
		return err
	case "oneway":
		err := j.producer.SendOneWay(ctx, messages...)
		if err == nil {
			none, nowhere := -1, int64(-1)
			emit(event{ID: j.args.id, Event: "sent", Name: bodyName(messages[0].Body), Queue: &none, Offset: &nowhere,
				Status: "ONEWAY", CRC: crc32.ChecksumIEEE(messages[0].Body)})
		}
		return err
	default:
		return fmt.Errorf("unknown mode %q", mode)
	}
}

// statusNames are the Java client's words for the statuses.
var statusNames = map[primitive.SendStatus]string{
	primitive.SendOK: "SEND_OK", primitive.SendFlushDiskTimeout: "FLUSH_DISK_TIMEOUT",
	primitive.SendFlushSlaveTimeout: "FLUSH_SLAVE_TIMEOUT", primitive.SendSlaveNotAvailable: "SLAVE_NOT_AVAILABLE",
	primitive.SendUnknownError: "UNKNOWN_ERROR",
}

func (j *sendJob) sent(messages []*primitive.Message, r *primitive.SendResult) {
	ids, offsetIDs := strings.Split(r.MsgID, ","), strings.Split(r.OffsetMsgID, ",")
	for i, m := range messages {
		offset := r.QueueOffset + int64(i)
		e := event{ID: j.args.id, Event: "sent", Name: bodyName(m.Body), Topic: r.MessageQueue.Topic,
			Queue: &r.MessageQueue.QueueId, Offset: &offset, Status: statusNames[r.Status], CRC: crc32.ChecksumIEEE(m.Body)}
		if i < len(ids) {
			e.MsgID = ids[i]
		}
		if i < len(offsetIDs) {
			e.OffsetMsgID = offsetIDs[i]
		}
		emit(e)
	}
}

func (j *sendJob) refused(messages []*primitive.Message, err error) {
	for _, m := range messages {
		emit(event{ID: j.args.id, Event: "refused", Name: bodyName(m.Body), Error: err.Error()})
	}
}
