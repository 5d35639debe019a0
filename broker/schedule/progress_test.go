package schedule

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// openTestScheduler opens a scheduler of one level with what a disk has, below a log whose end may move.
func openTestScheduler(t *testing.T, fsys vfs.FS, store Store, end *message.PhyOffset) *Scheduler {
	t.Helper()
	s := newTestScheduler(t, store, time.Second)
	var err error
	if s.progress, err = openProgress(fsys, "delayprogress", func() message.PhyOffset { return *end }); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A scheduler that is killed again and again, long before delayOffset.json is written, delivers each message once; after a
// power loss that took deliveries it delivers those again.
func TestScheduleKilled(t *testing.T) {
	fsys := vfs.NewCrashFS(1)
	store := newMemoryStore()
	const messages = 20 * batchMax
	for i := range messages {
		store.delay(1, "T", strconv.Itoa(i), 0)
	}
	end := message.PhyOffset(1000)
	open := func() *Scheduler { return openTestScheduler(t, fsys, store, &end) }
	kills := 0
	for ; len(store.taken()) < messages; kills++ {
		s := open()
		end += 100
		s.deliverLevel(1, time.Now().UnixMilli()+5000)
		s.progress.file.Close()
		fsys = fsys.Kill()
		if kills > messages {
			t.Fatal("it never ends")
		}
	}
	if got := len(store.taken()); got != messages || kills < 10 {
		t.Fatalf("%d deliveries of %d messages with %d kills", got, messages, kills)
	}
	if s := open(); s.offset(1) != messages {
		t.Fatalf("the next process begins at %d", s.offset(1))
	}
	end -= 200 // the log is shorter than when the last deliveries were noted
	if s := open(); s.offset(1) != 0 {
		t.Fatalf("after a power loss it begins at %d", s.offset(1))
	}
}

// What a power loss took is not believed later, when the log has grown past where it ended, whether the process is killed
// then or the power fails again.
func TestStaleDelayProgress(t *testing.T) {
	for seed := range uint64(20) {
		fsys := vfs.NewCrashFS(seed)
		store := newMemoryStore()
		store.delay(1, "T", "x", 0)
		end := message.PhyOffset(1000)
		open := func() *Scheduler { return openTestScheduler(t, fsys, store, &end) }
		s := open()
		s.deliverLevel(1, time.Now().UnixMilli()+5000)
		if err := s.progress.file.Sync(); err != nil { // the kernel may, at any time
			t.Fatal(err)
		}
		if err := fsys.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		crash := func() {
			s.progress.file.Close()
			if seed%2 == 0 {
				fsys = fsys.Kill()
			} else {
				fsys = fsys.Crash(seed)
			}
		}
		crash()
		end = 900 // the delivery is lost
		s = open()
		crash()
		end = 2000
		if s = open(); s.offset(1) != 0 {
			t.Fatalf("seed %d: the next process begins at %d", seed, s.offset(1))
		}
	}
}

func FuzzDelayProgress(f *testing.F) {
	f.Add(appendProgress(nil, 17, []int64{1, 2, 3}))
	f.Add(make([]byte, 16))
	f.Fuzz(func(t *testing.T, data []byte) {
		end, offsets, ok := ParseProgress(data)
		if !ok {
			return
		}
		again := appendProgress(nil, end, offsets)
		if !slices.Equal(again, data[:len(again)]) {
			t.Fatalf("%x is written as %x", data, again)
		}
	})
}
