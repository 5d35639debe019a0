package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Op is a kind of operation, of a file system, a file or a mapping.
type Op uint8

// The operations, as a Rule names them. Sync and SyncData are two, as a test
// may care; RemoveAll is a Remove, WriteAt a Write, and so on.
const (
	OpAny Op = iota // in a rule: each of them
	OpOpen
	OpMkdir
	OpRemove
	OpRename
	OpReadDir
	OpStat
	OpSyncDir
	OpLock
	OpUsage
	OpSyncAll
	OpClose
	OpRead
	OpWrite
	OpSize
	OpTruncate
	OpAllocate
	OpZeroRange
	OpSync
	OpSyncData
	OpSyncRange
	OpMap
	OpMapSync
	OpAdvise
	OpMlock
	OpPreheat
	OpLoad
	OpUnmap
	opCount
)

var opNames = [opCount]string{
	"any", "open", "mkdir", "remove", "rename", "readdir", "stat", "syncdir", "lock", "usage", "syncall",
	"close", "read", "write", "size", "truncate", "allocate", "zerorange", "sync", "syncdata", "syncrange",
	"map", "mapsync", "advise", "mlock", "preheat", "load", "unmap",
}

// String is the name of the operation, in lower case.
func (op Op) String() string {
	if op < opCount {
		return opNames[op]
	}
	return fmt.Sprintf("op(%d)", uint8(op))
}

// Ops lists all operations, for a campaign that goes through them.
func Ops() []Op {
	ops := make([]Op, 0, opCount-1)
	for op := OpOpen; op < opCount; op++ {
		ops = append(ops, op)
	}
	return ops
}

// Rule says which calls go wrong, and how. A call meets the first rule that
// fits; one without Err and Short goes through, late if there is a Delay.
type Rule struct {
	Op   Op     // OpAny fits all
	Path string // part of the path; empty fits all
	Nth  int    // the call that it concerns among those that fit, from 1; 0: every one
	On   bool   // the calls after the Nth too

	Err   error         // what the call returns, with operation and path; nothing is done
	Short int           // of a read or write: bytes done before Err (by default EOF, ENOSPC)
	Delay time.Duration // slept before the call
	Do    func(Call)    // run before the call, for tests that crash or count there
}

// Call is one call that was made, as counted.
type Call struct {
	Op   Op
	Path string
	N    int // how many calls of this operation there were, this one included
}

// String is "op path (nth)".
func (c Call) String() string { return fmt.Sprintf("%s %s (%d)", c.Op, c.Path, c.N) }

// FaultFS is a file system that does what another does, except where a rule
// says otherwise. It counts all calls, so that a campaign can first run without
// rules and then fail each call in turn.
type FaultFS struct {
	inner FS
	sleep func(time.Duration)

	mu     sync.Mutex
	rules  []*activeRule
	counts [opCount]int
	record bool
	calls  []Call
}

type activeRule struct {
	Rule
	seen int // calls that fit so far
}

// NewFaultFS wraps inner. sleep serves the delays; nil is time.Sleep.
func NewFaultFS(inner FS, sleep func(time.Duration)) *FaultFS {
	if sleep == nil {
		sleep = time.Sleep
	}
	return &FaultFS{inner: inner, sleep: sleep}
}

// SetRules replaces the rules; each counts from zero.
func (f *FaultFS) SetRules(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
	for _, r := range rules {
		f.rules = append(f.rules, &activeRule{Rule: r})
	}
}

// Record starts a record of all calls, or ends it.
func (f *FaultFS) Record(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record, f.calls = on, nil
}

// Calls is the record so far.
func (f *FaultFS) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Count says how many calls of op there were; OpAny asks for all.
func (f *FaultFS) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op != OpAny {
		return f.counts[op]
	}
	sum := 0
	for _, n := range f.counts {
		sum += n
	}
	return sum
}

// meet counts a call and returns the rule that it meets, or one that does nothing.
func (f *FaultFS) meet(op Op, path string) (Rule, Call) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[op]++
	call := Call{op, path, f.counts[op]}
	if f.record {
		f.calls = append(f.calls, call)
	}
	var met Rule
	found := false
	for _, r := range f.rules { // each counts, whether an earlier one is met or not
		if r.fits(call) && !found {
			met, found = r.Rule, true
		}
	}
	return met, call
}

func (r *activeRule) fits(c Call) bool {
	if r.Op != OpAny && r.Op != c.Op || !strings.Contains(c.Path, r.Path) {
		return false
	}
	r.seen++
	return r.Nth == 0 || r.seen == r.Nth || r.On && r.seen > r.Nth
}

// before counts a call, does what its rule says and returns the rule.
func (f *FaultFS) before(op Op, path string) Rule {
	r, call := f.meet(op, path)
	if r.Delay > 0 {
		f.sleep(r.Delay)
	}
	if r.Do != nil {
		r.Do(call)
	}
	return r
}

// fail is before for calls that are done whole or not at all.
func (f *FaultFS) fail(op Op, path string) error {
	return pathError(op.String(), path, f.before(op, path).Err)
}

// OpenFile implements FS.
func (f *FaultFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	if err := f.fail(OpOpen, name); err != nil {
		return nil, err
	}
	file, err := f.inner.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultFile{fs: f, inner: file}, nil
}

// MkdirAll implements FS.
func (f *FaultFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.then(OpMkdir, dir, func() error { return f.inner.MkdirAll(dir, perm) })
}

// then makes a call unless a rule fails it.
func (f *FaultFS) then(op Op, path string, call func() error) error {
	if err := f.fail(op, path); err != nil {
		return err
	}
	return call()
}

// Remove implements FS.
func (f *FaultFS) Remove(name string) error {
	return f.then(OpRemove, name, func() error { return f.inner.Remove(name) })
}

// RemoveAll implements FS.
func (f *FaultFS) RemoveAll(name string) error {
	return f.then(OpRemove, name, func() error { return f.inner.RemoveAll(name) })
}

// Rename implements FS. Rules fit its new name.
func (f *FaultFS) Rename(oldname, newname string) error {
	return f.then(OpRename, newname, func() error { return f.inner.Rename(oldname, newname) })
}

// ReadDir implements FS.
func (f *FaultFS) ReadDir(dir string) ([]os.DirEntry, error) {
	if err := f.fail(OpReadDir, dir); err != nil {
		return nil, err
	}
	return f.inner.ReadDir(dir)
}

// Stat implements FS.
func (f *FaultFS) Stat(name string) (os.FileInfo, error) {
	if err := f.fail(OpStat, name); err != nil {
		return nil, err
	}
	return f.inner.Stat(name)
}

// SyncDir implements FS.
func (f *FaultFS) SyncDir(dir string) error {
	return f.then(OpSyncDir, dir, func() error { return f.inner.SyncDir(dir) })
}

// Lock implements FS.
func (f *FaultFS) Lock(name string) (io.Closer, error) {
	if err := f.fail(OpLock, name); err != nil {
		return nil, err
	}
	return f.inner.Lock(name)
}

// Usage implements FS.
func (f *FaultFS) Usage(path string) (Usage, error) {
	if err := f.fail(OpUsage, path); err != nil {
		return Usage{}, err
	}
	return f.inner.Usage(path)
}

// CacheID implements FS.
func (f *FaultFS) CacheID(path string) string { return f.inner.CacheID(path) }

// SyncAll implements FS.
func (f *FaultFS) SyncAll(path string) error {
	return f.then(OpSyncAll, path, func() error { return f.inner.SyncAll(path) })
}

type faultFile struct {
	fs    *FaultFS
	inner File
}

func (f *faultFile) then(op Op, call func() error) error {
	return f.fs.then(op, f.inner.Name(), call)
}

func (f *faultFile) Name() string { return f.inner.Name() }

// Close closes the file even when it is to fail, as close(2) does.
func (f *faultFile) Close() error {
	injected := f.fs.fail(OpClose, f.inner.Name())
	err := f.inner.Close()
	return errors.Join(injected, err)
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) { return f.read(f.inner.ReadAt, p, off) }

func (f *faultFile) ReadCold(p []byte, off int64) (int, error) {
	return f.read(f.inner.ReadCold, p, off)
}

func (f *faultFile) read(read func([]byte, int64) (int, error), p []byte, off int64) (int, error) {
	r := f.fs.before(OpRead, f.inner.Name())
	if r.Err == nil && r.Short == 0 {
		return read(p, off)
	}
	n, err := read(p[:min(r.Short, len(p))], off)
	switch {
	case err != nil || n == len(p):
		return n, err
	case r.Err == nil:
		return n, io.EOF
	}
	return n, pathError(OpRead.String(), f.inner.Name(), r.Err)
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	r := f.fs.before(OpWrite, f.inner.Name())
	if r.Err == nil && r.Short == 0 {
		return f.inner.WriteAt(p, off)
	}
	n, err := f.inner.WriteAt(p[:min(r.Short, len(p))], off)
	switch {
	case err != nil || r.Short >= len(p) && r.Err == nil:
		return n, err
	case r.Err == nil:
		r.Err = syscall.ENOSPC
	}
	return n, pathError(OpWrite.String(), f.inner.Name(), r.Err)
}

func (f *faultFile) Size() (int64, error) {
	if err := f.fs.fail(OpSize, f.inner.Name()); err != nil {
		return 0, err
	}
	return f.inner.Size()
}

func (f *faultFile) Truncate(size int64) error {
	return f.then(OpTruncate, func() error { return f.inner.Truncate(size) })
}

func (f *faultFile) Allocate(off, n int64) error {
	return f.then(OpAllocate, func() error { return f.inner.Allocate(off, n) })
}

func (f *faultFile) ZeroRange(off, n int64) error {
	return f.then(OpZeroRange, func() error { return f.inner.ZeroRange(off, n) })
}

func (f *faultFile) Sync() error     { return f.then(OpSync, f.inner.Sync) }
func (f *faultFile) SyncData() error { return f.then(OpSyncData, f.inner.SyncData) }

func (f *faultFile) SyncRange(off, n int64) error {
	return f.then(OpSyncRange, func() error { return f.inner.SyncRange(off, n) })
}

func (f *faultFile) Map(off int64, n int, writable bool) (Mapping, error) {
	if err := f.fs.fail(OpMap, f.inner.Name()); err != nil {
		return nil, err
	}
	m, err := f.inner.Map(off, n, writable)
	if err != nil {
		return nil, err
	}
	return &faultMapping{fs: f.fs, name: f.inner.Name(), inner: m}, nil
}

type faultMapping struct {
	fs    *FaultFS
	name  string
	inner Mapping
}

func (m *faultMapping) Bytes() []byte { return m.inner.Bytes() }

func (m *faultMapping) Sync(off, n int) error {
	return m.fs.then(OpMapSync, m.name, func() error { return m.inner.Sync(off, n) })
}

func (m *faultMapping) Advise(off, n int, a Advice) error {
	return m.fs.then(OpAdvise, m.name, func() error { return m.inner.Advise(off, n, a) })
}

func (m *faultMapping) Lock(off, n int) error {
	return m.fs.then(OpMlock, m.name, func() error { return m.inner.Lock(off, n) })
}

func (m *faultMapping) Unlock(off, n int) error { return m.inner.Unlock(off, n) }

func (m *faultMapping) Preheat(off, n int) error {
	return m.fs.then(OpPreheat, m.name, func() error { return m.inner.Preheat(off, n) })
}

func (m *faultMapping) Resident(off, n int) bool { return m.inner.Resident(off, n) }

func (m *faultMapping) Load(off, n int) error {
	return m.fs.then(OpLoad, m.name, func() error { return m.inner.Load(off, n) })
}

func (m *faultMapping) Forget(off, n int) error { return m.inner.Forget(off, n) }

func (m *faultMapping) Unmap() error {
	return m.fs.then(OpUnmap, m.name, m.inner.Unmap)
}
