package consumequeue

import (
	"encoding/binary"
	"math"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// A unit, big-endian:
//
//	 0               8       12              20
//	+---------------+-------+---------------+
//	|      phy      | size  |   tagsCode    |
//	+---------------+-------+---------------+
//
//	phy       i64  offset of the record in the commit log
//	size      i32  length of the record
//	tagsCode  i64  hash of the tags, or the delivery time of a delayed message,
//	               or an address in consumequeue_ext: opaque here
//
// A file holds FileSize bytes of units and has that length from its creation
// on. Its name is the place of its first byte in the queue, in 20 digits:
//
//	consumequeue/<topic>/<queue id>/00000000000000000000   units       0 ..
//	                                00000000000006000000   units 300,000 ..
//	                                00000000000012000000   units 600,000 .. end, then zeros
//
// The unit of queue offset n lies at byte 20 n of the queue. A queue whose first
// unit is not at the start of a file has placeholders before it, as Java's
// ConsumeQueue.fillPreBlank writes them: phy 0, size 0x7FFFFFFF, tagsCode 0.
const (
	posPhy      = 0
	posSize     = 8
	posTagsCode = 12
	unitSize    = 20

	placeholderSize = math.MaxInt32

	fileNameLen = 20
)

// What the search for the end of a damaged file builds on. The disk writes a
// sector whole or not at all, so that a unit within a sector is there or not,
// and only one that lies across two can be half written. 128 units fill 5
// sectors exactly: the first unit of each such block is never torn.
const (
	sectorSize = vfs.SectorSize
	blockUnits = 128
	blockSize  = blockUnits * unitSize
	pageSize   = 4096 // Java's, for counting what is to be flushed
)

var (
	_ = [1]struct{}{}[unitSize-20]
	_ = [1]struct{}{}[posTagsCode+8-unitSize]
	_ = [1]struct{}{}[blockSize%sectorSize]
	_ = [1]struct{}{}[DefaultFileSize%unitSize]
)

// maxQueueOffset bounds queue offsets so that their byte positions, and the end
// of the file they fall into, are no overflow.
const maxQueueOffset = math.MaxInt64/unitSize - math.MaxInt32

// Unit is one entry of a queue.
type Unit struct {
	Offset   message.PhyOffset // of the record in the commit log
	Size     int32             // of the record
	TagsCode int64
}

// IsPlaceholder says whether u only fills the space before a queue's first unit.
func (u Unit) IsPlaceholder() bool {
	return u.Offset == 0 && u.Size == placeholderSize && u.TagsCode == 0
}

// end is the commit log offset after the record.
func (u Unit) end() message.PhyOffset { return u.Offset + message.PhyOffset(u.Size) }

// valid says whether u can be the entry of a record.
func (u Unit) valid() bool {
	return u.Offset >= 0 && u.Size > 0 && u.Offset <= math.MaxInt64-placeholderSize && !u.IsPlaceholder()
}

func putUnit(b []byte, u Unit) {
	_ = b[unitSize-1]
	binary.BigEndian.PutUint64(b[posPhy:], uint64(u.Offset))
	binary.BigEndian.PutUint32(b[posSize:], uint32(u.Size))
	binary.BigEndian.PutUint64(b[posTagsCode:], uint64(u.TagsCode))
}

func getUnit(b []byte) Unit {
	_ = b[unitSize-1]
	return Unit{
		Offset:   message.PhyOffset(binary.BigEndian.Uint64(b[posPhy:])),
		Size:     int32(binary.BigEndian.Uint32(b[posSize:])),
		TagsCode: int64(binary.BigEndian.Uint64(b[posTagsCode:])),
	}
}

// straddles says whether the unit at index i of a file lies across two sectors.
func straddles(i int64) bool { return i*unitSize%sectorSize > sectorSize-unitSize }

// appendFileName appends the name of the file that starts at a byte of the queue.
func appendFileName(dst []byte, start int64) []byte {
	var digits [fileNameLen]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + start%10)
		start /= 10
	}
	return append(dst, digits[:]...)
}

// parseFileName returns the byte of the queue at which a file starts.
func parseFileName(name string) (start int64, ok bool) {
	if len(name) != fileNameLen {
		return 0, false
	}
	for _, c := range []byte(name) {
		if c < '0' || c > '9' || start > (math.MaxInt64-9)/10 {
			return 0, false
		}
		start = start*10 + int64(c-'0')
	}
	return start, true
}

// parseQueueID reads the name of a queue's folder as we and Java write it.
func parseQueueID(name string) (id int32, ok bool) {
	if name == "" || len(name) > 10 || name[0] == '0' && name != "0" {
		return 0, false
	}
	var n int64
	for _, c := range []byte(name) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return int32(n), n <= math.MaxInt32
}
