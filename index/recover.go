package index

import (
	"errors"
	"fmt"
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
		from, err = x.loadOlder(names, x.flushedByJava(javaIndexTime))
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

// loadState keeps what a State covers.
func (x *Index) loadState(names []string, st State) (message.PhyOffset, error) {
	at, found := slices.BinarySearch(names, st.File)
	from, err := x.loadOlder(names[:at], func(header) bool { return true })
	if err != nil {
		return 0, err
	}
	x.distrust()
	if len(x.list()) < at { // an older file was damaged: the rest is built anew
		return from, x.removeNames(names[at:])
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

// loadOlder takes in files up to the first that is damaged or not to be kept, removes the others, and
// returns the offset of the last message in what is kept.
func (x *Index) loadOlder(names []string, keep func(header) bool) (message.PhyOffset, error) {
	for i, name := range names {
		f, err := x.read(name)
		bad := x.drops(err)
		if err != nil && !bad {
			return 0, err
		}
		if bad || !keep(f.header()) {
			return x.lastPhy(), x.removeNames(names[i:])
		}
		x.enlist(f)
	}
	return x.lastPhy(), nil
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

// removeNames removes files that are not in the list.
func (x *Index) removeNames(names []string) error {
	x.mu.Lock()
	x.mu.dirDirty = x.mu.dirDirty || len(names) > 0
	x.mu.Unlock()
	for _, name := range names {
		if err := x.fs.Remove(newFile(x.layout, x.dir, name, header{}).path); err != nil {
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

// Truncate cuts the entries of messages at or behind end. Queries may go on; Put may not. A file that
// turns out to be damaged is dropped: see [Index.Dropped].
func (x *Index) Truncate(end message.PhyOffset) error {
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
