package consumequeue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// readBuffers holds the buffers that units are decoded from.
var readBuffers = sync.Pool{New: func() any { return new([blockSize]byte) }}

// Read reads units from an offset on into dst and returns how many there were:
// it stops at the end of the queue and, as Java's ConsumeQueue does, at the end
// of a file. At MaxOffset it reads none. Below MinOffset and beyond MaxOffset
// the error is a *RangeError. Before a unit that cannot be one it stops as well,
// and there the error is a *CorruptError: the queue has to be built anew. It may
// be called by any number of goroutines.
func (q *ConsumeQueue) Read(from message.QueueOffset, dst []Unit) (int, error) {
	off := int64(from)
	if low, high := q.min.Load(), q.max.Load(); off < low || off > high {
		return 0, q.rangeError(from)
	}
	n, err := q.read(off, dst, true)
	if n == 0 && errors.Is(err, fs.ErrNotExist) {
		return 0, q.missing(off) // deleted under our eyes, or by another hand
	}
	for i := range n {
		if dst[i].valid() {
			continue
		}
		if i > 0 {
			return i, nil
		}
		return 0, q.misplaced(off, fmt.Sprintf("record %d of %d bytes is none", dst[0].Offset, dst[0].Size))
	}
	return n, err
}

// missing is the error for a unit whose file is not there.
func (q *ConsumeQueue) missing(off int64) error {
	if off < q.min.Load() {
		return q.rangeError(message.QueueOffset(off))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.state == queueGone {
		return q.wrap(ErrGone)
	}
	return q.wrap(fs.ErrNotExist)
}

func (q *ConsumeQueue) rangeError(off message.QueueOffset) error {
	return &RangeError{Key: q.key, Offset: off, Min: q.MinOffset(), Max: q.MaxOffset()}
}

// read is Read without the lower bound: units that have expired, and
// placeholders, can be read as long as their file is there. With ahead it may
// answer from memory, where one who examines the bytes wants the file.
func (q *ConsumeQueue) read(off int64, dst []Unit, ahead bool) (n int, err error) {
	for n < len(dst) {
		m, err := q.readSome(off+int64(n), dst[n:], ahead)
		n += m
		if m == 0 || err != nil {
			return n, err
		}
		if (off+int64(n))%q.set.unitsPerFile == 0 {
			break
		}
	}
	return n, nil
}

// readSome reads from one file or from the tail.
func (q *ConsumeQueue) readSome(off int64, dst []Unit, ahead bool) (n int, err error) {
	q.mu.Lock()
	if off >= q.written {
		n = q.readTail(off, dst)
		q.mu.Unlock()
		return n, nil
	}
	f, written, cuts := q.fileOf(off), q.written, q.cuts
	ahead = ahead && q.state == queueOpen
	q.mu.Unlock()
	if f == nil {
		return 0, q.wrap(fs.ErrNotExist)
	}
	dst = dst[:min(int64(len(dst)), written-off, blockUnits)]
	if ahead {
		n, err = q.readAhead(f, off, written, cuts, dst)
	} else {
		n, err = q.readFile(f, off, dst)
	}
	if q.cutSince(cuts) {
		return q.readSome(off, dst, ahead)
	}
	return n, q.wrap(err)
}

// cutSince says whether what was read may be of a past that was truncated.
func (q *ConsumeQueue) cutSince(cuts uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cuts != cuts
}

// readTail reads units of the tail up to the end of a file. Called with mu held.
func (q *ConsumeQueue) readTail(off int64, dst []Unit) int {
	per := q.set.unitsPerFile
	n := min(q.max.Load()-off, int64(len(dst)), per-off%per)
	for i := range max(n, 0) {
		dst[i] = getUnit(q.tail[(off-q.written+i)*unitSize:])
	}
	return int(max(n, 0))
}

func (q *ConsumeQueue) readFile(f *file, off int64, dst []Unit) (int, error) {
	h, err := q.acquire(f)
	if err != nil {
		return 0, err
	}
	defer q.set.handles.release(f)
	n := min(int64(len(dst)), q.fileEnd(f)-off)
	buf := readBuffers.Get().(*[blockSize]byte)
	defer readBuffers.Put(buf)
	if err := readFull(h, buf[:n*unitSize], (off-f.base)*unitSize); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = q.corrupt(f, off, "file ends before this unit")
		}
		return 0, err
	}
	for i := range n {
		dst[i] = getUnit(buf[i*unitSize:])
	}
	return int(n), nil
}

// readFull fills b from at on; a file that ends before is an unexpected end.
func readFull(h vfs.File, b []byte, at int64) error {
	n, err := h.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// corrupt is the error for the unit at off.
func (q *ConsumeQueue) corrupt(f *file, off int64, reason string) *CorruptError {
	return &CorruptError{Key: q.key, File: q.path(f), Offset: (off - f.base) * unitSize, Reason: reason}
}

// unitAt reads one unit, which may be below MinOffset.
func (q *ConsumeQueue) unitAt(off int64) (Unit, error) {
	var u [1]Unit
	n, err := q.read(off, u[:], false)
	if n == 0 && err == nil {
		err = q.rangeError(message.QueueOffset(off))
	}
	return u[0], err
}

// searchUnits returns the first offset in [low, high) whose unit satisfies found,
// which holds for all that follow one for which it holds; high if there is none.
func (q *ConsumeQueue) searchUnits(low, high int64, found func(Unit) bool) (int64, error) {
	for low < high {
		mid := low + (high-low)/2
		u, err := q.unitAt(mid)
		if err != nil {
			return 0, err
		}
		if found(u) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low, nil
}

// first is the lowest offset that can be read. Called with mu or io held.
func (q *ConsumeQueue) first() int64 {
	if len(q.files) > 0 {
		return q.files[0].base
	}
	return q.written
}
