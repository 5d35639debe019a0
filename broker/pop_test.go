package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A popBench is a broker whose clock can be moved forward, with messages that are popped.
type popBench struct {
	*bench
	ahead *atomic.Int64 // ms
	dir   string
}

func startPop(t *testing.T, change func(*Options)) *popBench {
	return startPopIn(t, t.TempDir(), new(atomic.Int64), change)
}

func startPopIn(t *testing.T, dir string, ahead *atomic.Int64, change func(*Options)) *popBench {
	o := testOptions(dir)
	o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Millisecond) }
	if change != nil {
		change(o)
	}
	return &popBench{startWith(t, o), ahead, dir}
}

// pass lets time pass.
func (s *popBench) pass(d time.Duration) {
	s.ahead.Add(d.Milliseconds())
	s.popper.log.kick()
	select {
	case s.popper.orders.sooner <- struct{}{}:
	default:
	}
}

// fill puts messages called prefix0, prefix1, ... to queue 0 of the topic.
func (s *popBench) fill(topic, prefix string, n int) {
	s.Helper()
	var last int64
	for i := range n {
		last = s.put(topic, 0, fmt.Sprint(prefix, i)).QueueOffset
	}
	s.dispatched(topic, 0, last+1)
}

func popHeader(topic string) *protocol.PopMessageRequestHeader {
	return &protocol.PopMessageRequestHeader{ConsumerGroup: "g", Topic: topic, QueueID: -1, MaxMsgNums: 32, InvisibleTime: 60000}
}

// A popMessage is a message as a client sees it, with its receipt.
type popMessage struct {
	body     string
	times    int32
	offset   int64
	queue    int32
	topic    string // where it lies
	receipt  string
	count    string // from orderCountInfo
	property func(string) string
}

// popped reads the answer to a pop as the Java client does.
func (s *popBench) popped(resp *remoting.Command) (list []popMessage) {
	s.Helper()
	if resp.ResponseCode() != protocol.Success {
		if resp.ResponseCode() == protocol.PollingTimeout {
			return nil
		}
		s.Fatalf("answer %d %q", resp.Code, resp.Remark)
	}
	var h protocol.PopMessageResponseHeader
	if err := h.Decode(&resp.Fields); err != nil {
		s.Fatal(err)
	}
	starts := map[string]string{}
	for entry := range strings.SplitSeq(h.StartOffsetInfo, ";") {
		f := strings.Split(entry, " ")
		if len(f) != 3 || starts[f[0]+"@"+f[1]] != "" {
			s.Fatalf("startOffsetInfo %q", h.StartOffsetInfo)
		}
		starts[f[0]+"@"+f[1]] = f[2]
	}
	counts := map[string]string{}
	if h.OrderCountInfo != "" {
		for entry := range strings.SplitSeq(h.OrderCountInfo, ";") {
			f := strings.Split(entry, " ")
			counts[f[0]+"@"+f[1]] = f[2]
		}
	}
	err := message.EachRecord([][]byte{resp.Body}, func(r message.Record) {
		get := func(name string) string { v, _ := r.Properties().Get(name); return string(v) }
		m := popMessage{
			body: string(r.Body()), times: r.ReconsumeTimes(), offset: int64(r.QueueOffset()), queue: r.QueueID(), topic: string(r.Topic()),
			receipt: get(message.PropertyPopCheckPoint),
		}
		copied := map[string]string{}
		for _, name := range []string{message.PropertyFirstPopTime, message.PropertyOriginGroup, message.PropertyTags} {
			copied[name] = get(name)
		}
		m.property = func(name string) string { return copied[name] }
		if m.receipt == "" {
			start := starts[fmt.Sprintf("0@%d", m.queue)]
			if start == "" || !strings.Contains(h.MsgOffsetInfo, fmt.Sprint(m.offset)) {
				s.Fatalf("message %d/%d is not in %q and %q", m.queue, m.offset, h.StartOffsetInfo, h.MsgOffsetInfo)
			}
			m.receipt = fmt.Sprintf("%s %d %d %d 0 broker-a %d %d", start, h.PopTime, h.InvisibleTime, h.ReviveQid, m.queue, m.offset)
			m.count = counts[fmt.Sprintf("0@qo%d%%%d", m.queue, m.offset)]
		} else {
			receipt, err := pop.ParseHandle(m.receipt)
			if err != nil {
				s.Fatal(err)
			}
			m.topic = receipt.Source.Topic(m.topic, "g")
		}
		list = append(list, m)
	})
	if err != nil {
		s.Fatal(err)
	}
	return list
}

func (s *popBench) pop(h *protocol.PopMessageRequestHeader) []popMessage {
	s.Helper()
	return s.popped(s.call(protocol.PopMessage, h, nil))
}

func ackHeader(m popMessage) *protocol.AckMessageRequestHeader {
	return &protocol.AckMessageRequestHeader{ConsumerGroup: "g", Topic: m.topic, QueueID: m.queue, ExtraInfo: m.receipt, Offset: m.offset}
}

func (s *popBench) ack(m popMessage) { s.Helper(); s.must(protocol.AckMessage, ackHeader(m), nil, nil) }

// postpone changes the invisible time of a message and returns it with its new receipt.
func (s *popBench) postpone(m popMessage, d time.Duration, suspend bool) popMessage {
	s.Helper()
	resp := s.must(protocol.ChangeMessageInvisibleTime, &protocol.ChangeInvisibleTimeRequestHeader{
		ConsumerGroup: "g", Topic: m.topic, QueueID: m.queue, ExtraInfo: m.receipt, Offset: m.offset, InvisibleTime: d.Milliseconds(), Suspend: suspend,
	}, nil, nil)
	var h protocol.ChangeInvisibleTimeResponseHeader
	if err := h.Decode(&resp.Fields); err != nil {
		s.Fatal(err)
	}
	old, err := pop.ParseHandle(m.receipt)
	if err != nil {
		s.Fatal(err)
	}
	m.receipt = fmt.Sprintf("%d %d %d %d %d %s %d %d", m.offset, h.PopTime, h.InvisibleTime, h.ReviveQid, old.Source, old.BrokerName, m.queue, m.offset)
	return m
}

func poppedBodies(list []popMessage) (bodies []string) {
	for _, m := range list {
		bodies = append(bodies, m.body)
	}
	return bodies
}

// settled waits until n pops are open.
func (s *popBench) settled(n int64) {
	s.Helper()
	s.await(fmt.Sprint(n, " open pops"), func() bool { return s.popper.log.open.Load() == n })
}

// retried waits until the retry topic of T has n messages.
func (s *popBench) retried(n int64) {
	s.Helper()
	s.dispatched(pop.RetryTopicV1("T", "g"), 0, n)
}

func TestPopAck(t *testing.T) {
	s := startPop(t, nil)
	s.fill("T", "m", 3)
	h := popHeader("T")
	h.MaxMsgNums = 2
	list := s.pop(h)
	if got := poppedBodies(list); !slices.Equal(got, []string{"m0", "m1"}) {
		t.Fatalf("popped %v", got)
	}
	rest := s.pop(h)
	if got := poppedBodies(rest); !slices.Equal(got, []string{"m2"}) {
		t.Fatalf("popped %v", got)
	}
	if more := s.pop(h); more != nil {
		t.Fatalf("popped %v again", poppedBodies(more))
	}
	s.settled(2)
	for _, m := range list {
		s.ack(m)
	}
	s.settled(1)
	s.pass(61 * time.Second)
	s.retried(1)
	again := s.pop(h)
	if got := poppedBodies(again); !slices.Equal(got, []string{"m2"}) {
		t.Fatalf("popped %v after the invisible time", got)
	}
	m := again[0]
	if m.times != 1 || m.property(message.PropertyOriginGroup) != "g" || m.property(message.PropertyFirstPopTime) == "" || !strings.HasPrefix(m.topic, "%RETRY%g_") {
		t.Errorf("message %+v, first popped %q", m, m.property(message.PropertyFirstPopTime))
	}
	s.ack(rest[0]) // too late, and without effect
	s.settled(1)
	s.pass(61 * time.Second)
	s.retried(2)
	twice := s.pop(h)
	if len(twice) != 1 || twice[0].times != 2 || twice[0].property(message.PropertyFirstPopTime) != m.property(message.PropertyFirstPopTime) {
		t.Fatalf("popped %+v", twice)
	}
	s.ack(twice[0])
	s.settled(0)
}

func TestPopPostpone(t *testing.T) {
	s := startPop(t, nil)
	s.fill("T", "m", 3)
	list := s.pop(popHeader("T"))
	soon := s.postpone(list[0], 5*time.Second, false)
	s.postpone(list[1], 5*time.Second, true)
	later := s.postpone(list[2], 299*time.Second, false)
	s.settled(3)
	s.ack(soon)
	s.settled(2)
	s.pass(6 * time.Second)
	s.retried(1)
	if got := s.pop(popHeader("T")); len(got) != 1 || got[0].body != "m1" || got[0].times != 0 {
		t.Fatalf("popped %+v, want m1 whose putting off is no failure", got)
	} else {
		s.ack(got[0])
	}
	s.pass(100 * time.Second)
	if got := s.pop(popHeader("T")); got != nil {
		t.Fatalf("popped %v before its time", poppedBodies(got))
	}
	s.pass(200 * time.Second)
	s.retried(2)
	s.ack(later)
	if got := s.pop(popHeader("T")); len(got) != 1 || got[0].body != "m2" || got[0].times != 1 {
		t.Fatalf("popped %+v", got)
	}
}

func TestPopBatchAck(t *testing.T) {
	s := startPop(t, nil)
	s.fill("T", "m", 12)
	list := s.pop(popHeader("T"))
	h, _ := pop.ParseHandle(list[0].receipt)
	entry := protocol.BatchAck{
		ConsumerGroup: "g", Topic: "T", Retry: "0", StartOffset: h.StartOffset, QueueID: 0, ReviveQueueID: h.ReviveQueue, PopTime: h.PopTime,
		InvisibleTime: h.InvisibleTime, Bits: []byte{0xfe, 0xff}, // all but the first, and some that are not there
	}
	other := entry
	other.Topic = "none"
	s.must(protocol.BatchAckMessage, nil, &protocol.BatchAckMessageRequestBody{BrokerName: "broker-a", Acks: []protocol.BatchAck{other, entry}}, nil)
	s.wantCode(s.call(protocol.BatchAckMessage, nil, nil), protocol.NoMessage)
	s.settled(1)
	s.pass(61 * time.Second)
	s.retried(1)
	if got := poppedBodies(s.pop(popHeader("T"))); !slices.Equal(got, []string{"m0"}) {
		t.Fatalf("popped %v", got)
	}
}

func TestPopRefuses(t *testing.T) {
	s := startPop(t, func(o *Options) { o.AutoCreateSubscriptionGroup = false })
	s.fill("T", "m", 1)
	s.wantCode(s.call(protocol.PopMessage, popHeader("T"), nil), protocol.SubscriptionGroupNotExist)
	s.must(protocol.UpdateAndCreateSubscriptionGroup, nil, protocol.NewSubscriptionGroupConfig("g"), nil)
	for _, c := range []struct {
		change func(*protocol.PopMessageRequestHeader)
		code   protocol.ResponseCode
	}{
		{func(h *protocol.PopMessageRequestHeader) { h.Topic = "none" }, protocol.TopicNotExist},
		{func(h *protocol.PopMessageRequestHeader) { h.MaxMsgNums = 33 }, protocol.InvalidParameter},
		{func(h *protocol.PopMessageRequestHeader) { h.QueueID = 100 }, protocol.InvalidParameter},
		{func(h *protocol.PopMessageRequestHeader) { h.InvisibleTime = -1 }, protocol.InvalidParameter},
		{func(h *protocol.PopMessageRequestHeader) { h.BornTime = time.Now().Add(-time.Minute).UnixMilli() }, protocol.PollingTimeout},
		{func(h *protocol.PopMessageRequestHeader) { h.Exp, h.ExpType = "a >", "SQL92" }, protocol.SubscriptionParseFailed},
	} {
		h := popHeader("T")
		c.change(h)
		s.wantCode(s.call(protocol.PopMessage, h, nil), c.code)
	}
	m := s.pop(popHeader("T"))[0]
	for _, c := range []struct {
		change func(*protocol.AckMessageRequestHeader)
		code   protocol.ResponseCode
	}{
		{func(h *protocol.AckMessageRequestHeader) { h.Topic = "none" }, protocol.TopicNotExist},
		{func(h *protocol.AckMessageRequestHeader) { h.QueueID = 100 }, protocol.MessageIllegal},
		{func(h *protocol.AckMessageRequestHeader) { h.Offset = 7 }, protocol.NoMessage},
		{func(h *protocol.AckMessageRequestHeader) { h.ExtraInfo = "1 2" }, protocol.SystemError},
		{func(h *protocol.AckMessageRequestHeader) { h.ExtraInfo = "0 1 2 77 0 broker-a 0 0" }, protocol.MessageIllegal},
		{func(h *protocol.AckMessageRequestHeader) { h.ExtraInfo = "0 1 2 3 0 broker-a 0 0" }, protocol.Success}, // of no pop that is open
	} {
		h := ackHeader(m)
		c.change(h)
		s.wantCode(s.call(protocol.AckMessage, h, nil), c.code)
	}
	s.settled(1)
}

func TestPopBoundsWhatIsOpen(t *testing.T) {
	s := startPop(t, func(o *Options) { o.MaxPopInFlight, o.TimerWheelEnable = 2, false })
	s.fill("T", "m", 5)
	h := popHeader("T")
	h.MaxMsgNums = 1
	first := s.pop(h)
	s.pop(h)
	s.wantCode(s.call(protocol.PopMessage, h, nil), protocol.SystemBusy)
	s.ack(first[0])
	if got := poppedBodies(s.pop(h)); !slices.Equal(got, []string{"m2"}) {
		t.Errorf("popped %v", got)
	}
}

func TestPopFilter(t *testing.T) {
	s := startPop(t, nil)
	for i := range 10 {
		s.put("T", 0, fmt.Sprint("m", i), message.PropertyTags, []string{"a", "b"}[i%2])
	}
	s.dispatched("T", 0, 10)
	h := popHeader("T")
	h.Exp, h.ExpType = "b", "TAG"
	list := s.pop(h)
	if got := poppedBodies(list); !slices.Equal(got, []string{"m1", "m3", "m5", "m7", "m9"}) {
		t.Fatalf("popped %v", got)
	}
	for _, m := range list {
		s.ack(m)
	}
	s.settled(0)
	s.put("T", 0, "no", message.PropertyTags, "a")
	s.dispatched("T", 0, 11)
	if got := s.pop(h); got != nil {
		t.Fatalf("popped %v", poppedBodies(got))
	}
	if offset, _ := s.offsets.Committed("T", "g", 0); offset != 11 {
		t.Errorf("the group is at %d, want 11: nothing before is for it", offset)
	}
}

func TestPopWaits(t *testing.T) {
	s := startPop(t, nil)
	s.fill("T", "m", 1)
	s.ack(s.pop(popHeader("T"))[0])
	h := popHeader("T")
	h.PollTime, h.BornTime = 20000, s.now().UnixMilli()
	answers := make(chan *remoting.Command, 3)
	wait := func(header interface{ Encode(protocol.FieldSink) }, code protocol.RequestCode) {
		before := s.popper.waits.Len()
		go func() { answers <- s.call(code, header, nil) }()
		s.await("a pop to wait", func() bool { return s.popper.waits.Len() > before })
	}
	wait(h, protocol.PopMessage)
	wait(h, protocol.PopMessage)
	var info protocol.PollingInfoResponseHeader
	resp := s.must(protocol.PollingInfo, &protocol.PollingInfoRequestHeader{ConsumerGroup: "g", Topic: "T", QueueID: -1}, nil, nil)
	if err := info.Decode(&resp.Fields); err != nil || info.PollingNum != 2 {
		t.Errorf("%d pops wait, %v", info.PollingNum, err)
	}
	s.put("T", 0, "new")
	list := s.popped(<-answers)
	if got := poppedBodies(list); !slices.Equal(got, []string{"new"}) {
		t.Fatalf("popped %v", got)
	}
	s.await("the other pop to wait on", func() bool { return s.popper.waits.Len() == 1 })
	// A message that comes again wakes too.
	s.postpone(list[0], 0, false)
	if got := poppedBodies(s.popped(<-answers)); !slices.Equal(got, []string{"new"}) {
		t.Fatalf("popped %v", got)
	}
	n := &protocol.NotificationRequestHeader{ConsumerGroup: "g", Topic: "T", QueueID: -1, PollTime: 20000, BornTime: s.now().UnixMilli()}
	wait(n, protocol.Notification)
	s.put("T", 0, "newer")
	var noted protocol.NotificationResponseHeader
	resp = <-answers
	if err := noted.Decode(&resp.Fields); err != nil || !noted.HasMsg {
		t.Errorf("notification %+v, %v", noted, err)
	}
	var peeked []string
	resp = s.must(protocol.PeekMessage, &protocol.PeekMessageRequestHeader{ConsumerGroup: "g", Topic: "T", QueueID: -1, MaxMsgNums: 4}, nil, nil)
	message.EachRecord([][]byte{resp.Body}, func(r message.Record) { peeked = append(peeked, string(r.Body())) }) //nolint:errcheck // compared below
	if !slices.Equal(peeked, []string{"newer"}) {
		t.Errorf("peeked %v", peeked)
	}
	s.pop(popHeader("T"))
	short := popHeader("T")
	short.PollTime = 30
	s.wantCode(s.call(protocol.PopMessage, short, nil), protocol.PollingTimeout)
	s.wantCode(s.call(protocol.PeekMessage, &protocol.PeekMessageRequestHeader{ConsumerGroup: "g", Topic: "T", QueueID: -1, MaxMsgNums: 4}, nil), protocol.PullNotFound)
}

func orderedHeader(attempt string) *protocol.PopMessageRequestHeader {
	h := popHeader("T")
	h.Order, h.AttemptID, h.MaxMsgNums = protocol.Some(true), attempt, 2
	return h
}

func TestPopOrdered(t *testing.T) {
	s := startPop(t, nil)
	s.fill("T", "m", 4)
	list := s.pop(orderedHeader("one"))
	if got := poppedBodies(list); !slices.Equal(got, []string{"m0", "m1"}) {
		t.Fatalf("popped %v", got)
	}
	if got := s.pop(orderedHeader("two")); got != nil {
		t.Fatalf("popped %v past the block", poppedBodies(got))
	}
	if got := s.pop(orderedHeader("one")); len(got) != 2 || got[0].count != "" {
		t.Fatalf("the same attempt popped %+v", got)
	} else {
		list = got
	}
	s.ack(list[1])
	if got := s.pop(orderedHeader("two")); got != nil {
		t.Fatalf("popped %v past m0", poppedBodies(got))
	}
	s.pass(61 * time.Second)
	again := s.pop(orderedHeader("three"))
	if got := poppedBodies(again); !slices.Equal(got, []string{"m0", "m1"}) || again[0].count != "1" {
		t.Fatalf("popped %+v", again)
	}
	s.ack(list[0]) // of a batch that is no more
	again[1] = s.postpone(again[1], 10*time.Second, false)
	s.ack(again[0])

	h := orderedHeader("four")
	h.PollTime = 30000
	answer := make(chan *remoting.Command, 1)
	go func() { answer <- s.call(protocol.PopMessage, h, nil) }()
	s.await("a pop to wait", func() bool { return s.popper.waits.Len() == 1 })
	s.pass(11 * time.Second) // m1 is visible again
	last := s.popped(<-answer)
	if got := poppedBodies(last); !slices.Equal(got, []string{"m1", "m2"}) || last[0].count != "2" || last[1].count != "" {
		t.Fatalf("popped %+v", last)
	}
	for _, m := range last {
		s.ack(m)
	}
	h = orderedHeader("five")
	if got := poppedBodies(s.pop(h)); !slices.Equal(got, []string{"m3"}) {
		t.Fatalf("popped %v", got)
	}
}

func TestPopSurvivesRestart(t *testing.T) {
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprint("kill=", kill), func(t *testing.T) {
			dir, copied, ahead := t.TempDir(), t.TempDir(), new(atomic.Int64)
			var list, ordered []popMessage
			t.Run("before", func(t *testing.T) {
				s := startPopIn(t, dir, ahead, nil)
				s.fill("T", "m", 6)
				s.fill("O", "o", 4)
				list = s.pop(popHeader("T"))
				s.ack(list[0])
				list[1] = s.postpone(list[1], 100*time.Second, false)
				h := orderedHeader("a")
				h.Topic = "O"
				ordered = s.pop(h)
				s.ack(ordered[0])
				if kill { // what a kill leaves: the files as they are now
					if err := s.offsets.Persist(); err != nil {
						t.Fatal(err)
					}
					if err := s.popper.orders.persist(); err != nil {
						t.Fatal(err)
					}
					if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
						t.Fatal(err)
					}
					dir = copied
				}
			})
			s := startPopIn(t, dir, ahead, nil)
			s.settled(2)
			if got := s.pop(popHeader("T")); got != nil {
				t.Fatalf("popped %v, all are in hand", poppedBodies(got))
			}
			s.ack(list[2])
			s.pass(61 * time.Second)
			s.retried(3)
			if got := poppedBodies(s.pop(popHeader("T"))); !slices.Equal(got, []string{"m3", "m4", "m5"}) {
				t.Fatalf("popped %v", got)
			}
			s.ack(list[1])
			s.settled(1)
			h := orderedHeader("b")
			h.Topic = "O"
			if got := s.pop(h); len(got) != 2 || got[0].body != "o1" || got[0].count != "1" {
				t.Fatalf("popped %+v", got)
			}
		})
	}
}

// TestPopThroughTheTimer pops for so long that checkpoint and acknowledgements wait in the timer, as all of Java's do.
func TestPopThroughTheTimer(t *testing.T) {
	s := startPop(t, nil)
	s.fill("T", "m", 3)
	h := popHeader("T")
	h.InvisibleTime = 600_000
	list := s.pop(h)
	s.ack(list[1])
	s.dispatched(message.TimerTopic, 0, 2)
	if n := s.popper.log.open.Load(); n != 0 {
		t.Fatalf("%d pops are in memory", n)
	}
	var again []popMessage
	for range 100 { // the timer goes on second by second
		s.pass(10 * time.Second)
		s.timers.arrived()
		if again = append(again, s.pop(popHeader("T"))...); len(again) >= 2 {
			break
		}
		if s.ahead.Load() < 600_000 && again != nil {
			t.Fatalf("popped %v before their time", poppedBodies(again))
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := poppedBodies(again); !slices.Equal(got, []string{"m0", "m2"}) || again[0].times != 1 {
		t.Fatalf("popped %v", got)
	}
}

// TestPopAwaitsALateTimer has the timer bring an acknowledgement long after its checkpoint, and its time: what is acknowledged
// does not come again for that.
func TestPopAwaitsALateTimer(t *testing.T) {
	const grain = 60_000 // ms
	begin, ahead := time.Now().Truncate(grain*time.Millisecond), new(atomic.Int64)
	s := startPopIn(t, t.TempDir(), ahead, func(o *Options) {
		o.TimerPrecisionMs = grain
		o.Now = func() time.Time { return begin.Add(time.Duration(ahead.Load()) * time.Millisecond) }
	})
	s.fill("T", "m", 2)
	h := popHeader("T")
	h.InvisibleTime = 10*grain + 500 // the timer brings the checkpoint after 10 grains, the acknowledgement after 11
	list := s.pop(h)
	if len(list) != 2 {
		t.Fatalf("popped %v", poppedBodies(list))
	}
	s.ack(list[0])
	s.dispatched(message.TimerTopic, 0, 2)
	retry := pop.RetryTopicV1("T", "g")
	s.pass((10*grain + 10_000) * time.Millisecond)
	s.timers.arrived()
	s.await("the checkpoint to come", func() bool { return s.popper.log.open.Load() == 1 || s.store.MaxOffset(retry, 0) > 0 })
	s.popper.log.kick()
	s.await("the log to be looked at", func() bool { return len(s.popper.log.wake) == 0 })
	s.pass(grain * time.Millisecond)
	s.timers.arrived()
	s.settled(0)
	s.retried(1)
	var bodies []string
	for _, r := range s.messagesIn(retry, 0) {
		bodies = append(bodies, string(r.Body()))
	}
	if !slices.Equal(bodies, []string{"m1"}) {
		t.Errorf("%q come again", bodies)
	}
}

// TestPopSyncFlush has checkpoints and acknowledgements wait for the disk.
func TestPopSyncFlush(t *testing.T) {
	s := startPop(t, func(o *Options) { o.FlushDiskType = "SYNC_FLUSH" })
	s.fill("T", "m", 2)
	for _, m := range s.pop(popHeader("T")) {
		s.ack(m)
	}
	s.settled(0)
}

// TestReviveLogIsJavas reads what is written to the revive topic as Java does.
func TestReviveLogIsJavas(t *testing.T) {
	s := startPop(t, nil)
	s.fill("T", "m", 2)
	list := s.pop(popHeader("T"))
	s.ack(list[0])
	h, _ := pop.ParseHandle(list[0].receipt)
	s.dispatched(s.popper.log.topic, h.ReviveQueue, 2)
	p := s.pull(pullHeader("tools", s.popper.log.topic, h.ReviveQueue, 0))
	var tags []string
	for _, r := range p.records {
		tag, _ := r.Properties().Get(message.PropertyTags)
		tags = append(tags, string(tag))
		if _, ok := r.Properties().Get(message.PropertyTimerDeliverTime); !ok {
			t.Error("a record does not say when it was written")
		}
		if !json.Valid(r.Body()) {
			t.Errorf("body %q", r.Body())
		}
	}
	if !slices.Equal(tags, []string{"ck", "ack"}) {
		t.Errorf("records %v", tags)
	}
}
