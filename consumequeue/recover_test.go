package consumequeue

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// damage is a set's folder under a test's hands.
type damage struct {
	t  *testing.T
	fs vfs.FS
}

func (d damage) open(name string, flag int) vfs.File {
	d.t.Helper()
	f, err := d.fs.OpenFile(path.Join(testDir, name), os.O_RDWR|flag, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	return f
}

func (d damage) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d damage) truncate(name string, size int64) {
	d.t.Helper()
	f := d.open(name, os.O_CREATE)
	d.must(f.Truncate(size))
	d.must(f.Close())
}

func (d damage) write(name string, at int64, b []byte) {
	d.t.Helper()
	f := d.open(name, os.O_CREATE)
	_, err := f.WriteAt(b, at)
	d.must(err)
	d.must(f.Close())
}

func (d damage) writeUnit(name string, index int64, u Unit) {
	d.t.Helper()
	var b [unitSize]byte
	putUnit(b[:], u)
	d.write(name, index*unitSize, b[:])
}

func (d damage) remove(name string) {
	d.t.Helper()
	d.must(d.fs.Remove(path.Join(testDir, name)))
}

func (d damage) names(dir string) (names []string) {
	d.t.Helper()
	entries, err := d.fs.ReadDir(path.Join(testDir, dir))
	d.must(err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

const perFile = 200

var smallFiles = Options{FileSize: perFile * unitSize, Workers: 1}

func fileOf(i int) string { return "T/0/" + string(appendFileName(nil, int64(i)*perFile*unitSize)) }

// newDamage makes a set with the queue T/0 of that many units, and U/0 of 5.
func newDamage(t *testing.T, units message.QueueOffset) damage {
	t.Helper()
	d := damage{t, vfs.NewCrashFS(1)}
	s := openSet(t, d.fs, testDir, &smallFiles)
	appendUnits(t, mustQueue(t, s, "T", 0), 0, units)
	appendUnits(t, mustQueue(t, s, "U", 0), 0, 5)
	d.must(s.Sync(0))
	d.must(s.Close())
	return d
}

// durableFor is a claim that covers the units of T/0 below n.
func durableFor(n int) message.PhyOffset { return max(0, testUnit(message.QueueOffset(n)-1).end()) }

// recover opens the set after a crash. A damaged queue is dropped; what was said
// of it comes back.
func (d damage) recover(durable message.PhyOffset, opts Options) (s *Set, damages []*CorruptError) {
	d.t.Helper()
	opts.OnDamage = func(e *CorruptError) { damages = append(damages, e) }
	s, err := Open(d.fs, testDir, &opts)
	d.must(err)
	d.t.Cleanup(func() { s.Close() })
	d.must(s.Recover(durable, 0, math.MaxInt64, false))
	return s, damages
}

// TestRecoverFindsEnd tries all ends, in files and at their borders, after a
// crash and after a clean stop.
func TestRecoverFindsEnd(t *testing.T) {
	const units = 2*perFile + 70
	for end := range units + 1 {
		d := newDamage(t, units)
		s, damages := d.recover(durableFor(end), smallFiles)
		if len(damages) > 0 {
			t.Fatalf("end %d: %v", end, damages)
		}
		q := s.Queue("T", 0)
		checkUnits(t, q, 0, message.QueueOffset(end))
		if err := s.Check(); err != nil {
			t.Fatalf("end %d: %v", end, err)
		}
		appendUnits(t, q, message.QueueOffset(end), units+3)
		d.must(s.Sync(0))
		d.must(s.Close())
		s = openSet(t, d.fs, testDir, &smallFiles)
		checkUnits(t, s.Queue("T", 0), 0, units+3)
	}
}

// TestRecoverCost counts the reads of a queue whose length is beyond all that
// tests may read.
func TestRecoverCost(t *testing.T) {
	const units = 290_000
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	s := openSet(t, fs, testDir, nil)
	appendUnits(t, mustQueue(t, s, "T", 0), 0, 2*DefaultFileSize/unitSize+units)
	appendUnits(t, mustQueue(t, s, "U", 0), 0, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The longer one first: what a recovery cuts is gone for the next.
	for _, cost := range []struct{ durable, reads int }{{units, 40}, {7, 10}} {
		s, err := Open(fs, testDir, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := fs.Count(vfs.OpRead)
		if err := s.Recover(durableFor(2*DefaultFileSize/unitSize+cost.durable), 0, math.MaxInt64, false); err != nil {
			t.Fatal(err)
		}
		if n := fs.Count(vfs.OpRead) - before; n > cost.reads {
			t.Errorf("%d reads, want at most %d", n, cost.reads)
		}
		checkEnd(t, s.Queue("T", 0), message.QueueOffset(2*DefaultFileSize/unitSize+cost.durable))
		s.Close()
	}
}

func checkEnd(t *testing.T, q *ConsumeQueue, end message.QueueOffset) {
	t.Helper()
	u, ok := q.Last()
	if q.MaxOffset() != end || !ok || u != testUnit(end-1) {
		t.Errorf("end is %d with %+v, want %d", q.MaxOffset(), u, end)
	}
}

// TestTornUnit leaves half of the unit behind the end, which lies across two
// sectors, so that it looks durable.
func TestTornUnit(t *testing.T) {
	const torn = 25
	for _, inLog := range []string{"no", "yes", "nobody asked"} {
		d := newDamage(t, torn)
		half := Unit{message.PhyOffset(1000 * torn), 100, 0} // the offset's upper half was lost
		d.writeUnit(fileOf(0), torn, half)
		opts, asked := smallFiles, 0
		if inLog != "nobody asked" {
			opts.InLog = func(key Key, off message.QueueOffset, u Unit) bool {
				asked++
				if key != (Key{"T", 0}) || off != torn || u != half {
					t.Errorf("asked for %v %d %+v", key, off, u)
				}
				return inLog == "yes"
			}
		}
		s, damages := d.recover(1<<40, opts)
		want := message.QueueOffset(torn)
		if inLog != "no" {
			want++
		}
		if got := s.Queue("T", 0).MaxOffset(); got != want || len(damages) > 0 {
			t.Errorf("in the log %s: end %d, want %d; %v", inLog, got, want, damages)
		}
		if opts.InLog != nil && asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	}
}

func TestDamages(t *testing.T) {
	const units = 2*perFile + 70
	for _, tt := range []struct {
		name    string
		durable int
		harm    func(d damage)
		want    string // the damage; none if empty
		end     int    // of the queue, when it is not damaged
	}{
		{"none", units, func(d damage) {}, "", units},
		{"long file", units, func(d damage) { d.truncate(fileOf(1), 4001) }, "file has 4001 bytes, not 4000", 0},
		{"odd file", units, func(d damage) { d.truncate(fileOf(2), 1001) }, "file has 1001 bytes", 0},
		{"short file", units, func(d damage) { d.truncate(fileOf(2), 1000) }, "file has 1000 bytes", 0},
		{"short file, as a cut leaves it", units, func(d damage) {
			d.truncate(fileOf(2), 1000)
			d.truncate(markerName, 0)
		}, "", 2*perFile + 50},
		{"odd file, no cut leaves it", units, func(d damage) {
			d.truncate(fileOf(2), 1001)
			d.truncate(markerName, 0)
		}, "file has 1001 bytes", 0},
		{"short file in the middle", units, func(d damage) {
			d.truncate(fileOf(1), 1000)
			d.truncate(markerName, 0)
		}, "file has 1000 bytes", 0},
		{"empty file in the middle", units, func(d damage) { d.truncate(fileOf(1), 0) }, "file has 0 bytes", 0},
		{"empty file behind", units, func(d damage) { d.truncate(fileOf(3), 0) }, "", units},
		{"empty file instead of what is not durable", 2 * perFile, func(d damage) { d.truncate(fileOf(2), 0) }, "", 2 * perFile},
		{"missing file", units, func(d damage) { d.remove(fileOf(1)) }, "the next file is missing", 0},
		{"missing last file", 2 * perFile, func(d damage) { d.remove(fileOf(2)) }, "", 2 * perFile},
		{"missing file before what is not durable", perFile, func(d damage) { d.remove(fileOf(1)) }, "", perFile},
		{"file that starts nowhere", units, func(d damage) { d.truncate("T/0/00000000000000000020", 4000) }, "starts at 20", 0},
		{"file beyond all offsets", units, func(d damage) { d.truncate("T/0/09223372036854772000", 4000) }, "starts at 9223372036854772000", 0},
		{"zero unit", units, func(d damage) { d.writeUnit(fileOf(2), 30, Unit{}) }, "a unit is missing before others", 0},
		{"zero unit at the start", units, func(d damage) { d.writeUnit(fileOf(2), 0, Unit{}) }, "a unit is missing before others", 0},
		{"unit of the past behind", units, func(d damage) { d.writeUnit(fileOf(2), 90, Unit{5, 100, 0}) }, "", units},
		{"unit of a time to come behind", units, func(d damage) { d.writeUnit(fileOf(2), 90, testUnit(units+20)) }, "", units},
		{"unit behind the end", units + 30, func(d damage) { d.writeUnit(fileOf(2), 90, testUnit(units+20)) }, "a unit is missing before others", 0},
		{"placeholder behind units", units, func(d damage) { d.writeUnit(fileOf(2), 70, Unit{0, placeholderSize, 0}) }, "", units},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDamage(t, units)
			tt.harm(d)
			s, damages := d.recover(durableFor(tt.durable), smallFiles)
			checkUnits(t, s.Queue("U", 0), 0, 5)
			if tt.want == "" {
				if len(damages) > 0 {
					t.Fatal(damages[0])
				}
				q := s.Queue("T", 0)
				checkUnits(t, q, 0, message.QueueOffset(tt.end))
				appendUnits(t, q, message.QueueOffset(tt.end), units+10)
				if err := s.Check(); err != nil {
					t.Error(err)
				}
				return
			}
			if len(damages) != 1 || damages[0].Key != (Key{"T", 0}) || !strings.Contains(damages[0].Error(), tt.want) ||
				!strings.HasPrefix(damages[0].File, testDir+"/T/0/") {
				t.Fatalf("%v, want %q", damages, tt.want)
			}
			if s.Queue("T", 0) != nil || slices.Contains(d.names("T"), "0") {
				t.Error("the damaged queue is still there")
			}
			q := mustQueue(t, s, "T", 0)
			appendUnits(t, q, 3, units)
			checkUnits(t, q, 3, units)
			d.must(s.Sync(0))
			d.must(s.Close())
			s = openSet(t, d.fs, testDir, &smallFiles)
			checkUnits(t, s.Queue("T", 0), 3, units)
		})
	}
}

// TestDamageWithoutHandler returns the damage and leaves the files alone.
func TestDamageWithoutHandler(t *testing.T) {
	d := newDamage(t, 2*perFile)
	d.truncate(fileOf(0), 3999)
	var damage *CorruptError
	if _, err := Open(d.fs, testDir, &smallFiles); !errors.As(err, &damage) || damage.File != path.Join(testDir, fileOf(0)) {
		t.Errorf("short file: %v", err)
	}
	d.truncate(fileOf(0), 4000)
	d.writeUnit(fileOf(1), 150, Unit{})
	s, err := Open(d.fs, testDir, &smallFiles)
	d.must(err)
	defer s.Close()
	if err := s.Recover(durableFor(2*perFile), 0, math.MaxInt64, false); !errors.As(err, &damage) || damage.Offset != 150*unitSize {
		t.Errorf("zero unit: %v", err)
	}
	if got := d.names("T/0"); len(got) != 2 {
		t.Errorf("files %v", got)
	}
}

// TestOtherFileSize opens a store whose configuration has changed: nothing may
// be taken for damage and dropped.
func TestOtherFileSize(t *testing.T) {
	d := newDamage(t, 2*perFile)
	opts := Options{OnDamage: func(e *CorruptError) { t.Errorf("damage: %v", e) }}
	var damage *CorruptError
	if _, err := Open(d.fs, testDir, &opts); !errors.As(err, &damage) || !strings.Contains(err.Error(), "all files have 4000 bytes") {
		t.Errorf("%v", err)
	}
}

func TestStray(t *testing.T) {
	d := newDamage(t, 10)
	d.truncate("file", 3)
	d.truncate("T/file", 3)
	d.truncate("T/0/file", 3)
	d.truncate("T/0/00000000000000004000.bak", 4000)
	for _, dir := range []string{"T/x", "T/01", "T/-1", "T/0/00000000000000004000"} {
		d.must(d.fs.MkdirAll(path.Join(testDir, dir), 0o755))
	}
	s, damages := d.recover(durableFor(10), smallFiles)
	if len(damages) > 0 {
		t.Fatal(damages)
	}
	var want []string
	for _, name := range []string{"T/-1", "T/0/00000000000000004000", "T/0/00000000000000004000.bak", "T/0/file", "T/01", "T/file", "T/x", "file"} {
		want = append(want, path.Join(testDir, name))
	}
	got := s.Stray()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("stray %q", got)
	}
	checkUnits(t, s.Queue("T", 0), 0, 10)
	d.must(s.DeleteTopic("T"))
	if got := d.names("T"); !slices.Equal(got, []string{"-1", "01", "file", "x"}) {
		t.Errorf("after the deletion there are %q", got)
	}
}

// TestInterruptedDrop goes on with the removal of a queue.
func TestInterruptedDrop(t *testing.T) {
	d := newDamage(t, 10)
	d.must(d.fs.Rename(path.Join(testDir, "T/0"), path.Join(testDir, "T/0"+droppedSuffix)))
	s, _ := d.recover(durableFor(10), smallFiles)
	if s.Queue("T", 0) != nil || len(d.names("T")) > 0 || len(s.Stray()) > 0 {
		t.Errorf("queue %v, folder %q, stray %q", s.Queue("T", 0), d.names("T"), s.Stray())
	}
}

// TestExpiredLeftovers are files whose removal a crash undid in part.
func TestExpiredLeftovers(t *testing.T) {
	d := newDamage(t, 3*perFile)
	d.remove(fileOf(1))
	s, err := Open(d.fs, testDir, &smallFiles)
	d.must(err)
	defer s.Close()
	d.must(s.Recover(durableFor(3*perFile), 1000*(2*perFile+3), math.MaxInt64, false))
	q := s.Queue("T", 0)
	checkUnits(t, q, 2*perFile+3, 3*perFile)
	if got := d.names("T/0"); len(got) != 1 {
		t.Errorf("files %q", got)
	}
}

// TestReadOnly finds everything and changes nothing.
func TestReadOnly(t *testing.T) {
	d := newDamage(t, perFile+50)
	d.truncate(fileOf(2), 0)
	d.must(d.fs.MkdirAll(path.Join(testDir, "T/1.dropped"), 0o755))
	fs := vfs.NewFaultFS(d.fs, nil)
	for _, op := range []vfs.Op{vfs.OpWrite, vfs.OpTruncate, vfs.OpRemove, vfs.OpRename, vfs.OpMkdir, vfs.OpSyncDir} {
		fs.SetRules(vfs.Rule{Op: op, Do: func(c vfs.Call) { t.Errorf("%v", c) }})
		opts := smallFiles
		opts.ReadOnly = true
		s, err := Open(fs, testDir, &opts)
		d.must(err)
		d.must(s.Recover(durableFor(perFile+20), 0, math.MaxInt64, false))
		q := s.Queue("T", 0)
		checkUnits(t, q, 0, perFile+20)
		if err := q.Append(q.MaxOffset(), testUnit(q.MaxOffset())); !errors.Is(err, ErrReadOnly) {
			t.Errorf("append: %v", err)
		}
		for name, err := range map[string]error{
			"truncate": s.Truncate(0), "drop": s.DropQueue(Key{"T", 0}), "delete": s.DeleteTopic("T"),
		} {
			if !errors.Is(err, ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := s.QueueOrCreate("X", 0); !errors.Is(err, ErrReadOnly) {
			t.Errorf("create: %v", err)
		}
		if _, err := s.DeleteExpired(0); !errors.Is(err, ErrReadOnly) {
			t.Errorf("delete expired: %v", err)
		}
		d.must(s.Close())
	}
	if _, err := Open(fs, "not there", &Options{ReadOnly: true}); err == nil {
		t.Error("a folder that is not there was opened")
	}
}

// TestTruncateReadersSeeNoPast truncates and appends other units: readers never
// see the old ones, nor zeros.
func TestTruncateReadersSeeNoPast(t *testing.T) {
	for _, cut := range []int{0, 1, 25, perFile - 1, perFile, perFile + 1, 2*perFile + 69} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			d := newDamage(t, 2*perFile+70)
			s, _ := d.recover(durableFor(2*perFile+70), smallFiles)
			q := s.Queue("T", 0)
			d.must(s.Truncate(durableFor(cut)))
			checkUnits(t, q, 0, message.QueueOffset(cut))
			d.must(s.Check())
			phy := durableFor(cut)
			for off := q.MaxOffset(); off < 2*perFile; off++ {
				d.must(q.Append(off, Unit{phy, 7, -1}))
				phy += 7
			}
			for i, u := range readAll(t, q) {
				if want := testUnit(message.QueueOffset(i)); i < cut && u != want || i >= cut && u.Size != 7 {
					t.Fatalf("unit %d is %+v", i, u)
				}
			}
			d.must(s.Sync(0))
			d.must(s.Check())
		})
	}
}
