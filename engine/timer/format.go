package timer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/rocketlog/rocketlog/message"
)

// The files, all big-endian. Java's classes are Slot, TimerLog and TimerCheckpoint.
//
// timerwheel: an array of slots; that of a time is found at (time / precision) mod the number of slots.
//
//	 0 ┌───────────────────────┬───────────────────────┐
//	   │ time / precision  i64 │ first position    i64 │
//	16 ├───────────────────────┼───────────┬───────────┤
//	   │ last position     i64 │ num   i32 │ magic i32 │
//	   └───────────────────────┴───────────┴───────────┘
//
// timerlog: units of 52 bytes, in files named by position.
//
//	 0 ┌──────────┬──────────────────┬───────────┬───────────────────┬───────────┐
//	   │ size i32 │ prev pos     i64 │ magic i32 │ write time ms i64 │ delay i32 │
//	28 ├──────────┴──────────┬───────┴───┬───────┴───────┬───────────┴───────────┤
//	   │ phy offset      i64 │ size  i32 │ topic hash i32│ zero              i64 │
//	   └─────────────────────┴───────────┴───────────────┴───────────────────────┘
//
// What is left at the end of a file has a blank before it: its size i32, zero i64, [blankMagic] i32. A blank is written
// when a unit and another blank would not fit.
const (
	slotSize     = 32
	posSlotFirst = 8
	posSlotLast  = 16
	posSlotNum   = 24
	posSlotMagic = 28

	unitSize         = 52
	posUnitPrev      = 4
	posUnitMagic     = 12
	posUnitWriteTime = 16
	posUnitDelay     = 24
	posUnitPhy       = 28
	posUnitMsgSize   = 36
	posUnitHash      = 40
	posUnitReserved  = 44

	blankSize  = 16
	blankMagic = 0xCBD43194
)

var (
	_ = [1]struct{}{}[slotSize-posSlotMagic-4]
	_ = [1]struct{}{}[unitSize-posUnitReserved-8]
	_ = [1]struct{}{}[blankSize-posUnitMagic-4]
)

// The bits of a unit's magic.
const (
	magicDefault = 1 << 0
	magicRoll    = 1 << 1 // the slot is not that of the due time: the message goes round once more
	magicDelete  = 1 << 2 // the message recalls others
	magicBits    = 0xF    // those that Java lets pass
)

// noPos is the position of no unit.
const noPos = -1

// A slot is all that falls due within one precision.
type slot struct {
	time        int64 // in precisions
	first, last int64 // positions of the oldest and the newest unit
	num, magic  int32
}

func decodeSlot(b []byte) slot {
	_ = b[slotSize-1]
	return slot{
		time:  int64(binary.BigEndian.Uint64(b)),
		first: int64(binary.BigEndian.Uint64(b[posSlotFirst:])),
		last:  int64(binary.BigEndian.Uint64(b[posSlotLast:])),
		num:   int32(binary.BigEndian.Uint32(b[posSlotNum:])),
		magic: int32(binary.BigEndian.Uint32(b[posSlotMagic:])),
	}
}

// encode writes the time last: a slot that is caught half written has its old time, and so is passed over or mended.
func (s slot) encode(b []byte) {
	_ = b[slotSize-1]
	binary.BigEndian.PutUint64(b[posSlotFirst:], uint64(s.first))
	binary.BigEndian.PutUint64(b[posSlotLast:], uint64(s.last))
	binary.BigEndian.PutUint32(b[posSlotNum:], uint32(s.num))
	binary.BigEndian.PutUint32(b[posSlotMagic:], uint32(s.magic))
	binary.BigEndian.PutUint64(b, uint64(s.time))
}

// A unit is one message in the log.
type unit struct {
	prev      int64 // position of the slot's unit before it
	magic     int32
	writeTime int64 // ms, rounded down to the precision: the taker's clock
	delay     int32 // ms from writeTime to the slot's time
	phy       message.PhyOffset
	size      int32 // of the message's record
	hash      int32 // Java's hash of the real topic
}

// due is the time of the unit's slot, in ms.
func (u unit) due() int64 { return u.writeTime + int64(u.delay) }

// recalls tells that the unit is there for the deletion of others. One that is to be rolled is a message like any.
func (u unit) recalls() bool { return u.magic&(magicDelete|magicRoll) == magicDelete }

func (u unit) rolls() bool { return u.magic&magicRoll != 0 }

func (u unit) encode(b []byte) {
	_ = b[unitSize-1]
	binary.BigEndian.PutUint32(b, unitSize)
	binary.BigEndian.PutUint64(b[posUnitPrev:], uint64(u.prev))
	binary.BigEndian.PutUint32(b[posUnitMagic:], uint32(u.magic))
	binary.BigEndian.PutUint64(b[posUnitWriteTime:], uint64(u.writeTime))
	binary.BigEndian.PutUint32(b[posUnitDelay:], uint32(u.delay))
	binary.BigEndian.PutUint64(b[posUnitPhy:], uint64(u.phy))
	binary.BigEndian.PutUint32(b[posUnitMsgSize:], uint32(u.size))
	binary.BigEndian.PutUint32(b[posUnitHash:], uint32(u.hash))
	binary.BigEndian.PutUint64(b[posUnitReserved:], 0)
}

// decodeFields reads a unit's fields, whatever they are.
func decodeFields(b []byte) unit {
	_ = b[unitSize-1]
	return unit{
		prev:      int64(binary.BigEndian.Uint64(b[posUnitPrev:])),
		magic:     int32(binary.BigEndian.Uint32(b[posUnitMagic:])),
		writeTime: int64(binary.BigEndian.Uint64(b[posUnitWriteTime:])),
		delay:     int32(binary.BigEndian.Uint32(b[posUnitDelay:])),
		phy:       message.PhyOffset(binary.BigEndian.Uint64(b[posUnitPhy:])),
		size:      int32(binary.BigEndian.Uint32(b[posUnitMsgSize:])),
		hash:      int32(binary.BigEndian.Uint32(b[posUnitHash:])),
	}
}

// What decodeUnit found instead of a unit.
var (
	errBlank  = errors.New("blank")
	errNoUnit = errors.New("bytes are no unit")
)

// decodeUnit reads the unit at a position of the log. The error is errBlank where the rest of the file is blank, else it
// wraps errNoUnit.
func decodeUnit(b []byte, pos int64) (unit, error) {
	if len(b) < blankSize {
		return unit{}, fmt.Errorf("%w: the file ends", errNoUnit)
	}
	magic := binary.BigEndian.Uint32(b[posUnitMagic:])
	if magic == blankMagic {
		return unit{}, errBlank
	}
	if len(b) < unitSize {
		return unit{}, fmt.Errorf("%w: the file ends", errNoUnit)
	}
	u := decodeFields(b)
	switch size := int32(binary.BigEndian.Uint32(b)); {
	case size != unitSize:
		return unit{}, fmt.Errorf("%w: size is %d", errNoUnit, size)
	case magic&^uint32(magicBits) != 0:
		return unit{}, fmt.Errorf("%w: magic is %#x", errNoUnit, magic)
	case u.prev < noPos || u.prev >= pos:
		return unit{}, fmt.Errorf("%w: it comes after the one at %d", errNoUnit, u.prev)
	case u.phy < 0 || u.size <= 0:
		return unit{}, fmt.Errorf("%w: its message has %d bytes at %d", errNoUnit, u.size, u.phy)
	case u.writeTime < 0 || u.due() < 0:
		return unit{}, fmt.Errorf("%w: it is due at %d", errNoUnit, u.due())
	}
	return u, nil
}

func encodeBlank(b []byte, size int32) {
	_ = b[blankSize-1]
	binary.BigEndian.PutUint32(b, uint32(size))
	binary.BigEndian.PutUint64(b[posUnitPrev:], 0)
	binary.BigEndian.PutUint32(b[posUnitMagic:], blankMagic)
}

// A Checkpoint is the content of config/timercheck, as Java's TimerCheckpoint, and the answer to GET_TIMER_CHECK_POINT.
type Checkpoint struct {
	ReadTime          int64               // ms; all slots before it are delivered
	LogPos            int64               // the timer log is on disk up to here
	QueueOffset       message.QueueOffset // of the timer topic; all below is taken in
	MasterQueueOffset message.QueueOffset // the same of the master; on a master equal
	StateVersion      int64               // the data version: of the state machine,
	VersionTime       int64               // ms, and
	VersionCounter    int64               // moved by each change
}

// CheckpointSize is the number of bytes of an encoded Checkpoint: seven i64, in the order of the fields.
const CheckpointSize = 56

// checkpointFileSize is the length of the file, which Java maps as one page.
const checkpointFileSize = 4096

// ErrCheckpoint says that bytes are too few for a checkpoint, or that it has a negative field.
var ErrCheckpoint = errors.New("timer: bytes are no checkpoint")

// Append appends the checkpoint's bytes.
func (c Checkpoint) Append(dst []byte) []byte {
	for _, v := range []int64{c.ReadTime, c.LogPos, int64(c.QueueOffset), int64(c.MasterQueueOffset), c.StateVersion, c.VersionTime, c.VersionCounter} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return dst
}

// ParseCheckpoint reads what Append wrote. The error is [ErrCheckpoint].
func ParseCheckpoint(b []byte) (Checkpoint, error) {
	if len(b) < CheckpointSize {
		return Checkpoint{}, ErrCheckpoint
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) }
	c := Checkpoint{
		ReadTime: at(0), LogPos: at(1), QueueOffset: message.QueueOffset(at(2)), MasterQueueOffset: message.QueueOffset(at(3)),
		StateVersion: at(4), VersionTime: at(5), VersionCounter: at(6),
	}
	if c.ReadTime < 0 || c.LogPos < 0 || c.QueueOffset < 0 || c.MasterQueueOffset < 0 {
		return Checkpoint{}, ErrCheckpoint
	}
	return c, nil
}

// progress is the content of the file timerprogress, which Java ignores: what was delivered, up to now and not only up to
// the checkpoint.
//
//	 0 ┌───────────────────────┬───────────────────────┬───────────────────────┐
//	   │ read time, ms     i64 │ slot phy          i64 │ late phy          i64 │
//	24 ├───────────────────────┼───────────┬───────────┴───────────────────────┘
//	   │ log end           i64 │ CRC   u32 │
//	   └───────────────────────┴───────────┘
//
// CRC is the CRC-32 of all before it. It lies in one sector and so is on disk whole, whenever.
type progress struct {
	readTime int64             // all slots before it are delivered
	slotPhy  message.PhyOffset // in the slot of readTime all messages up to this one are
	latePhy  message.PhyOffset // of the queue, all messages up to this one that were due when they were taken in
	logEnd   message.PhyOffset // what was delivered ends below this
}

const (
	posProgressCRC = 32
	progressSize   = 36
)

func (p progress) encode(b []byte) {
	_ = b[progressSize-1]
	for i, v := range []int64{p.readTime, int64(p.slotPhy), int64(p.latePhy), int64(p.logEnd)} {
		binary.BigEndian.PutUint64(b[8*i:], uint64(v))
	}
	binary.BigEndian.PutUint32(b[posProgressCRC:], crc32.ChecksumIEEE(b[:posProgressCRC]))
}

// decodeProgress reads what encode wrote; ok is false for other bytes.
func decodeProgress(b []byte) (p progress, ok bool) {
	if len(b) < progressSize || crc32.ChecksumIEEE(b[:posProgressCRC]) != binary.BigEndian.Uint32(b[posProgressCRC:]) {
		return progress{}, false
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8*i:])) }
	p = progress{readTime: at(0), slotPhy: message.PhyOffset(at(1)), latePhy: message.PhyOffset(at(2)), logEnd: message.PhyOffset(at(3))}
	return p, p.readTime >= 0 && p.slotPhy >= noPhy && p.latePhy >= noPhy && p.logEnd >= 0
}

// noPhy is below every place in the commit log.
const noPhy = message.PhyOffset(-1)
