package commitlog

import (
	"errors"
	"runtime/debug"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Recovery says what a scan of the log found.
type Recovery struct {
	From, End message.PhyOffset // scanned; End is behind the last good record
	Records   int
	// Stopped is why the scan ended before the end of the files: usually a
	// *CorruptError at the place where appending stopped.
	Stopped error
}

// Recover scans from off, calls fn for each good record, and makes the end of
// the last of them the end of the log: later files are deleted, and with zero
// what is left behind the end is made to read as zeros (invariant 5). An error
// of fn or of reading leaves the log as it is.
func (l *CommitLog) Recover(off message.PhyOffset, trust Trust, zero bool, fn func(message.PhyOffset, message.Record) error) (Recovery, error) {
	rec, err := l.Scan(off, l.MaxOffset(), trust, fn)
	if err != nil {
		return rec, err
	}
	return rec, l.Truncate(rec.End, off, zero)
}

// Scan walks the log without changing it; see Recover.
func (l *CommitLog) Scan(off, limit message.PhyOffset, trust Trust, fn func(message.PhyOffset, message.Record) error) (rec Recovery, err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	rec = Recovery{From: off, End: off}
	it := l.Iterate(off, limit, trust)
	defer it.Close()
	for {
		r, ok := it.Next()
		if !ok {
			break
		}
		at := it.Offset() - message.PhyOffset(len(r))
		if err := fn(at, r); err != nil {
			return rec, err
		}
		rec.Records++
		rec.End = it.Offset()
		l.put.storeTime = max(l.put.storeTime, r.StoreTimestamp())
	}
	// A blank passed with nothing behind it ends the log at the next file,
	// unless that is beyond all files: then the blank is overwritten.
	if it.Err() != nil && it.Offset() > rec.End {
		rec.End = it.Offset()
	}
	rec.Stopped = it.Err()
	var corrupt *CorruptError
	if rec.Stopped != nil && !errors.As(rec.Stopped, &corrupt) {
		return rec, rec.Stopped
	}
	return rec, nil
}

// Truncate makes off, the end of a record, the end of the log, of which what
// lies before durable is known to be on disk. Nothing may be appended or flushed
// meanwhile.
func (l *CommitLog) Truncate(off, durable message.PhyOffset, zero bool) error {
	if err := l.q.TruncateTo(int64(off), int64(durable), zero); err != nil {
		return err
	}
	l.q.Prepare()
	return nil
}

// Cut is Truncate while a flusher runs, which is kept out: what was behind off
// never comes back, not after a power loss either. Nothing may be appended meanwhile.
func (l *CommitLog) Cut(off message.PhyOffset) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	return l.Truncate(off, l.FlushedOffset(), true)
}

// Reset empties the log and lets it begin at off. Nothing may be appended
// meanwhile; a flusher that runs is kept out.
func (l *CommitLog) Reset(off message.PhyOffset) error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.commitMu.Lock()
	defer l.commitMu.Unlock()
	return l.q.Reset(int64(off))
}

// FileBack returns the start of the last file, going back from the end, whose
// first record is good and satisfies ok: the place where a recovery begins
// that trusts what ok says of older files. It is false if there is none.
func (l *CommitLog) FileBack(ok func(first message.Record) bool) (message.PhyOffset, bool) {
	files := l.Files()
	for i := len(files) - 1; i >= 0; i-- {
		it := l.Iterate(files[i].Start, files[i].End, Java)
		r, found := it.Next()
		good := found && r.StoreTimestamp() != 0 && ok(r)
		it.Close()
		if good {
			return files[i].Start, true
		}
	}
	return 0, false
}
