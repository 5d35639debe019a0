package mappedfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// ErrRemoved is returned for bytes of a file that was deleted.
var ErrRemoved = errors.New("mappedfile: file was removed")

// NameWidth is the number of decimal digits of a file's name: its start
// offset, padded with zeros.
const NameWidth = 20

// FileName returns the name of the file that starts at offset.
func FileName(offset int64) string { return fmt.Sprintf("%0*d", NameWidth, offset) }

// File is one fixed-size file of the address space (Java: MappedFile).
type File struct {
	start int64
	size  int64
	path  string
	fs    vfs.FS

	// pins counts the holders of the mapping: one for the queue while the
	// file is hot, one for each Ref. At zero the mapping may be removed.
	pins    atomic.Int64
	mu      sync.Mutex // guards what follows; never held while waiting for a Ref
	file    vfs.File
	mapping vfs.Mapping
	removed bool

	data []byte // the mapping's bytes; written under mu before pins turns positive
}

// Start returns the offset of the file's first byte in the address space.
func (f *File) Start() int64 { return f.start }

// End returns the offset just behind the file's last byte.
func (f *File) End() int64 { return f.start + f.size }

// Path returns the file's path.
func (f *File) Path() string { return f.path }

// createFile makes a new file with all its space allocated and its length and
// name durable (invariants 3 and 5).
func createFile(fs vfs.FS, dir string, start, size int64) (*File, error) {
	f := &File{start: start, size: size, path: filepath.Join(dir, FileName(start)), fs: fs}
	h, err := fs.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = h.Allocate(0, size)
	if err == nil {
		err = h.Sync()
	}
	if err == nil {
		err = fs.SyncDir(dir)
	}
	if err != nil {
		// For certain too: a file that a crash brings back without its space may
		// be but the last.
		return nil, errors.Join(err, h.Close(), fs.Remove(f.path), fs.SyncDir(dir))
	}
	f.file = h
	return f, nil
}

// acquire takes a pin, mapping the file if it is cold. When that made it hot,
// it is pinned once more for the queue, which the caller hands over with heat.
func (f *File) acquire() (heated bool, err error) {
	for {
		n := f.pins.Load()
		if n <= 0 {
			return f.acquireCold()
		}
		if f.pins.CompareAndSwap(n, n+1) {
			return false, nil
		}
	}
}

func (f *File) acquireCold() (heated bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.removed {
		return false, fmt.Errorf("%w: %s", ErrRemoved, f.path)
	}
	if f.pins.Load() > 0 {
		f.pins.Add(1)
		return false, nil
	}
	if f.mapping == nil {
		if err := f.mapLocked(); err != nil {
			return false, err
		}
	}
	f.pins.Add(2)
	return true, nil
}

// acquireOnce maps a new file and pins it for the one who will append to it.
func (f *File) acquireOnce() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.mapLocked(); err != nil {
		return err
	}
	f.pins.Store(1)
	return nil
}

func (f *File) mapLocked() error {
	if f.file == nil {
		h, err := f.fs.OpenFile(f.path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		f.file = h
	}
	m, err := f.file.Map(0, int(f.size), true)
	if err != nil {
		return err
	}
	f.mapping, f.data = m, m.Bytes()
	return nil
}

// release gives a pin back; the last one removes the mapping.
func (f *File) release() {
	if n := f.pins.Add(-1); n > 0 {
		return
	} else if n < 0 {
		panic("mappedfile: released more often than acquired: " + f.path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pins.Load() > 0 || f.mapping == nil {
		return // acquired again meanwhile, or already unmapped
	}
	f.unmapLocked()
}

func (f *File) unmapLocked() {
	m, h := f.mapping, f.file
	f.mapping, f.data, f.file = nil, nil, nil
	// Nothing can be done about an error here: the bytes are in the page
	// cache, and a sync reports what did not reach the disk.
	_ = m.Unmap()
	_ = h.Close()
}

// closeFile releases the descriptor of a file that was never mapped.
func (f *File) closeFile() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mapping != nil || f.file == nil {
		return nil
	}
	h := f.file
	f.file = nil
	return h.Close()
}

// remove deletes the file; holders of a Ref keep their bytes.
func (f *File) remove() error {
	f.mu.Lock()
	f.removed = true
	err := f.fs.Remove(f.path)
	f.mu.Unlock()
	return err
}
