package timer

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
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

// A byte that changes in a file of the timer is found where it is and put right, and every message comes once.
func TestScrubMends(t *testing.T) {
	const unitsInFile = 19 // of 1040 bytes
	places := map[string][]int64{
		"timerlog/00000000000000000000": nil,
		"timerlog/00000000000000001040": nil,
		"timerwheel":                    nil,
		"config/timercheck":             {0, 7, 15, 23, 31, 40, 55},
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
	for name, offsets := range places {
		for i, at := range offsets {
			t.Run(fmt.Sprintf("%s at %d", filepath.Base(name), at), func(t *testing.T) {
				w, keys, faults := scrubWorld(t)
				path := filepath.Join("store", name)
				f, err := w.fs.OpenFile(path, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				var b [1]byte
				if _, err := f.ReadAt(b[:], at); err != nil {
					t.Fatal(err)
				}
				was := b[0]
				b[0] ^= 1 << (i % 8)
				if _, err := f.WriteAt(b[:], at); err != nil {
					t.Fatal(err)
				}
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
				if _, err := f.ReadAt(b[:], at); err != nil || b[0] != was {
					t.Errorf("the byte is %#x, was %#x: %v", b[0], was, err)
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
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// unread tells of bytes by which nothing is decided: a unit's reserved ones and its topic's hash, and what makes its write
// time another in the same slot.
func unread(name string, at int64) bool {
	if filepath.Dir(name) != "timerlog" {
		return false
	}
	in := at % unitSize
	return in >= posUnitHash || in >= posUnitWriteTime && in < posUnitPhy || in >= posUnitPrev && in < posUnitMagic+4
}
