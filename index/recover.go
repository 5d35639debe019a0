package index

import (
	"errors"
	"slices"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Recover takes in the files that are there and returns the offset from which the log has to be
// dispatched to the index again. It comes once, after Open.
//
// After a clean stop all files are trusted, and one that cannot be is a [*CorruptError]. After an
// unclean one, st is the last State that was kept: what it covers stays, the rest goes. When st is
// zero, or does not fit the files, the files stay that Java would keep (IndexService.load): the full
// ones that end at or before javaIndexTime, the checkpoint's indexMsgTimestamp. Unlike Java, the index is
// then complete again once the log was dispatched from the returned offset. In all cases entries at
// or behind logEnd, the end of the log, go.
//
// [Index.Dropped] tells what was dropped because it was damaged. When anything was cut, a new State
// must be kept before the log grows: see the package comment.
func (x *Index) Recover(st State, clean bool, javaIndexTime int64, logEnd message.PhyOffset) (from message.PhyOffset, err error) {
	x.recovered = true
	if err := vfs.MakeDirs(x.fs, x.dir, 0o755); err != nil {
		return 0, err
	}
	names, err := x.names()
	if err != nil {
		return 0, err
	}
	x.writer.newest = slices.Max(append(names, st.File))
	switch {
	case clean:
		from, err = x.loadClean(names, st, logEnd)
	case x.fits(st, names):
		from, err = x.loadState(names, st)
	default:
		from, err = x.loadTime(names, javaIndexTime)
	}
	if err != nil {
		return 0, err
	}
	before := len(x.dropped)
	if err := x.Truncate(logEnd); err != nil {
		return 0, err
	}
	if len(x.dropped) > before {
		from = min(from, x.lastPhy())
	}
	from = min(from, logEnd)
	x.complete.Store(int64(from))
	return from, nil
}

// Dropped returns why Recover dropped files that it would have kept had they not been damaged.
func (x *Index) Dropped() []error { return x.dropped }

// flushedByJava tells of one file after the other, oldest first, whether Java knew it to be on disk:
// that is so of full files up to the one whose end the checkpoint holds. A later one may end in the
// same millisecond.
func (x *Index) flushedByJava(indexTime int64) func(header) bool {
	done := false
	return func(h header) bool {
		if done || h.count < x.entries || h.endTime > indexTime {
			return false
		}
		done = h.endTime == indexTime
		return true
	}
}

// fits tells whether a State can be of these files. A file with no entry at the time may be missing.
func (x *Index) fits(st State, names []string) bool {
	return !st.IsZero() && (st.Count <= 1 || slices.Contains(names, st.File))
}

// loadClean takes in all files.
func (x *Index) loadClean(names []string, st State, logEnd message.PhyOffset) (message.PhyOffset, error) {
	for i, name := range names {
		err := x.load(name)
		var bad *CorruptError
		if errors.As(err, &bad) && bad.short && i == len(names)-1 {
			// A file whose making was cut short by a full disk.
			x.dropped = append(x.dropped, err)
			return x.lastPhy(), x.removeNames(names[i:])
		}
		if err != nil {
			return 0, err
		}
	}
	// Somebody may have taken files away, so as to have them built anew.
	files := x.list()
	newest, count := "", int32(0)
	if len(files) > 0 {
		newest, count = files[len(files)-1].name, files[len(files)-1].count.Load()
	}
	if st.Count > 1 && (newest < st.File || newest == st.File && count < st.Count) {
		return x.lastPhy(), nil
	}
	return logEnd, nil
}

// loadTime keeps what Java would.
func (x *Index) loadTime(names []string, javaIndexTime int64) (message.PhyOffset, error) {
	kept, err := x.loadOlder(names, x.flushedByJava(javaIndexTime))
	if err != nil {
		return 0, err
	}
	return x.lastPhy(), x.removeNames(names[kept:])
}

// loadState keeps what a State covers.
func (x *Index) loadState(names []string, st State) (message.PhyOffset, error) {
	at, found := slices.BinarySearch(names, st.File)
	kept, err := x.loadOlder(names[:at], func(header) bool { return true })
	if err != nil {
		return 0, err
	}
	x.distrust()
	if kept < at { // an older file was damaged: the rest is built anew
		return x.lastPhy(), x.removeNames(names[kept:])
	}
	if found && st.Count > 1 {
		err := x.load(st.File)
		if err == nil {
			err = x.cut(st.Count, st)
		}
		if x.drops(err) {
			err := x.unlist(st.File)
			return x.lastPhy(), errors.Join(err, x.removeNames(names[at:]))
		}
		if err != nil {
			return 0, err
		}
		at++
	}
	return st.Durable, x.removeNames(names[at:])
}

// distrust sees to it that the next Sync covers the files taken in: a State that Mark made says that
// they are written, not that they are on disk.
func (x *Index) distrust() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.list() {
		f.dirty, f.synced = true, -1
	}
	x.mu.dirDirty = true
}

// loadOlder takes in files up to the first that is damaged or not to be kept, and returns how many.
func (x *Index) loadOlder(names []string, keep func(header) bool) (kept int, err error) {
	for i, name := range names {
		f, err := x.read(name)
		bad := x.drops(err)
		if err != nil && !bad {
			return i, err
		}
		if bad || !keep(f.header()) {
			return i, nil
		}
		x.enlist(f)
	}
	return len(names), nil
}

// drops tells whether err is about a damaged file, and takes down that it was dropped.
func (x *Index) drops(err error) bool {
	var bad *CorruptError
	if !errors.As(err, &bad) {
		return false
	}
	x.dropped = append(x.dropped, err)
	return true
}

// read reads the header of one file.
func (x *Index) read(name string) (*file, error) {
	f := newFile(x.layout, x.dir, name, header{})
	h, err := x.readHeader(x.fs, f.path)
	f.setHeader(h)
	return f, err
}

// load takes in one file.
func (x *Index) load(name string) error {
	f, err := x.read(name)
	if err == nil {
		x.enlist(f)
	}
	return err
}

func (x *Index) enlist(f *file) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.setListLocked(append(slices.Clip(x.list()), f))
}

// unlist takes the last file out of the list, without removing it.
func (x *Index) unlist(name string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	files := x.list()
	last := len(files) - 1
	if last < 0 || files[last].name != name {
		return nil
	}
	f := files[last]
	x.setListLocked(files[:last:last])
	if f == x.writer.active {
		x.writer.active, x.writer.bytes = nil, nil
	}
	return f.unmap()
}

// removeNames removes the files at the end of the index, newest first and each for certain before the next: an index that lost an
// older one alone would lack what that held, and nobody would know.
func (x *Index) removeNames(names []string) error {
	for _, name := range slices.Backward(names) {
		if err := errors.Join(x.fs.Remove(newFile(x.layout, x.dir, name, header{}).path), x.fs.SyncDir(x.dir)); err != nil {
			return err
		}
	}
	return nil
}

// lastPhy returns the offset of the last message in the index, 0 when it is empty.
func (x *Index) lastPhy() message.PhyOffset {
	for _, f := range slices.Backward(x.list()) {
		if f.count.Load() > 1 {
			return message.PhyOffset(f.endPhy.Load())
		}
	}
	return 0
}
