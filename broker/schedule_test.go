package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/histories"
	"github.com/rocketlog/rocketlog/message"
)

// emptyStore has nothing.
type emptyStore struct{ scheduleStore }

func (emptyStore) MinOffset(string, int32) message.QueueOffset { return 0 }
func (emptyStore) MaxOffset(string, int32) message.QueueOffset { return 1 << 40 }

// memoryStore holds the schedule topic in memory and takes what is delivered.
type memoryStore struct {
	mu        sync.Mutex
	queues    map[int32][]memoryEntry
	delivered []deliveredMessage
	refuse    error
	flushed   int // deliveries that are on disk
	gets      int
}

type memoryEntry struct {
	due    int64
	record []byte
}

type deliveredMessage struct {
	topic string
	queue int32
	body  string
	at    int64
}

func newMemoryStore() *memoryStore { return &memoryStore{queues: map[int32][]memoryEntry{}} }

// delay stores a message at a level.
func (s *memoryStore) delay(level int32, topic, body string, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := message.Message{
		Topic: message.ScheduleTopic, QueueID: level - 1, Body: []byte(body), StoreTimestamp: time.Now().UnixMilli(),
		QueueOffset: message.QueueOffset(len(s.queues[level-1])),
	}
	if topic != "" {
		m.Properties = message.AppendProperty(message.AppendProperty(nil, message.PropertyRealTopic, topic), message.PropertyRealQueueID, "3")
	}
	b := make([]byte, m.RecordSize())
	message.EncodeRecord(b, &m, message.BodyCRC(m.Body))
	s.queues[level-1] = append(s.queues[level-1], memoryEntry{time.Now().Add(delay).UnixMilli(), b})
}

func (s *memoryStore) Get(req *engine.GetRequest, res *engine.GetResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	q := s.queues[req.QueueID]
	res.Status, res.NextOffset, res.Segments = engine.NoMatchedMessage, req.Offset, nil
	res.MaxOffset = message.QueueOffset(len(q))
	if req.Offset >= res.MaxOffset {
		res.Status = engine.OffsetOverflowOne
		return
	}
	for _, e := range q[req.Offset:] {
		if len(res.Segments) == req.MaxMsgs {
			break
		}
		res.NextOffset++
		if !req.Filter.MatchTags(e.due) {
			continue
		}
		res.Status = engine.Found
		res.Segments = append(res.Segments, e.record)
	}
}

func (s *memoryStore) PutAsync(m *message.Message, done engine.Completion) {
	s.mu.Lock()
	r := engine.PutResult{Status: engine.PutOK}
	if s.refuse != nil {
		r = engine.PutResult{Status: engine.ServiceNotAvailable, Err: s.refuse}
	} else {
		s.delivered = append(s.delivered, deliveredMessage{m.Topic, m.QueueID, string(m.Body), time.Now().UnixMilli()})
	}
	s.mu.Unlock()
	done.PutDone(r)
}

func (s *memoryStore) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = len(s.delivered)
	return nil
}

// end is where the log ends, as if a message were a byte.
func (s *memoryStore) end() message.PhyOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return message.PhyOffset(len(s.delivered))
}

// lose is a power loss, and returns what it took.
func (s *memoryStore) lose() []deliveredMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := slices.Clone(s.delivered[s.flushed:])
	s.delivered = s.delivered[:s.flushed]
	return lost
}

func (s *memoryStore) MinOffset(string, int32) message.QueueOffset { return 0 }

func (s *memoryStore) MaxOffset(_ string, queue int32) message.QueueOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return message.QueueOffset(len(s.queues[queue]))
}

func (s *memoryStore) taken() []deliveredMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.delivered)
}

func newTestScheduler(t *testing.T, store scheduleStore, levels ...time.Duration) *scheduler {
	f, _ := statetest.File(t, "delayOffset.json")
	s := newScheduler(f, levels, time.Now, slog.New(slog.DiscardHandler), func() {})
	s.store = store
	return s
}

// Messages come when they are due, never before, in the order of their level, and to where they were meant for.
func TestScheduleDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		levels := []time.Duration{time.Second, 10 * time.Second, time.Hour}
		s := newTestScheduler(t, store, levels...)
		if err := s.load(); err != nil {
			t.Fatal(err)
		}
		s.start()
		defer s.close()
		due := map[string]int64{}
		for i := range 300 {
			level := rand.Int32N(3) + 1
			body := fmt.Sprintf("%d-%d", level, i)
			store.delay(level, "orders", body, levels[level-1])
			due[body] = time.Now().Add(levels[level-1]).UnixMilli()
			s.arrived()
			time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		}
		time.Sleep(2 * time.Hour)
		got := store.taken()
		if len(got) != 300 {
			t.Fatalf("%d delivered", len(got))
		}
		last := map[byte]int{}
		for _, m := range got {
			if m.topic != "orders" || m.queue != 3 {
				t.Fatalf("delivered to %s/%d", m.topic, m.queue)
			}
			if late := m.at - due[m.body]; late < 0 || late > 10 {
				t.Errorf("%s came %d ms late", m.body, late)
			}
			n, _ := strconv.Atoi(m.body[2:])
			if n < last[m.body[0]] {
				t.Errorf("%s came out of order", m.body)
			}
			last[m.body[0]] = n
		}
	})
}

// A scheduler with nothing to do does nothing.
func TestScheduleSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		s := newTestScheduler(t, store, time.Second, time.Hour)
		s.start()
		defer s.close()
		store.delay(2, "orders", "x", time.Hour)
		s.arrived()
		synctest.Wait()
		store.mu.Lock()
		before := store.gets
		store.mu.Unlock()
		time.Sleep(59 * time.Minute)
		store.mu.Lock()
		defer store.mu.Unlock()
		if store.gets != before {
			t.Errorf("looked %d times while nothing was due", store.gets-before)
		}
	})
}

// What cannot be stored is tried again, in order; what can never be is passed over and holds nothing up.
func TestScheduleFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		store.refuse = errors.New("the disk is full")
		s := newTestScheduler(t, store, time.Second)
		s.start()
		defer s.close()
		store.delay(1, "orders", "a", time.Second)
		store.delay(1, "", "poison", time.Second)
		store.delay(1, message.HalfTopic, "half", time.Second)
		store.delay(1, "orders", "b", time.Second)
		s.arrived()
		time.Sleep(10*time.Second + 500*time.Millisecond) // between two tries
		if len(store.taken()) != 0 || s.offset(1) != 0 {
			t.Fatalf("delivered to a full disk, or passed over: offset %d", s.offset(1))
		}
		store.mu.Lock()
		store.refuse = nil
		store.mu.Unlock()
		time.Sleep(2 * time.Second)
		var bodies []string
		for _, m := range store.taken() {
			bodies = append(bodies, m.body)
		}
		if !slices.Equal(bodies, []string{"a", "b"}) || s.offset(1) != 4 {
			t.Errorf("delivered %q, offset %d", bodies, s.offset(1))
		}
	})
}

// A message due further away than its level allows is delivered at once: the clock was set back.
func TestScheduleClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		s := newTestScheduler(t, store, time.Minute, time.Minute)
		s.start()
		defer s.close()
		store.delay(1, "orders", "x", time.Hour)
		store.delay(2, "orders", "y", time.Minute+time.Second) // one that is set back by a second makes nothing come early
		s.arrived()
		synctest.Wait()
		if got := store.taken(); len(got) != 1 || got[0].body != "x" {
			t.Fatalf("%v came at once", got)
		}
		time.Sleep(time.Minute + 2*time.Second)
		if got := store.taken(); len(got) != 2 || got[1].at != got[0].at+61_000 {
			t.Errorf("then %v came", got)
		}
	})
}

// Through kills and power losses at any time every message comes, never early, in the order of its level but for what a
// power loss makes come again; and a kill repeats no more than a batch of each level.
func TestScheduleAcrossCrashes(t *testing.T) {
	histories.Each(t, 6, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { scheduleHistory(t, rand.New(rand.NewPCG(seed, 3))) })
	})
}

// historySchedule are the delays of these histories.
var historySchedule = []time.Duration{time.Second, 3 * time.Second, 20 * time.Second}

func scheduleHistory(t *testing.T, rng *rand.Rand) {
	f, fsys := statetest.File(t, "delayOffset.json")
	store := newMemoryStore()
	due, seen := map[string]int64{}, map[string]int{}
	last := make([]int, len(historySchedule)+1) // by level, the number that came last
	judged, kills, losses := 0, 0, 0
	judge := func() {
		for _, m := range store.taken()[judged:] {
			judged++
			var level, n int
			if _, err := fmt.Sscanf(m.body, "%d-%d", &level, &n); err != nil {
				t.Fatal(err)
			}
			if m.at < due[m.body] {
				t.Fatalf("%s comes %d ms early", m.body, due[m.body]-m.at)
			}
			if seen[m.body] == 0 && n > last[level]+1 {
				t.Fatalf("%s comes behind %d-%d", m.body, level, last[level])
			}
			seen[m.body]++
			last[level] = max(last[level], n)
		}
	}
	var s *scheduler
	open := func() {
		s = newScheduler(state.NewFile(fsys, f.Name()), historySchedule, time.Now, slog.New(slog.DiscardHandler), func() {})
		s.store = store
		var err error
		if s.progress, err = openDelayProgress(fsys, "/store/delayprogress", store.end); err != nil {
			t.Fatal(err)
		}
		if err := s.load(); err != nil {
			t.Fatal(err)
		}
		s.start()
	}
	open()
	counts := make([]int, len(historySchedule)+1)
	for range 100 {
		switch rng.IntN(12) {
		case 0:
			if err := s.persist(); err != nil {
				t.Fatal(err)
			}
		case 1:
			next := fsys.Kill()
			s.close()
			fsys = next
			kills++
			open()
		case 2: // of what was delivered only that stays which was on disk
			synctest.Wait()
			s.close()
			judge()
			fsys = fsys.Crash(rng.Uint64())
			for _, m := range store.lose() {
				seen[m.body]--
			}
			judged = len(store.taken())
			losses++
			open()
		default:
			for range rng.IntN(2 * scheduleBatch) {
				level := 1 + rng.Int32N(int32(len(historySchedule)))
				counts[level]++
				body := fmt.Sprintf("%d-%d", level, counts[level])
				due[body] = time.Now().Add(historySchedule[level-1]).UnixMilli()
				store.delay(level, "orders", body, historySchedule[level-1])
			}
			s.arrived()
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		judge()
	}
	time.Sleep(time.Minute)
	s.close()
	judge()
	again := 0
	for body := range due {
		if seen[body] < 1 {
			t.Errorf("%s never comes", body)
		}
		again += max(seen[body]-1, 0)
	}
	if most := kills * scheduleBatch; losses == 0 && again > most {
		t.Errorf("%d deliveries are repeated, %d kills may repeat %d", again, kills, most)
	}
}

func TestDelayLevels(t *testing.T) {
	levels, err := parseDelayLevels(defaultDelayLevels)
	if err != nil || !slices.Equal(levels, engine.DefaultDelayLevels) {
		t.Errorf("%v, %v", levels, err)
	}
	for _, text := range []string{"1", "s", "1x", "1s -2s", "1s 2.5s", "99999999999s"} {
		if _, err := parseDelayLevels(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
