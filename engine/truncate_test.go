package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// lineage is a master's log in memory, of which a follower has a prefix: what is
// put after a cut is another history.
type lineage struct {
	t     testing.TB
	rng   *rand.Rand
	dir   string
	store *Store
	ends  []message.PhyOffset // of the records
}

// fork is a master that has the first n messages of another one.
func (l *lineage) fork(n int) *lineage {
	l.t.Helper()
	f := &lineage{t: l.t, rng: l.rng, ends: append([]message.PhyOffset(nil), l.ends[:n]...)}
	dir := l.t.TempDir()
	s := open(l.t, dir, Options{CommitLogFileSize: 64 << 10, Following: true})
	end := message.PhyOffset(0)
	if n > 0 {
		end = l.ends[n-1]
	}
	for at := message.PhyOffset(0); at < end; {
		raw, release, err := l.store.ReadRaw(at, int(end-at))
		if err != nil {
			l.t.Fatal(err)
		}
		if err := s.AppendRaw(at, raw); err != nil {
			l.t.Fatal(err)
		}
		at += message.PhyOffset(len(raw))
		release()
	}
	if err := s.Close(); err != nil {
		l.t.Fatal(err)
	}
	f.store = open(l.t, dir, Options{CommitLogFileSize: 64 << 10})
	return f
}

func (l *lineage) put(n int) {
	l.t.Helper()
	for range n {
		i := len(l.ends)
		r := l.store.Put(newMessage("T", int32(i%3), fmt.Sprint("k", i), fmt.Appendf(nil, "%d %d %0*d", i, l.rng.Uint32(), 1+l.rng.IntN(1500), 0)))
		if r.Status != PutOK {
			l.t.Fatal(r)
		}
		l.ends = append(l.ends, l.store.MaxPhyOffset())
	}
}

// copyTo gives a follower what it lacks.
func (l *lineage) copyTo(s *Store) {
	l.t.Helper()
	if err := l.tryCopyTo(s); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lineage) tryCopyTo(s *Store) error {
	for at := s.MaxPhyOffset(); at < l.store.ConfirmOffset(); {
		raw, release, err := l.store.ReadRaw(at, 1<<30)
		if err != nil {
			return err
		}
		err = s.AppendRaw(at, raw)
		at += message.PhyOffset(len(raw))
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// check compares what can be read from a follower.
func (l *lineage) check(s *Store) {
	l.t.Helper()
	for queue := range int32(3) {
		if got, want := s.MaxOffset("T", queue), l.store.MaxOffset("T", queue); got != want {
			l.t.Fatalf("queue %d ends at %d, want %d", queue, got, want)
		}
		for off := message.QueueOffset(0); off < s.MaxOffset("T", queue); off++ {
			var have, want GetResult
			req := &GetRequest{Topic: "T", QueueID: queue, Offset: off, MaxMsgs: 1}
			s.Get(req, &have)
			l.store.Get(req, &want)
			if have.Count != 1 || string(have.Segments[0]) != string(want.Segments[0]) {
				l.t.Fatalf("queue %d offset %d: %v, %d messages", queue, off, have.Status, have.Count)
			}
			have.Release()
			want.Release()
		}
	}
}

// found counts the messages that the index has of a key.
func found(t *testing.T, s *Store, key string) int {
	t.Helper()
	res, err := s.QueryByKey("T", key, 10, 0, 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	return len(res.Offsets)
}

func TestTruncate(t *testing.T) {
	first := &lineage{t: t, rng: rand.New(rand.NewPCG(1, 1)), store: open(t, t.TempDir(), Options{CommitLogFileSize: 64 << 10})}
	first.put(200)
	for _, flush := range []FlushDiskType{AsyncFlush, SyncFlush} {
		for _, keep := range []int{199, 150, 30, 1, 0} {
			second := first.fork(keep)
			second.put(120)
			dir := t.TempDir()
			opts := small()
			opts.CommitLogFileSize, opts.Following, opts.FlushDiskType = 64<<10, true, flush
			s := open(t, dir, opts)
			first.copyTo(s)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			dispatched(t, s)
			end := message.PhyOffset(0)
			if keep > 0 {
				end = first.ends[keep-1]
			}
			if err := s.Truncate(end + 5); err == nil {
				t.Fatal("a log is cut within a record")
			}
			if err := s.Truncate(end); err != nil {
				t.Fatal(err)
			}
			if s.MaxPhyOffset() != end || s.ReputOffset() > end {
				t.Fatalf("cut to %d the log ends at %d and is dispatched up to %d", end, s.MaxPhyOffset(), s.ReputOffset())
			}
			if n := found(t, s, "k199"); n > 0 {
				t.Errorf("keep %d: the index has a message that is gone", keep)
			}
			second.copyTo(s)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			dispatched(t, s)
			second.check(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			report, err := Check(dir, &opts, nil)
			if err != nil || report.Found > 0 {
				t.Fatalf("keep %d: %v, %v", keep, err, report)
			}
			s = open(t, dir, opts)
			second.check(s)
		}
	}
}

// TestPowerLossWithinTruncate, at each call to the file system: the log is whole
// or cut, and from the cut on nothing of what was behind comes back.
func TestPowerLossWithinTruncate(t *testing.T) {
	first := &lineage{t: t, rng: rand.New(rand.NewPCG(2, 2)), store: open(t, t.TempDir(), Options{CommitLogFileSize: 64 << 10})}
	first.put(120)
	second := first.fork(60)
	second.put(80)
	point := first.ends[59]
	for _, flush := range []FlushDiskType{AsyncFlush, SyncFlush} {
		for at := 1; ; at++ {
			seed := uint64(at)
			fs := vfs.NewCrashFS(seed)
			faulty := vfs.NewFaultFS(fs, nil)
			opts := small()
			opts.CommitLogFileSize, opts.Following, opts.FS, opts.FlushDiskType = 64<<10, true, faulty, flush
			// Nothing but the cut is to be under way.
			opts.ScrubBytesPerSecond, opts.FlushInterval, opts.FlushQueueInterval = -1, time.Hour, time.Hour
			s, err := Open("/store", &opts)
			if err != nil {
				t.Fatal(err)
			}
			first.copyTo(s)
			dispatched(t, s)
			var after *vfs.CrashFS
			faulty.SetRules(vfs.Rule{Op: vfs.OpAny, Nth: at, Do: func(vfs.Call) { after = fs.Crash(seed) }})
			if err := s.Truncate(point); err != nil {
				t.Fatalf("call %d: %v", at, err)
			}
			faulty.SetRules()
			_ = s.Close() // into the void
			if after == nil {
				if at < 10 {
					t.Fatalf("only %d calls", at)
				}
				fs.Discard()
				break
			}
			opts.FS = after
			if s, err = Open("/store", &opts); err != nil {
				t.Fatalf("call %d: %v", at, err)
			}
			if end := s.MaxPhyOffset(); end < point {
				t.Fatalf("call %d: the log ends at %d, before the cut", at, end)
			} else if err := s.Truncate(point); err != nil {
				t.Fatalf("call %d: %v", at, err)
			}
			second.copyTo(s)
			dispatched(t, s)
			second.check(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if report, err := Check("/store", &opts, nil); err != nil || report.Found > 0 {
				t.Fatalf("call %d: %v, %+v", at, err, report)
			}
			fs.Discard()
			after.Discard()
			if testing.Short() {
				at += 5
			}
		}
	}
}

// TestConfirmedOnly: nothing beyond the confirm offset is shown, over restarts
// too, and a store that becomes a master numbers its messages behind all it has.
func TestConfirmedOnly(t *testing.T) {
	first := &lineage{t: t, rng: rand.New(rand.NewPCG(3, 3)), store: open(t, t.TempDir(), Options{CommitLogFileSize: 64 << 10})}
	first.put(90)
	dir := t.TempDir()
	opts := small()
	opts.CommitLogFileSize, opts.Following, opts.ConfirmedOnly = 64<<10, true, true
	s := open(t, dir, opts)
	first.copyTo(s)
	shown := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			sum := 0
			for queue := range int32(3) {
				sum += int(s.MaxOffset("T", queue))
			}
			if sum == n {
				return
			}
			if sum > n || time.Now().After(deadline) {
				t.Fatalf("%d messages are shown, want %d", sum, n)
			}
		}
	}
	shown(0)
	s.Confirm(first.ends[29])
	shown(30)
	s.Confirm(first.ends[40] + 7) // within a record
	shown(41)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if report, err := Check(dir, &opts, nil); err != nil || report.Found > 0 {
			t.Fatalf("%v, %+v", err, report)
		}
		s = open(t, dir, opts)
		shown(41)
		if s.MaxPhyOffset() != first.store.MaxPhyOffset() {
			t.Fatalf("the log ends at %d", s.MaxPhyOffset())
		}
	}
	s.Confirm(first.ends[50])
	shown(51)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	opts.Following = false
	s = open(t, dir, opts)
	r := s.Put(newMessage("T", 0, "k", []byte("next")))
	if r.Status != PutOK || r.QueueOffset != 30 {
		t.Fatalf("%+v", r)
	}
	shown(51)
	s.Confirm(1 << 62)
	shown(91)
	if n := found(t, s, "k89"); n != 1 {
		t.Errorf("the index has %d entries of the last message", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Check(dir, &opts, nil)
	if err != nil || report.Found > 0 {
		t.Fatalf("%v, %+v", err, report)
	}
}
