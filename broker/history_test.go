package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/histories"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// TestConsumptionSurvivesCrashes runs random histories of a topic that is sent to at once, by delay levels and by timers,
// and read by three groups: one that gives messages back to be tried again, one that pops, and one that reads in order. The
// process is killed, and with SYNC_FLUSH the power fails. Every message is delivered, none before its time; every group gets
// done with every one, by way of retries or dead letters; what is given back, or popped and not acknowledged, comes again
// and not too early; what is acknowledged or in hand does not come, but where a crash lost the offset; and the reader in
// order passes over none. Without a crash each delivery is made once.
func TestConsumptionSurvivesCrashes(t *testing.T) {
	histories.Each(t, 3, func(t *testing.T, seed uint64) {
		w := &consumption{T: t, rng: rand.New(rand.NewPCG(seed, 2)), fs: vfs.NewCrashFS(seed),
			due: map[string]int64{}, plain: map[string]bool{}, retried: map[string]bool{}, back: map[retry]int64{}, backs: map[string]int{}, pops: map[string]*popState{}}
		w.flush = []string{"ASYNC_FLUSH", "SYNC_FLUSH"}[w.rng.IntN(2)]
		lives := 1 + w.rng.IntN(4)
		for n := range lives {
			w.open()
			for range 20 + w.rng.IntN(60) {
				w.step()
			}
			if n < lives-1 {
				w.crash()
			}
		}
		w.calm()
		w.verify()
		w.s.client.Close()
		if err := w.s.Broker.Close(); err != nil {
			t.Error(err)
		}
		w.fs.Discard()
	})
}

// historyLevels are the delay levels of these histories; a retry begins with the third.
const historyLevels = "1s 4s 6s 15s"

// historyRetries is how often a message is tried again before it is a dead letter.
const historyRetries = 2

// consumption is a broker that crashes, and the model of what its clients know.
type consumption struct {
	*testing.T
	rng     *rand.Rand
	fs      *vfs.CrashFS
	ahead   atomic.Int64 // ms
	flush   string
	s       *popBench
	crashes int

	due   map[string]int64 // of each message sent, by its body
	plain map[string]bool  // sent without a delay

	retried map[string]bool // that the retrying group is done with
	back    map[retry]int64 // the earliest time at which it may come again
	backs   map[string]int  // how often it was given back
	ordered int64           // what the ordered reader has read

	pops  map[string]*popState
	hands []popMessage
}

// retry is one more delivery of a message to the retrying group.
type retry struct {
	body  string
	times int32
}

// popState is what the group that pops knows of a message.
type popState struct {
	until   int64 // in hand until then, by this receipt
	receipt string
	done    bool
	loose   bool // a crash may have forgotten that it was given out
	popped  bool // since the offsets were saved
}

func (w *consumption) now() time.Time {
	return time.Now().Add(time.Duration(w.ahead.Load()) * time.Millisecond)
}

func (w *consumption) millis() int64 { return w.now().UnixMilli() }

func (w *consumption) open() {
	o := testOptions("/store")
	o.FS, o.Now, o.FlushDiskType, o.MessageDelayLevel = w.fs, w.now, w.flush, historyLevels
	o.MappedFileSizeCommitLog, o.DefaultTopicQueueNums = 1<<20, 1
	o.FlushConsumerOffsetInterval, o.FlushDelayOffsetInterval = time.Hour.Milliseconds(), time.Hour.Milliseconds()
	o.TimerPrecisionMs = 100
	b, err := Open(o)
	if err != nil {
		w.Fatal(err)
	}
	w.s = &popBench{bench: &bench{TB: w.T, Broker: b, client: remoting.NewClient(nil)}, ahead: &w.ahead}
	if w.crashes == 0 {
		w.send()
		w.s.dispatched("T", 0, 1)
		w.giveBackGroup()
	}
}

// giveBackGroup makes the retrying group, with one retry queue.
func (w *consumption) giveBackGroup() {
	w.Helper()
	c, err := w.s.groups.FindOrCreate("r", w.s.options().AutoCreateSubscriptionGroup, w.millis())
	if err != nil {
		w.Fatal(err)
	}
	if c.RetryQueueNums != 1 {
		w.Fatalf("the group has %d retry queues", c.RetryQueueNums)
	}
}

func (w *consumption) step() {
	switch w.rng.IntN(16) {
	case 0, 1, 2, 3:
		w.send()
	case 4, 5:
		w.read("T")
	case 6:
		w.read(message.RetryTopic("r"))
	case 7, 8:
		w.pop(time.Duration(1+w.rng.IntN(20)) * time.Second)
	case 9, 10:
		for range 4 {
			w.release()
		}
	case 11:
		w.inOrder()
	case 12, 13:
		w.pass(time.Duration(w.rng.IntN(8000)) * time.Millisecond)
	case 14:
		w.save()
	case 15:
		if w.rng.IntN(2) == 0 {
			if err := w.s.schedule.Persist(); err != nil {
				w.Fatal(err)
			}
		} else if err := w.s.store.Flush(); err != nil {
			w.Fatal(err)
		}
	}
}

// send sends a message for now, for a level, or for a time.
func (w *consumption) send() {
	body := fmt.Sprint("m", len(w.due))
	var properties []string
	due := w.millis()
	switch {
	case len(w.due) == 0 || w.rng.IntN(3) == 0:
		w.plain[body] = true
	case w.rng.IntN(2) == 0:
		level := 1 + w.rng.IntN(4)
		delay, _ := config.ParseDelayLevels(historyLevels)
		properties = []string{message.PropertyDelayLevel, strconv.Itoa(level)}
		due += delay[level-1].Milliseconds()
	default:
		delay := 1 + w.rng.Int64N(20_000)
		properties = []string{message.PropertyTimerDelayMilliseconds, strconv.FormatInt(delay, 10), message.PropertyUniqueKey, "K" + body}
		due += delay
	}
	w.s.put("T", 0, body, properties...)
	w.due[body] = due
}

// pass lets time pass, and waits until the broker has done what fell due.
func (w *consumption) pass(d time.Duration) {
	w.Helper()
	w.s.pass(d)
	w.s.schedule.Arrived()
	w.s.timers.arrived()
	until := w.millis()
	w.freshClock(until)
	w.s.await("what is due", func() bool {
		if w.s.store.ReputOffset() < w.s.store.ConfirmOffset() {
			return false
		}
		for i := range w.s.popper.log.queues {
			q := &w.s.popper.log.queues[i]
			q.mu.Lock()
			due, ok := q.mu.ledger.NextDue()
			q.mu.Unlock()
			if ok && due <= until {
				return false
			}
		}
		m := w.s.timers.timer.Load().Metrics()
		return m.QueueOffset == m.QueueMax && m.ReadTime > until-200 && w.levelsDelivered()
	})
}

// records are the next messages of a queue for a group that reads by offsets.
func (w *consumption) records(group, topic string, most int) []message.Record {
	w.Helper()
	offset, _ := w.s.offsets.Committed(topic, group, 0)
	offset = max(offset, 0)
	if offset >= int64(w.s.store.MaxOffset(topic, 0)) {
		return nil
	}
	h := pullHeader(group, topic, 0, offset)
	h.MaxMsgNums = int32(most)
	return w.s.pull(h).records
}

// read has the retrying group do some messages, or give them back.
func (w *consumption) read(topic string) {
	w.Helper()
	for _, r := range w.records("r", topic, 1+w.rng.IntN(8)) {
		w.judge(r)
		body := string(r.Body())
		if r.ReconsumeTimes() > 0 {
			earliest, ok := w.back[retry{body, r.ReconsumeTimes()}]
			if now := w.millis(); !ok || now < earliest {
				w.Fatalf("%s is tried again at %d for the %d. time, before %d", body, now, r.ReconsumeTimes(), earliest)
			}
		}
		if w.rng.IntN(2) == 0 {
			w.retried[body] = true
		} else {
			w.giveBack(r)
		}
		w.s.offsets.Commit(topic, "r", 0, int64(r.QueueOffset())+1)
	}
}

func (w *consumption) giveBack(r message.Record) {
	w.Helper()
	level := w.rng.Int32N(5) // 0 is up to the broker
	again := retry{string(r.Body()), r.ReconsumeTimes() + 1}
	if level == 0 {
		level = firstRetryLevel + r.ReconsumeTimes()
	}
	delay, _ := config.ParseDelayLevels(historyLevels)
	earliest := w.millis() + delay[min(int(level), len(delay))-1].Milliseconds()
	if before, ok := w.back[again]; !ok || earliest < before {
		w.back[again] = earliest
	}
	w.backs[again.body]++
	h := &protocol.ConsumerSendMsgBackRequestHeader{Offset: int64(r.PhyOffset()), Group: "r", DelayLevel: level, MaxReconsumeTimes: protocol.Some(int32(historyRetries))}
	w.s.must(protocol.ConsumerSendMsgBack, h, nil, nil)
}

// judge looks at a message that is read.
func (w *consumption) judge(r message.Record) {
	w.Helper()
	due, ok := w.due[string(r.Body())]
	if !ok {
		w.Fatalf("%s was never sent", r.Body())
	}
	if early := due - w.millis(); early > 0 {
		w.Fatalf("%s comes %d ms early: %s %q", r.Body(), early, r.Topic(), r.Properties())
	}
}

// freshClock waits until what is stored bears the new time. The store has messages that follow one another fast share a
// reading of the clock, which in the real world is not a millisecond old.
func (w *consumption) freshClock(since int64) {
	w.Helper()
	w.s.await("the new time", func() bool {
		at := w.s.put("Clock", 0, "?")
		w.s.dispatched("Clock", 0, at.QueueOffset+1)
		ref, err := w.s.store.RecordAtQueue("Clock", 0, message.QueueOffset(at.QueueOffset))
		if err != nil {
			w.Fatal(err)
		}
		defer ref.Release()
		return ref.Record().StoreTimestamp() >= since
	})
}

// inOrder has the ordered group read on.
func (w *consumption) inOrder() {
	w.Helper()
	for _, r := range w.records("o", "T", 1+w.rng.IntN(20)) {
		if int64(r.QueueOffset()) > w.ordered {
			w.Fatalf("offset %d is read in order, the last was %d", r.QueueOffset(), w.ordered-1)
		}
		w.ordered = max(w.ordered, int64(r.QueueOffset())+1)
		w.s.offsets.Commit("T", "o", 0, int64(r.QueueOffset())+1)
	}
}

// pop pops some messages, of which the plain ones are judged: a delayed one may be delivered twice.
func (w *consumption) pop(invisible time.Duration) {
	w.Helper()
	h := popHeader("T")
	h.MaxMsgNums, h.InvisibleTime, h.InitMode = 1+w.rng.Int32N(16), invisible.Milliseconds(), initModeMin
	before := w.millis()
	for _, m := range w.s.pop(h) {
		state := w.pops[m.body]
		if state == nil {
			state = new(popState)
			w.pops[m.body] = state
		}
		if w.plain[m.body] && !state.loose && (state.done || w.millis() < state.until) {
			w.Fatalf("%s is popped again as delivery %d, at %d: %+v", m.body, m.times, w.millis(), *state)
		}
		state.until, state.receipt, state.popped = before+invisible.Milliseconds(), m.receipt, true
		w.hands = append(w.hands, m)
	}
}

// release acknowledges a message in hand, puts it off, or forgets it.
func (w *consumption) release() {
	w.Helper()
	if len(w.hands) == 0 {
		return
	}
	i := w.rng.IntN(len(w.hands))
	m := w.hands[i]
	w.hands = slices.Delete(w.hands, i, i+1)
	state := w.pops[m.body]
	switch w.rng.IntN(5) {
	case 0:
	case 1:
		// What has come again by now would come once more, in Java as well.
		if m.receipt != state.receipt || w.millis() > state.until-1000 {
			return
		}
		before := w.millis()
		later := w.s.postpone(m, 5*time.Second, false)
		w.hands = append(w.hands, later)
		state.until, state.receipt = before+5000, later.receipt
	default:
		w.ack(m)
	}
}

// ack acknowledges; what is acknowledged in time is done.
func (w *consumption) ack(m popMessage) {
	w.Helper()
	state := w.pops[m.body]
	w.s.ack(m)
	if m.receipt == state.receipt && w.millis() < state.until {
		state.done = true
	}
}

// save makes the offsets durable.
func (w *consumption) save() {
	w.Helper()
	if err := w.s.offsets.Persist(); err != nil {
		w.Fatal(err)
	}
	for _, state := range w.pops {
		state.popped = false
	}
}

func (w *consumption) crash() {
	w.crashes++
	next := w.fs.Kill()
	if w.flush == "SYNC_FLUSH" && w.rng.IntN(2) == 0 {
		next.Discard()
		next = w.fs.Crash(w.rng.Uint64())
	}
	now := w.millis()
	for _, state := range w.pops {
		// Of what was given out the offset is lost, and what was due may just have been put to be given out again.
		state.loose = state.loose || state.popped || state.until <= now+1
	}
	w.s.client.Close()
	w.s.Broker.Close() //nolint:errcheck // writes into the void
	w.fs.Discard()
	w.fs = next
}

// calm lets every group get done with everything.
func (w *consumption) calm() {
	w.Helper()
	for range 12 { // as long as the longest delays take
		w.pass(5 * time.Second)
		for _, topic := range []string{"T", message.RetryTopic("r")} {
			for list := w.records("r", topic, 32); len(list) > 0; list = w.records("r", topic, 32) {
				for _, r := range list {
					w.judge(r)
					w.retried[string(r.Body())] = true
					w.s.offsets.Commit(topic, "r", 0, int64(r.QueueOffset())+1)
				}
			}
		}
		for w.ordered < int64(w.s.store.MaxOffset("T", 0)) {
			w.inOrder()
		}
		for {
			had := len(w.hands)
			w.pop(time.Minute)
			if len(w.hands) == had {
				break
			}
			for _, m := range w.hands[had:] {
				w.ack(m)
			}
		}
	}
}

// levelsDelivered tells whether all is delivered that is due at its level.
func (w *consumption) levelsDelivered() bool {
	w.s.schedule.Arrived()
	now := w.millis()
	levels, err := config.ParseDelayLevels(w.s.options().MessageDelayLevel)
	if err != nil {
		w.Fatal(err)
	}
	for level, delay := range levels {
		at := w.s.schedule.Snapshot().OffsetTable[int32(level)+1]
		var res engine.GetResult
		w.s.store.Get(&engine.GetRequest{Topic: message.ScheduleTopic, QueueID: int32(level), Offset: message.QueueOffset(at), MaxMsgs: 1}, &res)
		late := false
		if res.Status == engine.Found {
			if err := message.EachRecord(res.Segments, func(r message.Record) { late = r.StoreTimestamp()+delay.Milliseconds() <= now }); err != nil {
				w.Fatal(err)
			}
		}
		res.Release()
		if late {
			return false
		}
	}
	return true
}

func (w *consumption) verify() {
	w.Helper()
	delivered, dead := map[string]int{}, map[string]bool{}
	for _, r := range w.s.messagesIn("T", 0) {
		w.judge(r)
		delivered[string(r.Body())]++
	}
	again := map[string]int{}
	for _, r := range w.s.messagesIn(message.RetryTopic("r"), 0) {
		again[string(r.Body())]++
	}
	for _, r := range w.s.messagesIn(message.DLQTopic("r"), 0) {
		dead[string(r.Body())] = true
		again[string(r.Body())]++
	}
	for body := range w.due {
		switch {
		case delivered[body] == 0:
			w.Errorf("%s is never delivered", body)
		case !w.retried[body] && !dead[body]:
			w.Errorf("%s is neither done nor a dead letter: given back %d times, of which %d came", body, w.backs[body], again[body])
		case w.pops[body] == nil || !w.pops[body].done:
			w.Errorf("%s is popped and never done: %+v", body, w.pops[body])
		case w.plain[body] && delivered[body] > 1, w.crashes == 0 && delivered[body] > 1:
			w.Errorf("%s is delivered %d times", body, delivered[body])
		case w.crashes == 0 && again[body] != w.backs[body]:
			w.Errorf("%s was given back %d times and came %d times", body, w.backs[body], again[body])
		}
	}
	if w.Failed() {
		var open []string
		for i := range w.s.popper.log.queues {
			open = append(open, fmt.Sprint(w.s.popper.log.queues[i].mu.ledger.Len()))
		}
		w.Logf("%d messages, %d crashes, %s, open pops %s", len(w.due), w.crashes, w.flush, strings.Join(open, " "))
	}
}
