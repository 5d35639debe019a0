package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// logReader reads the log's files through descriptors of its own: a scrub maps
// nothing, and leaves the page cache as it was.
type logReader struct {
	store *Store
	pace  func(int) error

	file commitlog.FileRange
	h    vfs.File
	buf  []byte
	base message.PhyOffset // of buf
}

// logReadSize is how much is read at once.
const logReadSize = 256 << 10

var (
	errBadLength = errors.New("its length cannot be")
	errBadBody   = errors.New("the body's checksum does not agree")
	errBadRecord = errors.New("the record's checksum does not agree")
	errBadPlace  = errors.New("it names another place")
)

func (l *logReader) close() error {
	if l.h == nil {
		return nil
	}
	h := l.h
	l.h = nil
	return h.Close()
}

// recordMax bounds the length that is believed of a record.
const recordMax = 129 << 20

// record returns the record at off and where the next one is; nil for a blank or
// for a file that was deleted meanwhile. The error is a *commitlog.CorruptError
// where there is no record; next is then where it would have ended, or 0.
func (l *logReader) record(off, end message.PhyOffset) (rec message.Record, next message.PhyOffset, err error) {
	if ok, err := l.open(off); err != nil || !ok {
		return nil, l.store.log.NextFile(off), err
	}
	rest := min(l.file.End, end) - off
	b, err := l.read(off, int(min(rest, message.RecordSizeMin)))
	if err != nil {
		return nil, 0, err
	}
	if len(b) >= message.BlankSizeMin && binary.BigEndian.Uint32(b[magicAt:]) == message.MagicBlank {
		return nil, l.store.log.NextFile(off), nil
	}
	bad := errBadLength
	if len(b) == message.RecordSizeMin {
		size := message.BlankSize(b) // which a record has in the same place
		if size >= len(b) && message.PhyOffset(size) <= min(rest, recordMax) {
			if b, err = l.read(off, size); err != nil {
				return nil, 0, err
			}
			rec, bad = good(b, off)
			next = off + message.PhyOffset(size)
		}
	}
	if bad != nil {
		return nil, next, &commitlog.CorruptError{Path: l.file.Path, Offset: off, Err: bad}
	}
	return rec, next, nil
}

// good parses the record at off, and says what is wrong with it.
func good(b []byte, off message.PhyOffset) (message.Record, error) {
	rec, err := message.ParseRecord(b)
	switch {
	case err != nil:
		return nil, err
	case rec.PhyOffset() != off:
		return nil, errBadPlace
	case !rec.VerifyBody():
		return nil, errBadBody
	}
	if present, ok := rec.VerifyCRCProperty(); present && !ok {
		return nil, errBadRecord
	}
	return rec, nil
}

// open sees to the file that holds off; false if it was deleted.
func (l *logReader) open(off message.PhyOffset) (bool, error) {
	if l.h != nil && off >= l.file.Start && off < l.file.End {
		return true, nil
	}
	if err := l.close(); err != nil {
		return false, err
	}
	for _, f := range l.store.log.Files() {
		if off < f.Start || off >= f.End {
			continue
		}
		h, err := l.store.fs.OpenFile(f.Path, os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		l.h, l.file, l.buf = h, f, l.buf[:0]
		return err == nil, err
	}
	return false, nil
}

// read returns n bytes of the open file, valid until the next call.
func (l *logReader) read(off message.PhyOffset, n int) ([]byte, error) {
	if off >= l.base && off+message.PhyOffset(n) <= l.base+message.PhyOffset(len(l.buf)) {
		return l.buf[off-l.base:][:n], nil
	}
	size := int(min(message.PhyOffset(max(n, logReadSize)), l.file.End-off))
	if err := l.pace(size); err != nil {
		return nil, err
	}
	if cap(l.buf) < size || cap(l.buf) > 2*max(size, logReadSize) {
		l.buf = make([]byte, size)
	}
	l.buf, l.base = l.buf[:size], off
	got, err := l.h.ReadCold(l.buf, int64(off-l.file.Start))
	if got < size {
		l.buf = l.buf[:0]
		if err == io.EOF {
			err = &commitlog.CorruptError{Path: l.file.Path, Offset: off + message.PhyOffset(got), Err: errors.New("the file ends here")}
		}
		return nil, err
	}
	return l.buf[:n], nil
}

// behind finds the next record behind damaged bytes at off: where the damaged
// one would have ended, or the first place at which a record names itself, or the
// next file.
func (l *logReader) behind(off, next, end message.PhyOffset) (message.PhyOffset, error) {
	if ok, err := l.open(off); err != nil || !ok {
		return min(l.store.log.NextFile(off), end), err
	}
	limit := min(l.file.End, end)
	if next > off && (next == limit || next < limit && l.begins(next, end)) {
		return next, nil
	}
	for at := off + 1; at < limit; at++ {
		b, err := l.read(at, int(min(limit-at, logReadSize/2)))
		if errors.Is(err, ErrClosed) {
			return 0, err
		}
		if err != nil {
			break // the rest of the file cannot be read; the next one may
		}
		i := nextMagic(b)
		if i < 0 {
			at += message.PhyOffset(max(len(b)-magicSize, 0)) // one may lie across
			continue
		}
		at += message.PhyOffset(i)
		if place := at - magicAt; place > off && l.begins(place, end) {
			return place, nil
		}
	}
	return min(l.store.log.NextFile(off), end), nil
}

// Where a record has its magic number.
const (
	magicAt   = 4
	magicSize = 4
)

// nextMagic finds the first magic number of a record or a blank.
func nextMagic(b []byte) int {
	found := -1
	for _, magic := range []uint32{message.MagicV1, message.MagicV2} {
		var m [magicSize]byte
		binary.BigEndian.PutUint32(m[:], magic)
		if i := bytes.Index(b, m[:]); i >= 0 && (found < 0 || i < found) {
			found = i
		}
	}
	return found
}

// begins tells whether a good record, or a blank, begins at off.
func (l *logReader) begins(off, end message.PhyOffset) bool {
	_, _, err := l.record(off, end)
	return err == nil
}
