package vfs

import (
	"io"
	"math"
	"os"
	"slices"
	"syscall"

	"github.com/rocketlog/rocketlog/internal/invariants"
)

// crashFile is an open file of a CrashFS.
type crashFile struct {
	fs                *CrashFS
	node              *crashNode
	name              string
	canRead, canWrite bool
	closed            bool // guarded by fs.mu
}

// begin starts an operation on the file; the caller unlocks fs.mu in any case.
func (f *crashFile) begin(op string, allowed bool) error {
	f.fs.enter()
	switch {
	case f.closed:
		return pathError(op, f.name, os.ErrClosed)
	case !allowed:
		return pathError(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *crashFile) Name() string { return f.name }

func (f *crashFile) Close() error {
	defer f.fs.mu.Unlock()
	if err := f.begin("close", true); err != nil {
		return err
	}
	f.closed = true
	f.node.refs--
	f.fs.release(f.node)
	return nil
}

func (f *crashFile) ReadCold(p []byte, off int64) (int, error) { return f.ReadAt(p, off) }

func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	defer f.fs.mu.Unlock()
	if err := f.begin("pread", f.canRead); err != nil {
		return 0, err
	}
	d := &f.node.data
	switch {
	case f.node.dir:
		return 0, pathError("pread", f.name, syscall.EISDIR)
	case off < 0:
		return 0, pathError("pread", f.name, syscall.EINVAL)
	case len(p) == 0:
		return 0, nil
	case off >= d.size:
		return 0, io.EOF
	}
	end := min(off+int64(len(p)), d.size)
	for i := int(off / crashPageSize); i < pagesOf(end); i++ {
		from, to := cut(i, off, end)
		copyRaw(p[int64(i)*crashPageSize+int64(from)-off:], d.page(i)[from:to])
	}
	n := int(end - off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	defer f.fs.mu.Unlock()
	if err := f.begin("pwrite", f.canWrite); err != nil {
		return 0, err
	}
	if off < 0 || off > math.MaxInt64-int64(len(p)) {
		return 0, pathError("pwrite", f.name, syscall.EINVAL)
	}
	n := f.fs.write(f.node, p, off)
	if n < len(p) {
		return n, pathError("pwrite", f.name, syscall.ENOSPC)
	}
	return n, nil
}

// write stores p, page by page, as far as there is space.
func (c *CrashFS) write(n *crashNode, p []byte, off int64) (written int) {
	d := &n.data
	end := off + int64(len(p))
	for i := int(off / crashPageSize); written < len(p); i++ {
		if !c.allocate(d, i) {
			break
		}
		from, to := cut(i, off, end)
		c.storePage(n, i, from, p[written:written+to-from])
		written += to - from
	}
	if written > 0 {
		c.setSize(d, max(d.size, off+int64(written)))
		n.mtime = c.now()
	}
	return written
}

func (f *crashFile) Size() (int64, error) {
	defer f.fs.mu.Unlock()
	if err := f.begin("fstat", true); err != nil {
		return 0, err
	}
	return f.node.data.size, nil
}

func (f *crashFile) Truncate(size int64) error {
	defer f.fs.mu.Unlock()
	if err := f.begin("ftruncate", true); err != nil {
		return err
	}
	if size < 0 || !f.canWrite {
		return pathError("ftruncate", f.name, syscall.EINVAL)
	}
	f.fs.truncate(f.node, size)
	return nil
}

func (f *crashFile) Allocate(off, n int64) error {
	defer f.fs.mu.Unlock()
	if err := f.beginRange("fallocate", off, n); err != nil {
		return err
	}
	if err := f.fs.reserve(&f.node.data, off, off+n); err != nil {
		return pathError("fallocate", f.name, err)
	}
	f.fs.setSize(&f.node.data, max(f.node.data.size, off+n))
	return nil
}

func (f *crashFile) ZeroRange(off, n int64) error {
	defer f.fs.mu.Unlock()
	if err := f.beginRange("fallocate", off, n); err != nil {
		return err
	}
	d := &f.node.data
	end := min(off+n, d.size)
	if off >= end {
		return nil
	}
	if err := f.fs.reserve(d, off, end); err != nil {
		return pathError("fallocate", f.name, err)
	}
	f.fs.zero(f.node, off, end)
	return nil
}

func (f *crashFile) beginRange(op string, off, n int64) error {
	if err := f.begin(op, f.canWrite); err != nil {
		return err
	}
	if off < 0 || n <= 0 || off > math.MaxInt64-n {
		return pathError(op, f.name, syscall.EINVAL)
	}
	return nil
}

// reserve takes space for [from, to), all of it or none.
func (c *CrashFS) reserve(d *crashData, from, to int64) error {
	first, last := int(from/crashPageSize), pagesOf(to)
	if int64(last-first) > c.capacity {
		return syscall.ENOSPC
	}
	missing := int64(0)
	for i := first; i < last; i++ {
		if !d.alloc.has(i) {
			missing++
		}
	}
	if missing > c.capacity-c.used {
		return syscall.ENOSPC
	}
	for i := first; i < last; i++ {
		c.allocate(d, i)
	}
	return nil
}

func (f *crashFile) Sync() error     { return f.sync("fsync") }
func (f *crashFile) SyncData() error { return f.sync("fdatasync") }

func (f *crashFile) sync(op string) error {
	defer f.fs.mu.Unlock()
	if err := f.begin(op, true); err != nil {
		return err
	}
	return pathError(op, f.name, f.node.data.syncAll(f.fs))
}

func (f *crashFile) SyncRange(off, n int64) error {
	defer f.fs.mu.Unlock()
	if err := f.begin("sync_file_range", true); err != nil {
		return err
	}
	if off < 0 || n < 0 {
		return pathError("sync_file_range", f.name, syscall.EINVAL)
	}
	return nil
}

func (f *crashFile) Map(off int64, n int, writable bool) (Mapping, error) {
	defer f.fs.mu.Unlock()
	if err := f.begin("mmap", true); err != nil {
		return nil, err
	}
	size := f.node.data.size
	var err error
	switch {
	case f.node.dir:
		err = syscall.ENODEV
	case off < 0 || n <= 0 || off%crashPageSize != 0:
		err = syscall.EINVAL
	case off > size || int64(n) > size-off:
		err = ErrShortFile
	case !f.canRead || writable && !f.canWrite:
		err = syscall.EACCES
	default:
		err = f.fs.attach(f.node)
	}
	if err != nil {
		return nil, pathError("mmap", f.name, err)
	}
	f.node.refs++
	end := int(off) + n
	return &crashMapping{fs: f.fs, node: f.node, name: f.name, off: int(off), data: f.node.data.mem[off:end:end]}, nil
}

// crashMapping is a window on a file of a CrashFS.
type crashMapping struct {
	fs      *CrashFS
	node    *crashNode
	name    string
	off     int // of the window in the file
	data    []byte
	checker invariants.CloseChecker
}

func (m *crashMapping) Bytes() []byte {
	m.checker.AssertOpen()
	return m.data
}

// begin starts an operation on a range; the caller unlocks fs.mu in any case.
func (m *crashMapping) begin(op string, off, n int) error {
	m.fs.enter()
	if m.data == nil {
		return pathError(op, m.name, os.ErrClosed)
	}
	return pathError(op, m.name, checkRange(off, n, len(m.data)))
}

func (m *crashMapping) Sync(off, n int) error {
	defer m.fs.mu.Unlock()
	if err := m.begin("msync", off, n); err != nil || n == 0 {
		return err
	}
	d := &m.node.data
	from, to := (m.off+off)/crashPageSize, pagesOf(int64(m.off+off+n))
	if err := d.syncPages(m.fs, from, to); err != nil {
		return pathError("msync", m.name, err)
	}
	// What was synced can be read after a crash only if the file reaches so far.
	d.diskSize = max(d.diskSize, min(d.size, int64(to)*crashPageSize))
	d.betweenSizes = slices.DeleteFunc(d.betweenSizes, func(size int64) bool { return size < d.diskSize })
	return nil
}

func (m *crashMapping) Advise(off, n int, a Advice) error {
	defer m.fs.mu.Unlock()
	if err := m.begin("madvise", off, n); err != nil {
		return err
	}
	if a >= adviceCount {
		return pathError("madvise", m.name, syscall.EINVAL)
	}
	return nil
}

func (m *crashMapping) Lock(off, n int) error    { return m.nothing("mlock", off, n) }
func (m *crashMapping) Unlock(off, n int) error  { return m.nothing("munlock", off, n) }
func (m *crashMapping) Preheat(off, n int) error { return m.nothing("preheat", off, n) }
func (m *crashMapping) Resident(off, n int) bool { return true }
func (m *crashMapping) Load(off, n int) error    { return m.nothing("load", off, n) }
func (m *crashMapping) Forget(off, n int) error  { return m.nothing("forget", off, n) }

// nothing is what an operation does that changes neither bytes nor durability.
func (m *crashMapping) nothing(op string, off, n int) error {
	defer m.fs.mu.Unlock()
	return m.begin(op, off, n)
}

func (m *crashMapping) Unmap() error {
	m.fs.enter()
	defer m.fs.mu.Unlock()
	if m.data == nil {
		return pathError("munmap", m.name, os.ErrClosed)
	}
	m.checker.Close()
	m.data = nil
	m.fs.detach(m.node)
	m.node.refs--
	m.fs.release(m.node)
	return nil
}
