package ha

import (
	"encoding/binary"
	"fmt"

	"github.com/rocketlog/rocketlog/message"
)

// assembler makes whole records of the stream of a log, which is cut at any
// byte: a slave's log ends behind a record at any time, so that it can be
// dispatched, recovered and taken over as it is.
type assembler struct {
	fileSize int64
	at       message.PhyOffset // of the record begun, or of the next one
	begun    []byte            // bytes of it that have come
	spare    []byte            // the one finished last, which may still be in use
}

// recordHead is what tells a record's size: the size itself and the magic code,
// by which a blank is known.
const recordHead = message.BlankSizeMin

// restart goes on at the end of a record; what was begun is dropped.
func (a *assembler) restart(at message.PhyOffset) { a.at, a.begun = at, a.begun[:0] }

// next is the place of the byte that must come next.
func (a *assembler) next() message.PhyOffset { return a.at + message.PhyOffset(len(a.begun)) }

// add takes in the next bytes of the log and hands on whole records, several in
// one piece where they lie so. What is handed on is valid until the next call.
func (a *assembler) add(b []byte, emit func(at message.PhyOffset, raw []byte) error) error {
	if len(a.begun) > 0 {
		var err error
		if b, err = a.finish(b, emit); err != nil || len(a.begun) > 0 {
			return err
		}
	}
	whole, err := a.whole(b)
	if err != nil {
		return err
	}
	if whole > 0 {
		if err := emit(a.at, b[:whole]); err != nil {
			return err
		}
	}
	a.pass(b, whole)
	return nil
}

// land takes in the next bytes of the log where they are in their place, those of the record begun included, and tells how many
// of them are whole records.
func (a *assembler) land(b []byte) (whole int, err error) {
	if whole, err = a.whole(b); err == nil {
		a.pass(b, whole)
	}
	return whole, err
}

// whole is how many bytes of b, which begins with the record at the place that is reached, are whole records.
func (a *assembler) whole(b []byte) (n int, err error) {
	for len(b)-n >= recordHead {
		size, err := a.recordSize(a.at+message.PhyOffset(n), b[n:])
		if err != nil {
			return 0, err
		}
		if int64(len(b)-n) < size {
			break
		}
		n += int(size)
	}
	return n, nil
}

// pass goes on behind the whole records of b, and keeps what is begun.
func (a *assembler) pass(b []byte, whole int) {
	a.at += message.PhyOffset(whole)
	a.begun = append(a.begun[:0], b[whole:]...)
}

// finish adds to the record begun what is missing of it, and returns the rest.
func (a *assembler) finish(b []byte, emit func(at message.PhyOffset, raw []byte) error) ([]byte, error) {
	if missing := recordHead - len(a.begun); missing > 0 {
		n := min(missing, len(b))
		a.begun, b = append(a.begun, b[:n]...), b[n:]
		if len(a.begun) < recordHead {
			return nil, nil
		}
	}
	size, err := a.recordSize(a.at, a.begun)
	if err != nil {
		return nil, err
	}
	n := int(min(size-int64(len(a.begun)), int64(len(b))))
	a.begun, b = append(a.begun, b[:n]...), b[n:]
	if int64(len(a.begun)) < size {
		return nil, nil
	}
	if err := emit(a.at, a.begun); err != nil {
		return nil, err
	}
	a.begun, a.spare = a.spare, a.begun
	a.restart(a.at + message.PhyOffset(size))
	return b, nil
}

// recordSize is the size of the record at a place of the log. A blank takes up
// the rest of its file, whatever it says.
func (a *assembler) recordSize(at message.PhyOffset, head []byte) (int64, error) {
	rest := a.fileSize - int64(at)%a.fileSize
	size := int64(int32(binary.BigEndian.Uint32(head)))
	switch magic := binary.BigEndian.Uint32(head[4:]); {
	case magic == message.MagicBlank:
		return rest, nil
	case magic != message.MagicV1 && magic != message.MagicV2, size < message.RecordSizeMin, size > rest:
		return 0, fmt.Errorf("ha: the master sends no record for offset %d: size %d, magic code %#x; are its files of %d bytes?",
			at, size, magic, a.fileSize)
	}
	return size, nil
}
