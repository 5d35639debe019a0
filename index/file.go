package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// file is one index file. The atomic fields are written by the goroutine that puts, and read by all.
type file struct {
	layout
	name string // digits
	path string

	begin, end       atomic.Int64 // Unix milliseconds
	beginPhy, endPhy atomic.Int64
	used, count      atomic.Int32
	settled          atomic.Int32 // the count without the message being put: header and slots are up to it

	// Of the goroutine that puts; see heat.go.
	heated     int  // the entries before this position are in memory
	slotsAsked bool // the slots were asked for
	reopened   bool // for writing: slots may be on disk

	// Under Index.mu.
	handle  vfs.File    // open as long as mapped
	mapping vfs.Mapping // nil when cold
	refs    int         // readers, and the writer of the active file
	touched uint64      // for the choice of the mapping to drop
	removed bool        // no longer in the list: unmapped by the last reader
	dirty   bool        // may have been written since the last sync
	synced  int32       // the settled count that the last sync covered; -1 when unknown
}

func newFile(l layout, dir, name string, h header) *file {
	f := &file{layout: l, name: name, path: filepath.Join(dir, name)}
	f.setHeader(h)
	return f
}

func (f *file) setHeader(h header) {
	f.begin.Store(h.beginTime)
	f.end.Store(h.endTime)
	f.beginPhy.Store(h.beginPhy)
	f.endPhy.Store(h.endPhy)
	f.used.Store(h.used)
	f.count.Store(h.count)
	f.settled.Store(h.count)
}

func (f *file) header() header {
	return header{
		beginTime: f.begin.Load(), endTime: f.end.Load(),
		beginPhy: f.beginPhy.Load(), endPhy: f.endPhy.Load(),
		used: f.used.Load(), count: f.count.Load(),
	}
}

// full tells whether no further entry fits.
func (f *file) full() bool { return f.count.Load() >= f.entries }

// readHeader reads the header of the file at path. A file of another size is a *CorruptError.
func (l layout) readHeader(fs vfs.FS, path string) (h header, err error) {
	f, err := fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return header{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return header{}, err
	}
	if size != l.fileSize() {
		err := corrupt(path, size, fmt.Sprintf("the file has %d bytes, want %d", size, l.fileSize()))
		err.short = size < l.fileSize()
		return header{}, err
	}
	var b [headerSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return header{}, err
	}
	h = decodeHeader(b[:])
	return h, l.checkHeader(path, h)
}

// create makes the file with all its space, mapped for writing. Whatever fails, nothing stays.
func (f *file) create(fs vfs.FS) (err error) {
	f.handle, err = fs.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		f.handle = nil
		return err
	}
	if err = f.handle.Allocate(0, f.fileSize()); err == nil {
		err = f.mapHandle(true)
	}
	if err != nil {
		err = errors.Join(err, f.handle.Close(), fs.Remove(f.path))
		f.handle = nil
	}
	return err
}

// open maps the file as it is.
func (f *file) open(fs vfs.FS, writable bool) (err error) {
	flag := os.O_RDONLY
	if writable {
		flag = os.O_RDWR
	}
	if f.handle, err = fs.OpenFile(f.path, flag, 0); err != nil {
		f.handle = nil
		return err
	}
	if writable {
		// Java leaves its files with holes, which a full disk would turn into a fault.
		err = f.handle.Allocate(0, f.fileSize())
	}
	if err == nil {
		err = f.mapHandle(writable)
	}
	if err != nil {
		err = errors.Join(err, f.handle.Close())
		f.handle = nil
	}
	return err
}

func (f *file) mapHandle(writable bool) error {
	m, err := f.handle.Map(0, int(f.fileSize()), writable)
	if err != nil {
		return err
	}
	// Slots are hit at random: reading around them would be in vain.
	n := headerSize + int(f.slots)*slotSize
	if !writable {
		n = int(f.fileSize())
	}
	if err := m.Advise(0, n, vfs.Random); err != nil && !errors.Is(err, vfs.ErrNotSupported) {
		return errors.Join(err, m.Unmap())
	}
	f.mapping = m
	return nil
}

// unmap gives the mapping and the handle back.
func (f *file) unmap() error {
	if f.mapping == nil {
		return nil
	}
	err := errors.Join(f.mapping.Unmap(), f.handle.Close())
	f.mapping, f.handle = nil, nil
	return err
}
