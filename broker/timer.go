package broker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/engine/timer"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// timers delivers messages at arbitrary times (Java's TimerMessageStore, as the broker uses it). A message that asks for
// one is diverted into the timer topic when it is put; from there package timer delivers it.
type timers struct {
	b     *Broker
	timer atomic.Pointer[timer.Timer] // nil until it is open, and where timerWheelEnable is false
	file  state.File                  // config/timermetrics

	armed func() // called when there may be counts to persist
	saved int64  // the changes of the counts that are on disk; the persister's

	copied atomic.Pointer[timerMetrics] // of a slave: the counts of its master; nil: not known
}

// timerMetricsDelay is the time from a change of the counts to its being on disk.
const timerMetricsDelay = 10 * time.Second

// timerMetrics is the shape of config/timermetrics and of the answer to GET_TIMER_METRICS.
type timerMetrics struct {
	DataVersion protocol.DataVersion   `json:"dataVersion"`
	TimingCount map[string]timingCount `json:"timingCount"`
}

type timingCount struct {
	Count     int64 `json:"count"`
	Timestamp int64 `json:"timeStamp"`
}

func newTimers(b *Broker, file state.File, armed func()) *timers {
	return &timers{b: b, file: file, armed: armed}
}

// start opens the timer over the store, which then takes in and delivers.
func (t *timers) start(o *Options) error {
	if !o.TimerWheelEnable {
		return nil
	}
	return t.open(o, t.b.isSlave() || t.b.mayReturn(o)) // what a timer puts, a slave gets from its master
}

// open opens the timer, one of a slave that delivers nothing if it is following.
func (t *timers) open(o *Options, following bool) error {
	opts := o.Timer()
	opts.Following, opts.Stopped = following, !t.b.unclean
	opts.FS, opts.Now = o.FS, o.Now
	opts.Dropped = func(d timer.Drop) {
		t.b.log.Error("timer message is dropped", "phyOffset", int64(d.PhyOffset), "error", d.Reason)
	}
	opts.Damaged = func(f timer.Fault) {
		t.b.log.Error("timer file is damaged", "file", f.File, "byte", f.Offset, "what", f.Text, "kept", f.Kept, "mended", f.Mended, "error", f.Err)
	}
	opts.Failed = func(err error) { t.b.log.Warn("timer task failed; tried again", "error", err) }
	opened, err := timer.Open(o.StorePathRootDir, newTimerQueue(t.b), opts)
	if err != nil {
		return err
	}
	saved, err := state.Load[timerMetrics](t.file)
	if err != nil {
		t.b.log.Error("state file is damaged", "error", err)
	}
	if saved != nil && opts.Following {
		t.copied.Store(saved)
	} else if saved != nil {
		topics := make(map[string]timer.TopicCount, len(saved.TimingCount))
		for name, n := range saved.TimingCount {
			topics[name] = timer.TopicCount(n)
		}
		opened.SetTopics(topics)
	}
	t.timer.Store(opened)
	opened.Arrived() // what came before it could be told
	return nil
}

// close ends the deliveries. The store must still be open.
func (t *timers) close() error {
	if opened := t.timer.Load(); opened != nil {
		return errors.Join(opened.Close(), t.persist())
	}
	return nil
}

// verify verifies the timer's files at the pace of a scrub of the store.
func (t *timers) verify() {
	opened := t.timer.Load()
	if opened == nil {
		return
	}
	if _, err := opened.Scrub(t.b.options().ScrubBytesPerSecond); err != nil && !errors.Is(err, timer.ErrClosed) {
		t.b.log.Error("timer files cannot be verified", "error", err)
	}
}

// arrived is called by the dispatch for each message of the timer topic.
func (t *timers) arrived() {
	if opened := t.timer.Load(); opened != nil {
		opened.Arrived()
	}
}

// persist writes how many messages wait for each topic. It is for those who look: nothing is decided by it.
func (t *timers) persist() error {
	opened := t.timer.Load()
	if opened == nil || t.b.isSlave() {
		return nil
	}
	m, changes := t.metrics(opened)
	if changes == t.saved {
		return nil
	}
	err := t.file.Write(m)
	if err == nil {
		t.saved = changes
	}
	return err
}

// takeOver makes the counts of a slave's master its own, which are in its file when it is made a master.
func (t *timers) takeOver(counts *timerMetrics) {
	if known := t.copied.Load(); known != nil && maps.Equal(known.TimingCount, counts.TimingCount) {
		return
	}
	t.copied.Store(counts)
	if err := t.file.Write(counts); err != nil {
		t.b.log.Error("state file cannot be written; tried again", "file", t.file.Name(), "error", err)
		t.copied.Store(nil)
	}
}

func (t *timers) metrics(opened *timer.Timer) (*timerMetrics, int64) {
	topics, changes := opened.Topics()
	m := &timerMetrics{TimingCount: make(map[string]timingCount, len(topics))}
	m.DataVersion.Next(0, t.b.now().UnixMilli())
	for name, n := range topics {
		m.TimingCount[name] = timingCount(n)
	}
	return m, changes
}

// illegal is the refusal of a message that asks for a time that is none (Java's WHEEL_TIMER_MSG_ILLEGAL).
func (t *timers) illegal(o *Options) error {
	return refuse(protocol.MessageIllegal, "timer message illegal, the delay time should not be bigger than the max delay %dms; "+
		"or if set del msg, the delay time should be bigger than the current time", o.TimerMaxDelaySec*1000)
}

// divert makes m one that waits in the timer topic until the time that it asks for, and returns that time's TIMER_OUT_MS;
// 0 is now (Java's HookUtils.transformTimerMessage). Properties are new memory then.
func (t *timers) divert(m *message.Message, o *Options) (out int64, err error) {
	p := m.Properties
	if _, ok := p.Get(message.PropertyTimerOutTime); ok || m.Topic == message.TimerTopic {
		return 0, nil // it has been here
	}
	opened := t.timer.Load()
	if opened == nil {
		return 0, refuse(protocol.SystemError, "accurate timer message is not enabled, timerWheelEnable is false")
	}
	now := t.b.now().UnixMilli()
	deliver, ok := deliverTime(p, now)
	_, recalls := p.Get(message.PropertyTimerDeleteKey)
	switch {
	case !ok || deliver <= now && recalls || deliver > now && deliver-now > o.TimerMaxDelaySec*1000:
		return 0, t.illegal(o)
	case deliver <= now:
		return 0, nil
	}
	out = timer.OutTime(deliver, o.TimerPrecisionMs)
	if t.congested(opened, out, o.TimerCongestNumEachSlot) {
		return 0, refuse(protocol.SystemError, "timer message is under flow control, max num limit is %d or the current value is greater than %d and less than %d, trigger random flow control",
			2*o.TimerCongestNumEachSlot, o.TimerCongestNumEachSlot, 2*o.TimerCongestNumEachSlot)
	}
	p = p.Delete(message.PropertyRealTopic).Delete(message.PropertyRealQueueID)
	kept := make(message.Properties, 0, len(p)+len(m.Topic)+64)
	kept = append(kept, p...)
	kept = message.AppendProperty(kept, message.PropertyTimerOutTime, strconv.FormatInt(out, 10))
	kept = message.AppendProperty(kept, message.PropertyRealTopic, m.Topic)
	kept = message.AppendProperty(kept, message.PropertyRealQueueID, strconv.Itoa(int(m.QueueID)))
	m.Topic, m.QueueID, m.Properties = message.TimerTopic, 0, kept
	return out, nil
}

// deliverTime is when a message asks to be delivered, in ms; ok is false when it does not say so in a number that means
// a time.
func deliverTime(p message.Properties, now int64) (ms int64, ok bool) {
	for _, by := range []struct {
		name       string
		unit, from int64
	}{
		{message.PropertyTimerDelaySeconds, 1000, now},
		{message.PropertyTimerDelayMilliseconds, 1, now},
		{message.PropertyTimerDeliverTime, 1, 0},
	} {
		text, found := p.Get(by.name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		// In Java a delay that is too large for the sum comes out as the past, and is delivered at once.
		if err != nil || n > (math.MaxInt64-by.from)/by.unit || n < (math.MinInt64+by.from)/by.unit {
			return 0, false
		}
		return by.from + n*by.unit, true
	}
	return 0, false
}

// congested decides whether a slot takes one more message: up to the limit, above it fewer and fewer, above twice the
// limit none.
func (t *timers) congested(opened *timer.Timer, out, limit int64) bool {
	if limit >= math.MaxInt32 {
		return false
	}
	n := opened.InSlot(out)
	return n > limit && (n >= 2*limit || rand.Int64N(1000) > 1000*(n-limit)/limit)
}

// timerTopic is the queue of the timer topic in a store, which the timer reads.
type timerTopic struct {
	store    *engine.Store
	get      func(*engine.GetRequest, *engine.GetResult)
	recordAt func(message.PhyOffset) (engine.Ref, error)
	damaged  func(at message.QueueOffset, err error) // told of a record that is passed over
	res      engine.GetResult
}

// timerBatch bounds the messages that the timer takes in at a time.
const timerBatch = 256

func (q *timerTopic) MinOffset() message.QueueOffset {
	return q.store.MinOffset(message.TimerTopic, 0)
}
func (q *timerTopic) MaxOffset() message.QueueOffset {
	return q.store.MaxOffset(message.TimerTopic, 0)
}
func (q *timerTopic) MinPhyOffset() message.PhyOffset { return q.store.MinPhyOffset() }
func (q *timerTopic) MaxPhyOffset() message.PhyOffset { return q.store.MaxPhyOffset() }

func (q *timerTopic) Records(from message.QueueOffset, visit func(message.Record) bool) (message.QueueOffset, error) {
	q.get(&engine.GetRequest{Topic: message.TimerTopic, Offset: from, MaxMsgs: timerBatch}, &q.res)
	defer q.res.Release()
	if q.res.Status != engine.Found {
		return q.res.NextOffset, nil
	}
	next := from
	for _, segment := range q.res.Segments {
		for len(segment) > 0 {
			r, err := message.ParseRecord(segment)
			if err != nil {
				q.damaged(next, err)
				return next + 1, nil
			}
			if !visit(r) {
				return r.QueueOffset(), nil
			}
			next = r.QueueOffset() + 1
			segment = segment[r.Size():]
		}
	}
	return q.res.NextOffset, nil
}

func (q *timerTopic) Record(at message.PhyOffset, visit func(message.Record)) error {
	ref, err := q.recordAt(at)
	if errors.Is(err, engine.ErrNoMessage) {
		return fmt.Errorf("%w: %w", timer.ErrGone, err)
	}
	if err != nil {
		return err
	}
	defer ref.Release()
	visit(ref.Record())
	return nil
}

// timerQueue is the store of a broker as the timer sees it.
type timerQueue struct {
	timerTopic
	b *Broker
}

func newTimerQueue(b *Broker) *timerQueue {
	return &timerQueue{b: b, timerTopic: timerTopic{
		store: b.store, get: b.cold.Get, recordAt: b.cold.recordAt, damaged: func(at message.QueueOffset, err error) {
			b.log.Error("timer message is dropped: its record is damaged", "queueOffset", int64(at), "error", err)
		},
	}}
}

func (q *timerQueue) Flush() error { return q.b.store.Flush() }

func (q *timerQueue) Records(from message.QueueOffset, visit func(message.Record) bool) (message.QueueOffset, error) {
	q.b.timers.armed() // messages are taken in or delivered
	return q.timerTopic.Records(from, visit)
}

// timerPut is one delivery under way.
type timerPut struct {
	q       *timerQueue
	topic   *metadata.Topic
	done    timer.Completion
	escaped bool // to another broker
}

func (q *timerQueue) Put(m *message.Message, done timer.Completion) {
	q.b.timers.armed() // messages are taken in or delivered
	if q.b.acts() {
		q.b.acting.escape.put(m, timerPut{q: q, done: done, escaped: true})
		return
	}
	t := q.b.topics.Get(m.Topic)
	p := timerPut{q: q, topic: t, done: done}
	if t != nil {
		if !t.Enter() {
			p.PutDone(engine.PutResult{Status: engine.MessageIllegal, Err: fmt.Errorf("topic %s is being deleted", m.Topic)})
			return
		}
		defer t.Leave()
	}
	q.b.store.PutAsync(m, p)
}

// PutDone tells the timer what became of a delivery.
func (p timerPut) PutDone(r engine.PutResult) {
	switch {
	case r.Status.Stored() && p.escaped:
		p.done.PutDone(timer.Outcome{}) // nothing of the own log has to be durable for it
	case r.Status.Stored():
		if p.topic != nil {
			p.topic.Puts.Add(1, int64(r.Size))
		}
		p.q.b.stats.Put.Add(1, int64(r.Size))
		p.done.PutDone(timer.Outcome{End: r.PhyOffset + message.PhyOffset(r.Size)})
	case r.Status == engine.MessageIllegal || r.Status == engine.PropertiesSizeExceeded:
		p.done.PutDone(timer.Outcome{Err: fmt.Errorf("%w: %v: %w", timer.ErrRefused, r.Status, r.Err)})
	default:
		p.done.PutDone(timer.Outcome{Err: fmt.Errorf("%v: %w", r.Status, r.Err)})
	}
}

// timerCheckpoint answers GET_TIMER_CHECK_POINT.
func (b *Broker) timerCheckpoint(c *call) error {
	opened := b.timers.timer.Load()
	if opened == nil {
		return refuse(protocol.SystemError, "The checkpoint is null")
	}
	c.resp.Body = opened.Checkpoint().Append(nil)
	return nil
}

// timerMetrics answers GET_TIMER_METRICS.
func (b *Broker) timerMetrics(c *call) error {
	opened := b.timers.timer.Load()
	if opened == nil {
		return refuse(protocol.SystemError, "The timer message store is null")
	}
	if copied := b.timers.copied.Load(); copied != nil {
		return c.json(copied)
	}
	m, _ := b.timers.metrics(opened)
	return c.json(m)
}

// timerInfo adds what runtime information says of timers.
func (b *Broker) timerInfo(table map[string]string) {
	opened := b.timers.timer.Load()
	if opened == nil {
		return
	}
	m := opened.Metrics()
	table["timerReadBehind"] = strconv.FormatInt(max(b.now().UnixMilli()-m.ReadTime, 0)/1000, 10)
	table["timerOffsetBehind"] = strconv.FormatInt(int64(m.QueueMax-m.QueueOffset), 10)
	table["timerCongestNum"] = strconv.FormatInt(m.Pending, 10)
}
