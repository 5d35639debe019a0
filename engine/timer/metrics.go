package timer

import (
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Metrics are counts since the timer was opened, and how far it is.
type Metrics struct {
	Taken     int64 // messages taken into the wheel
	Delivered int64 // messages put, those that go round included
	Recalled  int64 // messages not delivered because they were recalled
	Dropped   int64 // messages not delivered for a reason that Options.Dropped was told
	Pending   int64 // messages in the wheel, as its slots count them

	ReadTime    int64               // ms; all slots before it are delivered
	QueueOffset message.QueueOffset // of the timer topic; all below is taken in
	QueueMax    message.QueueOffset // the end of the queue
}

// TopicCount is the number of messages that wait for a topic (Java's TimerMetrics.Metric).
type TopicCount struct {
	Count     int64
	Timestamp int64 // ms; when it changed last
}

// counts are the counters behind Metrics and Topics.
type counts struct {
	taken, delivered, recalled, dropped atomic.Int64

	mu struct {
		sync.Mutex
		topics  map[string]*TopicCount
		changes int64
	}
}

func (c *counts) add(topic []byte, n, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.mu.topics[string(topic)]
	if t == nil {
		t = new(TopicCount)
		c.mu.topics[string(topic)] = t
	}
	t.Count += n
	t.Timestamp = now
	c.mu.changes++
}

// Metrics returns a snapshot. It reads the whole wheel and is not for every message.
func (t *Timer) Metrics() Metrics {
	read, offset := t.Reached()
	m := Metrics{
		Taken: t.counts.taken.Load(), Delivered: t.counts.delivered.Load(), Recalled: t.counts.recalled.Load(), Dropped: t.counts.dropped.Load(),
		ReadTime: read, QueueOffset: offset, QueueMax: t.queue.MaxOffset(),
	}
	_ = vfs.Guarded(func() error { // none where the wheel cannot be read, which step tells of
		m.Pending = t.wheel.pending(read / t.opts.Precision)
		return nil
	})
	return m
}

// Reached returns how far the timer is, which costs nothing: all slots before read are delivered, and all messages of the timer
// topic below taken are taken in.
func (t *Timer) Reached() (read int64, taken message.QueueOffset) {
	t.state.Lock()
	defer t.state.Unlock()
	return t.state.readTime, t.state.queueOffset
}

// Counts returns how many messages were taken in and how many were delivered, which costs nothing.
func (t *Timer) Counts() (taken, delivered int64) {
	return t.counts.taken.Load(), t.counts.delivered.Load()
}

// Topics returns how many messages wait for each topic, and a number that grows with each change.
func (t *Timer) Topics() (topics map[string]TopicCount, changes int64) {
	c := &t.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	topics = make(map[string]TopicCount, len(c.mu.topics))
	for name, n := range c.mu.topics {
		topics[name] = *n
	}
	return topics, c.mu.changes
}

// SetTopics sets what Topics counts from: what a store knows of the messages that wait in it.
func (t *Timer) SetTopics(topics map[string]TopicCount) {
	c := &t.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, n := range topics {
		if have := c.mu.topics[name]; have != nil {
			n.Count += have.Count
		}
		c.mu.topics[name] = &n
	}
}

// ForgetTopic ends the count of a topic that is deleted.
func (t *Timer) ForgetTopic(topic string) {
	t.counts.mu.Lock()
	defer t.counts.mu.Unlock()
	delete(t.counts.mu.topics, topic)
}
