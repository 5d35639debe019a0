package consumequeue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Recover finds the ends of the queues that Open has found; it is called once,
// before all else. The commit log reaches from logMin to logEnd.
//
// Units whose record ends at or below durable are intact on the disk: the last
// Sync(0) that was claimed covers them. trusted says that all others are as
// they were written, too: the stop was clean, or only the process died. If not,
// they are cut, and the caller dispatches the log from durable on again. Units
// of records beyond logEnd are cut in any case. Should that be below durable,
// the caller takes its claim back before the log uses those offsets again: the
// cut is not durable before the next Sync(0).
//
// The cost is that of a few reads a queue, however long it is. After an error
// the set can only be closed.
func (s *Set) Recover(durable, logMin, logEnd message.PhyOffset, trusted bool) error {
	defer s.alone()()
	if s.recovered.Load() {
		return fmt.Errorf("consumequeue: recovered already")
	}
	r := &recovery{s: s, trusted: trusted, durable: durable, limit: logEnd, logMin: logMin}
	if !trusted {
		r.limit = min(durable, logEnd)
	}
	err := s.parallel(len(s.loaded), func(i int) error {
		l := s.loaded[i]
		err := r.recover(l.q, l.files)
		var damage *CorruptError
		if errors.As(err, &damage) {
			return s.damaged(l.q, damage)
		}
		return l.q.wrap(err)
	})
	if err != nil {
		return err
	}
	s.loaded = nil
	s.covered = s.covered && (!trusted || durable >= logEnd)
	s.logMin.Store(int64(logMin))
	s.recovered.Store(true)
	return nil
}

// recovery is one run of Recover.
type recovery struct {
	s       *Set
	trusted bool
	durable message.PhyOffset
	limit   message.PhyOffset // units with a record beyond it are cut
	logMin  message.PhyOffset

	mark    sync.Once
	markErr error
}

// fileEnd is what the search found in a file.
type fileEnd struct {
	count int64 // units from the file's start that stay
	first Unit  // when count > 0
	last  Unit  // when count > 0
	dirty bool  // there is something behind them
}

// recover finds the end of one queue and cuts what is behind it.
func (r *recovery) recover(q *ConsumeQueue, listed []listedFile) (err error) {
	files := make([]*file, len(listed))
	for i, l := range listed {
		files[i] = newFile(l.start / unitSize)
	}
	defer func() {
		for _, f := range files {
			if err != nil {
				r.s.handles.drop(f)
			}
		}
	}()
	var end fileEnd
	n := len(files)
	for ; n > 0 && end.count == 0; n-- {
		if end, err = r.searchFile(q, files[n-1], listed[n-1].size/unitSize); err != nil {
			return err
		}
	}
	if end.count > 0 {
		n++ // the file with the end stays
	}
	if !r.s.opts.ReadOnly {
		if err := r.removeFiles(q, files[n:]); err != nil {
			return err
		}
	}
	begin, err := r.checkFiles(q, files[:n], listed[:n])
	if err != nil {
		return err
	}
	if n == begin {
		q.settleAt(nil, fileEnd{})
		return nil
	}
	last := files[n-1]
	cut := listed[n-1].size < r.s.fileSize || end.dirty || !r.trusted && end.count < r.s.unitsPerFile
	if cut && !r.s.opts.ReadOnly {
		if err := r.cutFile(q, last, end.count); err != nil {
			return err
		}
	}
	q.settleAt(files[begin:n], end)
	if cut && !r.s.opts.ReadOnly {
		q.markRecut()
	}
	return q.correctMin(r.logMin)
}

// removeFiles removes files behind the end, or before a gap.
func (r *recovery) removeFiles(q *ConsumeQueue, files []*file) error {
	if len(files) == 0 {
		return nil
	}
	if err := r.setMark(); err != nil {
		return err
	}
	for i := len(files) - 1; i >= 0; i-- {
		if err := q.removeFile(files[i]); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles checks the files before the one with the end, which need no search:
// they are full. It returns the index of the first that belongs to the queue.
// Those before a gap are left over from a deletion, if nothing in them is of use.
func (r *recovery) checkFiles(q *ConsumeQueue, files []*file, listed []listedFile) (begin int, err error) {
	for i := len(files) - 1; i > 0; i-- {
		if size := listed[i-1].size; size < r.s.fileSize {
			return 0, r.s.fileError(q.key, listed[i-1], size, fmt.Sprintf("file has %d bytes, not %d", size, r.s.fileSize))
		}
		if q.fileEnd(files[i-1]) == files[i].base {
			continue
		}
		u, err := r.readUnit(q, files[i-1], r.s.unitsPerFile-1)
		if err != nil {
			return 0, err
		}
		if !u.valid() || u.Offset >= r.logMin {
			return 0, q.corrupt(files[i-1], q.fileEnd(files[i-1]), "the next file is missing")
		}
		if r.s.opts.ReadOnly {
			return i, nil
		}
		return i, r.removeFiles(q, files[:i])
	}
	return 0, nil
}

func (r *recovery) readUnit(q *ConsumeQueue, f *file, i int64) (Unit, error) {
	h, err := q.acquire(f)
	if err != nil {
		return Unit{}, err
	}
	defer r.s.handles.release(f)
	var buf [blockSize]byte
	b, err := readUnits(h, buf[:unitSize], i)
	if err != nil {
		return Unit{}, err
	}
	return getUnit(b), nil
}

// readUnits reads the units from index i on that fit into buf, all of which the
// file is known to have.
func readUnits(h vfs.File, buf []byte, i int64) ([]byte, error) {
	err := readFull(h, buf, i*unitSize)
	if err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("%s: %w: it was longer when it was listed", h.Name(), err)
	}
	return buf, err
}

// follows says whether u belongs to the queue, given the unit at a lower index;
// the zero Unit stands for none. What is asked about was never torn.
func (r *recovery) follows(before, u Unit) bool {
	if u.IsPlaceholder() {
		return before == Unit{} || before.IsPlaceholder()
	}
	return u.valid() && u.end() <= r.limit && (before.IsPlaceholder() || u.Offset >= before.end())
}

// searchFile finds the end of the queue in a file of that many units. follows
// holds up to it and for no whole unit behind, so the first units of blocks, of
// which none is ever torn, lead to the block with the end; they are tried in
// steps of doubled length, as most queues end near the start of a file. There
// the units are read one by one.
func (r *recovery) searchFile(q *ConsumeQueue, f *file, units int64) (fileEnd, error) {
	if units == 0 {
		return fileEnd{}, nil
	}
	h, err := q.acquire(f)
	if err != nil {
		return fileEnd{}, err
	}
	defer r.s.handles.release(f)
	buf := readBuffers.Get().(*[blockSize]byte)
	defer readBuffers.Put(buf)

	block, err := readUnits(h, buf[:min(units, blockUnits)*unitSize], 0)
	if err != nil {
		return fileEnd{}, err
	}
	first := getUnit(block)
	if !r.follows(Unit{}, first) {
		return fileEnd{}, r.checkRest(q, f, block, 0, 0, Unit{})
	}
	low, err := r.searchBlock(h, first, (units+blockUnits-1)/blockUnits)
	if err != nil {
		return fileEnd{}, err
	}
	if low > 0 {
		block, err = readUnits(h, buf[:min(units-low*blockUnits, blockUnits)*unitSize], low*blockUnits)
		if err != nil {
			return fileEnd{}, err
		}
	}
	n, last := r.scanBlock(q, block, f.base+low*blockUnits)
	if err := r.checkRest(q, f, block, low, n, last); err != nil {
		return fileEnd{}, err
	}
	end := fileEnd{count: low*blockUnits + n, first: first, last: last}
	if last.IsPlaceholder() {
		return fileEnd{}, nil // they are nothing without a unit behind them
	}
	end.dirty, err = r.dirtyBehind(h, block[n*unitSize:], end.count, units)
	return end, err
}

// searchBlock returns the last of a file's blocks whose first unit belongs to
// the queue. That of block 0 does.
func (r *recovery) searchBlock(h vfs.File, first Unit, blocks int64) (int64, error) {
	low, high := int64(0), blocks
	probe := func(i int64) error {
		var buf [unitSize]byte
		b, err := readUnits(h, buf[:], i*blockUnits)
		if err != nil {
			return err
		}
		if u := getUnit(b); r.follows(first, u) {
			low, first = i, u
		} else {
			high = i
		}
		return nil
	}
	for step := int64(1); low+step < high; step *= 2 {
		if err := probe(low + step); err != nil {
			return 0, err
		}
	}
	for high-low > 1 {
		if err := probe(low + (high-low)/2); err != nil {
			return 0, err
		}
	}
	return low, nil
}

// scanBlock returns how many units of a block belong to the queue, and the last
// of them. The first one does; it has queue offset base.
func (r *recovery) scanBlock(q *ConsumeQueue, block []byte, base int64) (n int64, last Unit) {
	last = getUnit(block)
	for n = 1; n < int64(len(block)/unitSize); n++ {
		u := getUnit(block[n*unitSize:])
		if !r.follows(last, u) || r.doubtful(block, n, u) && !r.inLog(q, base+n, u) {
			break
		}
		last = u
	}
	return n, last
}

// doubtful says whether a unit may be half of what was written: it lies across
// two sectors, and the whole unit behind it was not written or is not durable.
func (r *recovery) doubtful(block []byte, n int64, u Unit) bool {
	if r.trusted || !straddles(n) || u.IsPlaceholder() {
		return false
	}
	next := block[(n+1)*unitSize:]
	return len(next) == 0 || !r.follows(u, getUnit(next))
}

func (r *recovery) inLog(q *ConsumeQueue, off int64, u Unit) bool {
	return r.s.opts.InLog == nil || r.s.opts.InLog(q.key, message.QueueOffset(off), u)
}

// checkRest looks for units behind the end in its block. A whole one there
// means that something before it was lost which no crash can take.
func (r *recovery) checkRest(q *ConsumeQueue, f *file, block []byte, low, n int64, last Unit) error {
	for i := n + 1; i < int64(len(block)/unitSize); i++ {
		u := getUnit(block[i*unitSize:])
		if !straddles(i) && !u.IsPlaceholder() && r.follows(last, u) {
			return q.corrupt(f, f.base+low*blockUnits+n, "a unit is missing before others")
		}
	}
	return nil
}

// dirtyBehind says whether anything but zeros follows the end, as far as the
// next block tells.
func (r *recovery) dirtyBehind(h vfs.File, rest []byte, count, units int64) (bool, error) {
	if !r.trusted {
		return false, nil // cut in any case
	}
	if len(rest) == 0 && count < units {
		var buf [blockSize]byte
		var err error
		if rest, err = readUnits(h, buf[:min(units-count, blockUnits)*unitSize], count); err != nil {
			return false, err
		}
	}
	return !bytes.Equal(rest, zeroBlock[:len(rest)]), nil
}

// cutFile makes a file end with its first count units, and the rest a hole. A
// crash between the two steps leaves a short file, which the marker explains.
func (r *recovery) cutFile(q *ConsumeQueue, f *file, count int64) error {
	if err := r.setMark(); err != nil {
		return err
	}
	h, err := q.acquire(f)
	if err != nil {
		return err
	}
	defer r.s.handles.release(f)
	if err := h.Truncate(count * unitSize); err != nil {
		return err
	}
	return h.Truncate(r.s.fileSize)
}

func (r *recovery) setMark() error {
	r.mark.Do(func() { r.markErr = r.s.setMark() })
	return r.markErr
}

// settleAt opens the queue with these files, in the last of which it ends.
func (q *ConsumeQueue) settleAt(files []*file, end fileEnd) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.files = files
	if len(files) > 0 {
		q.written = files[len(files)-1].base + end.count
		q.last = end.last
		q.lastEnd = int64(end.last.end())
		q.min.Store(files[0].base)
	}
	if len(files) == 1 && !end.first.IsPlaceholder() {
		q.minPhy = int64(end.first.Offset)
	}
	q.synced = q.written
	q.walked = q.written
	q.max.Store(q.written)
	q.state = queueOpen
}
