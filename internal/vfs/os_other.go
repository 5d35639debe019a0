//go:build !linux

package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/edsrzf/mmap-go"

	"github.com/rocketlog/rocketlog/internal/invariants"
)

// osFile is a file where only the portable calls are known: allocation writes
// zeros, and every sync is a full one.
type osFile struct{ *os.File }

func openFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Allocate writes zeros from the end of the file on; holes before it stay, as
// zeros over them could hit bytes that somebody stores through a mapping.
func (f osFile) Allocate(off, n int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	return WriteZeros(f, size, off+n-size)
}

func (f osFile) ZeroRange(off, n int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	return WriteZeros(f, off, min(n, size-off))
}

// ReadCold reads as ever: there is no portable way to look into the cache.
func (f osFile) ReadCold(p []byte, off int64) (int, error) { return f.ReadAt(p, off) }

func (f osFile) SyncData() error              { return f.Sync() }
func (f osFile) SyncRange(off, n int64) error { return nil }

func (f osFile) Map(off int64, n int, writable bool) (Mapping, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if off < 0 || n <= 0 {
		return nil, pathError("mmap", f.Name(), syscall.EINVAL)
	}
	if off > size || int64(n) > size-off {
		return nil, pathError("mmap", f.Name(), ErrShortFile)
	}
	prot := mmap.RDONLY
	if writable {
		prot = mmap.RDWR
	}
	data, err := mmap.MapRegion(f.File, n, prot, 0, off)
	if err != nil {
		return nil, pathError("mmap", f.Name(), err)
	}
	return &osMapping{name: f.Name(), data: data, writable: writable, file: f.File}, nil
}

// anonymousName stands for the path in errors about memory without a file.
const anonymousName = "(anonymous)"

// Anonymous returns n bytes of zeroed memory outside the Go heap.
func Anonymous(n int) (Mapping, error) {
	data, err := mmap.MapRegion(nil, n, mmap.RDWR, mmap.ANON, 0)
	if err != nil {
		return nil, pathError("mmap", anonymousName, err)
	}
	return &osMapping{name: anonymousName, data: data, writable: true}, nil
}

// osMapping is memory from mmap-go, which syncs and locks only as a whole.
type osMapping struct {
	name     string
	data     mmap.MMap
	writable bool
	file     *os.File // nil for anonymous memory; may be closed already
	checker  invariants.CloseChecker
}

func (m *osMapping) Bytes() []byte {
	m.checker.AssertOpen()
	return m.data
}

func (m *osMapping) check(op string, off, n int) error {
	if m.data == nil {
		return pathError(op, m.name, os.ErrClosed)
	}
	return pathError(op, m.name, checkRange(off, n, len(m.data)))
}

func (m *osMapping) Sync(off, n int) error {
	if err := m.check("msync", off, n); err != nil {
		return err
	}
	if err := m.data.Flush(); err != nil || m.file == nil {
		return pathError("msync", m.name, err)
	}
	// Where flushing a view only hands the pages to the cache, the file's own
	// sync finishes the work.
	if err := m.file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func (m *osMapping) Advise(off, n int, a Advice) error {
	if a >= adviceCount {
		return pathError("madvise", m.name, syscall.EINVAL)
	}
	return m.check("madvise", off, n)
}

func (m *osMapping) Lock(off, n int) error {
	if err := m.check("mlock", off, n); err != nil {
		return err
	}
	return pathError("mlock", m.name, m.data.Lock())
}

func (m *osMapping) Unlock(off, n int) error {
	if err := m.check("munlock", off, n); err != nil {
		return err
	}
	return pathError("munlock", m.name, m.data.Unlock())
}

func (m *osMapping) Preheat(off, n int) error {
	if err := m.check("preheat", off, n); err != nil {
		return err
	}
	begin := off - off%pageSize
	touch(m.data[begin:off+n], m.writable)
	return nil
}

// Resident says yes: there is no portable way to look into the cache.
func (m *osMapping) Resident(off, n int) bool { return true }

func (m *osMapping) Load(off, n int) error {
	if err := m.check("load", off, n); err != nil {
		return err
	}
	touch(m.data[off-off%pageSize:off+n], false)
	return nil
}

func (m *osMapping) Forget(off, n int) error { return m.check("forget", off, n) }

func (m *osMapping) Unmap() error {
	if m.data == nil {
		return pathError("munmap", m.name, os.ErrClosed)
	}
	m.checker.Close()
	data := m.data
	m.data = nil
	removeRegion(data)
	return pathError("munmap", m.name, data.Unmap())
}

// SyncDir syncs the directory where the system can; Windows cannot open one
// for that, and orders its names by itself.
func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrInvalid) {
		return nil
	}
	return err
}

// CacheID is not known here.
func (osFS) CacheID(string) string { return "" }

// SyncAll syncs each file and directory below path.
func (fsys osFS) SyncAll(path string) error {
	info, err := fsys.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return syncFile(path)
	}
	entries, err := fsys.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := fsys.SyncAll(path + string(os.PathSeparator) + e.Name()); err != nil {
			return err
		}
	}
	return fsys.SyncDir(path)
}

func syncFile(path string) error {
	if heldHere(path) {
		return nil // a lock file holds no data, and opening it would drop the lock
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (osFS) Usage(path string) (Usage, error) {
	return Usage{}, pathError("statfs", path, ErrNotSupported)
}

var _ io.Closer = osFile{}
