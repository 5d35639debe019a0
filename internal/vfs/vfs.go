package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Causes that callers decide by. The errors that carry them name the path.
var (
	// ErrLocked says that another process, or another part of this one, holds
	// the lock file.
	ErrLocked = errors.New("locked by another owner")
	// ErrNotSupported says that this system has no such operation.
	ErrNotSupported = errors.ErrUnsupported
	// ErrShortFile says that a file ends before the range to be mapped.
	ErrShortFile = errors.New("file ends before the range to map")
	// ErrRange says that an offset or a length lies outside a mapping, or is
	// negative.
	ErrRange = errors.New("range outside the mapping")
)

// SectorSize is the smallest piece, in bytes, that a device writes whole or not at all.
const SectorSize = 512

// FS is a file system.
type FS interface {
	// OpenFile opens name as os.OpenFile does. Files are never opened for
	// appending: every write names its offset.
	OpenFile(name string, flag int, perm os.FileMode) (File, error)
	// MkdirAll makes dir and its missing parents; MakeDirs also makes them durable.
	MkdirAll(dir string, perm os.FileMode) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// RemoveAll removes name and all below it; a missing name is no error.
	RemoveAll(name string) error
	// Rename moves oldname to newname, replacing a file that is there.
	Rename(oldname, newname string) error
	// ReadDir lists dir, sorted by name.
	ReadDir(dir string) ([]os.DirEntry, error)
	// Stat describes name.
	Stat(name string) (os.FileInfo, error)
	// SyncDir makes the names in dir durable, and the absence of removed ones.
	SyncDir(dir string) error
	// Lock creates name if needed and takes an exclusive lock that also keeps
	// out a Java broker. The error wraps ErrLocked when somebody has it. Close
	// of the result gives it back; so does the end of the process.
	Lock(name string) (io.Closer, error)
	// Usage says how full the file system is that holds path.
	Usage(path string) (Usage, error)
	// CacheID names the page cache that serves path: while it stays the same,
	// all that was written is there, synced or not. It changes with a restart
	// of the machine and when the file system is mounted anew. Empty is not
	// known.
	CacheID(path string) string
	// SyncAll makes everything durable on the file system that holds path,
	// names included: one call in place of thousands of syncs.
	SyncAll(path string) error
}

// Usage is the fill of a file system, in bytes.
type Usage struct {
	Total uint64 // size of the file system
	Free  uint64 // not used by anything
	Avail uint64 // of Free, what an ordinary user may take
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// ReadCold is ReadAt for a scan of old data: what it has to bring into the
	// page cache leaves it again, and what was there stays. It switches off
	// reading ahead for the whole File, so a scan opens one of its own.
	ReadCold(p []byte, off int64) (n int, err error)
	// Name is the path that the file was opened by.
	Name() string
	// Size is the current length in bytes.
	Size() (int64, error)
	// Truncate sets the length; a longer file gains a hole.
	Truncate(size int64) error
	// Allocate reserves disk space for [off, off+n) and extends the file to
	// off+n, so that a full disk is an error here and never a SIGBUS later.
	// Bytes that were there stay.
	Allocate(off, n int64) error
	// ZeroRange makes [off, off+n) read as zeros and keeps it allocated. It
	// does not change the length: a range beyond the end is cut.
	ZeroRange(off, n int64) error
	// Sync makes data and metadata durable.
	Sync() error
	// SyncData makes the data durable, dirty pages of mappings included, and of
	// the metadata what is needed to read them.
	SyncData() error
	// SyncRange starts writing [off, off+n) to the device and promises nothing.
	SyncRange(off, n int64) error
	// Map maps [off, off+n), shared. off is a multiple of the page size.
	Map(off int64, n int, writable bool) (Mapping, error)
}

// Advice tells the kernel how a range of a mapping will be used.
type Advice uint8

// The advices, as of madvise(2).
const (
	Normal Advice = iota
	Random
	Sequential
	WillNeed
	DontNeed // drops the pages from this mapping, if not locked; a file's stay in its cache
	HugePage // asks for large pages, where the kernel and the file system have them
	adviceCount
)

// Mapping is a mapped range of a file, or anonymous memory. Offsets count from
// the start of the mapping; ranges are widened to whole pages.
type Mapping interface {
	// Bytes is the memory, valid until Unmap.
	Bytes() []byte
	// Sync makes [off, off+n) durable.
	Sync(off, n int) error
	// Advise tells how [off, off+n) will be used.
	Advise(off, n int, a Advice) error
	// Lock keeps [off, off+n) in memory.
	Lock(off, n int) error
	// Unlock undoes Lock.
	Unlock(off, n int) error
	// Preheat makes the pages of [off, off+n) present, and writable without a
	// further fault where the mapping is writable, and changes no byte even
	// while others write. It dirties what it makes writable.
	Preheat(off, n int) error
	// Resident tells whether [off, off+n) is in memory, so that reading it does
	// not wait for the device; true where the system does not tell.
	Resident(off, n int) bool
	// Load brings [off, off+n) into memory for reading, and waits for it in a
	// system call: a goroutine that waits for a page it touched keeps its
	// processor from all others. What lies behind it may come, too, as a system
	// reads ahead of one who goes through a file.
	Load(off, n int) error
	// Forget has the system drop [off, off+n) from memory, as far as it is
	// written to the device. The bytes stay, and come back when they are touched.
	// Of pages that the system keeps as one, up to 2 MiB, all leave together or none.
	Forget(off, n int) error
	// Unmap ends the mapping. A second call is an error.
	Unmap() error
}

// OS is the real file system.
var OS FS = osFS{}

// IsNoSpace says whether err means a full disk or an exhausted quota.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota)
}

// pathError names the operation and the path of a failed call; nil stays nil.
func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// checkRange bounds [off, off+n) by the size of a mapping.
func checkRange(off, n, size int) error {
	if off < 0 || n < 0 || off > size || n > size-off {
		return ErrRange
	}
	return nil
}
