package broker

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// Lag is how far a group is behind: messages that its subscription asks for and that it has not consumed. Those that a tag
// filter takes are told by the hash of their tags, as the broker does when it gives them out.
type Lag struct {
	Messages int64 // not consumed, those in flight included
	Bytes    int64 // of them in the log; of popped ones that are not acknowledged none
	InFlight int64 // given out and not consumed: read and not committed, or popped and not acknowledged
	Oldest   int64 // store time of the first of them, Unix ms; 0 without one
	// Estimate says that Messages and Oldest are guessed from a part of the queue, BytesEstimate the same of Bytes: so much
	// was sent, or moved past, since the lag was last asked for that not all could be looked at. Asking again comes nearer.
	Estimate, BytesEstimate bool
}

func (l *Lag) add(o Lag) {
	l.Messages += o.Messages
	l.Bytes += o.Bytes
	l.InFlight += o.InFlight
	if l.Oldest == 0 || o.Oldest > 0 && o.Oldest < l.Oldest {
		l.Oldest = o.Oldest
	}
	l.Estimate = l.Estimate || o.Estimate
	l.BytesEstimate = l.BytesEstimate || o.BytesEstimate
}

// TopicLag is the lag of a group in one topic. The topics through which a group gets messages again are topics of their
// own here.
type TopicLag struct {
	Lag
	Topic  string
	Filter string // the subscription; empty when nobody knows it: then all messages count
	Queues map[int32]Lag
}

// Lag tells how far a group is behind, in the order of the topics. It looks at a bounded part of the queues and remembers
// what it has counted, so that over a life each entry of a queue is looked at about twice for each group.
func (b *Broker) Lag(group string) []TopicLag {
	budget := newLagBudget()
	inFlight := b.popper.log.inFlight()
	topics := b.lagTopics(group)
	list := make([]TopicLag, 0, len(topics))
	for _, topic := range topics {
		if l, ok := b.topicLag(topic, group, inFlight, &budget); ok {
			list = append(list, l)
		}
	}
	return list
}

// lagTopics are the topics that a group consumes, and those that it gets messages again through.
func (b *Broker) lagTopics(group string) []string {
	g := b.consumers.Snapshot(group)
	list := b.offsets.TopicsOf(group)
	retry := message.RetryTopic(group)
	if g != nil && len(g.Subscriptions) > 0 {
		list = slices.DeleteFunc(list, func(topic string) bool {
			return g.Subscriptions[topic] == nil && !strings.HasPrefix(topic, retry)
		})
		list = slices.AppendSeq(list, maps.Keys(g.Subscriptions))
	}
	again := []string{retry}
	for _, topic := range list {
		names := pop.RetryTopics(topic, group)
		again = append(again, names[:]...)
	}
	for _, topic := range again {
		if b.topics.Get(topic) != nil {
			list = append(list, topic)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// topicLag tells how far a group is behind in a topic, false when there is no such topic.
func (b *Broker) topicLag(topic, group string, inFlight map[lagKey]popped, budget *lagBudget) (TopicLag, bool) {
	t := b.topics.Get(topic)
	if t == nil {
		return TopicLag{}, false
	}
	l := TopicLag{Topic: topic, Queues: map[int32]Lag{}}
	expr, text := b.lagFilter(topic, group)
	l.Filter = text
	for queue := range max(t.Config().ReadQueueNums, t.Config().WriteQueueNums) {
		one := b.queueLag(topic, group, queue, expr, inFlight[lagKey{topicGroup{topic, group}, queue}], budget)
		l.Queues[queue] = one
		l.add(one)
	}
	return l, true
}

// lagFilter is what the group leaves out of the topic, nil for nothing, and its text.
func (b *Broker) lagFilter(topic, group string) (*filter.Expression, string) {
	if strings.HasPrefix(topic, message.RetryTopicPrefix) && !b.options().FilterSupportRetry {
		return nil, "*" // they have passed it before
	}
	if s := b.consumers.SubscriptionOf(group, topic); s != nil && s.Filter != nil {
		if s.Filter.MatchesAll() {
			return nil, "*"
		}
		return s.Filter, s.Filter.String()
	}
	if kind, text, ok := b.filters.Of(topic, group); ok {
		if e, err := filter.Compile(kind, text); err == nil {
			return e, text
		}
	}
	return nil, ""
}

func (b *Broker) queueLag(topic, group string, queue int32, expr *filter.Expression, open popped, budget *lagBudget) Lag {
	consumed, ok := b.offsets.Committed(topic, group, queue)
	if !ok && !strings.HasPrefix(topic, message.RetryTopicPrefix) {
		return Lag{} // it has not begun, and where it will is its affair
	}
	last := int64(b.store.MaxOffset(topic, queue))
	from := min(max(consumed, int64(b.store.MinOffset(topic, queue))), last)
	l, first := b.lags.window(lagKey{topicGroup{topic, group}, queue}).update(b.store, topic, queue, expr, from, last, budget)
	if first >= 0 {
		l.Oldest = max(b.storeTime(topic, queue, first), 0)
	}
	if read := min(b.offsets.Pulled(topic, group, queue), last); read > from && open.count == 0 {
		// Of a filtered queue what was read and is not wanted is not in flight; the share is that of the whole.
		l.InFlight = read - from
		if whole := last - from; expr != nil && whole > 0 {
			l.InFlight = min(l.InFlight, l.Messages*(read-from)/whole)
		}
	}
	if open.count > 0 {
		l.Messages += open.count
		l.InFlight += open.count
		if at := b.storeTime(topic, queue, open.first); at > 0 && (l.Oldest == 0 || at < l.Oldest) {
			l.Oldest = at
		}
	}
	return l
}

// lagBudget bounds what one question looks at.
type lagBudget struct{ entries, records int }

const (
	// lagEntries are queue entries, of 20 bytes each, which are read in order: some tens of milliseconds.
	lagEntries = 2 << 20
	// lagRecords are records of the log, where an SQL92 filter needs them.
	lagRecords = 50_000
)

func newLagBudget() lagBudget { return lagBudget{lagEntries, lagRecords} }

// topicGroup is a topic as one group consumes it.
type topicGroup struct{ topic, group string }

type lagKey struct {
	topicGroup
	queue int32
}

// lagTable remembers what was counted of the queues of groups.
type lagTable struct {
	mu      sync.Mutex
	windows map[lagKey]*lagWindow
}

// lagWindows bounds how much is remembered, about 200 bytes each.
const lagWindows = 100_000

func newLagTable() *lagTable { return &lagTable{windows: map[lagKey]*lagWindow{}} }

func (t *lagTable) window(k lagKey) *lagWindow {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.windows[k]
	if w == nil {
		if len(t.windows) >= lagWindows {
			clear(t.windows)
		}
		w = new(lagWindow)
		t.windows[k] = w
	}
	return w
}

// lagWindow is the count of the messages of a queue, from one offset to another, that a filter takes. It follows the group
// and the end of the queue: what the group has passed is taken off, what has come is added.
type lagWindow struct {
	mu sync.Mutex
	lagCount
}

type lagCount struct {
	kind, text      string // of the filter, empty without one
	from, to        int64
	messages, bytes int64
	first           int64 // a message taken, with none before it in the window; below from: not known
	dry             int64 // no message of [from, dry) is taken, but for the first
}

// note takes down where the first message of what was counted is.
func (c *lagCount) note(t engine.Tally) {
	if c.first, c.dry = int64(t.First), int64(t.Next); c.first >= 0 {
		c.dry = c.first + 1
	}
}

// tallyer is what a window needs of the store.
type tallyer interface {
	Tally(*engine.TallyRequest) (engine.Tally, error)
}

// update brings the window to [from, last) as far as the budget goes. It returns the lag without its times, and the offset
// of the first message, -1 if none is known.
func (w *lagWindow) update(s tallyer, topic string, queue int32, expr *filter.Expression, from, last int64, budget *lagBudget) (l Lag, first int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	req := engine.TallyRequest{Topic: topic, QueueID: queue}
	kind, text := "", ""
	if expr != nil {
		kind, text = expr.Type(), expr.String()
		req.Filter, req.ByRecord = expr, kind == filter.TypeSQL92
	}
	// What is passed in one step is not worth taking off when it is more than is left.
	if w.kind != kind || w.text != text || from < w.from || from > w.to || w.to > last || from-w.from > last-from {
		w.lagCount = lagCount{kind: kind, text: text, from: from, to: from, first: -1, dry: from}
	}
	tally := func(from, to int64, firstOnly bool) engine.Tally {
		req.From, req.To, req.FirstOnly = message.QueueOffset(from), message.QueueOffset(to), firstOnly
		req.Entries, req.Records = budget.entries, budget.records
		t, err := s.Tally(&req)
		budget.entries -= t.Entries
		budget.records -= t.Records
		if err != nil {
			budget.entries = 0 // the queue is built again; what was counted stands
		}
		return t
	}
	if w.from < from {
		t := tally(w.from, from, false)
		w.messages, w.bytes, w.from = w.messages-t.Messages, w.bytes-t.Bytes, min(int64(t.Next), from)
	}
	if w.to < last {
		t := tally(w.to, last, false)
		if w.first < w.from && w.dry == w.to { // it is known that there is none before
			w.note(t)
		}
		w.messages, w.bytes, w.to = w.messages+t.Messages, w.bytes+t.Bytes, min(int64(t.Next), last)
	}
	w.dry = max(w.dry, w.from)
	if w.first < from && w.messages > 0 {
		w.note(tally(max(w.dry, from), w.to, true))
	}
	l.Messages, l.Bytes = w.messages, w.bytes
	done := w.from == from && w.to == last
	l.BytesEstimate = !done
	l.Estimate = !done && expr != nil
	if rest := last - w.to; rest > 0 {
		l.Messages += share64(w.messages, rest, w.to-w.from)
		l.Bytes += share64(w.bytes, rest, w.to-w.from)
	}
	first = w.first
	if expr == nil {
		l.Messages, first = last-from, from
	}
	if l.Messages == 0 || first < from {
		first = -1
	}
	return l, first
}

// share64 is what rest more would hold if it were as what was looked at; all of it when nothing was.
func share64(counted, rest, looked int64) int64 {
	if looked <= 0 {
		return rest
	}
	return int64(float64(counted) / float64(looked) * float64(rest))
}

// popped is what of a queue is popped by a group and not acknowledged.
type popped struct{ count, first int64 }

// inFlight counts for each group what it has popped and not acknowledged. What is put off for more than a few minutes is with
// the timer and not counted.
func (l *reviveLog) inFlight() map[lagKey]popped {
	open := map[lagKey]popped{}
	for i := range l.queues {
		q := &l.queues[i]
		q.mu.Lock()
		for k, left := range q.mu.ledger.Left() {
			if !l.isOwn(k) {
				continue // of a queue elsewhere
			}
			key := lagKey{topicGroup{k.Topic, k.Group}, k.Queue}
			p, seen := open[key]
			for offset := range left {
				if p.count++; !seen || offset < p.first {
					p.first, seen = offset, true
				}
			}
			open[key] = p
		}
		q.mu.Unlock()
	}
	return open
}
