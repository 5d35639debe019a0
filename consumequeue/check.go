package consumequeue

import (
	"bytes"
	"errors"
	"fmt"
)

// checkErrorsMax bounds what one Check reports.
const checkErrorsMax = 100

// Check reads all units of all queues and proves the structure of their files:
// placeholders only at the very start, then valid units in the order of the
// log, then zeros. It returns what is wrong, joined. Nothing may be appended
// meanwhile.
func (s *Set) Check() error {
	var all []error
	for _, q := range s.Queues() {
		if err := q.Check(); err != nil {
			all = append(all, err)
		}
		if len(all) == checkErrorsMax {
			all = append(all, errors.New("and perhaps more"))
			break
		}
	}
	return errors.Join(all...)
}

// Check is Set.Check for one queue. It returns the first fault.
func (q *ConsumeQueue) Check() error {
	q.io.Lock()
	defer q.io.Unlock()
	q.mu.Lock()
	from, written, end := q.first(), q.written, q.max.Load()
	low, lastEnd := q.min.Load(), q.lastEnd
	files := q.files
	q.mu.Unlock()
	if low < from || low > end || written > end {
		return fmt.Errorf("consume queue %v: minimum %d, written %d, end %d, first unit in files %d", q.key, low, written, end, from)
	}
	for i, f := range files {
		if i > 0 && q.fileEnd(files[i-1]) != f.base {
			return q.corrupt(f, f.base, "does not follow the file before")
		}
	}
	last, err := q.checkUnits(from, end)
	if err != nil {
		return err
	}
	if int64(last.end()) != lastEnd {
		return fmt.Errorf("consume queue %v: last record ends at %d, not %d", q.key, last.end(), lastEnd)
	}
	return q.checkZeros(files, written)
}

func (q *ConsumeQueue) checkUnits(from, end int64) (last Unit, err error) {
	units := make([]Unit, blockUnits)
	for off := from; off < end; {
		n, err := q.read(off, units[:min(blockUnits, end-off)], false)
		if err != nil {
			return last, err
		}
		for _, u := range units[:n] {
			if reason := wrongAfter(last, u); reason != "" {
				return last, q.misplaced(off, reason)
			}
			last = u
			off++
		}
	}
	return last, nil
}

// wrongAfter says what is wrong with u behind the unit before it.
func wrongAfter(before, u Unit) string {
	switch {
	case u.IsPlaceholder():
		if before != (Unit{}) && !before.IsPlaceholder() {
			return "a placeholder behind units"
		}
	case !u.valid():
		return fmt.Sprintf("record %d of %d bytes is none", u.Offset, u.Size)
	case !before.IsPlaceholder() && u.Offset < before.end():
		return fmt.Sprintf("record %d begins before the end %d of the one before", u.Offset, before.end())
	}
	return ""
}

func (q *ConsumeQueue) misplaced(off int64, reason string) error {
	q.mu.Lock()
	f := q.fileOf(off)
	q.mu.Unlock()
	if f == nil {
		return fmt.Errorf("consume queue %v: unit %d, not yet written: %s", q.key, off, reason)
	}
	return q.corrupt(f, off, reason)
}

// checkZeros proves that nothing follows the last unit that was written.
func (q *ConsumeQueue) checkZeros(files []*file, written int64) error {
	if len(files) == 0 {
		return nil
	}
	f := files[len(files)-1]
	h, err := q.acquire(f)
	if err != nil {
		return q.wrap(err)
	}
	defer q.set.handles.release(f)
	if size, err := h.Size(); err != nil || size != q.set.fileSize {
		return errors.Join(err, q.corrupt(f, f.base, fmt.Sprintf("file has %d bytes, not %d", size, q.set.fileSize)))
	}
	buf := make([]byte, 16*blockSize)
	for at := (written - f.base) * unitSize; at < q.set.fileSize; at += int64(len(buf)) {
		b := buf[:min(int64(len(buf)), q.set.fileSize-at)]
		if err := readFull(h, b, at); err != nil {
			return q.wrap(err)
		}
		if i := bytes.IndexFunc(b, func(r rune) bool { return r != 0 }); i >= 0 {
			return &CorruptError{Key: q.key, File: q.path(f), Offset: at + int64(i), Reason: "not zero behind the end of the queue"}
		}
	}
	return nil
}
