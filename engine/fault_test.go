package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

// holds tells whether every acknowledged message is there; others, that were
// refused after they had reached the log, may be.
func holds(t *testing.T, s *Store, acked []sent) {
	t.Helper()
	dispatched(t, s)
	for _, m := range acked {
		ref, err := s.RecordAtQueue(m.topic, m.queue, m.res.QueueOffset)
		if err != nil || !bytes.Equal(ref.Record().Body(), m.body) || ref.Record().PhyOffset() != m.res.PhyOffset {
			t.Errorf("%s queue %d offset %d: %v", m.topic, m.queue, m.res.QueueOffset, err)
		}
		ref.Release()
		found, err := s.QueryByKey(m.topic, m.key, 64, 0, 1<<60)
		if err != nil || count(found.Offsets, m.res.PhyOffset) != 1 {
			t.Errorf("key %s finds the message at %d %d times: %v", m.key, m.res.PhyOffset, count(found.Offsets, m.res.PhyOffset), err)
		}
		if t.Failed() {
			return
		}
	}
}

// Under SyncFlush a put whose sync fails is not acknowledged, and neither is
// any later one; what was read before can still be read.
func TestFailedSyncRefusesPuts(t *testing.T) {
	opts := small()
	opts.FlushDiskType = SyncFlush
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	opts.FS = fs
	told := make(chan error, 1)
	opts.Listener = &EventListener{SyncFailed: func(err error) { told <- err }}
	s := open(t, "/store", opts)
	put(t, s, rand.New(rand.NewPCG(1, 1)), 100)
	dispatched(t, s)
	fs.SetRules(vfs.Rule{Op: vfs.OpSyncData, Path: "commitlog", Nth: 1, Err: syscall.EIO})
	for range 3 {
		res := s.Put(newMessage("T0", 0, "k", []byte("x")))
		if res.Status != ServiceNotAvailable || !errors.Is(res.Err, syscall.EIO) {
			t.Errorf("%v: %v", res.Status, res.Err)
		}
	}
	if err := <-told; !errors.Is(err, syscall.EIO) {
		t.Errorf("SyncFailed: %v", err)
	}
	if bodies, _ := consume(t, s, "T0", 0); len(bodies) == 0 {
		t.Error("nothing can be read")
	}
}

// A mark that is not written whole, be it the first one or over another, leaves
// none behind: neither a scrub nor a check takes it for a damage, and the next
// one is written.
func TestMarkCutShort(t *testing.T) {
	for _, before := range []int{0, 1} {
		t.Run(fmt.Sprintf("marks before=%d", before), func(t *testing.T) {
			opts := small()
			opts.MarkBytes = 1 << 40 // marks are made here
			disk := vfs.NewCrashFS(1)
			faulty := vfs.NewFaultFS(disk, nil)
			opts.FS = faulty
			var faults faultList
			opts.Listener = faults.listener()
			s := open(t, "/store", opts)
			put(t, s, rand.New(rand.NewPCG(1, 1)), 100)
			dispatched(t, s)
			for range before {
				must(t, s.mark())
				put(t, s, rand.New(rand.NewPCG(2, 2)), 100)
				dispatched(t, s)
			}
			faulty.SetRules(vfs.Rule{Op: vfs.OpWrite, Path: "/" + markName, Short: 50})
			if err := s.mark(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("mark: %v", err)
			}
			if found := scrubbed(t, s, &faults); len(found) > 0 {
				t.Errorf("the scrub finds %v", found)
			}
			killed := disk.Kill()
			t.Cleanup(func() { killed.Discard() })
			opts.FS = killed
			if report, err := Check("/store", &opts, nil); err != nil || report.Found > 0 {
				t.Errorf("check after a kill: %+v, %v", report, err)
			}
			faulty.SetRules()
			must(t, s.mark())
			if _, ok := s.readMark(); !ok {
				t.Error("no mark once the fault is gone")
			}
		})
	}
}

// A queue that cannot be written stalls dispatch and refuses puts until it can.
func TestStalledDispatch(t *testing.T) {
	opts := small()
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	opts.FS = fs
	stalls := make(chan error, 100)
	opts.Listener = &EventListener{DispatchStalled: func(err error) { stalls <- err }}
	s := open(t, "/store", opts)
	fs.SetRules(vfs.Rule{Op: vfs.OpMkdir, Path: "consumequeue", Nth: 1, On: true, Err: syscall.EIO},
		vfs.Rule{Op: vfs.OpOpen, Path: "consumequeue", Nth: 1, On: true, Err: syscall.EIO},
		vfs.Rule{Op: vfs.OpWrite, Path: "consumequeue", Nth: 1, On: true, Err: syscall.EIO})
	var sent int
	for s.Put(newMessage("T0", 0, "k", []byte("x"))).Status == PutOK {
		sent++
		if sent > 1_000_000 {
			t.Fatal("puts are never refused")
		}
	}
	if err := <-stalls; !errors.Is(err, syscall.EIO) {
		t.Fatalf("stalled by %v", err)
	}
	fs.SetRules()
	if err := <-stalls; err != nil {
		t.Fatalf("stalled again by %v", err)
	}
	dispatched(t, s)
	if got := int(s.MaxOffset("T0", 0)); got != sent {
		t.Errorf("%d of %d are dispatched", got, sent)
	}
}

// A put after a stall has the time at which it is stored, however fast the puts before it came and shared the clock.
func TestStalledDispatchLeavesTheClock(t *testing.T) {
	opts := small()
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	var now atomic.Int64
	now.Store(1_000_000)
	opts.FS, opts.Now = fs, func() time.Time { return time.UnixMilli(now.Load()) }
	stalls := make(chan error, 100)
	var s *Store
	busy := true // the dispatcher's
	opts.Listener = &EventListener{
		DispatchStalled: func(err error) { busy = false; stalls <- err },
		Arrived: func(Arrival) {
			if busy {
				s.log.ShareClock(1 << 20) // as the dispatcher does when it is
			}
		},
	}
	s = open(t, "/store", opts)
	fs.SetRules(vfs.Rule{Op: vfs.OpMkdir, Path: "consumequeue", Nth: 1, On: true, Err: syscall.EIO},
		vfs.Rule{Op: vfs.OpOpen, Path: "consumequeue", Nth: 1, On: true, Err: syscall.EIO},
		vfs.Rule{Op: vfs.OpWrite, Path: "consumequeue", Nth: 1, On: true, Err: syscall.EIO})
	for n := 0; s.Put(newMessage("T0", 0, "k", []byte("x"))).Status == PutOK; n++ {
		if n > 1_000_000 {
			t.Fatal("puts are never refused")
		}
	}
	<-stalls
	now.Store(2_000_000)
	fs.SetRules()
	for err := range stalls {
		if err == nil {
			break
		}
	}
	if res := s.Put(newMessage("T0", 0, "k", []byte("x"))); res.Status != PutOK || res.StoreTimestamp != 2_000_000 {
		t.Errorf("%+v", res)
	}
}

// Damaged files of each kind: the store opens and serves what the log has, or
// says which file is wrong.
func TestDamagedFiles(t *testing.T) {
	cut := func(path string) { must(t, os.Truncate(path, 100)) }
	garbage := func(path string) {
		info, err := os.Stat(path)
		must(t, err)
		b := make([]byte, info.Size())
		for i := range b {
			b[i] = byte(i*7 + 3)
		}
		must(t, os.WriteFile(path, b, 0o644))
	}
	remove := func(path string) { must(t, os.RemoveAll(path)) }
	for _, c := range []struct {
		name, path string
		damage     func(string)
		refused    bool // else all messages are there
	}{
		{"log cut", "commitlog/00000000000000000000", cut, true},
		{"queue file cut", "consumequeue/T0/0/00000000000000000000", cut, false},
		{"queue file garbage", "consumequeue/T0/0/00000000000000000000", garbage, false},
		{"queue gone", "consumequeue/T0/0", remove, false},
		{"all queues gone", "consumequeue", remove, false},
		{"checkpoint cut", "checkpoint", cut, false},
		{"checkpoint garbage", "checkpoint", garbage, false},
		{"waymark garbage", "waymark", garbage, false},
		{"waymark gone", "waymark", remove, false},
	} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/killed=%v", c.name, killed), func(t *testing.T) {
				dir := t.TempDir()
				opts := small()
				s := open(t, dir, opts)
				all := put(t, s, rand.New(rand.NewPCG(1, 1)), 200)
				dispatched(t, s)
				must(t, s.Close())
				if killed {
					must(t, os.WriteFile(filepath.Join(dir, abortName), nil, 0o644))
				}
				if strings.HasPrefix(c.name, "waymark") {
					remove(filepath.Join(dir, waymarkName+".bak"))
				}
				c.damage(filepath.Join(dir, c.path))
				s, err := Open(dir, &opts)
				if c.refused {
					if err == nil || !strings.Contains(err.Error(), c.path) {
						t.Errorf("opened, or the error does not name the file: %v", err)
					}
					return
				}
				must(t, err)
				defer s.Close()
				verify(t, s, all)
			})
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The Java stores can be checked too.
func TestCheckGolden(t *testing.T) {
	for _, name := range []string{golden.Clean, golden.V2, golden.IPv6} {
		opts := javaOptions(golden.Manifest(t, name))
		report, err := Check(golden.Store(t, name), &opts, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range report.Problems {
			t.Errorf("%s: %v", name, p)
		}
	}
}

// A queue file that is damaged while the store runs is built again when a
// reader meets the damage.
func TestReaderFindsDamage(t *testing.T) {
	dir := t.TempDir()
	rebuilt := make(chan error, 1)
	opts := small()
	opts.Listener = &EventListener{QueueRebuilt: func(_ string, _ int32, cause error) { rebuilt <- cause }}
	s := open(t, dir, opts)
	all := put(t, s, rand.New(rand.NewPCG(1, 1)), 300)
	dispatched(t, s)
	must(t, s.queues.Sync(0))
	f, err := os.OpenFile(filepath.Join(dir, "consumequeue/T0/0/00000000000000000000"), os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 60), 40)
	must(t, err)
	var res GetResult
	defer res.Release()
	s.Get(&GetRequest{Topic: "T0", Offset: 2, MaxMsgs: 32}, &res)
	if res.Status != OffsetFoundNull || res.NextOffset != 2 {
		t.Fatalf("%v, next %d", res.Status, res.NextOffset)
	}
	t.Log(<-rebuilt)
	verify(t, s, all)
}

// Messages of a deleted topic are noted, and those of one that was made again
// are no problem either, whatever of its first life is left in the log.
func TestCheckDeletedTopic(t *testing.T) {
	dir := t.TempDir()
	opts := small()
	s := open(t, dir, opts)
	put(t, s, rand.New(rand.NewPCG(1, 1)), 300)
	dispatched(t, s)
	for _, topic := range []string{"T0", "T1"} {
		must(t, s.DeleteTopic(topic))
	}
	for i := range 5 {
		if res := s.Put(newMessage("T1", 0, "k", fmt.Appendf(nil, "again %d", i))); res.Status != PutOK {
			t.Fatal(res.Err)
		}
	}
	must(t, s.Close())
	report, err := Check(dir, &opts, nil)
	if err != nil || report.Noted == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, p := range report.Notes {
		if strings.HasPrefix(p.File, "T2/") || p.File == "T1/0" {
			t.Errorf("noted: %v", p)
		}
	}
	for _, p := range report.Problems {
		t.Errorf("found: %v", p)
	}
}
