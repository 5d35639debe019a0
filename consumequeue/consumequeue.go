package consumequeue

import (
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Key names a queue.
type Key struct {
	Topic   string
	QueueID int32
}

// String is the folder of the queue below the set's.
func (k Key) String() string { return k.Topic + "/" + strconv.Itoa(int(k.QueueID)) }

// queueState says what may be done with a queue.
type queueState uint8

const (
	queueLoaded queueState = iota // found by Open, its end not known yet
	queueOpen
	queueGone // dropped, or the set is closed
)

// ConsumeQueue maps the offsets of one queue to places in the commit log.
//
//	files[0].base     min                 written          max
//	   |---------------|---------------------|--------------|
//	    expired or      in files: page cache  tail: memory
//	    placeholders    (below synced: disk)
type ConsumeQueue struct {
	// What an append touches stands together, see hotSize.
	mu      sync.Mutex   // the state below; never held over I/O
	max     atomic.Int64 // one past the last unit; stored under mu, after the unit can be read
	tail    []byte       // units from written on; its capacity is at most what the set allows a queue
	written int64        // units below it are in files; moves under io and mu
	lastEnd int64        // end of the last unit's record; 0 without one
	set     *Set
	key     Key

	state  queueState
	listed bool // is in set.active
	recut  bool // the file around written has changes that no unit accounts for
	// aheadSlot is the place in set.ahead of what was read ahead of the queue.
	aheadSlot uint8
	min       atomic.Int64
	minPhy    int64   // record of the unit at min; -1 when not known
	synced    int64   // units below it are on disk
	walked    int64   // max when WriteOut or Sync last came by: no change since means idle
	cuts      uint64  // how often the end moved back
	files     []*file // ascending, without gaps; changed under io and mu, read under either
	last      Unit    // the unit before written, when written > 0 and it is a real one

	// io serializes what changes files. Lock order: io, then mu.
	io       sync.Mutex
	staleEnd int64 // units in [written, staleEnd) of the files are of the past and must go first
}

// Key returns the name of the queue.
func (q *ConsumeQueue) Key() Key { return q.key }

// MaxOffset is one past the last unit.
func (q *ConsumeQueue) MaxOffset() message.QueueOffset { return message.QueueOffset(q.max.Load()) }

// MinOffset is the first unit whose record the commit log still holds, as far
// as CorrectMinOffset was told; with none it is MaxOffset.
func (q *ConsumeQueue) MinOffset() message.QueueOffset { return message.QueueOffset(q.min.Load()) }

// Last returns the last unit, if there is one.
func (q *ConsumeQueue) Last() (Unit, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.tail); n > 0 {
		return getUnit(q.tail[n-unitSize:]), true
	}
	return q.last, q.last.valid()
}

// end is the end of the last unit's record.
func (q *ConsumeQueue) end() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastEnd
}

// Append adds the unit of a queue offset. Only one goroutine may append. A unit
// below the end is there already and nothing happens; one beyond it is a
// *GapError, except that the very first unit of a queue may have any offset:
// what is before it in its file is filled with placeholders. After an error the
// unit is not in the queue, and the same call may be made again.
func (q *ConsumeQueue) Append(off message.QueueOffset, u Unit) error {
	q.mu.Lock()
	// The last condition is a size below 1, or an offset that overflows.
	if len(q.tail)+unitSize > cap(q.tail) || int64(off) != q.max.Load() || int64(u.Offset) < q.lastEnd || u.end() <= u.Offset {
		return q.appendSlow(off, u)
	}
	q.push(u)
	q.mu.Unlock()
	return nil
}

// hotSize covers what an append touches of a queue.
const hotSize = 96

// Prefetch has what the next append touches of q on its way from memory.
func (q *ConsumeQueue) Prefetch() { vfs.PrefetchHead(q, hotSize) }

// PrefetchTail has the place of the next unit on its way. It touches q.
func (q *ConsumeQueue) PrefetchTail() {
	q.mu.Lock()
	place := q.tail[len(q.tail):min(len(q.tail)+unitSize, cap(q.tail))]
	q.mu.Unlock()
	vfs.Prefetch(place)
}

// push adds a unit to the tail, which has room. Called with mu held.
func (q *ConsumeQueue) push(u Unit) {
	n := len(q.tail)
	q.tail = q.tail[:n+unitSize]
	putUnit(q.tail[n:], u)
	q.lastEnd = int64(u.end())
	q.max.Store(q.max.Load() + 1)
}

// appendSlow appends what is not the next unit of a queue with room in its
// tail. Called with mu held, returns without.
func (q *ConsumeQueue) appendSlow(off message.QueueOffset, u Unit) error {
	for {
		max := q.max.Load()
		fresh := q.lastEnd == 0 && len(q.files) == 0 // no unit yet: it may have any offset
		var err error
		switch {
		case q.usable() != nil:
			err = q.usable()
		case off < 0 || off > maxQueueOffset || !u.valid():
			err = fmt.Errorf("unit %d: record %d of %d bytes is none", off, u.Offset, u.Size)
		case fresh && int64(off) != max:
			q.mu.Unlock()
			if err = q.startAt(int64(off), u.Offset); err == nil {
				q.mu.Lock()
				continue
			}
			return q.wrap(err)
		case int64(off) < max:
			q.mu.Unlock()
			return nil
		case int64(off) > max:
			q.mu.Unlock()
			return &GapError{Key: q.key, Want: message.QueueOffset(max), Have: off}
		case int64(u.Offset) < q.lastEnd:
			end := q.lastEnd
			q.mu.Unlock()
			return &OrderError{Key: q.key, Offset: off, Unit: u, After: message.PhyOffset(end)}
		case len(q.tail)+unitSize <= cap(q.tail):
			if fresh {
				q.minPhy = int64(u.Offset)
			}
			q.push(u)
			q.mu.Unlock()
			return nil
		case q.growTail():
			continue
		default:
			q.mu.Unlock()
			err = q.writeOut()
			q.mu.Lock()
			if err == nil || len(q.tail)+unitSize <= cap(q.tail) {
				continue // a part was written: that is room enough for now
			}
		}
		q.mu.Unlock()
		return q.wrap(err)
	}
}

// usable says why nothing can be appended, if so. Called with mu held.
func (q *ConsumeQueue) usable() error {
	switch {
	case q.set.opts.ReadOnly:
		return ErrReadOnly
	case q.state == queueOpen:
		return nil
	case q.state == queueLoaded:
		return ErrNotRecovered
	case q.set.closed.Load():
		return ErrClosed
	}
	return ErrGone
}

// growTail makes room for at least one more unit, or says that the tail has all
// the room it may have. Called with mu held.
func (q *ConsumeQueue) growTail() bool {
	limit := int(q.set.tailUnits.Load()) * unitSize
	size := min(max(2*cap(q.tail), tailUnitsMin*unitSize), limit)
	if size <= cap(q.tail) {
		return false
	}
	tail := make([]byte, len(q.tail), size)
	copy(tail, q.tail)
	q.tail = tail
	q.listLocked()
	return true
}

// listLocked puts q on the list of the queues that WriteOut and Sync visit.
func (q *ConsumeQueue) listLocked() {
	if !q.listed {
		q.listed = true
		q.set.list(q)
	}
}

// startAt begins a queue without units at off.
func (q *ConsumeQueue) startAt(off int64, phy message.PhyOffset) error {
	q.io.Lock()
	defer q.io.Unlock()
	base := off - off%q.set.unitsPerFile
	if off > base {
		if err := q.fill(base, off); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written, q.synced = off, base
	q.minPhy = int64(phy)
	q.min.Store(off)
	q.max.Store(off)
	return nil
}

// fill writes placeholders to [base, off). Called with io held.
func (q *ConsumeQueue) fill(base, off int64) error {
	f, err := q.createFile(base)
	if err != nil {
		return err
	}
	h, err := q.acquire(f)
	if err == nil {
		err = writePlaceholders(h, off-base)
		q.set.handles.release(f)
	}
	if err != nil {
		q.set.handles.drop(f)
		return err
	}
	q.mu.Lock()
	q.files = append(q.files, f)
	q.mu.Unlock()
	return nil
}

func writePlaceholders(h vfs.File, count int64) error {
	buf := make([]byte, min(count, 16*blockUnits)*unitSize)
	for i := 0; i < len(buf); i += unitSize {
		putUnit(buf[i:], Unit{Size: placeholderSize})
	}
	for at := int64(0); at < count*unitSize; at += int64(len(buf)) {
		n := min(int64(len(buf)), count*unitSize-at)
		if _, err := h.WriteAt(buf[:n], at); err != nil {
			return err
		}
	}
	return nil
}

// dir is the folder of the queue's files.
func (q *ConsumeQueue) dir() string {
	return filepath.Join(q.set.dir, q.key.Topic, strconv.Itoa(int(q.key.QueueID)))
}

// dirs are the folders with the names on the way to the queue's files.
func (q *ConsumeQueue) dirs() [3]string {
	return [3]string{q.set.dir, filepath.Join(q.set.dir, q.key.Topic), q.dir()}
}

func (q *ConsumeQueue) path(f *file) string {
	name := append([]byte(q.dir()), filepath.Separator)
	return string(appendFileName(name, f.base*unitSize))
}

// fileEnd is one past the last unit that f can hold.
func (q *ConsumeQueue) fileEnd(f *file) int64 { return f.base + q.set.unitsPerFile }

// fileOf returns the file that holds the unit at off, nil if none does. Called
// with mu or io held.
func (q *ConsumeQueue) fileOf(off int64) *file {
	if len(q.files) == 0 || off < q.files[0].base {
		return nil
	}
	i := (off - q.files[0].base) / q.set.unitsPerFile
	if i >= int64(len(q.files)) {
		return nil
	}
	return q.files[i]
}

// acquire returns the descriptor of f; the caller releases f at the set's handles.
func (q *ConsumeQueue) acquire(f *file) (vfs.File, error) {
	if f.enter() {
		return f.handle, nil // the method value below would be an allocation
	}
	return q.set.handles.acquire(f, q.openFile)
}

func (q *ConsumeQueue) openFile(f *file) (vfs.File, error) {
	return q.set.fs.OpenFile(q.path(f), q.set.openFlag, 0)
}
