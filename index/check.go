package index

import (
	"errors"
	"fmt"
)

// Check proves the files against the invariants 1 to 3 and returns the first thing that is wrong as a
// [*CorruptError]. It reads every entry, and nothing may be put meanwhile, and what was is settled.
//
// Before Recover it looks at the files as they lie there. What a crash may leave and Recover mends is
// then no damage: slots that name entries which the header does not count yet.
func (x *Index) Check() error {
	if !x.recovered {
		return x.checkUnopened()
	}
	var last int64
	for _, f := range x.list() {
		if err := x.checkFile(f, &last, true); err != nil {
			return err
		}
	}
	return nil
}

// checkUnopened checks the files of the folder, one at a time.
func (x *Index) checkUnopened() error {
	names, err := x.names()
	if err != nil {
		return err
	}
	var last int64
	for _, name := range names {
		f, err := x.read(name)
		if err == nil {
			err = x.checkFile(f, &last, false)
		}
		if err = errors.Join(err, f.unmap()); err != nil {
			return err
		}
	}
	return nil
}

// checkFile checks one file, and that it begins where the one before ended.
func (x *Index) checkFile(f *file, last *int64, strict bool) error {
	b, err := x.acquire(f)
	if b == nil {
		return err
	}
	if begin := f.beginPhy.Load(); f.count.Load() > 1 && begin < *last {
		err = errors.Join(err, corrupt(f.path, posBeginPhy, fmt.Sprintf("begins at %d, the file before ends at %d", begin, *last)))
	}
	*last = f.endPhy.Load()
	return errors.Join(err, f.check(b, strict), x.release(f))
}

func (f *file) check(b []byte, strict bool) error {
	heads, last, err := f.checkEntries(b)
	if err != nil {
		return err
	}
	used, ahead := int32(0), int32(0)
	for slot, head := range heads {
		at := headerSize + slot*slotSize
		if got := loadSlot(b, at); got != head {
			if !strict && got >= f.count.Load() {
				ahead++
				continue
			}
			return corrupt(f.path, int64(at), fmt.Sprintf("slot %d names entry %d, its newest is %d", slot, got, head))
		}
		if head > 0 {
			used++
		}
	}
	h := f.header()
	switch stored := decodeHeader(b); {
	case stored != h:
		return corrupt(f.path, 0, fmt.Sprintf("header is %+v, want %+v", stored, h))
	case h.used != used && ahead == 0:
		return corrupt(f.path, posUsed, fmt.Sprintf("%d slots are in use, the header counts %d", used, h.used))
	case h.count > 1 && h.endPhy != last:
		return corrupt(f.path, posEndPhy, fmt.Sprintf("the last entry is of %d, the header ends at %d", last, h.endPhy))
	}
	return nil
}

// checkEntries follows the entries from the first on, and returns the newest of each slot and the
// offset of the last.
func (f *file) checkEntries(b []byte) (heads []int32, last int64, err error) {
	heads = make([]int32, f.slots)
	last = f.beginPhy.Load()
	for number := int32(1); number < f.count.Load(); number++ {
		at := f.entryAt(number)
		e := decodeEntry(b[at:])
		switch {
		case e.hash < 0 || e.diff < 0:
			return nil, 0, corrupt(f.path, int64(at), fmt.Sprintf("entry %d has hash %d and time %d", number, e.hash, e.diff))
		case e.phy < last || number == 1 && e.phy != last:
			return nil, 0, corrupt(f.path, int64(at), fmt.Sprintf("entry %d is of %d, behind %d", number, e.phy, last))
		case e.prev != heads[e.hash%f.slots]:
			return nil, 0, corrupt(f.path, int64(at), fmt.Sprintf("entry %d names %d, the one before is %d", number, e.prev, heads[e.hash%f.slots]))
		}
		heads[e.hash%f.slots] = number
		last = e.phy
	}
	return heads, last, nil
}
