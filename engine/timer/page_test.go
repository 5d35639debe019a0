package timer

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// A wheel or a log that is cut under the timer costs what has to do with it while it is so: that is told, nothing ends, and
// when the bytes are there again every message is delivered.
func TestFilesCut(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	for _, name := range []string{"timerwheel", "timerlog/00000000000000000000"} {
		t.Run(name, func(t *testing.T) {
			dir, clock := t.TempDir(), start
			store := &memStore{now: func() int64 { return clock }}
			var failed error
			tm, err := open(dir, store, &Options{
				Now: func() time.Time { return time.UnixMilli(clock) }, LogFileSize: 8192, slots: 1000, RollWindow: 300,
				Dropped: func(d Drop) { t.Errorf("dropped %+v", d) },
				Failed:  func(err error) { failed = err },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer tm.closeFiles() //nolint:errcheck // the test is over
			store.delay("before", start+5000, 1000)
			drain(t, tm)
			path := filepath.Join(dir, name)
			was, err := os.ReadFile(path)
			if err == nil {
				err = os.Truncate(path, 0)
			}
			if err != nil {
				t.Fatal(err)
			}

			store.delay("while", start+6000, 1000)
			clock = start + 2000
			drain(t, tm)
			var fault *vfs.FaultError
			if !errors.As(failed, &fault) || filepath.Base(fault.Path) != filepath.Base(path) {
				t.Errorf("while it is cut: %v", failed)
			}
			tm.InSlot(start + 5000)
			tm.Metrics()

			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(was, 0)
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			for clock < start+10_000 {
				clock += 500
				drain(t, tm)
			}
			keys := map[string]bool{}
			for _, d := range store.deliveries() {
				keys[d.key] = true
			}
			if !keys["before"] || !keys["while"] {
				t.Errorf("delivered %v", keys)
			}
		})
	}
}
