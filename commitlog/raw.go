package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// AppendRaw adds bytes copied from another log at the same offset: whole
// records, blanks included, that end at or before their file's end.
func (l *CommitLog) AppendRaw(at message.PhyOffset, raw []byte) error {
	l.put.Lock()
	defer l.put.Unlock()
	if at != l.MaxOffset() {
		return fmt.Errorf("commitlog: raw bytes for offset %d, but the log ends at %d", at, l.MaxOffset())
	}
	for len(raw) > 0 {
		if l.q.Remaining() == 0 {
			if err := l.rollLocked(); err != nil {
				return err
			}
		}
		n, err := wholeRecords(raw, int(min(l.q.Remaining(), int64(l.maxRecord()))))
		if err != nil {
			return fmt.Errorf("commitlog: raw bytes for offset %d: %w", l.MaxOffset(), err)
		}
		if int64(n) > l.q.Remaining() {
			return fmt.Errorf("commitlog: raw bytes for offset %d do not end with the file", l.MaxOffset())
		}
		dst, err := l.roomLocked(n)
		if err != nil {
			return err
		}
		if err := copyTo(dst, raw[:n]); err != nil {
			return err
		}
		l.q.Advance(n)
		raw = raw[n:]
	}
	l.appended()
	return nil
}

// wholeRecords returns the bytes of the records, blanks included, with which raw
// begins: at most so many, but one record at least. Those who follow the log see
// the end of each piece, and must not find it within a record.
func wholeRecords(raw []byte, most int) (n int, err error) {
	for n < len(raw) {
		rest := raw[n:]
		size := len(rest) + 1
		if len(rest) >= message.BlankSizeMin {
			size = int(binary.BigEndian.Uint32(rest))
		}
		if size < message.BlankSizeMin || size > len(rest) {
			return 0, fmt.Errorf("the record at byte %d of them is cut", n)
		}
		if n > 0 && n+size > most {
			break
		}
		n += size
	}
	return n, nil
}

func copyTo(dst, raw []byte) (err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	copy(dst, raw)
	return nil
}

// Receive brings up to n bytes that r has of another log, which is cut at any byte, to their place at the end of this one: behind begun, the
// bytes of the record at at, the log's end, that have come before. take is told what is there then, and returns how much of it is whole
// records, which become the log's. The rest reads as zeros again, and is the caller's to keep as what is begun next.
//
//	┌──────────────────┬───────────────────────────────────┬───────
//	│ the log          │ begun │ from r                    │ zeros
//	└──────────────────┴───────────────────────────────────┴───────
//	            MaxOffset ── whole records ──▶ MaxOffset
//
// A crash meanwhile may leave whole records behind the log's end, which are as good as those received before, and a cut one. For recovery to
// find that, the bytes of r begin with a sector, and end with one unless r ends: of a sector without its end a power loss could leave just that, after the next
// ones were written, and if its end is in a header no checksum tells. Nothing may be appended otherwise, truncated or closed meanwhile. It returns how many bytes
// came from r, fewer than the whole sectors of n with an error or where the log's transient pool is small.
func (l *CommitLog) Receive(at message.PhyOffset, begun []byte, r io.Reader, n int, take func(landed []byte) (whole int, err error)) (got int, err error) {
	if n, err = l.receivable(at, begun, n); err != nil {
		return 0, err
	}
	end := l.q.Wrote()
	for {
		got, err = l.q.Receive(begun, r, n, func(landed []byte) (whole int, err error) {
			defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
			return take(landed)
		})
		if !errors.Is(err, mappedfile.ErrFull) {
			break
		}
		l.put.Lock()
		err = l.awaitCommitLocked()
		l.put.Unlock()
		if err != nil {
			return 0, err
		}
	}
	if l.q.Wrote() > end {
		l.appended()
	}
	return got, err
}

// receivable returns how many of n bytes behind those begun are received: whole sectors of the file at the log's end, which is the next one if
// it is full.
func (l *CommitLog) receivable(at message.PhyOffset, begun []byte, n int) (int, error) {
	l.put.Lock()
	defer l.put.Unlock()
	if at != l.MaxOffset() {
		return 0, fmt.Errorf("commitlog: raw bytes for offset %d, but the log ends at %d", at, l.MaxOffset())
	}
	if err := l.acceptsLocked(); err != nil {
		return 0, err
	}
	if l.q.Remaining() == 0 {
		if err := l.rollLocked(); err != nil {
			return 0, err
		}
	}
	next := int64(at) + int64(len(begun))
	if next%sector != 0 {
		return 0, fmt.Errorf("commitlog: raw bytes to be received at %d, where no sector begins", next)
	}
	if n = int(min(int64(n), l.q.Remaining()-int64(len(begun)))) / sector * sector; n <= 0 {
		return 0, fmt.Errorf("commitlog: raw bytes for offset %d do not fit the file, or are no whole sector", at)
	}
	return n, nil
}
