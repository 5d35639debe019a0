package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// fakeQueue is a queue of entries by their tags, each message 10 bytes.
type fakeQueue struct {
	tags   []string
	looked int
}

func (q *fakeQueue) Tally(r *engine.TallyRequest) (t engine.Tally, err error) {
	t.Next, t.First = r.From, -1
	for t.Next < r.To && t.Entries < r.Entries {
		taken := r.Filter == nil || r.Filter.MatchTags(message.TagsCode([]byte(q.tags[t.Next])))
		t.Next++
		t.Entries++
		q.looked++
		if taken {
			t.Messages++
			t.Bytes += 10
			if t.First < 0 {
				t.First = t.Next - 1
			}
			if r.FirstOnly {
				return t, nil
			}
		}
	}
	return t, nil
}

// A window follows any history of sends, commits, resets and changes of the filter: whenever it says that it is exact it
// is, it becomes exact when asked again, and looks at each entry a few times at most.
func TestLagWindow(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var q fakeQueue
		var w lagWindow
		filters := []*filter.Expression{nil, mustCompile(t, "A"), mustCompile(t, "B || C")}
		expr, from, moved := filters[rng.IntN(3)], int64(0), 0
		for step := range 60 {
			for range rng.IntN(40) {
				q.tags = append(q.tags, string("ABCDE"[rng.IntN(5)]))
			}
			last := int64(len(q.tags))
			switch rng.IntN(12) {
			case 0:
				from = rng.Int64N(last + 1) // a reset
				moved += int(last)
			case 1:
				expr = filters[rng.IntN(3)]
				moved += int(last)
			default:
				from = min(from+rng.Int64N(40), last)
			}
			var want, bytes int64
			first := int64(-1)
			for i := from; i < last; i++ {
				if expr == nil || expr.MatchTags(message.TagsCode([]byte(q.tags[i]))) {
					want++
					bytes += 10
					if first < 0 {
						first = i
					}
				}
			}
			for asked := 0; ; asked++ {
				budget := lagBudget{entries: 1 + rng.IntN(60)}
				l, at := w.update(&q, "T", 0, expr, from, last, &budget)
				if !l.Estimate && expr == nil && l.Messages != want {
					t.Fatalf("seed %d step %d: %d messages, want %d", seed, step, l.Messages, want)
				}
				if l.Estimate || l.BytesEstimate {
					if asked > 10000 {
						t.Fatalf("seed %d step %d: an estimate however often it is asked for", seed, step)
					}
					continue
				}
				if l.Messages != want || l.Bytes != bytes {
					t.Fatalf("seed %d step %d: %d messages of %d bytes, want %d of %d", seed, step, l.Messages, l.Bytes, want, bytes)
				}
				if at != first && budget.entries > 0 {
					t.Fatalf("seed %d step %d: the first is %d, want %d", seed, step, at, first)
				}
				if at == first {
					break
				}
			}
		}
		if most := 4*len(q.tags) + 4*moved; q.looked > most {
			t.Errorf("seed %d: %d entries were looked at for %d", seed, q.looked, len(q.tags))
		}
	}
}

func mustCompile(t *testing.T, text string) *filter.Expression {
	t.Helper()
	e, err := filter.Compile(filter.TypeTag, text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The lag of a group counts what its filter takes, by tags and by SQL92, and moves with its offset.
func TestLagUnderFilters(t *testing.T) {
	s := start(t, nil)
	s.makeTopic("T", 2, "")
	var stored int64
	for i := range 60 {
		h := s.put("T", int32(i%2), fmt.Sprint("m", i), message.PropertyTags, fmt.Sprint("tag", i%3), "n", fmt.Sprint(i))
		s.dispatched("T", h.QueueID, h.QueueOffset+1)
		stored = s.store.Metrics().PutMessages
	}
	if stored < 60 {
		t.Fatalf("%d are stored", stored)
	}
	s.heartbeat(s.client, "c", "tags", protocol.Clustering, 1, "T", "tag1")
	s.sqlBeat("sql", "T", "n >= 50", 1)
	s.heartbeat(s.client, "c", "all", protocol.Clustering, 1, "T", "*")
	for _, group := range []string{"tags", "sql", "all"} {
		for queue := range int32(2) {
			s.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{ConsumerGroup: group, Topic: "T", QueueID: queue}, nil, nil)
		}
	}
	want := func(group string, messages int64, first message.QueueOffset) {
		t.Helper()
		for _, l := range s.Lag(group) {
			if l.Topic != "T" {
				continue
			}
			oldest, _ := s.store.StoreTimeAt("T", 0, first)
			if l.Messages != messages || l.Estimate || l.BytesEstimate || l.Queues[0].Oldest != oldest || l.Bytes < messages*80 {
				t.Errorf("%s: %+v, want %d messages from %d", group, l, messages, oldest)
			}
			return
		}
		t.Errorf("%s has no lag in the topic", group)
	}
	want("tags", 20, 2) // m4 is the first of queue 0 with n%3 = 1
	want("sql", 10, 25)
	want("all", 60, 0)
	s.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{ConsumerGroup: "tags", Topic: "T", QueueID: 0, CommitOffset: 15}, nil, nil)
	want("tags", 15, 17)
	var stats protocol.ConsumeStats
	s.must(protocol.GetConsumeStats, &protocol.GetConsumeStatsRequestHeader{ConsumerGroup: "tags", Topic: "T"}, nil, &stats)
	if o := stats.OffsetTable[s.messageQueue("T", 0)]; o.LagMessages != 5 || o.BrokerOffset != 30 || o.ConsumerOffset != 15 || o.LagEstimate {
		t.Errorf("consume stats %+v", o)
	}
}

// What is popped and not acknowledged is behind too, and so is what waits in the retry topic.
func TestLagOfPops(t *testing.T) {
	s := startPop(t, nil)
	s.makeTopic("T", 1, "")
	s.fill("T", "m", 10)
	h := popHeader("T")
	h.MaxMsgNums, h.InitMode = 4, initModeMin
	if got := s.pop(h); len(got) != 4 {
		t.Fatalf("%d are popped", len(got))
	}
	lag := func() map[string]TopicLag {
		m := map[string]TopicLag{}
		for _, l := range s.Lag("g") {
			m[l.Topic] = l
		}
		return m
	}
	oldest, _ := s.store.StoreTimeAt("T", 0, 0)
	if l := lag()["T"]; l.Messages != 10 || l.InFlight != 4 || l.Oldest != oldest || l.Estimate {
		t.Errorf("with four popped: %+v", l)
	}
	s.pass(time.Duration(h.InvisibleTime+1000) * time.Millisecond)
	s.await("the messages to come again", func() bool {
		l := lag() // what is put again counts once it is dispatched
		return l["T"].InFlight == 0 && l["%RETRY%g_T"].Messages >= 4
	})
	if l := lag(); l["T"].Messages != 6 || l["%RETRY%g_T"].Messages != 4 {
		t.Errorf("after the invisible time: %+v", l)
	}
}
