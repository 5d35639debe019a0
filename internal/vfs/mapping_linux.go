package vfs

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/rocketlog/rocketlog/internal/invariants"
)

// osMapping is memory from mmap.
type osMapping struct {
	name     string
	data     []byte
	writable bool
	checker  invariants.CloseChecker
}

// anonymousName stands for the path in errors about memory without a file.
const anonymousName = "(anonymous)"

// Anonymous returns n bytes of zeroed memory outside the Go heap.
func Anonymous(n int) (Mapping, error) {
	data, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, pathError("mmap", anonymousName, err)
	}
	return &osMapping{name: anonymousName, data: data, writable: true}, nil
}

func (f *osFile) Map(off int64, n int, writable bool) (Mapping, error) {
	if err := f.begin("mmap"); err != nil {
		return nil, err
	}
	defer f.end()
	size, err := fdSize(f.fd)
	if err != nil {
		return nil, pathError("fstat", f.name, err)
	}
	if off < 0 || n <= 0 {
		return nil, pathError("mmap", f.name, unix.EINVAL)
	}
	if off > size || int64(n) > size-off {
		return nil, pathError("mmap", f.name, ErrShortFile)
	}
	prot := unix.PROT_READ
	if writable {
		prot |= unix.PROT_WRITE
	}
	data, err := unix.Mmap(f.fd, off, n, prot, unix.MAP_SHARED)
	if err != nil {
		return nil, pathError("mmap", f.name, err)
	}
	addRegion(data, f.name)
	return &osMapping{name: f.name, data: data, writable: writable}, nil
}

func (m *osMapping) Bytes() []byte {
	m.checker.AssertOpen()
	return m.data
}

// pages is [off, off+n) widened down to a page border; the kernel widens its
// end itself.
func (m *osMapping) pages(op string, off, n int) ([]byte, error) {
	if m.data == nil {
		return nil, pathError(op, m.name, os.ErrClosed)
	}
	if err := checkRange(off, n, len(m.data)); err != nil {
		return nil, pathError(op, m.name, err)
	}
	begin := off &^ (pageSize - 1)
	return m.data[begin : off+n], nil
}

func (m *osMapping) Sync(off, n int) error {
	b, err := m.pages("msync", off, n)
	if err != nil || len(b) == 0 {
		return err
	}
	for {
		if err := unix.Msync(b, unix.MS_SYNC); err != unix.EINTR {
			return pathError("msync", m.name, err)
		}
	}
}

func (m *osMapping) Advise(off, n int, a Advice) error {
	b, err := m.pages("madvise", off, n)
	if err != nil || len(b) == 0 {
		return err
	}
	if a >= adviceCount {
		return pathError("madvise", m.name, unix.EINVAL)
	}
	err = madvise(b, madvice[a])
	if a == HugePage && err == unix.EINVAL {
		return nil // a kernel without huge pages
	}
	return pathError("madvise", m.name, err)
}

// madvice maps an Advice to the kernel's number.
var madvice = [adviceCount]int{
	Normal:     unix.MADV_NORMAL,
	Random:     unix.MADV_RANDOM,
	Sequential: unix.MADV_SEQUENTIAL,
	WillNeed:   unix.MADV_WILLNEED,
	DontNeed:   unix.MADV_DONTNEED,
	HugePage:   unix.MADV_HUGEPAGE,
}

func madvise(b []byte, advice int) error {
	return ignoringEINTR(func() error { return unix.Madvise(b, advice) })
}

func (m *osMapping) Lock(off, n int) error {
	b, err := m.pages("mlock", off, n)
	if err != nil || len(b) == 0 {
		return err
	}
	return pathError("mlock", m.name, ignoringEINTR(func() error { return unix.Mlock(b) }))
}

func (m *osMapping) Unlock(off, n int) error {
	b, err := m.pages("munlock", off, n)
	if err != nil || len(b) == 0 {
		return err
	}
	return pathError("munlock", m.name, ignoringEINTR(func() error { return unix.Munlock(b) }))
}

func (m *osMapping) Preheat(off, n int) error {
	b, err := m.pages("preheat", off, n)
	if err != nil || len(b) == 0 {
		return err
	}
	advice := unix.MADV_POPULATE_READ
	if m.writable {
		advice = unix.MADV_POPULATE_WRITE
	}
	err = madvise(b, advice)
	if err == unix.EINVAL { // a kernel before 5.14
		touch(b, m.writable)
		return nil
	}
	return pathError("preheat", m.name, err)
}

func (m *osMapping) Unmap() error {
	if m.data == nil {
		return pathError("munmap", m.name, os.ErrClosed)
	}
	m.checker.Close()
	data := m.data
	m.data = nil
	removeRegion(data)
	return pathError("munmap", m.name, unix.Munmap(data))
}
