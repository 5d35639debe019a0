package engine

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// crashes is how many histories each crash test runs in each mode. The campaign
// that runs many is in fuzz.
var crashes = flag.Int("crashes", 5, "histories of the crash tests")

// life is what one run of a store promised.
type life struct {
	all     []sent
	flushed message.PhyOffset // acknowledged as durable up to here
}

// After a power loss at any moment, recovery and all, the store opens, its
// files agree with each other, every message that was promised to be durable is
// there once and in order, and no queue offset that anybody saw is used again.
func TestPowerLoss(t *testing.T) {
	crashAll(t, (*vfs.CrashFS).Crash, func(*Options) bool { return false })
}

// After a kill of the process nothing that was acknowledged is missing, but
// what a transient pool had not committed.
func TestKill(t *testing.T) {
	crashAll(t, func(fs *vfs.CrashFS, _ uint64) *vfs.CrashFS { return fs.Kill() }, func(o *Options) bool { return !o.TransientPool })
}

// What was recovered after a kill was written and perhaps never synced: a power
// loss after it must find what was claimed since.
func TestKillThenPowerLoss(t *testing.T) {
	crashAll(t, func(fs *vfs.CrashFS, seed uint64) *vfs.CrashFS {
		if seed%2 == 0 {
			return fs.Kill()
		}
		return fs.Crash(seed)
	}, func(*Options) bool { return false })
}

// crashAll runs the histories in each mode; keepsAll says in which of them
// a crash may lose nothing that was acknowledged.
func crashAll(t *testing.T, crash func(*vfs.CrashFS, uint64) *vfs.CrashFS, keepsAll func(*Options) bool) {
	t.Helper()
	for range *crashes {
		seed := rand.Uint64()
		for _, change := range variants() {
			opts := small()
			change(&opts)
			opts.CheckpointBytes, opts.FlushQueueInterval = 100<<10, time.Millisecond
			powerLoss(t, opts, seed, crash, keepsAll(&opts))
		}
	}
}

// powerLoss runs a store through some lives, each ended by crash, and verifies
// at the begin of each what the ones before promised.
func powerLoss(t *testing.T, opts Options, seed uint64, crash func(*vfs.CrashFS, uint64) *vfs.CrashFS, keepsAll bool) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("flush type %d, pool %v, seed %d", opts.FlushDiskType, opts.TransientPool, seed)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 2))
	fs := vfs.NewCrashFS(seed)
	var l life
	for n := range 4 {
		opts.FS = fs
		s, err := Open("/store", &opts)
		if err != nil {
			t.Fatalf("life %d: %v", n, err)
		}
		l.survived(t, s)
		if t.Failed() {
			return
		}
		if n == 3 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if report, err := Check("/store", &opts, nil); err != nil || report.Found > 0 {
				t.Errorf("check: %+v, %v", report, err)
			}
			break
		}
		l.live(t, s, fs, rng, keepsAll)
		next := crash(fs, rng.Uint64())
		s.Close() // writes into the void
		fs.Discard()
		fs = next
	}
	fs.Discard()
}

// live puts messages, with flushes, checkpoints and clean rounds in between.
func (l *life) live(t *testing.T, s *Store, fs *vfs.CrashFS, rng *rand.Rand, keepsAll bool) {
	t.Helper()
	for range 1 + rng.IntN(5) {
		l.all = append(l.all, put(t, s, rng, 1+rng.IntN(40))...)
		switch rng.IntN(5) {
		case 0:
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			l.flushed = s.FlushedOffset()
		case 1:
			if err := s.checkpoint(false); err != nil {
				t.Fatal(err)
			}
			l.flushed = s.FlushedOffset()
		case 2:
			if err := s.queues.WriteOut(); err != nil {
				t.Fatal(err)
			}
		case 3:
			fs.Snapshot()
		}
	}
	if s.opts.FlushDiskType == SyncFlush || keepsAll {
		l.flushed = s.MaxPhyOffset()
	}
}

// survived verifies what is left and forgets what was lost by right.
func (l *life) survived(t *testing.T, s *Store) {
	t.Helper()
	end := s.MaxPhyOffset()
	if end < l.flushed {
		t.Errorf("the log ends at %d, durable were %d", end, l.flushed)
		return
	}
	for len(l.all) > 0 && l.all[len(l.all)-1].res.PhyOffset >= end {
		l.all = l.all[:len(l.all)-1]
	}
	verify(t, s, l.all)
}

// Each of the first crashes of a store that opens after a crash: recovery can
// be interrupted anywhere.
func TestCrashDuringRecovery(t *testing.T) {
	crashDuringRecovery(t, func(*vfs.CrashFS) bool { return true })
}

// TestCrashDuringIndexRebuild has the first file of the index damaged, so that all of it is built again. What
// the checkpoint says of the files that were there must not be believed of the new ones.
func TestCrashDuringIndexRebuild(t *testing.T) {
	crashDuringRecovery(t, func(fs *vfs.CrashFS) bool {
		entries, err := fs.ReadDir("/store/index")
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) < 3 { // the crash took the names of the others, which nothing had made durable
			return false
		}
		f, err := fs.OpenFile("/store/index/"+entries[0].Name(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff}, 36); err != nil { // the number of entries
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
		return true
	})
}

// crashDuringRecovery has a store crash, and what is left damaged; it crashes anew where that cannot be damaged so.
func crashDuringRecovery(t *testing.T, damage func(*vfs.CrashFS) bool) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 3))
	opts := small()
	opts.FlushDiskType, opts.CheckpointBytes, opts.FlushQueueInterval = SyncFlush, 100<<10, time.Millisecond
	first := vfs.NewCrashFS(seed)
	opts.FS = first
	s := open(t, "/store", opts)
	var l life
	l.all = put(t, s, rng, 250)
	l.flushed = s.MaxPhyOffset()
	dispatched(t, s) // or the index may have hardly begun
	crashed := first.Crash(rng.Uint64())
	for tries := 1; !damage(crashed); tries++ {
		if tries == 100 {
			t.Fatalf("seed %d: no crash leaves what could be damaged", seed)
		}
		crashed.Discard()
		crashed = first.Crash(rng.Uint64())
	}
	s.Close()

	calls := 0
	for at := 1; ; at++ {
		fs := crashed.Kill()
		var again *vfs.CrashFS
		faulty := vfs.NewFaultFS(fs, nil)
		faulty.SetRules(vfs.Rule{Op: vfs.OpAny, Nth: at, Do: func(vfs.Call) { again = fs.Crash(rng.Uint64()) }})
		opts.FS = faulty
		s, err := Open("/store", &opts)
		if err != nil {
			t.Fatalf("seed %d, call %d: %v", seed, at, err)
		}
		s.Close()
		if again == nil {
			calls = at
			break
		}
		opts.FS = again
		s, err = Open("/store", &opts)
		if err != nil {
			t.Fatalf("seed %d, after a crash at call %d: %v", seed, at, err)
		}
		l.survived(t, s)
		s.Close()
		fs.Discard()
		again.Discard()
		if t.Failed() {
			t.Fatalf("seed %d, crash at call %d of the recovery", seed, at)
		}
		if testing.Short() {
			at += 4
		}
	}
	t.Logf("crashed at %d calls of the recovery", calls)
}

// Under SyncFlush nobody reads a message that a power loss can take back.
func TestNothingIsReadBeforeItIsDurable(t *testing.T) {
	opts := small()
	opts.FlushDiskType = SyncFlush
	opts.FS = vfs.NewCrashFS(1)
	var s *Store
	arrived := 0
	opts.Listener = &EventListener{Arrived: func(a Arrival) {
		arrived++
		if a.Record.PhyOffset()+message.PhyOffset(len(a.Record)) > s.FlushedOffset() {
			t.Errorf("message %d of %s arrives at %d, flushed is %d", a.QueueOffset, a.Topic, a.Record.PhyOffset(), s.FlushedOffset())
		}
	}}
	s = open(t, "/store", opts)
	for i := range 200 {
		m := newMessage("T0", 0, fmt.Sprintf("k%d", i), []byte("x"))
		if i%2 == 0 {
			m.Properties = message.AppendProperty(m.Properties, message.PropertyWait, "false")
		}
		if res := s.Put(m); res.Status != PutOK {
			t.Fatal(res.Err)
		}
	}
	dispatched(t, s)
	if arrived != 200 {
		t.Errorf("%d arrived", arrived)
	}
}

// A disk that fills refuses puts with the cause, serves reads, and takes puts
// again by itself when there is space.
func TestFullDisk(t *testing.T) {
	for name, change := range variants() {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewCrashFS(1)
			fs.SetCapacity(700 << 10)
			opts := small()
			change(&opts)
			opts.FS = fs
			opts.DiskMaxUsedRatio, opts.DiskCleanForciblyRatio, opts.DiskWarningRatio = 100, 100, 100
			s := open(t, "/store", opts)
			rng := rand.New(rand.NewPCG(1, 1))
			var all []sent
			var refused PutResult
			for refused.Status == PutOK {
				m := sent{topic: "T0", key: fmt.Sprintf("k%d", rng.Uint32()), body: make([]byte, 1000)}
				if m.res = s.Put(newMessage(m.topic, 0, m.key, m.body)); m.res.Status != PutOK {
					refused = m.res
					break
				}
				all = append(all, m)
			}
			if refused.Status != ServiceNotAvailable || refused.Err == nil || len(all) < 100 {
				t.Fatalf("after %d messages: %v, %v", len(all), refused.Status, refused.Err)
			}
			t.Logf("after %d messages: %v", len(all), refused.Err)
			fs.SetCapacity(8 << 20)
			deadline := time.Now().Add(20 * time.Second)
			for s.Put(newMessage("T1", 0, "k", []byte("x"))).Status != PutOK {
				if time.Now().After(deadline) {
					t.Fatalf("still refused: %v", s.Writable())
				}
			}
			dispatched(t, s)
			bodies, _ := consume(t, s, "T0", 0)
			if len(bodies) != len(all) {
				t.Errorf("%d of %d messages are read", len(bodies), len(all))
			}
		})
	}
}
