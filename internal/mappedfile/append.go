package mappedfile

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// ErrFull says that the ring holds as many uncommitted bytes as it can;
// Commit makes room.
var ErrFull = errors.New("mappedfile: the transient pool is full until the next commit")

// Remaining returns how many bytes the file at the tail can still take; 0
// when there is no file or it is full, and Roll is due.
func (q *Queue) Remaining() int64 {
	if q.tail == nil {
		return 0
	}
	return q.tail.End() - q.wrote.Load()
}

// Reserve returns the place of the next n bytes, at most Remaining. They are
// seen by nobody until Advance.
func (q *Queue) Reserve(n int) ([]byte, error) {
	wrote := q.wrote.Load()
	if q.ring != nil {
		return q.ring.reserve(wrote, q.committed.Load(), n)
	}
	q.setReceiving(false)
	at := wrote - q.tail.start
	return q.tailData[at : at+int64(n) : at+int64(n)], nil
}

// Advance publishes the n bytes reserved last and returns their end.
func (q *Queue) Advance(n int) int64 {
	wrote := q.wrote.Load()
	if q.ring != nil {
		q.ring.place(wrote, n)
	}
	return q.advanceTo(wrote + int64(n))
}

// Skip publishes the n bytes reserved last together with all that is left of
// the file behind them, which is not written.
func (q *Queue) Skip(n int) {
	wrote := q.wrote.Load()
	if q.ring != nil {
		q.ring.place(wrote, n)
		if from := wrote + int64(n); from < q.tail.End() {
			q.ring.skip(from, q.tail.End())
		}
	}
	q.advanceTo(q.tail.End())
}

func (q *Queue) advanceTo(wrote int64) int64 {
	q.wrote.Store(wrote)
	if q.ring == nil {
		q.committed.Store(wrote)
	}
	if wrote >= q.attention {
		q.attention = q.alloc.progress(wrote)
	}
	return wrote
}

// Roll makes the next file the tail; the present one must be full. It waits
// for the file if that is still being made. An error leaves everything as it
// was, and the next call tries again.
func (q *Queue) Roll() error {
	start := q.wrote.Load()
	if q.tail == nil {
		start -= start % q.opts.FileSize
	} else if start != q.tail.End() {
		panic(fmt.Sprintf("mappedfile: roll at %d inside of %s", start, q.tail.path))
	}
	f, err := q.alloc.take(start)
	if err != nil {
		return err
	}
	q.listMu.Lock()
	files := append(append([]*File(nil), q.Files()...), f)
	q.files.Store(&files)
	q.listMu.Unlock()
	q.setTail(f)
	return nil
}

// Prepare has the next file made in the background, ahead of need.
func (q *Queue) Prepare() {
	q.attention = 0
	q.advanceTo(q.wrote.Load())
}

// setTail takes f, which the caller has pinned once, as the tail in place of the old one.
func (q *Queue) setTail(f *File) {
	q.leaveTail()
	q.tail, q.tailData = f, f.data
	if q.receiving {
		q.adviseTail(true)
	}
	q.attention = 0 // ask at the next advance
	q.alloc.setTail(f)
}

// leaveTail hands the queue's pin of the tail to the hot files; there is no tail then.
func (q *Queue) leaveTail() {
	old := q.tail
	if old == nil {
		return
	}
	if q.receiving {
		q.adviseTail(false)
	}
	q.tail, q.tailData = nil, nil
	q.heat(old)
}

// Rewrite puts bytes right that lie in one file and were damaged, and makes them durable.
func (q *Queue) Rewrite(offset int64, b []byte) error {
	return q.withMapping(offset, func(m vfs.Mapping, at int) error {
		copy(m.Bytes()[at:], b)
		return m.Sync(at, len(b))
	})
}

// TruncateTo makes offset the end of the address space: later files are
// deleted, and with zero the rest of its own file is made to read as zeros, so
// that nothing left there can be taken for data later. Bytes from durable on
// are not known to be on disk, and the next Flush sees to them. Nothing may be
// appended meanwhile. With an offset at a file's end, or without files, the
// next append needs Roll.
func (q *Queue) TruncateTo(offset, durable int64, zero bool) error {
	if _, err := q.Commit(); err != nil {
		return err
	}
	if err := q.alloc.drop(); err != nil {
		return err
	}
	q.leaveTail()
	if q.ring != nil {
		q.ring.reset()
	}
	if err := q.removeFrom(offset); err != nil {
		return err
	}
	q.ahead.reset()
	q.setPositions(offset)
	q.flushed.Store(min(offset, durable))
	f := q.FileAt(offset)
	if f == nil {
		return nil
	}
	if err := q.hold(f); err != nil {
		return err
	}
	if zero {
		// Only the zeros are synced: what lies before may be long, and is the
		// flusher's.
		err := f.file.ZeroRange(offset-f.start, f.End()-offset)
		if err == nil {
			err = f.mapping.Sync(int(offset-f.start), int(f.End()-offset))
		}
		if err != nil {
			f.release()
			return err
		}
	}
	q.setTail(f)
	return nil
}

// Reset empties the address space and lets it start at the file that holds
// offset: a slave that begins in the middle of its master's log.
func (q *Queue) Reset(offset int64) error {
	if err := q.TruncateTo(math.MinInt64, math.MaxInt64, false); err != nil {
		return err
	}
	q.setPositions(offset)
	return nil
}

// RemoveBefore deletes the files that end at or below offset, oldest first and
// at most limit of them, never the last, and returns how many.
func (q *Queue) RemoveBefore(offset int64, limit int) (int, error) {
	files := q.Files()
	last := len(files) - 1
	n := 0
	for n < last && n < limit && files[n].End() <= offset {
		n++
	}
	if n == 0 {
		return 0, nil
	}
	cut := files[n].start
	var errs []error
	for _, f := range q.unlist(func(f *File) bool { return f.start < cut }) {
		errs = append(errs, q.delete(f))
	}
	return n, errors.Join(append(errs, q.fs.SyncDir(q.dir))...)
}

// removeFrom deletes the files that start at or behind offset, newest first and
// each for certain before the next: a log that lost its first files alone would
// begin in the middle.
func (q *Queue) removeFrom(offset int64) error {
	for _, f := range slices.Backward(q.unlist(func(f *File) bool { return f.start >= offset })) {
		if err := errors.Join(q.delete(f), q.fs.SyncDir(q.dir)); err != nil {
			return err
		}
	}
	return nil
}

// unlist takes files off the list and returns them. Those that are then not
// deleted come back at the next Open.
func (q *Queue) unlist(doomed func(*File) bool) (off []*File) {
	q.listMu.Lock()
	defer q.listMu.Unlock()
	var keep []*File
	for _, f := range q.Files() {
		if doomed(f) {
			off = append(off, f)
		} else {
			keep = append(keep, f)
		}
	}
	q.files.Store(&keep)
	return off
}

func (q *Queue) delete(f *File) error {
	err := f.remove()
	q.cool(f)
	return errors.Join(err, f.closeFile())
}
