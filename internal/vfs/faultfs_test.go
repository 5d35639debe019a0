package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"time"
)

func newFaults(t *testing.T) (*FaultFS, *[]time.Duration) {
	t.Helper()
	var slept []time.Duration
	c := NewCrashFS(1)
	noErr(t, c.MkdirAll("/d", 0o755))
	return NewFaultFS(c, func(d time.Duration) { slept = append(slept, d) }), &slept
}

func TestRulesFitByPathAndOccurrence(t *testing.T) {
	for _, c := range []struct {
		name string
		rule Rule
		fail string // of the syncs of a, b, a, b, a
	}{
		{"every", Rule{Op: OpSync}, "xxxxx"},
		{"any operation", Rule{}, "xxxxx"},
		{"another operation", Rule{Op: OpSyncData}, "....."},
		{"path", Rule{Op: OpSync, Path: "/d/b"}, ".x.x."},
		{"second", Rule{Op: OpSync, Nth: 2}, ".x..."},
		{"second of a path", Rule{Op: OpSync, Path: "/a", Nth: 2}, "..x.."},
		{"from the second of a path on", Rule{Op: OpSync, Path: "/a", Nth: 2, On: true}, "..x.x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _ := newFaults(t)
			a, b := create(t, f, "/d/a"), create(t, f, "/d/b")
			c.rule.Err = syscall.EIO
			f.SetRules(c.rule)
			got := ""
			for _, file := range []File{a, b, a, b, a} {
				switch err := file.Sync(); {
				case err == nil:
					got += "."
				default:
					wantErr(t, err, syscall.EIO, file.Name())
					got += "x"
				}
			}
			if got != c.fail {
				t.Fatalf("failed %q, want %q", got, c.fail)
			}
			f.SetRules()
			noErr(t, a.Sync())
		})
	}
}

func TestFirstRuleThatFitsIsMet(t *testing.T) {
	f, slept := newFaults(t)
	f.SetRules(
		Rule{Op: OpStat, Nth: 2, Delay: time.Second},
		Rule{Op: OpStat, Nth: 3, Err: syscall.EIO},
	)
	for i, want := range []error{nil, nil, syscall.EIO, nil} {
		if _, err := f.Stat("/d"); !errors.Is(err, want) {
			t.Fatalf("call %d: %v, want %v", i+1, err, want)
		}
	}
	if len(*slept) != 1 || (*slept)[0] != time.Second {
		t.Fatalf("slept %v", *slept)
	}
}

func TestShortReadsAndWrites(t *testing.T) {
	f, _ := newFaults(t)
	file := create(t, f, "/d/a")
	f.SetRules(Rule{Op: OpWrite, Short: 3, Nth: 1}, Rule{Op: OpWrite, Short: 2, Err: syscall.EIO, Nth: 2})
	n, err := file.WriteAt([]byte("12345"), 0)
	if n != 3 || !IsNoSpace(err) {
		t.Fatalf("short write: %d, %v", n, err)
	}
	n, err = file.WriteAt([]byte("45678"), 3)
	if n != 2 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("short write: %d, %v", n, err)
	}
	wantFile(t, f, "/d/a", "12345")
	b := make([]byte, 5)
	f.SetRules(Rule{Op: OpRead, Short: 4, Nth: 1}, Rule{Op: OpRead, Err: syscall.EIO, Nth: 2}, Rule{Op: OpRead, Short: 9})
	if n, err := file.ReadAt(b, 0); n != 4 || err != io.EOF {
		t.Fatalf("short read: %d, %v", n, err)
	}
	if n, err := file.ReadAt(b, 0); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("failed read: %d, %v", n, err)
	}
	if n, err := file.ReadAt(b, 0); n != 5 || err != nil {
		t.Fatalf("a read shorter than the rule: %d, %v", n, err)
	}
}

// everyCall calls each operation once and returns the errors by operation.
func everyCall(fsys FS) map[Op]error {
	errs := map[Op]error{}
	file, err := fsys.OpenFile("/d/f", os.O_RDWR|os.O_CREATE, 0o644)
	errs[OpOpen] = err
	if err == nil {
		errs[OpAllocate] = file.Allocate(0, 8192)
		_, errs[OpWrite] = file.WriteAt([]byte("x"), 0)
		_, errs[OpRead] = file.ReadAt(make([]byte, 1), 0)
		_, errs[OpSize] = file.Size()
		errs[OpTruncate] = file.Truncate(8192)
		errs[OpZeroRange] = file.ZeroRange(0, 1)
		errs[OpSync] = file.Sync()
		errs[OpSyncData] = file.SyncData()
		errs[OpSyncRange] = file.SyncRange(0, 1)
		m, err := file.Map(0, 4096, true)
		errs[OpMap] = err
		if err == nil {
			errs[OpMapSync] = m.Sync(0, 1)
			errs[OpAdvise] = m.Advise(0, 1, Normal)
			errs[OpMlock] = errors.Join(m.Lock(0, 1), m.Unlock(0, 1))
			errs[OpPreheat] = m.Preheat(0, 1)
			errs[OpLoad] = m.Load(0, 1)
			errs[OpUnmap] = m.Unmap()
		}
		errs[OpClose] = file.Close()
	}
	errs[OpMkdir] = fsys.MkdirAll("/d/e", 0o755)
	errs[OpRename] = fsys.Rename("/d/e", "/d/g")
	_, errs[OpReadDir] = fsys.ReadDir("/d")
	_, errs[OpStat] = fsys.Stat("/d")
	errs[OpSyncDir] = fsys.SyncDir("/d")
	l, err := fsys.Lock("/d/lock")
	errs[OpLock] = err
	if err == nil {
		_ = l.Close() // not counted
	}
	_, errs[OpUsage] = fsys.Usage("/d")
	errs[OpSyncAll] = fsys.SyncAll("/d")
	errs[OpRemove] = errors.Join(fsys.Remove("/d/f"), fsys.RemoveAll("/d/x"))
	return errs
}

func TestCampaign(t *testing.T) {
	f, _ := newFaults(t)
	f.Record(true)
	for op, err := range everyCall(f) {
		if err != nil {
			t.Fatalf("%v: %v", op, err)
		}
	}
	calls := f.Calls()
	if len(calls) != f.Count(OpAny) || f.Count(OpRemove) != 2 || calls[0].String() != "open /d/f (1)" {
		t.Fatalf("%d calls counted, %v", f.Count(OpAny), calls)
	}
	for _, op := range Ops() {
		if f.Count(op) == 0 {
			t.Errorf("%v was never counted", op)
		}
		f, _ := newFaults(t)
		var met []Call
		f.SetRules(Rule{Op: op, Nth: 1, Err: syscall.EIO, Do: func(c Call) { met = append(met, c) }})
		for called, err := range everyCall(f) {
			if (called == op) != errors.Is(err, syscall.EIO) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("failing %v: %v returned %v", op, called, err)
			}
		}
		if len(met) != 1 || met[0].Op != op || met[0].N != 1 {
			t.Errorf("failing %v met %v", op, met)
		}
	}
	if s := Op(200).String(); s != "op(200)" {
		t.Errorf("unknown operation: %s", s)
	}
}

func TestFailedCloseCloses(t *testing.T) {
	f, _ := newFaults(t)
	file := create(t, f, "/d/a")
	f.SetRules(Rule{Op: OpClose, Nth: 1, Err: syscall.EIO})
	wantErr(t, file.Close(), syscall.EIO, "/d/a")
	wantErr(t, file.Close(), fs.ErrClosed, "/d/a")
}

// Each way that the replacement of a small file can fail leaves the old content
// or the new one, and nothing beside it.
func TestWriteFileAtomicUnderFaults(t *testing.T) {
	f, _ := newFaults(t)
	noErr(t, WriteFileAtomic(f, "/d/state", []byte("old")))
	f.Record(true)
	noErr(t, WriteFileAtomic(f, "/d/state", []byte("old")))
	calls := f.Calls()
	if len(calls) < 10 {
		t.Fatalf("only %d calls: %v", len(calls), calls)
	}
	for i, call := range calls {
		f.SetRules(Rule{Nth: i + 1, Err: syscall.EIO})
		err := WriteFileAtomic(f, "/d/state", []byte("new"))
		f.SetRules()
		want := "old"
		switch call.Op {
		case OpClose:
			if call.Path == "/d/state" { // of the file that was only read
				noErr(t, err)
				want = "new"
			}
		case OpSyncDir:
			want = "new" // there, but not for certain after a crash
		}
		if want == "old" || call.Op == OpSyncDir {
			wantErr(t, err, syscall.EIO, "/d")
		}
		wantFile(t, f, "/d/state", want)
		wantNames(t, f, "/d", "state state.bak")
		noErr(t, WriteFileAtomic(f, "/d/state", []byte("old")))
	}
}
