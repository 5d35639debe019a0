package vfs

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rocketlog/rocketlog/internal/invariants"
)

// osMapping is memory from mmap.
type osMapping struct {
	name     string
	data     []byte
	writable bool
	file     *osFile // what is mapped; nil for anonymous memory, and possibly closed
	off      int64   // of data in it
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
	prot := unix.PROT_READ
	if writable {
		prot |= unix.PROT_WRITE
	}
	return f.mmap(off, n, prot, unix.MAP_SHARED)
}

// mapPrivate maps the first n bytes to be written to by this process alone, be the file opened for reading only.
func (f *osFile) mapPrivate(n int) (Mapping, error) {
	return f.mmap(0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
}

func (f *osFile) mmap(off int64, n, prot, flags int) (Mapping, error) {
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
	data, err := unix.Mmap(f.fd, off, n, prot, flags)
	if err != nil {
		return nil, pathError("mmap", f.name, err)
	}
	addRegion(data, f.name)
	return &osMapping{name: f.name, data: data, writable: prot&unix.PROT_WRITE != 0, file: f, off: off}, nil
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

// residentPiece is how many pages are asked after at once.
const residentPiece = 256

func (m *osMapping) Resident(off, n int) bool {
	b, err := m.pages("mincore", off, n)
	if err != nil {
		return true
	}
	var present [residentPiece]byte
	for len(b) > 0 {
		piece := b[:min(len(b), residentPiece*pageSize)]
		if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&piece[0])), uintptr(len(piece)), uintptr(unsafe.Pointer(&present[0]))); errno != 0 {
			return true
		}
		for _, p := range present[:(len(piece)+pageSize-1)/pageSize] {
			if p&1 == 0 {
				return false
			}
		}
		b = b[len(piece):]
	}
	return true
}

func (m *osMapping) Load(off, n int) error {
	b, err := m.pages("load", off, n)
	if err != nil || len(b) == 0 {
		return err
	}
	if m.file != nil && m.file.load(m.off+int64(off), n) == nil {
		return nil
	}
	// It is no file's, or the file is closed; or else this tells what is wrong.
	err = madvise(b, unix.MADV_POPULATE_READ)
	if err == unix.EINVAL { // a kernel before 5.14
		touch(b, false)
		return nil
	}
	return pathError("load", m.name, err)
}

func (m *osMapping) Forget(off, n int) error {
	b, err := m.pages("forget", off, n)
	if err != nil || len(b) == 0 {
		return err
	}
	// Pages that a mapping refers to stay in the cache.
	if err := madvise(b, unix.MADV_DONTNEED); err != nil {
		return pathError("forget", m.name, err)
	}
	if m.file != nil {
		m.file.advise(m.off+int64(off-off%pageSize), int64(len(b)), unix.FADV_DONTNEED)
	}
	return nil
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
