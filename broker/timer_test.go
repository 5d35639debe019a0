package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/engine/timer"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A message that asks for a time is delivered then, by each of the three properties, with Java's properties.
func TestTimerDelivers(t *testing.T) {
	b := start(t, func(o *Options) { o.TimerPrecisionMs = 100 })
	b.put("T", 0, "warm up")
	sent := time.Now().UnixMilli()
	for i, p := range [][2]string{
		{message.PropertyTimerDelaySeconds, "1"},
		{message.PropertyTimerDelayMilliseconds, "600"},
		{message.PropertyTimerDeliverTime, strconv.FormatInt(sent+700, 10)},
		{message.PropertyTimerDeliverTime, strconv.FormatInt(sent-5000, 10)}, // over already: at once
	} {
		resp := b.put("T", 1, strconv.Itoa(i), p[0], p[1], message.PropertyUniqueKey, "KEY"+p[0])
		if resp.QueueID != 1 {
			t.Fatalf("answered %+v", resp)
		}
		handle, ok := parseRecallHandle(string(resp.RecallHandle))
		if now := i == 3; now == ok || !now && (handle.topic != "T" || handle.broker != "broker-a" || handle.key != "KEY"+p[0]) {
			t.Fatalf("recall handle %+v, %t", handle, ok)
		}
	}
	b.dispatched("T", 1, 4)
	due := map[string]int64{"0": 1000, "1": 600, "2": 700, "3": 0}
	got := b.pull(pullHeader("g", "T", 1, 0))
	if want := []string{"3", "1", "2", "0"}; fmt.Sprint(got.bodies()) != fmt.Sprint(want) {
		t.Fatalf("delivered %q, want %q", got.bodies(), want)
	}
	for i := range int64(4) {
		ref, err := b.store.RecordAtQueue("T", 1, message.QueueOffset(i))
		if err != nil {
			t.Fatal(err)
		}
		r := ref.Record()
		if early := sent + due[string(r.Body())] - r.StoreTimestamp(); early > 0 {
			t.Errorf("%s comes %d ms early", r.Body(), early)
		}
		for _, name := range []string{message.PropertyTimerOutTime, message.PropertyTimerEnqueueTime, message.PropertyTimerDequeueTime, message.PropertyRealTopic} {
			if _, ok := r.Properties().Get(name); ok == (string(r.Body()) == "3") {
				t.Errorf("%s: property %s is there: %t", r.Body(), name, ok)
			}
		}
		ref.Release()
	}
}

// What cannot be is refused with Java's codes, and says why.
func TestTimerRefusals(t *testing.T) {
	b := start(t, func(o *Options) { o.TimerMaxDelaySec, o.TimerCongestNumEachSlot = 100, 3 })
	b.put("T", 0, "warm up")
	at := strconv.FormatInt(time.Now().UnixMilli()+90_500, 10)
	try := func(want protocol.ResponseCode, properties ...string) string {
		t.Helper()
		resp := b.call(protocol.SendMessageV2, v2{sendHeader("T", 0, properties...)}, []byte("x"))
		b.wantCode(resp, want)
		return resp.Remark
	}
	for _, p := range [][]string{
		{message.PropertyTimerDelaySeconds, "soon"},
		{message.PropertyTimerDelaySeconds, "101"},
		{message.PropertyTimerDelaySeconds, "9223372036854775807"}, // in Java's sum, the past
		{message.PropertyTimerDelayMilliseconds, "9223372036854775807"},
		{message.PropertyTimerDeliverTime, "9223372036854775807"},
		{message.PropertyTimerDelaySeconds, "-1", message.PropertyTimerDeleteKey, "x"},
	} {
		if remark := try(protocol.MessageIllegal, p...); !strings.Contains(remark, "timer message illegal") {
			t.Errorf("%q is refused with %q", p, remark)
		}
	}
	try(protocol.Success, message.PropertyTimerDelaySeconds, "-1")
	takenIn := func() bool {
		if b.store.ReputOffset() < b.store.MaxPhyOffset() {
			return false
		}
		m := b.timers.timer.Load().Metrics()
		return m.QueueMax == m.QueueOffset
	}
	for i := range 7 {
		try(protocol.Success, message.PropertyTimerDeliverTime, at, message.PropertyDelayLevel, "1") // a level wins
		if i < 3 {
			try(protocol.Success, message.PropertyTimerDeliverTime, at)
		} else {
			b.call(protocol.SendMessageV2, v2{sendHeader("T", 0, message.PropertyTimerDeliverTime, at)}, []byte("x"))
		}
		b.await("taken in", takenIn)
	}
	refused := false
	for range 200 { // above the limit some, above twice the limit all
		resp := b.call(protocol.SendMessageV2, v2{sendHeader("T", 0, message.PropertyTimerDeliverTime, at)}, []byte("x"))
		refused = refused || resp.Code == int32(protocol.SystemError) && strings.Contains(resp.Remark, "flow control")
		b.await("taken in", takenIn)
	}
	if n := b.timers.timer.Load().Metrics().Pending; !refused || n > 6 {
		t.Fatalf("refused %t, %d messages in the slot", refused, n)
	}

	b = start(t, func(o *Options) { o.TimerWheelEnable = false })
	resp := b.call(protocol.SendMessageV2, v2{sendHeader("T", 0, message.PropertyTimerDelaySeconds, "1")}, []byte("x"))
	b.wantCode(resp, protocol.SystemError)
	for _, code := range []protocol.RequestCode{protocol.GetTimerCheckPoint, protocol.GetTimerMetrics} {
		b.wantCode(b.call(code, nil, nil), protocol.SystemError)
	}
}

// A producer may take a message back until it is due.
func TestRecall(t *testing.T) {
	for _, appendTopic := range []bool{false, true} {
		b := start(t, func(o *Options) {
			o.RecallMessageEnable, o.AppendTopicForTimerDeleteKey, o.TimerMaxDelaySec = true, appendTopic, 1000
		})
		keep := b.put("T", 0, "keep", message.PropertyTimerDelaySeconds, "2", message.PropertyUniqueKey, "K1")
		gone := b.put("T", 0, "gone", message.PropertyTimerDelaySeconds, "2", message.PropertyUniqueKey, "K2")
		if len(keep.RecallHandle) == 0 {
			t.Fatal("there is no handle")
		}
		header := func(topic, handle string) *protocol.RecallMessageRequestHeader {
			return &protocol.RecallMessageRequestHeader{ProducerGroup: "p", Topic: topic, RecallHandle: handle}
		}
		var resp protocol.RecallMessageResponseHeader
		if err := resp.Decode(&b.must(protocol.RecallMessage, header("T", string(gone.RecallHandle)), nil, nil).Fields); err != nil || resp.MsgID != "K2" {
			t.Fatalf("answered %+v, %v", resp, err)
		}
		now := time.Now().UnixMilli()
		other := func(topic, broker string, at int64) string {
			return recallHandle{topic: topic, broker: broker, time: strconv.FormatInt(at, 10), key: "K"}.String()
		}
		for handle, want := range map[string]protocol.ResponseCode{
			"&&&":                            protocol.IllegalOperation,
			"djE=":                           protocol.IllegalOperation,
			other("U", "broker-a", now+5000): protocol.IllegalOperation,
			other("T", "broker-b", now+5000): protocol.IllegalOperation,
			other("T", "broker-a", now-5000): protocol.IllegalOperation,
			other("T", "broker-a", now+1_000_000_000): protocol.IllegalOperation,
		} {
			b.wantCode(b.call(protocol.RecallMessage, header("T", handle), nil), want)
		}
		b.wantCode(b.call(protocol.RecallMessage, header("unknown", string(gone.RecallHandle)), nil), protocol.TopicNotExist)
		b.dispatched("T", 0, 1)
		b.await("the slot is over", func() bool { return b.timers.timer.Load().Metrics().Recalled == 1 })
		if got := b.pull(pullHeader("g", "T", 0, 0)).bodies(); len(got) != 1 || got[0] != "keep" {
			t.Fatalf("delivered %q", got)
		}
	}
	b := start(t, nil)
	b.put("T", 0, "warm up")
	b.wantCode(b.call(protocol.RecallMessage, &protocol.RecallMessageRequestHeader{Topic: "T", RecallHandle: "x"}, nil), protocol.NoPermission)
}

// The timers that are pending in stores of Java's broker are delivered, each once and when it is due, by a clock that the
// test moves; those that were recalled and those that were delivered already are not.
func TestGoldenTimers(t *testing.T) {
	for name, topic := range map[string]string{golden.Clean: "GT_timer", golden.Crashed: "GT_crash"} {
		t.Run(name, func(t *testing.T) {
			man := golden.Manifest(t, name)
			var last int64
			due := map[string]int64{} // by unique key
			for _, m := range man.Messages {
				if m.Topic == message.TimerTopic && m.Properties["TIMER_DEL_UNIQKEY"] == "" && m.Properties["REAL_TOPIC"] == topic {
					out, err := strconv.ParseInt(m.Properties["TIMER_OUT_MS"], 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					due[*m.UniqKey] = out + 1000
					last = max(last, out+1000)
				}
			}
			for _, m := range man.Messages {
				if m.Topic == topic || m.Properties["TIMER_DEL_UNIQKEY"] != "" {
					delete(due, *m.UniqKey)
				}
			}
			if len(due) < 3 {
				t.Fatalf("%d timers are pending", len(due))
			}
			var clock atomic.Int64
			o := testOptions(golden.Store(t, name))
			o.MappedFileSizeCommitLog, o.MappedFileSizeConsumeQueue, o.MappedFileSizeTimerLog = 1<<20, 4000, 1040
			o.Now = func() time.Time { return time.UnixMilli(clock.Load()) }
			check, err := timer.ReadCheckpoint(o.FS, o.StorePathRootDir)
			if err != nil {
				t.Fatal(err)
			}
			clock.Store(check.ReadTime)
			b := startWith(t, o)
			before := map[int32]message.QueueOffset{}
			for _, q := range b.store.QueueIDs(topic) {
				before[q] = b.store.MaxOffset(topic, q)
			}
			for at := check.ReadTime; at < last && !t.Failed(); {
				at += 500_000 // a jump
				for key := range due {
					if d := due[key]; d > clock.Load() && d <= at {
						at = d // but to each time, and just before it
						if clock.Load() < d-1 {
							at = d - 1
						}
					}
				}
				clock.Store(at)
				b.timers.arrived()
				b.await("the clock's time is reached", func() bool {
					m := b.timers.timer.Load().Metrics()
					return m.ReadTime >= at/1000*1000 && m.QueueOffset == m.QueueMax
				})
			}
			for q := range before {
				for off := before[q]; off < b.store.MaxOffset(topic, q); off++ {
					ref, err := b.store.RecordAtQueue(topic, q, off)
					if err != nil {
						t.Fatal(err)
					}
					r := ref.Record()
					key, _ := r.Properties().Get(message.PropertyUniqueKey)
					if _, timer := r.Properties().Get(message.PropertyTimerOutTime); timer {
						if at, ok := due[string(key)]; !ok || at != r.StoreTimestamp() {
							t.Errorf("%s comes at %d, want %d, %t", key, r.StoreTimestamp(), at, ok)
						}
						delete(due, string(key))
					}
					ref.Release()
				}
			}
			if len(due) > 0 {
				t.Errorf("not delivered: %v", due)
			}
		})
	}
}

// Counts and checkpoint are in Java's shapes, on disk and in answers.
func TestTimerState(t *testing.T) {
	b := start(t, nil)
	for i := range 3 {
		b.put("T", 0, "x", message.PropertyTimerDelaySeconds, strconv.Itoa(1000+i))
	}
	b.await("taken in", func() bool { return b.timers.timer.Load().Metrics().Taken == 3 })
	var metrics timerMetrics
	b.must(protocol.GetTimerMetrics, nil, nil, &metrics)
	if metrics.TimingCount["T"].Count != 3 {
		t.Fatalf("%+v", metrics)
	}
	b.await("flushed", func() bool {
		c, err := timer.ParseCheckpoint(b.must(protocol.GetTimerCheckPoint, nil, nil, nil).Body)
		return err == nil && c.QueueOffset == 3 && c.MasterQueueOffset == 3 && c.LogPos == 156
	})
	dir := b.options().StorePathRootDir
	if err := b.Broker.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "config", "timermetrics"))
	if err != nil {
		t.Fatal(err)
	}
	var onDisk struct {
		DataVersion map[string]int64
		TimingCount map[string]struct{ Count, TimeStamp int64 }
	}
	if err := json.Unmarshal(data, &onDisk); err != nil || onDisk.TimingCount["T"].Count != 3 {
		t.Fatalf("%v: %s", err, data)
	}
	again := startWith(t, testOptions(dir))
	if topics, _ := again.timers.timer.Load().Topics(); topics["T"].Count != 3 {
		t.Fatalf("%+v", topics)
	}
	var info protocol.KVTable
	again.must(protocol.GetBrokerRuntimeInfo, nil, nil, &info)
	if info.Table["timerCongestNum"] != "3" || info.Table["timerOffsetBehind"] != "0" {
		t.Fatalf("%q, %q", info.Table["timerCongestNum"], info.Table["timerOffsetBehind"])
	}
}

func FuzzRecallHandle(f *testing.F) {
	f.Add(recallHandle{topic: "T", broker: "b", time: "17", key: "K"}.String())
	f.Add("djE=")
	f.Fuzz(func(t *testing.T, text string) {
		h, ok := parseRecallHandle(text)
		if !ok {
			return
		}
		if again, ok := parseRecallHandle(h.String()); !ok || again != h {
			t.Fatalf("%+v comes back as %+v", h, again)
		}
	})
}
