package mappedfile

import "errors"

// Commit writes what the ring holds to the page cache and returns the new
// committed position. Without a ring there is nothing to do.
func (q *Queue) Commit() (int64, error) {
	if q.ring == nil {
		return q.committed.Load(), nil
	}
	at, end := q.committed.Load(), q.wrote.Load()
	for at < end {
		f := q.FileAt(at)
		if f == nil {
			return at, errors.New("mappedfile: no file to commit to") // a bug: Roll adds it before bytes are reserved
		}
		to := min(end, f.End())
		q.ahead.pass(to)
		if err := q.commitFile(f, at, to); err != nil {
			return at, err
		}
		q.ring.dropHoles(to)
		q.committed.Store(to)
		at = to
	}
	return at, nil
}

func (q *Queue) commitFile(f *File, from, to int64) error {
	if err := q.hold(f); err != nil {
		return err
	}
	defer f.release()
	for from < to {
		piece, skip := q.ring.next(from, to)
		if skip > 0 {
			from += skip
			continue
		}
		if _, err := f.file.WriteAt(piece, from-f.start); err != nil {
			return err
		}
		from += int64(len(piece))
	}
	return nil
}

// Flush makes all bytes below the committed position durable and returns the
// new flushed position. After an error it must not be called again: the
// kernel may have dropped the pages that it could not write.
func (q *Queue) Flush() (int64, error) {
	at, end := q.flushed.Load(), q.committed.Load()
	for at < end {
		f := q.FileAt(at)
		if f == nil { // deleted before it was flushed: nothing left to keep
			at = min(end, q.MinOffset())
			if q.FileAt(at) == nil {
				at = end
			}
			q.flushed.Store(at)
			continue
		}
		to := min(end, f.End())
		if err := q.flushFile(f, at, to); err != nil {
			return at, err
		}
		q.flushed.Store(to)
		at = to
	}
	return at, nil
}

// flushFile syncs bytes written by pwrite with fdatasync, and mapped ones by
// their range: the pages preheated behind them are dirty too and would be
// written as zeros, only to be written again soon.
func (q *Queue) flushFile(f *File, from, to int64) error {
	if err := q.hold(f); err != nil {
		if errors.Is(err, ErrRemoved) {
			return nil
		}
		return err
	}
	defer f.release()
	if q.ring != nil {
		return f.file.SyncData()
	}
	return f.mapping.Sync(int(from-f.start), int(to-from))
}
