package ha

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// epochs reads pairs of epoch and start.
func epochs(pairs ...int64) (s Epochs) {
	for i := 0; i < len(pairs); i += 2 {
		s = append(s, EpochEntry{Epoch: int32(pairs[i]), Start: message.PhyOffset(pairs[i+1])})
	}
	return s
}

func TestCommonPoint(t *testing.T) {
	for _, c := range []struct {
		name          string
		slave         Epochs
		slaveEnd      message.PhyOffset
		master        Epochs
		masterEnd     message.PhyOffset
		want          message.PhyOffset
		withoutCommon bool
	}{
		{"same, slave behind", epochs(1, 0), 50, epochs(1, 0), 80, 50, false},
		{"same, slave ahead", epochs(1, 0), 90, epochs(1, 0), 80, 80, false},
		{"master went on", epochs(1, 0), 90, epochs(1, 0, 2, 70), 200, 70, false},
		{"slave was master", epochs(1, 0, 2, 60), 90, epochs(1, 0, 3, 70), 200, 60, false},
		{"slave is cut within an older epoch", epochs(1, 0, 2, 60), 50, epochs(1, 0, 2, 60), 200, 50, false},
		{"an epoch without bytes", epochs(1, 0, 2, 60), 60, epochs(1, 0, 3, 60), 200, 60, false},
		{"other start", epochs(1, 0, 2, 60), 90, epochs(1, 0, 2, 61), 200, 60, false},
		{"nothing in common", epochs(1, 0), 90, epochs(2, 0), 200, 0, true},
		{"a log that begins later", epochs(3, 100), 130, epochs(1, 0, 3, 100), 120, 120, false},
	} {
		got, ok := c.slave.common(c.slaveEnd, c.master, c.masterEnd)
		if got != c.want || ok == c.withoutCommon {
			t.Errorf("%s: %d, %t, want %d", c.name, got, ok, c.want)
		}
	}
}

func TestReign(t *testing.T) {
	for _, c := range []struct {
		name       string
		before     Epochs
		epoch      int32
		first, end message.PhyOffset
		want       Epochs
	}{
		{"first of an empty log", nil, 1, 0, 0, epochs(1, 0)},
		{"first of an older log", nil, 1, 64, 100, epochs(1, 64)},
		{"next", epochs(1, 0), 2, 0, 100, epochs(1, 0, 2, 100)},
		{"nothing was written in the last", epochs(1, 0, 2, 100), 5, 0, 100, epochs(1, 0, 5, 100)},
		{"the log lost the last", epochs(1, 0, 2, 100), 5, 0, 90, epochs(1, 0, 5, 90)},
		{"not newer", epochs(1, 0, 3, 100), 3, 0, 200, nil},
	} {
		got, err := c.before.Reign(c.epoch, c.first, c.end)
		if !slices.Equal(got, c.want) || (err != nil) != (c.want == nil) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
		var fenced *FencedError
		if err != nil && !errors.As(err, &fenced) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestManyEpochs(t *testing.T) {
	var s Epochs
	for i := range int32(3 * epochsMax) {
		var err error
		if s, err = s.Reign(i+1, 0, message.PhyOffset(i)*10); err != nil {
			t.Fatal(err)
		}
	}
	if len(s) != epochsMax || s[0] != (EpochEntry{1, 0}) || s.Last() != 3*epochsMax || s.check() != nil {
		t.Fatalf("%d entries, %v to %v, %v", len(s), s[0], s[len(s)-1], s.check())
	}
}

func TestEpochsKept(t *testing.T) {
	s := epochs(1, 0, 2, 100, 5, 200)
	for first, want := range map[message.PhyOffset]Epochs{
		0: s, 99: s, 100: epochs(2, 100, 5, 200), 199: epochs(2, 100, 5, 200), 200: epochs(5, 200), 1000: epochs(5, 200),
	} {
		if got := s.keep(first); !slices.Equal(got, want) {
			t.Errorf("from %d on: %v, want %v", first, got, want)
		}
	}
}

// TestEpochFileIsJavas has the example of Java's CheckpointFile, with its checksum.
func TestEpochFileIsJavas(t *testing.T) {
	const text = "2\n773307083\n7-7000\n8-8000\n"
	want := epochs(7, 7000, 8, 8000)
	got, err := decodeEpochs([]byte(text))
	if err != nil || !slices.Equal(got, want) || string(want.encode()) != text {
		t.Fatalf("%v, %v; written as %q", got, err, want.encode())
	}
	if got, err := decodeEpochs([]byte("2\n0\n7-7000\n8-8000\n")); err != nil || !slices.Equal(got, want) {
		t.Fatalf("without a checksum: %v, %v", got, err)
	}
	for _, bad := range []string{
		"", "2", "2\n", "1\n0\n7-7000", "1\n0\n7-7000\n8-8000\n", "2\n773307084\n7-7000\n8-8000\n", "1\n0\n7--1\n", "1\n0\n7\n",
		"2\n0\n8-7000\n7-8000\n", "2\n0\n7-7000\n8-7000\n", "1\n0\n7-99999999999999999999\n", "1\n0\n4294967296-0\n", "x\n0\n", "1\n-5\n7-7000\n",
	} {
		if got, err := decodeEpochs([]byte(bad)); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

func TestEpochFile(t *testing.T) {
	dir := t.TempDir()
	f := NewEpochFile(vfs.OS, dir)
	load := func() Epochs {
		t.Helper()
		s, err := f.Load()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := load(); s != nil {
		t.Fatalf("without a file: %v", s)
	}
	one, two := epochs(1, 0), epochs(1, 0, 2, 500)
	for _, s := range []Epochs{one, two} {
		if err := f.Save(s); err != nil {
			t.Fatal(err)
		}
		if got := load(); !slices.Equal(got, s) {
			t.Fatalf("%v comes back as %v", s, got)
		}
	}
	name := filepath.Join(dir, "epochFileCheckpoint")
	if err := os.Rename(name, name+".moved"); err != nil { // as a Java broker leaves it when it is killed
		t.Fatal(err)
	}
	if got := load(); !slices.Equal(got, one) {
		t.Fatalf("the backup is %v", got)
	}
	if err := os.WriteFile(name, []byte("2\n1\n1-0\n2-500\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Load(); err == nil {
		t.Fatalf("a damaged file is read as %v", got)
	}
	if err := f.Save(two); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(nil); err != nil {
		t.Fatal(err)
	}
	if got := load(); got != nil {
		t.Fatalf("no epochs come back as %v", got)
	}
}

// TestEpochFileSurvivesPowerLoss: the old epochs are there, or the new ones.
func TestEpochFileSurvivesPowerLoss(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		fs := vfs.NewCrashFS(seed)
		if err := fs.MkdirAll("store", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := fs.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		var last Epochs
		for i := range int32(1 + rng.IntN(4)) {
			next, err := last.Reign(i+1, 0, message.PhyOffset(rng.IntN(100)))
			if rng.IntN(5) == 0 {
				next, err = nil, nil
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := NewEpochFile(fs, "store").Save(next); err != nil {
				t.Fatal(err)
			}
			last = next
		}
		after := fs.Crash(seed)
		got, err := NewEpochFile(after, "store").Load()
		if err != nil || !slices.Equal(got, last) {
			t.Errorf("seed %d: %v, %v, want %v", seed, got, err, last)
		}
		fs.Discard()
		after.Discard()
	}
}

func FuzzEpochFile(f *testing.F) {
	f.Add(epochs(7, 7000, 8, 8000).encode())
	f.Add([]byte("1\n0\n0-0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeEpochs(b)
		if err != nil {
			return
		}
		again, err := decodeEpochs(s.encode())
		if err != nil || !slices.Equal(again, s) {
			t.Fatalf("%v comes back as %v: %v", s, again, err)
		}
	})
}
