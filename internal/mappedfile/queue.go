package mappedfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Options tunes a Queue. The zero value is right for most.
type Options struct {
	// FileSize is the size of each file in bytes. Required.
	FileSize int64
	// RingSize is the size in bytes of the off-heap buffer that appended
	// bytes stay in until Commit. Zero appends straight to the mapping.
	RingSize int
	// LockRing keeps the ring in memory (mlock), as Java's pool does. A
	// limit that forbids it is not an error.
	LockRing bool
	// ZeroAhead fills the space ahead of the committer with zeros, for logs
	// that are synced often. Without a ring it has no effect.
	ZeroAhead bool
	// MaxMapped bounds the cold files that stay mapped for readers. Zero is 8.
	MaxMapped int
	// PreheatMax bounds in bytes how far ahead of the writer pages are
	// brought into memory, or filled with zeros. Zero is 64 MiB, negative
	// switches both off.
	PreheatMax int64
	// ReadOnly opens the files as they are and refuses to change them.
	ReadOnly bool
}

const (
	defaultMaxMapped  = 8
	defaultPreheatMax = 64 << 20
)

// SizeError reports a file whose length is not the configured one, which
// Java refuses to load as well.
type SizeError struct {
	Path string
	Size int64 // what was found
	Want int64
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: size is %d bytes, want %d: was its mappedFileSize changed, or the file cut?", e.Path, e.Size, e.Want)
}

// Queue is a sequence of files as one address space (Java: MappedFileQueue).
type Queue struct {
	fs   vfs.FS
	dir  string
	opts Options

	files atomic.Pointer[[]*File] // sorted by start; replaced as a whole, under listMu
	// listMu serialises changes of the list.
	listMu sync.Mutex

	wrote     atomic.Int64
	committed atomic.Int64
	flushed   atomic.Int64

	ring  *ring
	ahead writtenAhead
	alloc *Allocator

	// Owned by the appending goroutine.
	tail      *File
	tailData  []byte
	attention int64 // wrote position at which the allocator wants to be called
	receiving bool  // what was written last came by Receive

	hot struct {
		sync.Mutex
		files []*File // those with the queue's pin, coldest first; the tail is not among them
	}
}

// Open lists the files of dir, which is made if absent. All three positions
// are at the end of the last file; TruncateTo sets them once the end of the
// valid data is known.
func Open(fs vfs.FS, dir string, opts Options) (*Queue, error) {
	if opts.FileSize <= 0 {
		return nil, fmt.Errorf("mappedfile: file size %d must be positive", opts.FileSize)
	}
	if opts.MaxMapped == 0 {
		opts.MaxMapped = defaultMaxMapped
	}
	if opts.PreheatMax == 0 {
		opts.PreheatMax = defaultPreheatMax
	}
	q := &Queue{fs: fs, dir: dir, opts: opts}
	if !opts.ReadOnly {
		if err := vfs.MakeDirs(fs, dir, 0o755); err != nil {
			return nil, err
		}
	}
	files, err := q.load()
	if err != nil {
		return nil, err
	}
	q.files.Store(&files)
	if n := len(files); n > 0 {
		q.setPositions(files[n-1].End())
	}
	if opts.RingSize > 0 && !opts.ReadOnly {
		if q.ring, err = newRing(opts.RingSize, opts.LockRing); err != nil {
			return nil, err
		}
	}
	q.alloc = newAllocator(q)
	return q, nil
}

// load lists the folder. As in Java a last file of no length, which a crash
// while it was made leaves behind, is deleted.
func (q *Queue) load() ([]*File, error) {
	entries, err := q.fs.ReadDir(q.dir)
	if err != nil {
		if q.opts.ReadOnly && errors.Is(err, os.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	var files []*File
	for _, e := range entries {
		path := filepath.Join(q.dir, e.Name())
		start, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || start < 0 || len(e.Name()) != NameWidth {
			if e.IsDir() {
				continue
			}
			return nil, fmt.Errorf("%s: not a file of the store: its name is no offset of %d digits; move it away", path, NameWidth)
		}
		info, err := q.fs.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.Size() != q.opts.FileSize {
			if info.Size() == 0 && e == entries[len(entries)-1] && !q.opts.ReadOnly {
				if err := errors.Join(q.fs.Remove(path), q.fs.SyncDir(q.dir)); err != nil {
					return nil, err
				}
				continue
			}
			return nil, &SizeError{Path: path, Size: info.Size(), Want: q.opts.FileSize}
		}
		files = append(files, &File{start: start, size: q.opts.FileSize, path: path, fs: q.fs})
	}
	return files, nil
}

func (q *Queue) setPositions(at int64) {
	q.wrote.Store(at)
	q.committed.Store(at)
	q.flushed.Store(at)
}

// Files returns the files in order; the slice must not be changed.
func (q *Queue) Files() []*File { return *q.files.Load() }

// FileSize returns the size of each file in bytes.
func (q *Queue) FileSize() int64 { return q.opts.FileSize }

// Wrote returns the offset behind the last appended byte.
func (q *Queue) Wrote() int64 { return q.wrote.Load() }

// Committed returns the offset below which bytes are in the page cache.
func (q *Queue) Committed() int64 { return q.committed.Load() }

// Flushed returns the offset below which bytes are durable.
func (q *Queue) Flushed() int64 { return q.flushed.Load() }

// MinOffset returns the start of the first file, or Wrote without files.
func (q *Queue) MinOffset() int64 {
	if files := q.Files(); len(files) > 0 {
		return files[0].start
	}
	return q.Wrote()
}

// FileAt returns the file that holds offset, or nil.
func (q *Queue) FileAt(offset int64) *File {
	files := q.Files()
	i := sort.Search(len(files), func(i int) bool { return files[i].End() > offset })
	if i == len(files) || files[i].start > offset {
		return nil
	}
	return files[i]
}

// Read holds the committed bytes of one file from offset to its readable
// end. It returns false where there are none: below the first file, in a
// hole, or at the end.
func (q *Queue) Read(offset int64) (Ref, bool, error) {
	limit := q.committed.Load()
	if offset >= limit {
		return Ref{}, false, nil
	}
	f := q.FileAt(offset)
	if f == nil {
		return Ref{}, false, nil
	}
	if err := q.hold(f); err != nil {
		if errors.Is(err, ErrRemoved) {
			return Ref{}, false, nil
		}
		return Ref{}, false, err
	}
	end := min(limit, f.End())
	from, to := offset-f.start, end-f.start
	return Ref{bytes: f.data[from:to:to], file: f}, true, nil
}

// hold pins a file.
func (q *Queue) hold(f *File) error {
	heated, err := f.acquire()
	if heated {
		q.heat(f)
	}
	return err
}

// heat takes over a pin that keeps a file mapped while it is in use, and gives
// back that of the file that has been so longest beyond MaxMapped
// (invariant 6).
func (q *Queue) heat(f *File) {
	q.hot.Lock()
	surplus := f
	if !slices.Contains(q.hot.files, f) {
		q.hot.files = append(q.hot.files, f)
		surplus = nil
		if len(q.hot.files) > q.opts.MaxMapped {
			surplus = q.hot.files[0]
			q.hot.files = slices.Delete(q.hot.files, 0, 1)
		}
	}
	q.hot.Unlock()
	if surplus != nil {
		surplus.release()
	}
}

// cool gives back the queue's pin of a file if it has one.
func (q *Queue) cool(f *File) {
	q.hot.Lock()
	i := slices.Index(q.hot.files, f)
	if i >= 0 {
		q.hot.files = slices.Delete(q.hot.files, i, i+1)
	}
	q.hot.Unlock()
	if i >= 0 {
		f.release()
	}
}

// Mapped returns the number of files that are mapped just now.
func (q *Queue) Mapped() int {
	n := 0
	for _, f := range q.Files() {
		if f.pins.Load() > 0 {
			n++
		}
	}
	return n
}

// Close gives up the mappings and deletes the files made ahead and not used.
// Refs still held stay valid. It neither commits nor flushes.
func (q *Queue) Close() error {
	errs := []error{q.alloc.close()}
	if q.tail != nil {
		q.tail.release()
		q.tail, q.tailData = nil, nil
	}
	for _, f := range q.Files() {
		q.cool(f)
		errs = append(errs, f.closeFile())
	}
	if q.ring != nil {
		errs = append(errs, q.ring.close())
	}
	return errors.Join(errs...)
}
