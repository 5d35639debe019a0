package schedule

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/histories"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// emptyStore has nothing.
type emptyStore struct{ Store }

func (emptyStore) MinOffset(string, int32) message.QueueOffset { return 0 }

func (emptyStore) MaxOffset(string, int32) message.QueueOffset { return 1 << 40 }

func newTestScheduler(t *testing.T, store Store, levels ...time.Duration) *Scheduler {
	f, _ := statetest.File(t, "delayOffset.json")
	s := New(f, levels, time.Now, slog.New(slog.DiscardHandler), func() {})
	s.store = store
	return s
}

// Messages come when they are due, never before, in the order of their level, and to where they were meant for.
func TestScheduleDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemoryStore()
		levels := []time.Duration{time.Second, 10 * time.Second, time.Hour}
		s := newTestScheduler(t, store, levels...)
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		s.Start()
		defer s.Close()
		due := map[string]int64{}
		for i := range 300 {
			level := rand.Int32N(3) + 1
			body := fmt.Sprintf("%d-%d", level, i)
			store.delay(level, "orders", body, levels[level-1])
			due[body] = time.Now().Add(levels[level-1]).UnixMilli()
			s.Arrived()
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
		s.Start()
		defer s.Close()
		store.delay(2, "orders", "x", time.Hour)
		s.Arrived()
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
		s.Start()
		defer s.Close()
		store.delay(1, "orders", "a", time.Second)
		store.delay(1, "", "poison", time.Second)
		store.delay(1, message.HalfTopic, "half", time.Second)
		store.delay(1, "orders", "b", time.Second)
		s.Arrived()
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
		s.Start()
		defer s.Close()
		store.delay(1, "orders", "x", time.Hour)
		store.delay(2, "orders", "y", time.Minute+time.Second) // one that is set back by a second makes nothing come early
		s.Arrived()
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
	var s *Scheduler
	open := func() {
		s = New(state.NewFile(fsys, f.Name()), historySchedule, time.Now, slog.New(slog.DiscardHandler), func() {})
		s.store = store
		var err error
		if s.progress, err = openProgress(fsys, "/store/delayprogress", store.end); err != nil {
			t.Fatal(err)
		}
		if err := s.Load(); err != nil {
			t.Fatal(err)
		}
		s.Start()
	}
	open()
	counts := make([]int, len(historySchedule)+1)
	for range 100 {
		switch rng.IntN(12) {
		case 0:
			if err := s.Persist(); err != nil {
				t.Fatal(err)
			}
		case 1:
			next := fsys.Kill()
			s.Close()
			fsys = next
			kills++
			open()
		case 2: // of what was delivered only that stays which was on disk
			synctest.Wait()
			s.Close()
			judge()
			fsys = fsys.Crash(rng.Uint64())
			for _, m := range store.lose() {
				seen[m.body]--
			}
			judged = len(store.taken())
			losses++
			open()
		default:
			for range rng.IntN(2 * batchMax) {
				level := 1 + rng.Int32N(int32(len(historySchedule)))
				counts[level]++
				body := fmt.Sprintf("%d-%d", level, counts[level])
				due[body] = time.Now().Add(historySchedule[level-1]).UnixMilli()
				store.delay(level, "orders", body, historySchedule[level-1])
			}
			s.Arrived()
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		judge()
	}
	time.Sleep(time.Minute)
	s.Close()
	judge()
	again := 0
	for body := range due {
		if seen[body] < 1 {
			t.Errorf("%s never comes", body)
		}
		again += max(seen[body]-1, 0)
	}
	if most := kills * batchMax; losses == 0 && again > most {
		t.Errorf("%d deliveries are repeated, %d kills may repeat %d", again, kills, most)
	}
}

// Java's file loads, and what is saved again means the same.
func TestGoldenDelayOffsets(t *testing.T) {
	f := state.NewFile(vfs.OS, filepath.Join(golden.Store(t, golden.Clean), "config", "delayOffset.json"))
	s := New(f, nil, time.Now, slog.New(slog.DiscardHandler), func() {})
	s.store = emptyStore{}
	if err := s.Load(); err != nil || s.Snapshot().OffsetTable[1] == 0 {
		t.Fatalf("loaded %+v, %v", s.Snapshot(), err)
	}
	want := statetest.JSON(t, f)
	again := state.NewFile(vfs.OS, filepath.Join(t.TempDir(), "again.json"))
	if err := again.Write(s.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if got := statetest.JSON(t, again); !reflect.DeepEqual(want, got) {
		t.Errorf("saved again it differs\n%s", statetest.Difference(want, got, ""))
	}
}
