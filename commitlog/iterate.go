package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Trust says how much an Iterator believes of the bytes it reads.
type Trust int

const (
	// Dispatched bytes were written by this process: only lengths are checked.
	Dispatched Trust = iota
	// Java accepts what Java's recovery accepts: the body's checksum must
	// agree, the rest of a record is covered by nothing.
	Java
	// Own accepts what this package can have written: besides, a record names
	// its own place, and no text of it was lost to a torn page.
	Own
)

// CorruptError says where the log holds something that is no record.
type CorruptError struct {
	Path   string
	Offset message.PhyOffset
	Err    error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: no record at offset %d of the log: %v", e.Path, e.Offset, e.Err)
}

// Unwrap returns what is wrong with the bytes.
func (e *CorruptError) Unwrap() error { return e.Err }

var (
	errBodyCRC  = errors.New("the body's checksum differs")
	errPlace    = errors.New("it names another place")
	errTorn     = errors.New("its text ends in a lost page")
	errFileTail = errors.New("it does not fit the file")
)

// Iterator walks the records of the log in order.
type Iterator struct {
	log   *CommitLog
	trust Trust
	off   message.PhyOffset // of the next record
	limit message.PhyOffset
	ref   mappedfile.Ref
	data  []byte // from off to the end of the file or the limit
	path  string
	err   error
}

// Iterate walks from off, which must be the place of a record, up to limit.
func (l *CommitLog) Iterate(off, limit message.PhyOffset, trust Trust) *Iterator {
	return &Iterator{log: l, trust: trust, off: off, limit: limit}
}

// Extend moves the limit forward.
func (it *Iterator) Extend(limit message.PhyOffset) {
	if limit > it.limit {
		it.limit = limit
		it.data = nil // read again, with the new limit
	}
}

// Rewind gives up the file held and lets the walk go on from off, the place of
// a record, up to the same limit. It forgets what stopped the walk.
func (it *Iterator) Rewind(off message.PhyOffset) {
	it.ref.Release()
	*it = Iterator{log: it.log, trust: it.trust, off: off, limit: it.limit}
}

// Offset returns the place of the record that Next returns next: behind the
// last one, or at the next file once a blank was passed.
func (it *Iterator) Offset() message.PhyOffset { return it.off }

// Limit returns where the walk ends.
func (it *Iterator) Limit() message.PhyOffset { return it.limit }

// Err returns what stopped the walk before its limit: a *CorruptError, or an
// error of reading. It is nil at the limit.
func (it *Iterator) Err() error { return it.err }

// Close gives up the file held.
func (it *Iterator) Close() { it.ref.Release() }

// Next returns the next record, valid until the next call of Next or Close. It
// returns false at the limit, at the end of the files, and at bytes that are
// no record.
func (it *Iterator) Next() (message.Record, bool) {
	for it.err == nil && it.off < it.limit {
		if len(it.data) == 0 && !it.load() {
			return nil, false
		}
		r, err := message.ParseRecord(it.data)
		switch {
		case err == nil:
			if err = it.check(r); err == nil {
				it.pass(r)
				return r, true
			}
		case errors.Is(err, message.ErrBlank):
			if !it.nextFile() {
				return nil, false
			}
			continue
		}
		it.err = &CorruptError{Path: it.path, Offset: it.off, Err: err}
	}
	return nil, false
}

// Ahead is Next for who still works on records that were returned before: those
// stay valid. It returns false where Next has to let go of their file or finds no
// record, and at a record that ends behind end.
func (it *Iterator) Ahead(end message.PhyOffset) (message.Record, bool) {
	if it.err != nil || len(it.data) == 0 {
		return nil, false
	}
	r, err := message.ParseRecord(it.data)
	if err != nil || it.off+message.PhyOffset(len(r)) > end || it.check(r) != nil {
		return nil, false // for Next to find out
	}
	it.pass(r)
	return r, true
}

func (it *Iterator) pass(r message.Record) {
	it.off += message.PhyOffset(len(r))
	it.data = it.data[len(r):]
	it.prefetchNext()
}

// textSize is how many bytes at the end of a record its topic and properties
// have as a rule: with its header, what is read of a record to dispatch it.
const textSize = 256

// prefetchNext has the text of the next record, and the header of the one
// behind it, on their way from memory while the present record is worked on.
func (it *Iterator) prefetchNext() {
	if len(it.data) < 4 {
		return
	}
	if n := int(binary.BigEndian.Uint32(it.data)); n >= textSize && n <= len(it.data) {
		vfs.Prefetch(it.data[n-textSize : min(n+message.RecordSizeMin, len(it.data))])
	}
}

// nextFile goes on behind a blank. Without a next file the blank is not passed:
// what is appended next overwrites it, as in Java.
func (it *Iterator) nextFile() bool {
	next := it.log.NextFile(it.off)
	if it.log.q.FileAt(int64(next)) == nil && next < it.limit {
		return false
	}
	it.off, it.data = next, nil
	return true
}

func (it *Iterator) load() bool {
	it.ref.Release()
	ref, ok, err := it.log.Read(it.off)
	if err != nil || !ok {
		it.err = err
		return false
	}
	it.ref = ref
	it.data = ref.Bytes()
	if rest := int64(it.limit - it.off); rest < int64(len(it.data)) {
		it.data = it.data[:rest]
	}
	if it.trust != Dispatched {
		it.path = it.log.q.FileAt(int64(it.off)).Path()
	}
	return true
}

func (it *Iterator) check(r message.Record) error {
	if it.trust == Dispatched || invariants.Broken(invariants.TrustLengths) {
		return nil
	}
	if !r.VerifyBody() {
		return errBodyCRC
	}
	if it.trust == Java {
		return nil
	}
	if r.PhyOffset() != it.off {
		return errPlace
	}
	if it.off+message.PhyOffset(len(r)+message.BlankSizeMin) > it.log.NextFile(it.off) {
		return errFileTail
	}
	if tornText(r, it.off) {
		return errTorn
	}
	return nil
}

const sector = vfs.SectorSize

// tornText tells whether the topic or the properties, which no checksum
// covers, lost their end to a page that was not written: fresh files read as
// zeros, and a lost page holds a prefix of its content, so the loss shows as
// zeros up to the end of a sector or of the record.
func tornText(r message.Record, at message.PhyOffset) bool {
	if bytes.IndexByte(r.Topic(), 0) >= 0 {
		return true
	}
	props := r.Properties()
	begin := int64(at) + int64(len(r)-len(props))
	for i := 0; i < len(props); {
		n := bytes.IndexByte(props[i:], 0)
		if n < 0 {
			return false
		}
		i += n
		end := i
		for end < len(props) && props[end] == 0 {
			end++
		}
		if end == len(props) || (begin+int64(end))%sector == 0 {
			return true
		}
		i = end
	}
	return false
}
