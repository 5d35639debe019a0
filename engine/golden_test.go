package engine

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/message"
)

// javaOptions are the sizes that the golden stores were written with.
func javaOptions(man *golden.StoreManifest) Options {
	number := func(key string, or int64) int64 {
		if v, err := strconv.ParseInt(man.BrokerConfig[key], 10, 64); err == nil {
			return v
		}
		return or
	}
	return Options{
		CommitLogFileSize:    number("mappedFileSizeCommitLog", 1<<20),
		ConsumeQueueFileSize: number("mappedFileSizeConsumeQueue", 4000),
		IndexSlots:           int(number("maxHashSlotNum", 100)), IndexEntries: int(number("maxIndexNum", 400)),
		FileReservedTime: 1_000_000 * time.Hour, CleanInterval: time.Hour,
	}
}

// special tells whether the consume queue of a topic is not a plain one in a
// store with features that are off by default.
func special(store, topic string, q *consumequeue.ConsumeQueue) bool {
	return store == golden.Ext && q == nil
}

// Each store that Java wrote opens, and every message, queue, index hit and
// lookup by time is as its manifest says; after our clean stop once more.
func TestGoldenStores(t *testing.T) {
	for _, name := range []string{golden.Clean, golden.V2, golden.IPv6, golden.Ext} {
		t.Run(name, func(t *testing.T) {
			man := golden.Manifest(t, name)
			dir := golden.Store(t, name)
			opts := javaOptions(man)
			for range 2 {
				s := open(t, dir, opts)
				if got := int64(s.MaxPhyOffset()); got != man.CommitLog.End {
					t.Errorf("the log ends at %d, want %d", got, man.CommitLog.End)
				}
				goldenMessages(t, name, s, man)
				goldenQueues(t, s, man)
				goldenQueries(t, s, man.BrokerFacts)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func goldenMessages(t *testing.T, name string, s *Store, man *golden.StoreManifest) {
	t.Helper()
	for _, m := range man.Messages {
		ref, err := s.RecordAt(message.PhyOffset(m.Offset))
		if err != nil {
			t.Fatalf("record at %d: %v", m.Offset, err)
		}
		if r := ref.Record(); string(r.Topic()) != m.Topic || int64(r.QueueOffset()) != m.QueueOffset || r.BodyCRC() != m.BodyCRC || len(r) != m.Size {
			t.Errorf("record at %d is %s %d", m.Offset, r.Topic(), r.QueueOffset())
		}
		ref.Release()
		q := s.queues.Queue(m.Topic, m.QueueID)
		if m.CqTagsCode == nil || special(name, m.Topic, q) {
			continue
		}
		u, ok := s.unitAt(m.Topic, m.QueueID, message.QueueOffset(m.QueueOffset))
		want := consumequeue.Unit{Offset: message.PhyOffset(m.Offset), Size: int32(m.Size), TagsCode: *m.CqTagsCode}
		if !ok || u != want {
			t.Errorf("%s queue %d entry %d is %+v, want %+v", m.Topic, m.QueueID, m.QueueOffset, u, want)
		}
	}
}

// goldenQueues compares the ends of all queues with their files; what the
// running broker answered is older for topics that it writes to by itself.
func goldenQueues(t *testing.T, s *Store, man *golden.StoreManifest) {
	t.Helper()
	for topic, queues := range man.ConsumeQueues {
		for id, want := range queues {
			n, _ := strconv.ParseInt(id, 10, 32)
			minOff, maxOff := s.MinOffset(topic, int32(n)), s.MaxOffset(topic, int32(n))
			if int64(minOff) != want.FirstEntry || int64(maxOff) != want.NextOffset {
				t.Errorf("%s queue %s is %d to %d, want %d to %d", topic, id, minOff, maxOff, want.FirstEntry, want.NextOffset)
			}
			if next := s.NextOffset(topic, int32(n)); next != maxOff {
				t.Errorf("%s queue %s goes on at %d", topic, id, next)
			}
		}
	}
}

func goldenQueries(t *testing.T, s *Store, facts golden.BrokerFacts) {
	t.Helper()
	for _, q := range facts.KeyQueries {
		limit := q.MaxNum
		if limit == 0 || (q.Unique != nil && *q.Unique) {
			limit = 32
		}
		res, err := s.QueryByKey(q.Topic, q.Key, limit, 0, 1<<62)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, off := range res.Offsets {
			got = append(got, int64(off))
		}
		if !slices.Equal(got, q.Offsets) {
			t.Errorf("key %s of %s finds %v, want %v", q.Key, q.Topic, got, q.Offsets)
		}
	}
	for _, q := range facts.TimestampQueries {
		if s.queues.Queue(q.Topic, q.QueueID) == nil {
			continue
		}
		for _, row := range q.Rows {
			for i, b := range []consumequeue.Boundary{consumequeue.Lower, consumequeue.Upper} {
				off, err := s.OffsetByTime(q.Topic, q.QueueID, row[0], b)
				if err != nil || int64(off) != row[1+i] {
					t.Errorf("%s queue %d at %d, boundary %d: %d, want %d (%v)", q.Topic, q.QueueID, row[0], i, off, row[1+i], err)
				}
			}
		}
		if at, _ := s.EarliestTime(q.Topic, q.QueueID); q.EarliestMsgStoreTime > 0 && at != q.EarliestMsgStoreTime {
			t.Errorf("%s queue %d begins at %d, want %d", q.Topic, q.QueueID, at, q.EarliestMsgStoreTime)
		}
	}
}

// The killed broker's store recovers to what Java's own recovery arrives at,
// with every message that a producer had an answer for.
func TestGoldenCrashed(t *testing.T) {
	man := golden.Manifest(t, golden.Crashed)
	s := open(t, golden.Store(t, golden.Crashed), javaOptions(man))
	recoveredAsJava(t, s, man.RecoveredByJavaStore.AfterStartAndDispatch)
	if got := int64(s.MaxPhyOffset()); got <= man.Client.HighestAcknowledgedOffset {
		t.Errorf("the log ends at %d, acknowledged were messages up to %d", got, man.Client.HighestAcknowledgedOffset)
	}
	goldenMessages(t, golden.Crashed, s, man)
	goldenQueries(t, s, man.RecoveredByJavaBroker)
}

func recoveredAsJava(t *testing.T, s *Store, want golden.StoreState) {
	t.Helper()
	if int64(s.MinPhyOffset()) != want.MinPhyOffset || int64(s.MaxPhyOffset()) != want.MaxPhyOffset {
		t.Errorf("the log is %d to %d, Java's %d to %d", s.MinPhyOffset(), s.MaxPhyOffset(), want.MinPhyOffset, want.MaxPhyOffset)
	}
	for topic, queues := range want.Queues {
		for id, q := range queues {
			n, _ := strconv.ParseInt(id, 10, 32)
			minOff, maxOff := s.MinOffset(topic, int32(n)), s.MaxOffset(topic, int32(n))
			if int64(minOff) != q.MinOffset || int64(maxOff) != q.MaxOffset {
				t.Errorf("%s queue %s is %d to %d, Java's %d to %d", topic, id, minOff, maxOff, q.MinOffset, q.MaxOffset)
			}
		}
	}
}

func setQueue(s golden.StoreState, topic string, change func(*golden.QueueState)) {
	q := s.Queues[topic]["0"]
	change(&q)
	s.Queues[topic]["0"] = q
}

// Each damage of the killed broker's store is survived as Java does, or better
// where noted.
func TestGoldenTorn(t *testing.T) {
	man := golden.Manifest(t, golden.Crashed)
	for _, v := range golden.TornVariants(t) {
		t.Run(v.Name, func(t *testing.T) {
			opts := javaOptions(man)
			s, err := Open(golden.TornStore(t, v), &opts)
			if err != nil {
				if v.RecoveredByJavaStore.LoadReturned {
					t.Fatalf("refused, Java does not: %v (%s)", err, v.Description)
				}
				return
			}
			defer s.Close()
			if !v.RecoveredByJavaStore.LoadReturned {
				t.Logf("opened, Java refuses (%s)", v.Description)
				return
			}
			want := v.RecoveredByJavaStore.AfterStartAndDispatch
			switch v.Name {
			case "cq-first-file-gone":
				// Java leaves the queue to begin with its second file; ours
				// begins where the log is dispatched again.
				setQueue(want, "GT_crash1", func(q *golden.QueueState) { q.MinOffset = 168 })
			case "bitflip-topic":
				// Java believes the entry of the message that is now of
				// another topic; ours are built again from the log.
				setQueue(want, "GT_crash", func(q *golden.QueueState) { q.MaxOffset = 148 })
			}
			want.MinPhyOffset = max(want.MinPhyOffset, 0) // Java's -1 is an empty log
			recoveredAsJava(t, s, want)
		})
	}
}
