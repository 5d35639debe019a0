package consumequeue

import (
	"os"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// writeOut moves the tail to the files. Readers and the dispatcher go on
// meanwhile: they see a unit in the tail until it can be read from its file.
func (q *ConsumeQueue) writeOut() error {
	q.io.Lock()
	defer q.io.Unlock()
	return q.writeOutLocked()
}

// writeOutLocked is writeOut with io held.
func (q *ConsumeQueue) writeOutLocked() error {
	if err := q.clearStale(); err != nil {
		return err
	}
	for {
		q.mu.Lock()
		// Units are only added behind this slice while mu is free, and only a
		// holder of io moves them.
		tail, from := q.tail, q.written
		q.mu.Unlock()
		if len(tail) == 0 {
			return nil
		}
		n, err := q.writeUnits(tail, from)
		if err != nil {
			return err
		}
		q.advance(tail[:n*unitSize])
	}
}

// advance drops from the tail what has been written.
func (q *ConsumeQueue) advance(done []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last = getUnit(done[len(done)-unitSize:])
	q.written += int64(len(done) / unitSize)
	q.tail = q.tail[:copy(q.tail, q.tail[len(done):])]
	if len(q.tail) == 0 && cap(q.tail) > int(q.set.tailUnits.Load())*unitSize {
		q.tail = nil // the set has more queues than when this was made
	}
	q.listLocked()
}

// writeUnits writes units to the file that holds from, as far as it goes, and
// returns how many. Called with io held.
func (q *ConsumeQueue) writeUnits(units []byte, from int64) (n int64, err error) {
	f, err := q.fileFor(from)
	if err != nil {
		return 0, err
	}
	h, err := q.acquire(f)
	if err != nil {
		return 0, err
	}
	defer q.set.handles.release(f)
	n = min(int64(len(units)/unitSize), q.fileEnd(f)-from)
	_, err = h.WriteAt(units[:n*unitSize], (from-f.base)*unitSize)
	return n, err
}

// fileFor returns the file for the unit at off, the end of the queue, and makes
// it if off is its first. Called with io held.
func (q *ConsumeQueue) fileFor(off int64) (*file, error) {
	if f := q.fileOf(off); f != nil {
		return f, nil
	}
	f, err := q.createFile(off - off%q.set.unitsPerFile)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	q.files = append(q.files, f)
	q.mu.Unlock()
	return f, nil
}

// createFile makes the file that starts at base in its full length, as a hole.
// What an earlier attempt left there is overwritten. Called with io held.
func (q *ConsumeQueue) createFile(base int64) (*file, error) {
	q.mu.Lock()
	err := q.usable()
	q.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if len(q.files) == 0 {
		if err := q.set.fs.MkdirAll(q.dir(), 0o755); err != nil {
			return nil, err
		}
	}
	f := newFile(base)
	_, err = q.set.handles.acquire(f, func(f *file) (vfs.File, error) {
		h, err := q.set.fs.OpenFile(q.path(f), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return nil, err
		}
		if err := h.Truncate(q.set.fileSize); err != nil {
			h.Close()
			return nil, err
		}
		return h, nil
	})
	if err != nil {
		return nil, err
	}
	q.set.handles.release(f)
	// All three, since the folders may be of an earlier attempt that failed.
	dirs := q.dirs()
	q.set.markDirs(dirs[:]...)
	return f, nil
}

// clearStale takes out of the files what lies behind the end of the queue after
// a truncation: otherwise the next recovery could take it for units. Files that
// start there go, last first; the rest of the file around the end becomes
// zeros. Called with io held; a failed call is finished by the next.
func (q *ConsumeQueue) clearStale() error {
	if q.staleEnd <= q.written {
		return nil
	}
	if err := q.removeFrom(q.written); err != nil {
		return err
	}
	if f := q.fileOf(q.written); f != nil {
		if err := q.writeZeros(f, q.written, min(q.staleEnd, q.fileEnd(f))); err != nil {
			return err
		}
	}
	q.markRecut()
	q.staleEnd = 0
	return nil
}

// markRecut lets the next Sync make durable what a cut changed in the file
// around the end.
func (q *ConsumeQueue) markRecut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.recut = true
	q.listLocked()
}

// removeFrom removes the files that hold nothing below off. Called with io held.
func (q *ConsumeQueue) removeFrom(off int64) error {
	for n := len(q.files); n > 0 && q.files[n-1].base >= off; n-- {
		f := q.files[n-1]
		if err := q.removeFile(f); err != nil {
			return err
		}
		q.mu.Lock()
		q.files = q.files[: n-1 : n-1]
		q.mu.Unlock()
	}
	return nil
}

// removeFile removes f from the disk. Whoever reads it still can.
func (q *ConsumeQueue) removeFile(f *file) error {
	if err := vfs.RemoveIfThere(q.set.fs, q.path(f)); err != nil {
		return err
	}
	q.set.handles.drop(f)
	q.set.markDirs(q.dir())
	return nil
}

var zeroBlock [blockSize]byte

// writeZeros clears the units [from, to) of f.
func (q *ConsumeQueue) writeZeros(f *file, from, to int64) error {
	h, err := q.acquire(f)
	if err != nil {
		return err
	}
	defer q.set.handles.release(f)
	for at := from; at < to; at += blockUnits {
		n := min(blockUnits, to-at)
		if _, err := h.WriteAt(zeroBlock[:n*unitSize], (at-f.base)*unitSize); err != nil {
			return err
		}
	}
	return nil
}
