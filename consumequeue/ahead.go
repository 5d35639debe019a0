package consumequeue

import "sync"

// aheadBlocks is how many blocks a set keeps for readers who go on: 640 KiB, once so many queues were read.
const aheadBlocks = 256

// ahead is a block of units as a file has them, read for one who asked for the
// first of them and will come for the rest: a pull takes 32 messages, and the
// call that reads them costs as much as all else of it. Queues share the blocks;
// one who finds a block in use or of another queue reads the file.
//
// A unit in a file changes only by a truncation, which cuts tells of, and by
// Rewrite, which forgets the block.
type ahead struct {
	mu    sync.Mutex // held over the read that fills it: to be tried only, by readers
	q     *ConsumeQueue
	cuts  uint64 // the queue's when it was read
	first int64
	units int64
	buf   *[blockSize]byte
}

// block is the one that units of q are kept in.
func (q *ConsumeQueue) block() *ahead { return &q.set.ahead[q.aheadSlot] }

// readAhead is readFile that keeps what follows, up to written, for the next call.
func (q *ConsumeQueue) readAhead(f *file, off, written int64, cuts uint64, dst []Unit) (int, error) {
	b := q.block()
	if !b.mu.TryLock() {
		return q.readFile(f, off, dst)
	}
	defer b.mu.Unlock()
	if b.q != q || b.cuts != cuts || off < b.first || off >= b.first+b.units {
		if !b.fill(q, f, off, written) {
			return q.readFile(f, off, dst)
		}
		b.q, b.cuts = q, cuts
	}
	n := min(int64(len(dst)), b.first+b.units-off)
	for i := range n {
		dst[i] = getUnit(b.buf[(off-b.first+i)*unitSize:])
	}
	return int(n), nil
}

// fill reads the units of f from off on, or says that it could not: there may
// still be some of them.
func (b *ahead) fill(q *ConsumeQueue, f *file, off, written int64) bool {
	b.q = nil
	h, err := q.acquire(f)
	if err != nil {
		return false
	}
	defer q.set.handles.release(f)
	if b.buf == nil {
		b.buf = new([blockSize]byte)
	}
	b.first, b.units = off, min(blockUnits, written-off, q.fileEnd(f)-off)
	return readFull(h, b.buf[:b.units*unitSize], (off-f.base)*unitSize) == nil
}

// forgetAhead drops what was read ahead of the queue, and waits for who is at it.
func (q *ConsumeQueue) forgetAhead() {
	b := q.block()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.q == q {
		b.q = nil
	}
}
