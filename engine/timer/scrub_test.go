package timer

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// scrubWorld is a timer with messages that wait, two of them far enough to go round, one recalled.
func scrubWorld(t *testing.T) (w *world, keys int, faults *[]Fault) {
	w = newWorld(t)
	faults = new([]Fault)
	w.opts.Damaged = func(f Fault) { *faults = append(*faults, f) }
	w.kill() // which takes the option over
	for i := range 45 {
		w.store.delay(fmt.Sprintf("m%02d", i), start+10_000+int64(i/3)*1000, 1000)
		if i%10 == 0 {
			w.store.delay(fmt.Sprintf("late%02d", i), start-5000, 1000)
		}
		if i%20 == 0 {
			w.store.delay(fmt.Sprintf("far%02d", i), start+500_000, 1000)
		}
	}
	w.to(start + 2000)
	if err := w.timer.flush(); err != nil {
		t.Fatal(err)
	}
	return w, 45 + 5 + 3, faults
}

func (w *world) scrub() int {
	w.t.Helper()
	found, err := w.timer.scrub(0, func(fn func() error) error { return fn() })
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// A scrub finds nothing in sound files: fresh ones, after deliveries, after a kill, and when the clock was set back.
func TestScrubFindsNothing(t *testing.T) {
	w, _, faults := scrubWorld(t)
	expect := func(when string) {
		t.Helper()
		if n := w.scrub(); n != 0 || len(*faults) != 0 {
			t.Fatalf("%s: found %d: %v", when, n, *faults)
		}
	}
	expect("before any is due")
	w.to(start + 15_000)
	expect("with some delivered")
	w.kill()
	expect("after a kill")
	w.to(start + 5_000)
	for i := range 10 {
		w.store.delay(fmt.Sprintf("again%d", i), start+9_000+int64(i)*1000, 1000)
	}
	w.to(start + 6_000)
	expect("with the clock set back")
	w.run(start+600_000, 1000)
	expect("with all delivered")
}

// scrubPlaces are bytes of the files of scrubWorld, of each field of the first unit and slot and of others.
func scrubPlaces() map[string][]int64 {
	const unitsInFile = 19 // of 1040 bytes
	places := map[string][]int64{
		"timerlog/00000000000000000000": nil,
		"timerlog/00000000000000001040": nil,
		"timerwheel":                    nil,
		"config/timercheck":             {0, 3, 4, 5, 7, 8, 13, 14, 15, 16, 22, 23, 31, 40, 55},
		"timerprogress":                 {0, 7, 20, 33},
	}
	for at := int64(0); at < 2*unitSize; at++ {
		places["timerlog/00000000000000000000"] = append(places["timerlog/00000000000000000000"], at, at+7*unitSize)
		places["timerlog/00000000000000001040"] = append(places["timerlog/00000000000000001040"], at, (unitsInFile-1)*unitSize+at%unitSize)
	}
	for _, time := range []int64{start/1000 + 9, start/1000 + 23} { // the first slot and the last
		for at := range int64(posSlotNum) { // Java's num may be off, and so is not verified
			places["timerwheel"] = append(places["timerwheel"], time%2000*slotSize+at)
		}
	}
	return places
}

// flip changes a bit of a byte of a file and returns what the byte was.
func (w *world) flip(name string, at int64, bit int) (was byte) {
	w.t.Helper()
	f, err := w.fs.OpenFile(filepath.Join("store", name), os.O_RDWR, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		w.t.Fatal(err)
	}
	was = b[0]
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		w.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		w.t.Fatal(err)
	}
	return was
}

// content is what a file has.
func (w *world) content(name string) []byte {
	w.t.Helper()
	b, err := vfs.ReadFile(w.fs, filepath.Join("store", name))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// A byte that changes in a file of the timer is found where it is and put right, and every message comes once.
func TestScrubMends(t *testing.T) {
	for name, offsets := range scrubPlaces() {
		for i, at := range offsets {
			t.Run(fmt.Sprintf("%s at %d", filepath.Base(name), at), func(t *testing.T) {
				w, keys, faults := scrubWorld(t)
				path := filepath.Join("store", name)
				was := w.flip(name, at, i)
				if n := w.scrub(); n == 0 {
					if unread(name, at) {
						return
					}
					t.Fatal("found nothing")
				}
				for _, f := range *faults {
					if f.File != path || !f.Mended {
						t.Errorf("told %v", f)
					}
				}
				if b := w.content(name)[at]; b != was {
					t.Errorf("the byte is %#x, was %#x", b, was)
				}
				*faults = nil
				if n := w.scrub(); n != 0 {
					t.Errorf("again found %d: %v", n, *faults)
				}
				if err := w.timer.Check(); err != nil {
					t.Error(err)
				}
				w.run(start+600_000, 1000)
				if got := w.keys(); len(got) != keys {
					t.Errorf("delivered %d: %q", len(got), got)
				}
			})
		}
	}
}

// The same of files that nobody has open, as they are after a stop in order: Verify tells and changes nothing, then mends, and
// a timer that starts finds the messages.
func TestVerify(t *testing.T) {
	for name, offsets := range scrubPlaces() {
		for i, at := range offsets {
			if filepath.Dir(name) == "timerlog" && i%3 > 0 {
				continue // the same code sees to them as in TestScrubMends
			}
			t.Run(fmt.Sprintf("%s at %d", filepath.Base(name), at), func(t *testing.T) {
				w, keys, faults := scrubWorld(t)
				if err := w.timer.closeFiles(); err != nil {
					t.Fatal(err)
				}
				verify := func(fsys vfs.FS) int {
					t.Helper()
					o := w.opts
					o.FS, o.Stopped = fsys, true
					*faults = nil
					found, err := Verify("store", w.store, &o)
					if err != nil || found != len(*faults) {
						t.Fatalf("found %d, told %v: %v", found, *faults, err)
					}
					return found
				}
				if n := verify(w.fs); n != 0 {
					t.Fatalf("sound files have faults: %v", *faults)
				}
				w.flip(name, at, i)
				flipped := w.content(name)
				scratch := vfs.NewScratchFS(w.fs)
				found := verify(scratch)
				if err := scratch.Close(); err != nil {
					t.Fatal(err)
				}
				if found == 0 && !unread(name, at) && !untold(name, at) {
					t.Error("found nothing")
				}
				for _, f := range *faults {
					size := int64(slotSize) // that of what is placed
					if f.File != filepath.Join("store", name) || f.Offset > at || f.Offset+max(size, unitSize) <= at || !f.Mended {
						t.Errorf("told %v", f)
					}
				}
				if !bytes.Equal(w.content(name), flipped) {
					t.Error("the file is another")
				}
				if n := verify(w.fs); n != found {
					t.Errorf("%d faults, then %d", found, n)
				}
				if n := verify(w.fs); n != 0 {
					t.Errorf("afterwards: %v", *faults)
				}
				w.open()
				w.run(start+600_000, 20_000)
				if got := w.keys(); len(got) != keys {
					t.Errorf("delivered %d: %q", len(got), got)
				}
			})
		}
	}
}

// TestVerifyBelievesJava has Java run after us and stop in order: its checkpoint is older than the last units it wrote.
func TestVerifyBelievesJava(t *testing.T) {
	w, keys, faults := scrubWorld(t)
	if err := w.timer.closeFiles(); err != nil {
		t.Fatal(err)
	}
	c, err := ReadCheckpoint(w.fs, "store")
	if err != nil {
		t.Fatal(err)
	}
	w.clock += 3000
	c.ReadTime, c.VersionTime, c.VersionCounter = c.ReadTime+3000, c.VersionTime+3000, c.VersionCounter+3
	c.LogPos, c.QueueOffset = c.LogPos-2*unitSize, c.QueueOffset-2
	f, err := w.fs.OpenFile(filepath.Join("store", "config", checkpointName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(c.Append(nil), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	o := w.opts
	o.Stopped = true
	if found, err := Verify("store", w.store, &o); found != 0 || err != nil {
		t.Fatalf("found %d, told %v: %v", found, *faults, err)
	}
	w.open()
	w.run(start+600_000, 20_000)
	if got := w.keys(); len(got) < keys {
		t.Errorf("delivered %d: %q", len(got), got)
	}
}

// untold tells of bytes of which nothing else tells what they were: the version of a checkpoint, how far a slave's master was, and
// what makes no other slot of the read time.
func untold(name string, at int64) bool { return name == "config/timercheck" && (at == 7 || at >= 24) }

// unread tells of bytes by which nothing is decided: a unit's reserved ones and its topic's hash, and what makes its write
// time another in the same slot.
func unread(name string, at int64) bool {
	if filepath.Dir(name) != "timerlog" {
		return false
	}
	in := at % unitSize
	return in >= posUnitHash || in >= posUnitWriteTime && in < posUnitPhy || in >= posUnitPrev && in < posUnitMagic+4
}
