package consumequeue

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/rocketlog/rocketlog/message"
)

// Rewrite puts a unit right whose bytes in its file were damaged, and makes that
// durable. u has to fit between its neighbours. A unit that is not in a file yet
// is left alone: nothing but the file can be damaged. Nothing may be appended
// meanwhile.
func (q *ConsumeQueue) Rewrite(at message.QueueOffset, u Unit) error {
	q.io.Lock()
	defer q.io.Unlock()
	off := int64(at)
	q.mu.Lock()
	f, written, err := q.fileOf(off), q.written, q.usable()
	q.mu.Unlock()
	switch {
	case err != nil:
		return q.wrap(err)
	case off >= written:
		return nil
	case off < q.min.Load() || f == nil:
		return q.rangeError(at)
	case !u.valid():
		return q.wrap(fmt.Errorf("rewrite of unit %d: record %d of %d bytes is none", at, u.Offset, u.Size))
	}
	if err := q.fitsAt(off, u, written); err != nil {
		return err
	}
	h, err := q.acquire(f)
	if err != nil {
		return q.wrap(err)
	}
	defer q.set.handles.release(f)
	var b [unitSize]byte
	putUnit(b[:], u)
	_, err = h.WriteAt(b[:], (off-f.base)*unitSize)
	q.forgetAhead()
	if err != nil {
		return q.wrap(err)
	}
	if err := h.SyncData(); err != nil {
		return q.wrap(err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if off == written-1 {
		q.last = u
		if written == q.max.Load() {
			q.lastEnd = int64(u.end())
		}
	}
	if off == q.min.Load() {
		q.minPhy = int64(u.Offset)
	}
	return nil
}

// fitsAt refuses a unit that the log cannot have between its neighbours; those
// that are damaged themselves tell nothing.
func (q *ConsumeQueue) fitsAt(off int64, u Unit, written int64) error {
	if off > q.min.Load() {
		before, err := q.unitAt(off - 1)
		if err != nil {
			return err
		}
		if before.valid() && u.Offset < before.end() {
			return &OrderError{Key: q.key, Offset: message.QueueOffset(off), Unit: u, After: before.end()}
		}
	}
	if off+1 < written {
		behind, err := q.unitAt(off + 1)
		if err != nil {
			return err
		}
		if behind.valid() && behind.Offset < u.end() {
			return &OrderError{Key: q.key, Offset: message.QueueOffset(off + 1), Unit: behind, After: u.end()}
		}
	}
	return nil
}

// Peek is Read for one who examines the bytes: it returns units as they are,
// those that cannot be one included.
func (q *ConsumeQueue) Peek(from message.QueueOffset, dst []Unit) (int, error) {
	off := int64(from)
	if low, high := q.min.Load(), q.max.Load(); off < low || off > high {
		return 0, q.rangeError(from)
	}
	n, err := q.read(off, dst, false)
	if n == 0 && errors.Is(err, fs.ErrNotExist) {
		return 0, q.missing(off)
	}
	return n, err
}

// Place returns the file of a unit and its byte there. The path is empty if the
// unit is in none yet.
func (q *ConsumeQueue) Place(at message.QueueOffset) (path string, byteInFile int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.fileOf(int64(at))
	if f == nil || int64(at) >= q.written {
		return "", 0
	}
	return q.path(f), (int64(at) - f.base) * unitSize
}
