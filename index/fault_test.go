package index

import (
	"errors"
	"math"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// scenario is what a campaign of failures goes through: three files, syncs, a deletion, a truncation
// and a close. It returns the last State known to be kept.
func scenario(fsys vfs.FS, dir string, opts *Options) (kept State, err error) {
	x, err := Open(fsys, dir, opts)
	if err != nil {
		return kept, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	if _, err := x.Recover(State{}, true, 0, 0); err != nil {
		return kept, err
	}
	for i := range 4 {
		if err := putN(x, i*8, 8); err != nil {
			return kept, err
		}
		st, err := x.Sync()
		if err != nil {
			return kept, err
		}
		kept = st
	}
	for _, key := range []string{"K1", "K30"} {
		if _, err := x.Query("T", key, 10, 0, math.MaxInt64); err != nil {
			return kept, err
		}
	}
	if _, err := x.DeleteExpired(100); err != nil {
		return kept, err
	}
	if err := x.Truncate(3000); err != nil {
		return kept, err
	}
	st, err := x.Sync()
	if err == nil {
		kept = st
	}
	return kept, err
}

// TestEveryFailure fails each call of the scenario in turn: it must be reported, and leave what a
// recovery makes whole.
func TestEveryFailure(t *testing.T) {
	opts := &Options{Slots: 300, Entries: 31, MaxMapped: 1}
	fault := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	fault.Record(true)
	if _, err := scenario(fault, "/index", opts); err != nil {
		t.Fatal(err)
	}
	calls := fault.Calls()
	if len(calls) < 50 {
		t.Fatalf("only %d calls", len(calls))
	}
	for nth, call := range calls {
		crash := vfs.NewCrashFS(uint64(nth))
		fault := vfs.NewFaultFS(crash, nil)
		fault.SetRules(vfs.Rule{Nth: nth + 1, Err: syscall.EIO})
		kept, err := scenario(fault, "/index", opts)
		if call.Op != vfs.OpPreheat && !errors.Is(err, syscall.EIO) { // which is only quicker
			t.Fatalf("%v fails and the error is %v", call, err)
		}
		after := crash.Crash(uint64(nth))
		x := openAt(t, after, "/index", opts)
		from := recoverAt(t, x, kept, false, 0, 3000)
		if err := putN(x, int(from)/100, 30-int(from)/100); err != nil {
			t.Fatalf("after %v: %v", call, err)
		}
		checkComplete(t, x, 0, 30)
		after.Discard()
		crash.Discard()
	}
}

func TestFullDiskIsAnError(t *testing.T) {
	crash := vfs.NewCrashFS(1)
	x := fresh(t, crash, &Options{Slots: 2000, Entries: 50})
	if err := putN(x, 0, 14); err != nil { // two entries of the 17th message still fit
		t.Fatal(err)
	}
	before, err := crash.Usage("/")
	if err != nil {
		t.Fatal(err)
	}
	crash.SetCapacity(int64(before.Total - before.Free))
	stopped := -1
	for i := 14; i < 30; i++ {
		if err := putOne(x, i); err != nil {
			if !vfs.IsNoSpace(err) {
				t.Fatal(err)
			}
			stopped = i
			break
		}
	}
	if stopped != 16 {
		t.Fatalf("the disk was full at message %d", stopped)
	}
	for range 3 { // trying again changes nothing
		if err := putOne(x, stopped); !vfs.IsNoSpace(err) {
			t.Fatalf("error %v", err)
		}
	}
	if entries, err := crash.ReadDir(x.dir); err != nil || len(entries) != 1 {
		t.Fatalf("%d files, error %v", len(entries), err)
	}
	checkComplete(t, x, 0, stopped)
	crash.SetCapacity(1 << 30)
	if err := putN(x, stopped, 20); err != nil {
		t.Fatal(err)
	}
	checkComplete(t, x, 0, stopped+20)
	if len(x.list()) != 3 {
		t.Fatalf("%d files", len(x.list()))
	}
}

// TestFullDiskAtOpen takes over a file with holes on a disk that cannot fill them.
func TestFullDiskAtOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	opts := &Options{Slots: 10, Entries: 50}
	x := openAt(t, vfs.OS, dir, opts)
	recoverAt(t, x, State{}, true, 0, 0)
	if err := errors.Join(putN(x, 0, 5), x.Close()); err != nil {
		t.Fatal(err)
	}
	fault := vfs.NewFaultFS(vfs.OS, nil)
	fault.SetRules(vfs.Rule{Op: vfs.OpAllocate, Err: syscall.ENOSPC})
	x = openAt(t, fault, dir, opts)
	recoverAt(t, x, State{}, true, 0, 500)
	checkComplete(t, x, 0, 5)
	if err := putOne(x, 5); !vfs.IsNoSpace(err) {
		t.Fatalf("error %v", err)
	}
	fault.SetRules()
	if err := putN(x, 5, 5); err != nil {
		t.Fatal(err)
	}
	checkComplete(t, x, 0, 10)
	if len(x.list()) != 1 {
		t.Fatalf("%d files", len(x.list()))
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	fault := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	x := fresh(t, fault, &Options{Slots: 10, Entries: 50})
	if err := putN(x, 0, 3); err != nil {
		t.Fatal(err)
	}
	fault.SetRules(vfs.Rule{Op: vfs.OpSyncData, Err: syscall.EIO})
	if _, err := x.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("error %v", err)
	}
	fault.SetRules()
	if st, err := x.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("state %+v, error %v", st, err)
	}
	checkComplete(t, x, 0, 3)
}
