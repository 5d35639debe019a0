package commitlog

import (
	"errors"
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// crashes is how many histories are run. The campaign that runs many is in fuzz.
var crashes = flag.Int("crashes", 100, "histories of the crash test")

// After a power loss at any moment the log holds a prefix of what was
// appended, every record that was flushed among it, and nothing else; and it
// does so again after a power loss during what follows the recovery.
func TestPowerLoss(t *testing.T) {
	for range *crashes {
		seed := rand.Uint64()
		for name, opts := range modes() {
			opts.FlushInterval, opts.CommitInterval = time.Hour, time.Hour
			powerLoss(t, name, opts, seed)
			if t.Failed() {
				t.Fatalf("mode %s, seed %d", name, seed)
			}
		}
	}
}

func powerLoss(t *testing.T, mode string, opts Options, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 4))
	fs := vfs.NewCrashFS(seed)
	var seq Sequence
	var all []appended
	sealed := Seal{}
	for life := range 3 {
		l, err := Open(fs, "log", &opts)
		if err != nil {
			t.Fatal(err)
		}
		from := message.PhyOffset(0)
		if l.Holds(sealed) {
			from = sealed.End
		} else if sealed.End > 0 {
			t.Errorf("%s: the seal at %d is lost", mode, sealed.End)
		}
		rec, err := l.Recover(from, Own, true, noop)
		if err != nil {
			t.Fatal(err)
		}
		if rec.End < sealed.End {
			t.Errorf("life %d: recovered to %d, flushed were %d (%v)", life, rec.End, sealed.End, rec.Stopped)
		}
		for len(all) > 0 && all[len(all)-1].res.PhyOffset >= rec.End {
			all = all[:len(all)-1]
		}
		verify(t, l, all)
		if t.Failed() {
			return
		}
		seq.Set(message.QueueOffset(len(all)))
		l.Start()
		for range 1 + rng.IntN(6) {
			all = append(all, fill(t, l, rng, &seq, 1+rng.IntN(30))...)
			if rng.IntN(2) == 0 {
				fs.Snapshot()
			}
			if rng.IntN(3) == 0 {
				if err := l.Flush(); err != nil {
					t.Fatal(err)
				}
				if sealed, err = l.Seal(); err != nil {
					t.Fatal(err)
				}
			}
		}
		crashed := fs.Crash(rng.Uint64())
		l.Close()
		fs.Discard()
		fs = crashed
	}
	fs.Discard()
}

// Once a sync has failed, those who wait and those who come later are told,
// and nothing is claimed to be durable any more.
func TestFailedSyncIsFinal(t *testing.T) {
	for name, opts := range modes() {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
			var told error
			opts.OnFailure = func(err error) { told = err }
			opts.FlushInterval, opts.CommitInterval = time.Hour, time.Hour
			l, err := Open(fs, "log", &opts)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.Truncate(0, 0, false); err != nil {
				t.Fatal(err)
			}
			var seq Sequence
			if _, err := l.Append(sample(100), &seq); err != nil {
				t.Fatal(err)
			}
			flushed := l.FlushedOffset()
			fs.SetRules(
				vfs.Rule{Op: vfs.OpSyncData, Path: "log", Nth: 1, Err: syscall.EIO},
				vfs.Rule{Op: vfs.OpMapSync, Path: "log", Nth: 1, Err: syscall.EIO},
			)
			if err := l.Flush(); !errors.Is(err, syscall.EIO) {
				t.Fatalf("flush: %v", err)
			}
			if !errors.Is(told, syscall.EIO) {
				t.Errorf("OnFailure was told %v", told)
			}
			fs.SetRules()
			if err := l.Flush(); !errors.Is(err, syscall.EIO) {
				t.Errorf("a second flush: %v", err)
			}
			if err := l.Sync(l.MaxOffset()); !errors.Is(err, syscall.EIO) {
				t.Errorf("a waiter: %v", err)
			}
			if _, err := l.Append(sample(100), &seq); !errors.Is(err, syscall.EIO) {
				t.Errorf("an append: %v", err)
			}
			if l.FlushedOffset() != flushed {
				t.Errorf("flushed moved to %d", l.FlushedOffset())
			}
		})
	}
}

// A full disk refuses appends when the present file is full, keeps what is
// there, and takes appends again when there is space.
func TestFullDisk(t *testing.T) {
	for name, opts := range modes() {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewCrashFS(1)
			fs.SetCapacity(4 * opts.FileSize)
			l, err := Open(fs, "log", &opts)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := l.Truncate(0, 0, false); err != nil {
				t.Fatal(err)
			}
			l.Start()
			rng := rand.New(rand.NewPCG(1, 5))
			var seq Sequence
			var all []appended
			var full error
			for full == nil {
				m := sample(0)
				m.Body = randomBody(rng)
				var res Result
				if res, full = l.Append(m, &seq); full == nil {
					all = append(all, appended{res, m.Body})
				}
			}
			if !vfs.IsNoSpace(full) {
				t.Fatalf("refused by %v", full)
			}
			if _, err := l.Append(sample(100), &seq); !vfs.IsNoSpace(err) {
				t.Errorf("a second append: %v", err)
			}
			if int(seq.Next()) != len(all) {
				t.Errorf("refused appends took %d offsets", int(seq.Next())-len(all))
			}
			fs.SetCapacity(8 * opts.FileSize)
			all = append(all, fill(t, l, rng, &seq, 10)...)
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			verify(t, l, all)
		})
	}
}
