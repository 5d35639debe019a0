package index

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Options are the choices of an index. The zero value is RocketMQ's default.
type Options struct {
	// Slots is the number of hash slots of a file: maxHashSlotNum, default 5,000,000. All files of
	// an index have the same.
	Slots int
	// Entries is the number of entries of a file, of which the first is never used: maxIndexNum,
	// default 20,000,000.
	Entries int
	// MaxMapped bounds the older files that stay mapped after a query; default 8.
	MaxMapped int
	// Now tells the time by which new files are named; default time.Now.
	Now func() time.Time
}

func (o *Options) layout() layout {
	l := layout{slots: defaultSlots, entries: defaultEntries}
	if o.Slots != 0 {
		l.slots = int32(min(max(o.Slots, 0), fileSizeMax))
	}
	if o.Entries != 0 {
		l.entries = int32(min(max(o.Entries, 0), fileSizeMax))
	}
	return makeLayout(l.slots, l.entries)
}

// ErrClosed says that the index was closed.
var ErrClosed = errors.New("index: closed")

// Index is a folder of index files.
type Index struct {
	layout
	fs        vfs.FS
	dir       string
	maxMapped int
	now       func() time.Time

	// files is the list of all, oldest first; a new slice for every change. The last one may have
	// room, the others are full. Changed under mu.
	files atomic.Pointer[[]*file]
	// complete: every message below this offset has all its entries. Written by the dispatcher.
	complete atomic.Int64

	// What the dispatcher alone uses.
	writer struct {
		active   *file          // the last file, with a reference of its own; nil if that is full or none
		bytes    []byte         // its mapping
		last     int64          // offset of the message that the last entry belongs to, -1 for none
		lastKeys int            // how many entries that message has
		begun    int64          // offset of the last message given since Settle, -1 for none
		ends     ends           // since Settle
		topic    []byte         // of the last message
		prefix   message.Hasher // of what its keys begin with
		tags     message.Hasher // of what its tag begins with
		newest   string         // the highest name that any file had
	}

	// mu protects the list and what is mapped. Put takes it only to begin a file.
	mu struct {
		sync.Mutex
		idle     sync.Cond // refs went to zero
		clock    uint64    // counts uses of mappings
		dirDirty bool      // names changed since the last sync of the folder
		closed   bool
	}

	// syncing serializes Sync.
	syncing struct {
		sync.Mutex
		err error // a failed sync is final
	}

	recovered bool    // Recover was called
	dropped   []error // by Recover
}

// Open returns the index of dir, which need not be there. It touches nothing: Recover takes the files
// in. Before that only Check and Close may be called.
func Open(fsys vfs.FS, dir string, opts *Options) (*Index, error) {
	x, err := newIndex(fsys, dir, opts)
	if err != nil {
		return nil, err
	}
	return x, nil
}

// newIndex makes an index that knows of no file yet.
func newIndex(fsys vfs.FS, dir string, opts *Options) (*Index, error) {
	if opts == nil {
		opts = new(Options)
	}
	x := &Index{layout: opts.layout(), fs: fsys, dir: dir, maxMapped: opts.MaxMapped, now: opts.Now}
	if err := x.layout.check(); err != nil {
		return nil, err
	}
	if x.maxMapped <= 0 {
		x.maxMapped = 8
	}
	if x.now == nil {
		x.now = time.Now
	}
	x.mu.idle.L = &x.mu.Mutex
	x.writer.last, x.writer.begun = -1, -1
	x.files.Store(new([]*file))
	return x, nil
}

// nameLen is the length of a file's name: year, month, day, hour, minute, second, millisecond.
const nameLen = 17

const nameLayout = "20060102150405.000"

// names lists the names of the index files in the folder, oldest first. Others are none of ours.
func (x *Index) names() ([]string, error) {
	entries, err := x.fs.ReadDir(x.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if isName(e.Name()) && !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func isName(name string) bool {
	_, err := strconv.ParseUint(name, 10, 64)
	return err == nil && len(name) == nameLen
}

// nextName names a file that begins now. Names grow even if the clock does not, and none comes twice:
// a State must not be taken for one of another file.
func (x *Index) nextName() string {
	text := x.now().Local().Format(nameLayout)
	name := text[:14] + text[15:]
	if name <= x.writer.newest {
		return nameAfter(x.writer.newest)
	}
	return name
}

func nameAfter(name string) string {
	n, _ := strconv.ParseUint(name, 10, 64) // digits only: it came from names, a State or nextName
	return fmt.Sprintf("%0*d", nameLen, n+1)
}

func (x *Index) list() []*file { return *x.files.Load() }

// setListLocked replaces the list.
func (x *Index) setListLocked(files []*file) { x.files.Store(&files) }

// acquire maps a file if it is cold and keeps it mapped until release. It returns nil when the file
// was removed or the index closed meanwhile.
func (x *Index) acquire(f *file) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f.removed || x.mu.closed {
		return nil, nil
	}
	if f.mapping == nil {
		if err := f.open(x.fs, false); err != nil {
			return nil, err
		}
	}
	f.refs++
	x.mu.clock++
	f.touched = x.mu.clock
	err := x.evictLocked()
	return f.mapping.Bytes(), err
}

// release ends a use that acquire began.
func (x *Index) release(f *file) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.releaseLocked(f)
}

func (x *Index) releaseLocked(f *file) error {
	f.refs--
	if f.refs > 0 {
		return nil
	}
	x.mu.idle.Broadcast()
	if f.removed {
		return f.unmap()
	}
	return x.evictLocked()
}

// evictLocked drops the mappings that nobody uses, least recently used first, down to the bound. A
// file that was written since the last sync keeps its own: Sync needs the handle.
func (x *Index) evictLocked() (err error) {
	for {
		var idle int
		var oldest *file
		for _, f := range x.list() {
			if f.mapping == nil || f.refs > 0 || f.dirty {
				continue
			}
			idle++
			if oldest == nil || f.touched < oldest.touched {
				oldest = f
			}
		}
		if idle <= x.maxMapped {
			return err
		}
		err = errors.Join(err, oldest.unmap())
	}
}

// removeLocked takes files out of the list and the folder; readers keep their mappings.
func (x *Index) removeLocked(gone []*file) (err error) {
	x.setListLocked(slices.DeleteFunc(slices.Clone(x.list()), func(f *file) bool { return slices.Contains(gone, f) }))
	for _, f := range gone {
		f.removed, f.dirty = true, false
		err = errors.Join(err, x.fs.Remove(f.path))
		x.mu.dirDirty = true
		if f.refs == 0 {
			err = errors.Join(err, f.unmap())
		}
	}
	return err
}

// DeleteExpired removes the files all of whose messages lie below logMin, but never the last one,
// and returns how many.
func (x *Index) DeleteExpired(logMin message.PhyOffset) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var gone []*file
	files := x.list()
	for _, f := range files[:max(len(files)-1, 0)] {
		if f.endPhy.Load() >= int64(logMin) {
			break
		}
		gone = append(gone, f)
	}
	if len(gone) == 0 {
		return 0, nil
	}
	return len(gone), x.removeLocked(gone)
}

// Close makes everything durable, waits for queries under way and gives all files back. The
// dispatcher must have stopped.
func (x *Index) Close() error {
	x.Settle()
	_, err := x.Sync()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mu.closed {
		return ErrClosed
	}
	x.mu.closed = true
	if f := x.writer.active; f != nil {
		x.writer.active, x.writer.bytes = nil, nil
		err = errors.Join(err, x.releaseLocked(f))
	}
	for _, f := range x.list() {
		for f.refs > 0 {
			x.mu.idle.Wait()
		}
		err = errors.Join(err, f.unmap())
	}
	return err
}
