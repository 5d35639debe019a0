package mappedfile

import (
	"sync"
	"sync/atomic"
)

// writtenAhead keeps the place where the committer is about to write filled
// with zeros that are on the device. A sync of space that fallocate only set
// aside has to turn it into written space as well, which costs another write
// of the file system; one of space written before has not.
//
// The committer and the one who writes zeros share this state, so that they
// never touch the same page: zeros go to [upTo, …) alone, and upTo never
// moves back while appends go on.
type writtenAhead struct {
	mu   sync.Mutex   // held while zeros are written
	upTo atomic.Int64 // below it no zeros are written any more
}

// zeros is what is written ahead, a chunk at a time: with larger ones a sync
// that meets the writing of one takes longer, with smaller ones more do.
var zeros [zeroChunk]byte

const (
	zeroChunk = 256 << 10
	pageSize  = 4096
)

// zero fills n bytes of f from from on, at most zeroChunk, but for those that
// the committer may be writing, which end at wrote.
func (w *writtenAhead) zero(f *File, from, n int64, wrote func() int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := from + n
	from = max(from, w.upTo.Load(), wrote())
	from = (from + pageSize - 1) &^ (pageSize - 1)
	if from >= end {
		return nil
	}
	w.upTo.Store(from)
	if _, err := f.file.WriteAt(zeros[:end-from], from-f.start); err != nil {
		return err
	}
	w.upTo.Store(end)
	// Only begun: whoever syncs next waits for what is left of it.
	return f.file.SyncRange(from-f.start, end-from)
}

// pass lets the committer write up to to, after the zeros that are being
// written there.
func (w *writtenAhead) pass(to int64) {
	if to <= w.upTo.Load() {
		return
	}
	w.mu.Lock()
	w.upTo.Store(max(to, w.upTo.Load()))
	w.mu.Unlock()
}

// reset forgets what was written ahead; nobody may be writing.
func (w *writtenAhead) reset() { w.upTo.Store(0) }
