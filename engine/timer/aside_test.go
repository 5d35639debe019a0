package timer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file whose size changed while nothing ran is told and kept, and what waits comes once and in time: the wheel is made
// from the log, the log from the queue.
func TestFilesOfAnotherSize(t *testing.T) {
	for _, name := range []string{"timerwheel", "timerlog/00000000000000000000", "timerlog/00000000000000001040", "timerlog/00000000000000002080"} {
		for _, size := range []int64{1, 500, 100_000} {
			t.Run(fmt.Sprintf("%s to %d", strings.ReplaceAll(name, "/", "-"), size), func(t *testing.T) {
				w := newWorld(t)
				var faults []Fault
				w.opts.Damaged = func(f Fault) { faults = append(faults, f) }
				var want []string
				for i := range 50 { // 20 in a file of the log
					key := fmt.Sprintf("m%02d", i)
					w.store.delay(key, start+3000+int64(i)*1000, 1000)
					want = append(want, key)
				}
				w.run(start+10_000, 500)
				if err := w.timer.flush(); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join("store", name)
				f, err := w.fs.OpenFile(path, os.O_RDWR, 0)
				if err == nil {
					err = f.Truncate(size)
				}
				if err == nil {
					err = f.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
				w.kill()
				if err := w.timer.Check(); err != nil {
					t.Error(err)
				}
				if len(faults) == 0 || !slices.ContainsFunc(faults, func(f Fault) bool { return f.File == path && f.Mended }) {
					t.Fatalf("told %v", faults)
				}
				for _, f := range faults {
					if _, err := w.fs.Stat(f.Kept); err != nil {
						t.Errorf("%v: %v", f, err)
					}
				}
				w.run(start+60_000, 500)
				w.expect(want...)
				if len(w.drops)+len(w.fails) > 0 {
					t.Errorf("dropped %v, failed %v", w.drops, w.fails)
				}
			})
		}
	}
}
