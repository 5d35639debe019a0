package index

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// An index file. All numbers are big-endian.
//
//	         0 ┌────────────────────────────────┬────────────────────────────────┐
//	           │ beginTimestamp, ms         i64 │ endTimestamp, ms           i64 │
//	        16 ├────────────────────────────────┼────────────────────────────────┤
//	           │ beginPhyOffset             i64 │ endPhyOffset               i64 │
//	        32 ├────────────────┬───────────────┼────────────────────────────────┘
//	           │ used slots i32 │ count     i32 │  number of the next entry
//	        40 ├────────────────┴───────────────┴────────────────────────────────┐
//	           │ slots: each the number of its newest entry, 0 for none      i32 │
//	40+4·slots ├─────────────────────────────────────────────────────────────────┤
//	           │ entries; number 0 is never used                            20 B │
//	           └─────────────────────────────────────────────────────────────────┘
//
// An entry:
//
//	 0 ┌───────────────────────────┬───────────────────────────────────────────────┐
//	   │ hash of topic#key     i32 │ physical offset                           i64 │
//	12 ├───────────────────────────┼───────────────────────────┬───────────────────┘
//	   │ seconds since begin   i32 │ older entry of slot   i32 │
//	   └───────────────────────────┴───────────────────────────┘
const (
	headerSize = 40
	slotSize   = 4
	entrySize  = 20

	posBeginTime = 0
	posEndTime   = 8
	posBeginPhy  = 16
	posEndPhy    = 24
	posUsed      = 32
	posCount     = 36

	posHash = 0
	posPhy  = 4
	posDiff = 12
	posPrev = 16
)

var (
	_ = [1]struct{}{}[headerSize-posCount-4]
	_ = [1]struct{}{}[entrySize-posPrev-4]
	// Slots are read and written atomically, and lie within one sector each.
	_ = [1]struct{}{}[headerSize%slotSize]
)

// The defaults of RocketMQ, and the most that its 32 bit file size can take.
const (
	defaultSlots   = 5_000_000
	defaultEntries = 20_000_000
	fileSizeMax    = math.MaxInt32
)

// timeMax bounds the times of a header, so that no sum of them overflows.
const timeMax = 1 << 53

// layout is the shape that all files of an index have.
type layout struct {
	slots   int32
	entries int32  // count is at most this
	inverse uint64 // of slots, in units of 2^-64 and rounded up
}

// makeLayout returns a layout that may yet have to be refused.
func makeLayout(slots, entries int32) layout {
	return layout{slots, entries, math.MaxUint64/uint64(max(slots, 1)) + 1}
}

func (l layout) check() error {
	if l.slots < 1 || l.entries < 2 || l.fileSize() > fileSizeMax {
		return fmt.Errorf("index: %d slots and %d entries make no file: at least 1 and 2, at most %d bytes",
			l.slots, l.entries, fileSizeMax)
	}
	return nil
}

func (l layout) fileSize() int64 {
	return headerSize + int64(l.slots)*slotSize + int64(l.entries)*entrySize
}

// slotAt returns the position of the slot that a hash falls into.
func (l *layout) slotAt(hash int32) int {
	// The remainder by two multiplications (Lemire, Kaser, Kurz: Faster remainder by direct computation), exact as both are
	// below 2^32.
	slot, _ := bits.Mul64(l.inverse*uint64(uint32(hash)), uint64(l.slots))
	return headerSize + int(slot)*slotSize
}

// entryAt returns the position of an entry.
func (l layout) entryAt(number int32) int {
	return headerSize + int(l.slots)*slotSize + int(number)*entrySize
}

// header is the first part of a file.
type header struct {
	beginTime, endTime int64 // Unix milliseconds
	beginPhy, endPhy   int64
	used               int32 // slots in use
	count              int32 // number of the next entry; 0 on disk means 1
}

func decodeHeader(b []byte) header {
	h := header{
		beginTime: int64(binary.BigEndian.Uint64(b[posBeginTime:])),
		endTime:   int64(binary.BigEndian.Uint64(b[posEndTime:])),
		beginPhy:  int64(binary.BigEndian.Uint64(b[posBeginPhy:])),
		endPhy:    int64(binary.BigEndian.Uint64(b[posEndPhy:])),
		used:      int32(binary.BigEndian.Uint32(b[posUsed:])),
		count:     int32(binary.BigEndian.Uint32(b[posCount:])),
	}
	if h.count == 0 {
		h.count = 1
	}
	return h
}

func (h *header) encode(b []byte) {
	binary.BigEndian.PutUint64(b[posBeginTime:], uint64(h.beginTime))
	binary.BigEndian.PutUint64(b[posEndTime:], uint64(h.endTime))
	binary.BigEndian.PutUint64(b[posBeginPhy:], uint64(h.beginPhy))
	binary.BigEndian.PutUint64(b[posEndPhy:], uint64(h.endPhy))
	binary.BigEndian.PutUint32(b[posUsed:], uint32(h.used))
	binary.BigEndian.PutUint32(b[posCount:], uint32(h.count))
}

// encodeEnd writes what each message changes of a header.
func encodeEnd(b []byte, endTime, endPhy int64, used, count int32) {
	_ = b[headerSize-1]
	binary.BigEndian.PutUint64(b[posEndTime:], uint64(endTime))
	binary.BigEndian.PutUint64(b[posEndPhy:], uint64(endPhy))
	binary.BigEndian.PutUint32(b[posUsed:], uint32(used))
	binary.BigEndian.PutUint32(b[posCount:], uint32(count))
}

// entry is one key of one message.
type entry struct {
	hash int32
	phy  int64
	diff int32 // seconds since the file's begin
	prev int32 // the next older entry of the slot, 0 for none
}

func decodeEntry(b []byte) entry {
	_ = b[entrySize-1]
	return entry{
		hash: int32(binary.BigEndian.Uint32(b[posHash:])),
		phy:  int64(binary.BigEndian.Uint64(b[posPhy:])),
		diff: int32(binary.BigEndian.Uint32(b[posDiff:])),
		prev: int32(binary.BigEndian.Uint32(b[posPrev:])),
	}
}

func (e *entry) encode(b []byte) {
	_ = b[entrySize-1]
	binary.BigEndian.PutUint32(b[posHash:], uint32(e.hash))
	binary.BigEndian.PutUint64(b[posPhy:], uint64(e.phy))
	binary.BigEndian.PutUint32(b[posDiff:], uint32(e.diff))
	binary.BigEndian.PutUint32(b[posPrev:], uint32(e.prev))
}

// Slots are the one part of a file that changes while others read it. The slot's place is a multiple
// of four in memory that begins at a page, as the atomic operations ask.

func loadSlot(b []byte, at int) int32 {
	return int32(bigEndian(atomic.LoadUint32((*uint32)(unsafe.Pointer(&b[at])))))
}

func storeSlot(b []byte, at int, number int32) {
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&b[at])), bigEndian(uint32(number)))
}

// bigEndian turns a number of this machine into one whose bytes are big-endian, and back.
func bigEndian(v uint32) uint32 {
	if littleEndian {
		return bits.ReverseBytes32(v)
	}
	return v
}

// littleEndian tells of this machine.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// keyHash makes the number that files hold from Java's hash of the text (IndexFile.indexKeyHashMethod).
func keyHash(h int32) int32 {
	if h == math.MinInt32 {
		return 0
	}
	if h < 0 {
		return -h
	}
	return h
}

// diffSeconds returns the time of an entry as the file holds it.
func diffSeconds(storeTime, beginTime int64) int32 {
	diff := (storeTime - beginTime) / 1000
	if beginTime <= 0 || diff < 0 {
		return 0
	}
	return int32(min(diff, math.MaxInt32))
}

// CorruptError tells which file cannot be as the package left it, and where.
type CorruptError struct {
	File   string // path
	Offset int64  // of the field that is wrong; for a file of another size, that size
	Reason string

	short bool // the file ends early
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("index file %s at %d: %s", e.File, e.Offset, e.Reason)
}

func corrupt(path string, offset int64, reason string) *CorruptError {
	return &CorruptError{File: path, Offset: offset, Reason: reason}
}

// checkHeader tells whether the header can be one of a file of this layout.
func (l layout) checkHeader(path string, h header) error {
	switch {
	case h.count < 1 || h.count > l.entries:
		return corrupt(path, posCount, fmt.Sprintf("count is %d of at most %d", h.count, l.entries))
	case h.beginTime < 0 || h.beginTime > timeMax || h.endTime < 0 || h.endTime > timeMax:
		return corrupt(path, posBeginTime, fmt.Sprintf("times go from %d to %d", h.beginTime, h.endTime))
	case h.beginPhy < 0 || h.endPhy < h.beginPhy:
		return corrupt(path, posBeginPhy, fmt.Sprintf("offsets go from %d to %d", h.beginPhy, h.endPhy))
	}
	return nil
}
