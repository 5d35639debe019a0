package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ScratchFS shows the files of another file system, and keeps what is written to them in memory: it is gone with the
// ScratchFS, and the files below stay as they are. A tool finds out by it what code that mends files would do. A file costs
// as much memory as is written to it, where the system has private mappings; else all of it. Files that are mapped cannot
// change their length, and directories cannot be renamed.
type ScratchFS struct {
	FS // what it shows

	mu    sync.Mutex
	files map[string]*scratchFile // those that were written to, or opened for it, by path; nil for one that is gone
	dirs  map[string]bool         // those that were made
}

// NewScratchFS makes one. Close gives its memory back.
func NewScratchFS(inner FS) *ScratchFS {
	return &ScratchFS{FS: inner, files: map[string]*scratchFile{}, dirs: map[string]bool{}}
}

// Close forgets all that was written.
func (s *ScratchFS) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.files {
		if f != nil && f.memory != nil {
			errs = append(errs, f.memory.Unmap())
			f.memory = nil
		}
	}
	s.files = nil
	return errors.Join(errs...)
}

// OpenFile opens a file, of which writes stay in memory.
func (s *ScratchFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = filepath.Clean(name)
	f, known := s.files[name]
	if !known && flag&(os.O_RDWR|os.O_WRONLY) == 0 {
		return s.FS.OpenFile(name, flag, perm)
	}
	if !known {
		var err error
		if f, err = s.shown(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if f == nil && flag&os.O_CREATE == 0 {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	if f == nil {
		f = &scratchFile{name: name}
	}
	s.files[name] = f
	if flag&os.O_TRUNC != 0 {
		return f, f.Truncate(0)
	}
	return f, nil
}

// shown is a file of the file system below, to be written to.
func (s *ScratchFS) shown(name string) (*scratchFile, error) {
	below, err := s.FS.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	f := &scratchFile{name: name}
	if f.size, err = below.Size(); err == nil && f.size > 0 {
		f.memory, err = private(below, int(f.size))
	}
	return f, errors.Join(err, below.Close())
}

// private returns the bytes of a file to be written to by this process alone.
func private(f File, n int) (Mapping, error) {
	if own, ok := f.(interface{ mapPrivate(n int) (Mapping, error) }); ok {
		return own.mapPrivate(n)
	}
	m, err := Anonymous(n)
	if err != nil {
		return nil, err
	}
	if got, err := f.ReadAt(m.Bytes(), 0); got < n {
		return nil, errors.Join(err, m.Unmap())
	}
	return m, nil
}

// Stat describes a file as it is by now.
func (s *ScratchFS) Stat(name string) (os.FileInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = filepath.Clean(name)
	f, known := s.files[name]
	switch {
	case f != nil:
		return f.info(), nil
	case known:
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return s.FS.Stat(name)
}

// ReadDir lists a directory as it is by now.
func (s *ScratchFS) ReadDir(dir string) ([]os.DirEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir = filepath.Clean(dir)
	entries, err := s.FS.ReadDir(dir)
	if err != nil && !(errors.Is(err, fs.ErrNotExist) && s.dirs[dir]) {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		_, known := s.files[filepath.Join(dir, e.Name())]
		return known
	})
	for name, f := range s.files {
		if f != nil && filepath.Dir(name) == dir {
			entries = append(entries, fs.FileInfoToDirEntry(f.info()))
		}
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Rename moves a file.
func (s *ScratchFS) Rename(oldname, newname string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldname, newname = filepath.Clean(oldname), filepath.Clean(newname)
	f, known := s.files[oldname]
	if !known {
		var err error
		if f, err = s.shown(oldname); err != nil {
			return err
		}
	}
	if f == nil {
		return pathError("rename", oldname, fs.ErrNotExist)
	}
	f.mu.Lock()
	f.name = newname
	f.mu.Unlock()
	s.files[oldname], s.files[newname] = nil, f
	return nil
}

// Remove removes a file.
func (s *ScratchFS) Remove(name string) error {
	if _, err := s.Stat(name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[filepath.Clean(name)] = nil
	return nil
}

// RemoveAll is not supported.
func (s *ScratchFS) RemoveAll(name string) error { return pathError("remove", name, ErrNotSupported) }

// MkdirAll makes a directory.
func (s *ScratchFS) MkdirAll(dir string, _ os.FileMode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs[filepath.Clean(dir)] = true
	return nil
}

// SyncDir does nothing: nothing is to be durable.
func (s *ScratchFS) SyncDir(string) error { return nil }

// SyncAll does nothing.
func (s *ScratchFS) SyncAll(string) error { return nil }

// Lock locks nothing: what is written is seen by nobody else.
func (s *ScratchFS) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// scratchFile is a file of a ScratchFS that may be written to. All handles and mappings of it are views of its memory.
type scratchFile struct {
	mu     sync.RWMutex // of the length: bytes are shared as those of a mapping are
	name   string
	size   int64
	memory Mapping // nil for no byte
	mapped int     // how often
}

func (f *scratchFile) bytes() []byte {
	if f.memory == nil {
		return nil
	}
	return f.memory.Bytes()[:f.size]
}

// scratchInfo describes one.
type scratchInfo struct {
	name string
	size int64
}

func (i scratchInfo) Name() string       { return filepath.Base(i.name) }
func (i scratchInfo) Size() int64        { return i.size }
func (i scratchInfo) Mode() os.FileMode  { return 0o644 }
func (i scratchInfo) ModTime() time.Time { return time.Time{} }
func (i scratchInfo) IsDir() bool        { return false }
func (i scratchInfo) Sys() any           { return nil }

func (f *scratchFile) info() scratchInfo {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return scratchInfo{f.name, f.size}
}

func (f *scratchFile) Name() string               { return f.info().name }
func (f *scratchFile) Size() (int64, error)       { return f.info().size, nil }
func (f *scratchFile) Close() error               { return nil }
func (f *scratchFile) Sync() error                { return nil }
func (f *scratchFile) SyncData() error            { return nil }
func (f *scratchFile) SyncRange(_, _ int64) error { return nil }

func (f *scratchFile) ReadCold(p []byte, off int64) (int, error) { return f.ReadAt(p, off) }

func (f *scratchFile) ReadAt(p []byte, off int64) (n int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if off < 0 {
		return 0, pathError("pread", f.name, fs.ErrInvalid)
	}
	err = Guarded(func() error {
		n = copy(p, f.bytes()[min(off, f.size):])
		return nil
	})
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

func (f *scratchFile) WriteAt(p []byte, off int64) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off < 0 {
		return 0, pathError("pwrite", f.name, fs.ErrInvalid)
	}
	if err := f.resize(max(f.size, off+int64(len(p)))); err != nil {
		return 0, err
	}
	err = Guarded(func() error {
		n = copy(f.bytes()[off:], p)
		return nil
	})
	return n, err
}

func (f *scratchFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resize(size)
}

func (f *scratchFile) Allocate(off, n int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resize(max(f.size, off+n))
}

func (f *scratchFile) ZeroRange(off, n int64) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return Guarded(func() error {
		for page := range slices.Chunk(f.bytes()[min(off, f.size):min(off+n, f.size)], pageSize) {
			if bytes.Count(page, zero) < len(page) { // else it stays shared with the file
				clear(page)
			}
		}
		return nil
	})
}

// resize sets the length. The lock is held.
func (f *scratchFile) resize(size int64) error {
	switch {
	case size == f.size:
		return nil
	case size < 0:
		return pathError("truncate", f.name, fs.ErrInvalid)
	case f.mapped > 0:
		return pathError("truncate", f.name, ErrNotSupported)
	}
	var memory Mapping
	if size > 0 {
		var err error
		if memory, err = Anonymous(int(size)); err != nil {
			return err
		}
	}
	if f.memory != nil {
		err := Guarded(func() error {
			if memory != nil {
				copy(memory.Bytes(), f.bytes())
			}
			return nil
		})
		if err = errors.Join(err, f.memory.Unmap()); err != nil {
			return err
		}
	}
	f.memory, f.size = memory, size
	return nil
}

func (f *scratchFile) Map(off int64, n int, _ bool) (Mapping, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case off < 0 || n <= 0:
		return nil, pathError("mmap", f.name, fs.ErrInvalid)
	case off > f.size || int64(n) > f.size-off:
		return nil, pathError("mmap", f.name, ErrShortFile)
	}
	f.mapped++
	return &scratchMapping{file: f, data: f.bytes()[off : off+int64(n) : off+int64(n)]}, nil
}

var zero = []byte{0}

// scratchMapping is a view of a file's memory.
type scratchMapping struct {
	file *scratchFile
	data []byte
}

func (m *scratchMapping) Bytes() []byte                     { return m.data }
func (m *scratchMapping) Sync(off, n int) error             { return m.check("msync", off, n) }
func (m *scratchMapping) Advise(off, n int, _ Advice) error { return m.check("madvise", off, n) }
func (m *scratchMapping) Lock(off, n int) error             { return m.check("mlock", off, n) }
func (m *scratchMapping) Unlock(off, n int) error           { return m.check("munlock", off, n) }
func (m *scratchMapping) Preheat(off, n int) error          { return m.check("preheat", off, n) }
func (m *scratchMapping) Resident(_, _ int) bool            { return true }
func (m *scratchMapping) Load(off, n int) error             { return m.check("load", off, n) }
func (m *scratchMapping) Forget(off, n int) error           { return m.check("forget", off, n) }

func (m *scratchMapping) check(op string, off, n int) error {
	return pathError(op, m.file.Name(), checkRange(off, n, len(m.data)))
}

func (m *scratchMapping) Unmap() error {
	m.file.mu.Lock()
	defer m.file.mu.Unlock()
	if m.data == nil {
		return pathError("munmap", m.file.name, os.ErrClosed)
	}
	m.data = nil
	m.file.mapped--
	return nil
}
