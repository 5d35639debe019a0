package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// osFile is a descriptor and the lock that keeps it from being closed, and its
// number from being given to another file, while a call uses it. os.File would
// do the same for reads and writes but not, without allocating, for the syncs
// on the put path.
type osFile struct {
	name string

	mu sync.RWMutex // read: the descriptor is in use; write: it is being closed
	fd int          // -1 when closed; guarded by mu

	stream stream
}

func openFile(name string, flag int, perm os.FileMode) (File, error) {
	fd, err := openFD(name, flag, uint32(perm.Perm()))
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &osFile{name: name, fd: fd}, nil
}

func openFD(name string, flag int, perm uint32) (fd int, err error) {
	err = ignoringEINTR(func() error {
		fd, err = unix.Open(name, flag|unix.O_CLOEXEC|unix.O_LARGEFILE, perm)
		return err
	})
	return fd, err
}

func (f *osFile) Name() string { return f.name }

// begin pins the descriptor for one call; end lets go of it.
func (f *osFile) begin(op string) error {
	f.mu.RLock()
	if f.fd >= 0 {
		return nil
	}
	f.mu.RUnlock()
	return pathError(op, f.name, os.ErrClosed)
}

func (f *osFile) end() { f.mu.RUnlock() }

func (f *osFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fd < 0 {
		return pathError("close", f.name, os.ErrClosed)
	}
	fd := f.fd
	f.fd = -1
	// After EINTR the descriptor is gone on Linux: to close again could hit
	// another file.
	err := unix.Close(fd)
	if err == unix.EINTR {
		err = nil
	}
	return errors.Join(pathError("close", f.name, err), f.stream.close())
}

func (f *osFile) ReadAt(p []byte, off int64) (n int, err error) {
	if err := f.begin("pread"); err != nil {
		return 0, err
	}
	defer f.end()
	if off < 0 {
		return 0, pathError("pread", f.name, unix.EINVAL)
	}
	for n < len(p) {
		m, err := unix.Pread(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, pathError("pread", f.name, err)
		case m == 0:
			return n, io.EOF
		default:
			n += m
		}
	}
	return n, nil
}

// coldPiece is how much ReadCold and load read at once.
const coldPiece = 256 << 10

func (f *osFile) ReadCold(p []byte, off int64) (n int, err error) {
	f.advise(0, 0, unix.FADV_RANDOM)
	for err == nil && n < len(p) {
		at := off + int64(n)
		piece := p[n:min(n+coldPiece, len(p))]
		cold := f.uncached(at, len(piece))
		var m int
		m, err = f.ReadAt(piece, at)
		n += m
		for _, r := range cold {
			f.advise(r.off, r.n, unix.FADV_DONTNEED)
		}
	}
	return n, err
}

// loadBuffers are where load reads to.
var loadBuffers = sync.Pool{New: func() any { return new([coldPiece]byte) }}

// load brings a range into the page cache by reading it, and forgets it. The system then reads ahead of one who reads on, in
// the largest requests and folios that there are; it does neither for one who only advises.
func (f *osFile) load(off int64, n int) error {
	buf := loadBuffers.Get().(*[coldPiece]byte)
	defer loadBuffers.Put(buf)
	for end := off + int64(n); off < end; off += coldPiece {
		if _, err := f.ReadAt(buf[:min(coldPiece, end-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// span is a range of a file.
type span struct{ off, n int64 }

// uncached returns the pages of a range that are not in the page cache; none
// where the system does not tell.
func (f *osFile) uncached(off int64, n int) (cold []span) {
	if off < 0 || f.begin("mincore") != nil {
		return nil
	}
	defer f.end()
	begin := off - off%int64(pageSize)
	data, err := unix.Mmap(f.fd, begin, n+int(off-begin), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Munmap(data) }()
	var present [coldPiece/minPageSize + 2]byte
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)), uintptr(unsafe.Pointer(&present[0]))); errno != 0 {
		return nil
	}
	pages := (len(data) + pageSize - 1) / pageSize
	for i := range pages {
		if present[i]&1 != 0 {
			continue
		}
		page := span{begin + int64(i*pageSize), int64(pageSize)}
		if last := len(cold) - 1; last >= 0 && cold[last].off+cold[last].n == page.off {
			cold[last].n += page.n
		} else {
			cold = append(cold, page)
		}
	}
	return cold
}

// advise gives a hint, which may be lost.
func (f *osFile) advise(off, n int64, advice int) {
	if f.begin("fadvise") != nil {
		return
	}
	defer f.end()
	_ = unix.Fadvise(f.fd, off, n, advice)
}

func (f *osFile) WriteAt(p []byte, off int64) (n int, err error) {
	if err := f.begin("pwrite"); err != nil {
		return 0, err
	}
	defer f.end()
	if off < 0 {
		return 0, pathError("pwrite", f.name, unix.EINVAL)
	}
	for n < len(p) {
		m, err := unix.Pwrite(f.fd, p[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, pathError("pwrite", f.name, err)
		case m == 0:
			return n, pathError("pwrite", f.name, io.ErrShortWrite)
		default:
			n += m
		}
	}
	return n, nil
}

func (f *osFile) Size() (int64, error) {
	if err := f.begin("fstat"); err != nil {
		return 0, err
	}
	defer f.end()
	size, err := fdSize(f.fd)
	return size, pathError("fstat", f.name, err)
}

func fdSize(fd int) (int64, error) {
	var st unix.Stat_t
	for {
		if err := unix.Fstat(fd, &st); err != unix.EINTR {
			return st.Size, err
		}
	}
}

func (f *osFile) Truncate(size int64) error {
	if err := f.begin("ftruncate"); err != nil {
		return err
	}
	defer f.end()
	err := ignoringEINTR(func() error { return unix.Ftruncate(f.fd, size) })
	return pathError("ftruncate", f.name, err)
}

func (f *osFile) Allocate(off, n int64) error {
	if err := f.begin("fallocate"); err != nil {
		return err
	}
	defer f.end()
	err := ignoringEINTR(func() error { return unix.Fallocate(f.fd, 0, off, n) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = f.extendByWriting(off + n)
	}
	return pathError("fallocate", f.name, err)
}

// extendByWriting allocates from the end of the file up to end where the file
// system has no fallocate. Holes before the end stay: zeros written over them
// could hit bytes that another goroutine is storing through a mapping.
func (f *osFile) extendByWriting(end int64) error {
	size, err := fdSize(f.fd)
	if err != nil {
		return err
	}
	return WriteZeros(f, size, end-size)
}

func (f *osFile) ZeroRange(off, n int64) error {
	if err := f.begin("fallocate"); err != nil {
		return err
	}
	defer f.end()
	err := ignoringEINTR(func() error {
		return unix.Fallocate(f.fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = f.zeroByWriting(off, n)
	}
	return pathError("fallocate", f.name, err)
}

func (f *osFile) zeroByWriting(off, n int64) error {
	size, err := fdSize(f.fd)
	if err != nil {
		return err
	}
	return WriteZeros(f, off, min(n, size-off))
}

func (f *osFile) Sync() error {
	if err := f.begin("fsync"); err != nil {
		return err
	}
	defer f.end()
	for {
		if err := unix.Fsync(f.fd); err != unix.EINTR {
			return pathError("fsync", f.name, err)
		}
	}
}

func (f *osFile) SyncData() error {
	if err := f.begin("fdatasync"); err != nil {
		return err
	}
	defer f.end()
	for {
		if err := unix.Fdatasync(f.fd); err != unix.EINTR {
			return pathError("fdatasync", f.name, err)
		}
	}
}

func (f *osFile) SyncRange(off, n int64) error {
	if err := f.begin("sync_file_range"); err != nil {
		return err
	}
	defer f.end()
	for {
		err := unix.SyncFileRange(f.fd, off, n, unix.SYNC_FILE_RANGE_WRITE)
		switch err {
		case unix.EINTR:
		case unix.ENOSYS, unix.EOPNOTSUPP:
			return nil // a hint that nobody takes is a hint all the same
		default:
			return pathError("sync_file_range", f.name, err)
		}
	}
}

func (osFS) SyncDir(dir string) error {
	return withFD("fsync", dir, unix.Fsync)
}

// CacheID implements FS: the boot, and the mount within it.
func (osFS) CacheID(path string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, statxMountIDUnique, &st); err != nil || st.Mask&statxMountIDUnique == 0 {
		return "" // before Linux 6.8 mount ids are used again
	}
	return fmt.Sprintf("%s %d", bytes.TrimSpace(boot), st.Mnt_id)
}

// statxMountIDUnique is STATX_MNT_ID_UNIQUE.
const statxMountIDUnique = 0x4000

func (osFS) SyncAll(path string) error {
	return withFD("syncfs", path, unix.Syncfs)
}

func (osFS) Usage(path string) (Usage, error) {
	var st unix.Statfs_t
	err := ignoringEINTR(func() error { return unix.Statfs(path, &st) })
	if err != nil {
		return Usage{}, pathError("statfs", path, err)
	}
	unit := uint64(st.Frsize)
	return Usage{Total: st.Blocks * unit, Free: st.Bfree * unit, Avail: st.Bavail * unit}, nil
}

// withFD opens path, whatever it is, for one call on its descriptor.
func withFD(op, path string, call func(fd int) error) error {
	fd, err := openFD(path, unix.O_RDONLY, 0)
	if err != nil {
		return pathError("open", path, err)
	}
	err = ignoringEINTR(func() error { return call(fd) })
	if cerr := unix.Close(fd); err == nil && cerr != syscall.EINTR {
		err = cerr
	}
	return pathError(op, path, err)
}
