package timer

import (
	"errors"
	"fmt"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// unitLog is the log of the units (Java's TimerLog). One goroutine appends and reads.
type unitLog struct {
	queue *mappedfile.Queue
	dir   string
	ref   mappedfile.Ref // what was read last, from refPos on
	from  int64
}

// preheatMax bounds how far ahead of the writer the log is brought into memory: a megabyte is 20,000 units.
const preheatMax = 1 << 20

func openLog(fs vfs.FS, dir string, fileSize int64) (*unitLog, error) {
	q, err := mappedfile.Open(fs, dir, mappedfile.Options{FileSize: fileSize, PreheatMax: preheatMax})
	if err != nil {
		return nil, err
	}
	return &unitLog{queue: q, dir: dir, from: noPos}, nil
}

// end is the position of the next unit.
func (l *unitLog) end() int64 { return l.queue.Wrote() }

// append adds a unit and returns its position.
func (l *unitLog) append(u unit) (pos int64, err error) {
	if left := l.queue.Remaining(); left < unitSize+blankSize {
		if left > 0 {
			b, err := l.queue.Reserve(int(min(left, blankSize)))
			if err != nil {
				return 0, err
			}
			if len(b) == blankSize { // else it is too short for anything, and known for it
				encodeBlank(b, int32(left))
			}
			l.queue.Skip(len(b))
		}
		if err := l.queue.Roll(); err != nil {
			return 0, err
		}
	}
	b, err := l.queue.Reserve(unitSize)
	if err != nil {
		return 0, err
	}
	u.encode(b)
	return l.queue.Advance(unitSize) - unitSize, nil
}

// bytes returns what the file holds from a position on, up to the end of the log. It is valid until the next call, and
// empty where there is nothing.
func (l *unitLog) bytes(pos int64) ([]byte, error) {
	if at := pos - l.from; l.from >= 0 && at >= 0 && at+unitSize <= int64(len(l.ref.Bytes())) {
		return l.ref.Bytes()[at:], nil
	}
	l.release()
	f := l.queue.FileAt(pos)
	if f == nil {
		return nil, nil
	}
	ref, ok, err := l.queue.Read(f.Start())
	if err != nil || !ok {
		return nil, err
	}
	l.ref, l.from = ref, f.Start()
	if at := pos - l.from; at < int64(len(ref.Bytes())) {
		return ref.Bytes()[at:], nil
	}
	return nil, nil
}

// before is the position of the unit before the one at a position.
func (l *unitLog) before(pos int64) int64 {
	if size := l.queue.FileSize(); pos%size == 0 {
		return pos - size + (size-blankSize)/unitSize*unitSize - unitSize
	}
	return pos - unitSize
}

// isHole tells whether nothing was ever written to where a unit may be.
func (l *unitLog) isHole(pos int64) bool {
	b, err := l.bytes(pos)
	return err == nil && len(b) >= unitSize && empty(b[:unitSize])
}

// hasUnitAt tells whether a position is one that a unit has, be it damaged.
func (l *unitLog) hasUnitAt(pos int64) bool {
	size := l.queue.FileSize()
	in := pos % size
	return pos >= l.queue.MinOffset() && pos < l.end() && in%unitSize == 0 && size-in >= unitSize+blankSize
}

func (l *unitLog) release() {
	l.ref.Release()
	l.from = noPos
}

// unit returns the unit at a position.
func (l *unitLog) unit(pos int64) (unit, error) {
	b, err := l.bytes(pos)
	if err != nil {
		return unit{}, err
	}
	u, err := decodeUnit(b, pos)
	if err != nil {
		return unit{}, &CorruptError{File: l.dir, Offset: pos, Reason: err.Error(), Err: err}
	}
	return u, nil
}

// walk calls visit with the units from a position on, until it returns false. It returns the position at which it stopped;
// the error is nil at the end of the log, and else says what there is instead of a unit.
func (l *unitLog) walk(pos int64, visit func(pos int64, u unit) bool) (int64, error) {
	defer l.release()
	pos = max(pos, l.queue.MinOffset())
	for pos < l.end() {
		u, err := l.unit(pos)
		switch {
		case errors.Is(err, errBlank) || l.queue.FileSize()-pos%l.queue.FileSize() < blankSize:
			pos = (pos/l.queue.FileSize() + 1) * l.queue.FileSize()
			continue
		case err != nil:
			return pos, err
		case !visit(pos, u):
			return pos, nil
		}
		pos += unitSize
	}
	return pos, nil
}

// removeBefore deletes the files all of whose messages lie before the start of the commit log.
func (l *unitLog) removeBefore(start message.PhyOffset) error {
	for files := l.queue.Files(); len(files) > 1; files = l.queue.Files() {
		ref, ok, err := l.queue.Read(files[0].Start())
		if err != nil || !ok {
			return err
		}
		size := l.queue.FileSize()
		last := size - (size-blankSize)%unitSize - blankSize - unitSize
		u, err := decodeUnit(ref.Bytes()[last:], files[0].Start()+last)
		ref.Release()
		if err != nil || u.phy >= start {
			return nil // a file that is damaged stays until those who find it can tell
		}
		if _, err := l.queue.RemoveBefore(files[0].End(), 1); err != nil {
			return err
		}
	}
	return nil
}

// CorruptError tells where the timer's files are not what they should be.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
	Err    error // the cause, may be nil
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("timer: %s at %d: %s", e.File, e.Offset, e.Reason)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }
