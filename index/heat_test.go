package index

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// TestSlotsAreHeated has the slots of a file in memory as soon as enough of them are in use, in a new file and in one that is
// written to again after its pages were dropped, and lets a file with few keys alone.
func TestSlotsAreHeated(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells which pages are in memory")
	}
	opts := &Options{Slots: 1 << 22, Entries: 100_000} // of 16 MiB: more than is read around the entries
	dir := filepath.Join(t.TempDir(), "index")
	x := openAt(t, vfs.OS, dir, opts)
	recoverAt(t, x, State{}, true, 0, 0)
	put := func(first, n int) {
		t.Helper()
		if err := putN(x, first, n); err != nil {
			t.Fatal(err)
		}
		x.Settle()
	}
	slots := headerSize + opts.Slots*slotSize
	heated := func() {
		t.Helper()
		for begin := time.Now(); !x.writer.active.mapping.Resident(0, slots); runtime.Gosched() {
			if time.Since(begin) > time.Minute {
				t.Fatal("the slots do not come into memory")
			}
		}
	}
	put(0, 10)
	if x.writer.active.slotsAsked || x.writer.active.mapping.Resident(0, slots) {
		t.Fatal("the slots of a file with few keys are in memory")
	}
	put(10, 1000)
	heated()
	put(1010, 100)
	checkComplete(t, x, 0, 1110)

	st, err := x.Sync()
	path := x.writer.active.path
	if err := errors.Join(err, x.Close()); err != nil {
		t.Fatal(err)
	}
	if !forget(t, path, slots) {
		return
	}
	x = openAt(t, vfs.OS, dir, opts)
	recoverAt(t, x, st, true, 0, 1110*100)
	put(1110, 1)
	heated()
	checkComplete(t, x, 0, 1111)
}

// forget has the system drop the first n bytes of a file from memory, which one that is in memory only will not.
func forget(t *testing.T, path string, n int) bool {
	t.Helper()
	f, err := vfs.OS.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.Map(0, n, false)
	if err != nil {
		t.Fatal(errors.Join(err, f.Close()))
	}
	err = m.Forget(0, n)
	gone := !m.Resident(0, n)
	if err := errors.Join(err, m.Unmap(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return gone
}
