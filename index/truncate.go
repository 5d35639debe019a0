package index

import (
	"errors"
	"fmt"
	"slices"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Truncate cuts the entries of messages at or behind end. Queries may go on; Put may not. A file that
// turns out to be damaged is dropped: see [Index.Dropped].
func (x *Index) Truncate(end message.PhyOffset) error {
	x.Settle()
	x.complete.Store(min(x.complete.Load(), int64(end)))
	for {
		files := x.list()
		if len(files) == 0 {
			break
		}
		f := files[len(files)-1]
		if err := x.activate(f); err != nil {
			return err
		}
		count, err := x.countBelow(f, int64(end))
		if err != nil {
			return err
		}
		if count > 1 {
			if count < f.count.Load() {
				err = x.cut(count, State{})
			}
			if err == nil {
				break
			}
			if !x.drops(err) {
				return err
			}
			x.complete.Store(min(x.complete.Load(), f.beginPhy.Load()))
		}
		if err := x.removeLast(f); err != nil {
			return err
		}
	}
	return x.resume()
}

// removeLast removes the last file, which has no entry left.
func (x *Index) removeLast(f *file) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f == x.writer.active {
		x.writer.active, x.writer.bytes = nil, nil
		f.refs--
	}
	return x.removeLocked([]*file{f})
}

// activate makes the last file the one that is written, if it has room. A disk too full for the holes
// that Java leaves is no error: Put tries again.
func (x *Index) activate(f *file) error {
	if f == x.writer.active || f.full() {
		return nil
	}
	err := x.openForWriting(f)
	if vfs.IsNoSpace(err) {
		return nil
	}
	return err
}

// openForWriting makes f the active file, whether it has room or not.
func (x *Index) openForWriting(f *file) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f == x.writer.active {
		return nil
	}
	for f.refs > 0 { // readers of a mapping that cannot be written
		x.mu.idle.Wait()
	}
	if err := f.unmap(); err != nil {
		return err
	}
	if err := f.open(x.fs, true); err != nil {
		return err
	}
	f.refs, f.dirty, f.synced = 1, true, f.count.Load()
	f.reopened, f.slotsAsked = true, false
	x.writer.active, x.writer.bytes = f, f.mapping.Bytes()
	return nil
}

// countBelow returns what the count of f is without the entries at or behind end. As entries are in
// order it searches; should they not be, what it returns still ends with an entry below end.
func (x *Index) countBelow(f *file, end int64) (int32, error) {
	count := f.count.Load()
	if f.endPhy.Load() < end && count > 1 && f.beginPhy.Load() < end {
		if last, err := x.entry(f, count-1); err != nil || last.phy < end {
			return count, err
		}
	}
	b, err := x.acquire(f)
	if b == nil {
		return 1, err
	}
	low, high := int32(1), count
	for low < high {
		mid := low + (high-low)/2
		if decodeEntry(b[f.entryAt(mid):]).phy < end {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, errors.Join(err, x.release(f))
}

// entry reads one entry of a file.
func (x *Index) entry(f *file, number int32) (entry, error) {
	b, err := x.acquire(f)
	if b == nil {
		return entry{}, err
	}
	e := decodeEntry(b[f.entryAt(number):])
	return e, errors.Join(err, x.release(f))
}

// cut takes the entries from count on away from the last file: slots that name one of them get their
// newest entry below, and the header is made to fit. st helps where it is of this file.
func (x *Index) cut(count int32, st State) error {
	files := x.list()
	f := files[len(files)-1]
	if count > f.entries {
		return corrupt(f.path, posCount, fmt.Sprintf("state counts %d entries of at most %d", count, f.entries))
	}
	if err := x.openForWriting(f); err != nil {
		return err
	}
	b := x.writer.bytes
	first, last := decodeEntry(b[f.entryAt(1):]), decodeEntry(b[f.entryAt(count-1):])
	h := f.header()
	if first.phy != h.beginPhy || last.phy < first.phy {
		return corrupt(f.path, int64(f.entryAt(1)), fmt.Sprintf("entries go from %d to %d, the file begins at %d", first.phy, last.phy, h.beginPhy))
	}
	f.count.Store(count)
	used, err := f.repairSlots(b, count, st.Used)
	if err != nil {
		return err
	}
	h.count, h.used, h.endPhy = count, used, last.phy
	h.endTime = h.endOf(count, last, st.EndTime)
	h.encode(b)
	f.setHeader(h)
	x.mu.Lock()
	f.synced = -1
	x.mu.Unlock()
	return nil
}

// endOf returns the store time of the last entry, of which the file has the second only. known is
// taken if it lies in that second.
func (h *header) endOf(count int32, last entry, known int64) int64 {
	if count == 2 {
		return h.beginTime // the first entry's difference is not against its own file's begin
	}
	second := h.beginTime + int64(last.diff)*1000
	for _, t := range []int64{known, h.endTime} {
		if t >= second && t < second+1000 {
			return t
		}
	}
	return second + 999
}

// repairSlots makes every slot name its newest entry below count, and returns how many slots are in
// use. Slots hold a value of the past or present, so one below count is right already; for the others
// the entries are read from the newest on, until all are found or, if it is known how many slots are
// in use, no more can be.
func (f *file) repairSlots(b []byte, count, usedKnown int32) (used int32, err error) {
	wrong := make([]uint64, (f.slots+63)/64)
	left := 0
	for slot := range f.slots {
		switch number := loadSlot(b, headerSize+int(slot)*slotSize); {
		case number < 0 || number >= count:
			wrong[slot/64] |= 1 << (slot % 64)
			left++
		case number > 0:
			used++
		}
	}
	for number := count - 1; number > 0 && left > 0 && (usedKnown <= 0 || used < usedKnown); number-- {
		e := decodeEntry(b[f.entryAt(number):])
		if e.hash < 0 {
			return 0, corrupt(f.path, int64(f.entryAt(number)), fmt.Sprintf("entry %d has hash %d", number, e.hash))
		}
		slot := e.hash % f.slots
		if wrong[slot/64]&(1<<(slot%64)) != 0 {
			wrong[slot/64] &^= 1 << (slot % 64)
			storeSlot(b, f.slotAt(e.hash), number)
			left--
			used++
		}
	}
	for slot := int32(0); left > 0 && slot < f.slots; slot++ {
		if wrong[slot/64]&(1<<(slot%64)) != 0 {
			storeSlot(b, headerSize+int(slot)*slotSize, 0)
			left--
		}
	}
	return used, nil
}

// resume finds the message that the last entry belongs to, and how many entries it has, so that Put
// goes on behind it (invariant 4). Its entries may lie in two files.
func (x *Index) resume() error {
	w := &x.writer
	w.last, w.lastKeys = -1, 0
	files := x.list()
	if n := len(files); n > 0 {
		if err := x.activate(files[n-1]); err != nil {
			return err
		}
	}
	for _, f := range slices.Backward(files) {
		b, err := x.acquire(f)
		if b == nil {
			return err
		}
		number := f.count.Load() - 1
		for ; number > 0; number-- {
			e := decodeEntry(b[f.entryAt(number):])
			if w.last >= 0 && e.phy != w.last {
				break
			}
			w.last = e.phy
			w.lastKeys++
		}
		if err := errors.Join(err, x.release(f)); err != nil || number > 0 {
			return err
		}
	}
	return nil
}
