package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Record is a view of the bytes of one stored message, checked by [ParseRecord]. It aliases the
// memory it was parsed from. To a Record made in another way the accessors give no promise.
type Record []byte

// What [ParseRecord] found instead of a message.
var (
	// ErrBlank says that a blank record stands here: the log goes on in the next file.
	ErrBlank = errors.New("message: blank record")
	// ErrShort says that the bytes end before the record does.
	ErrShort = errors.New("message: bytes end within the record")
)

// FormatError tells why bytes are no record.
type FormatError struct {
	Field string // the field that cannot be
	Value int64  // what it holds
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("message: no record: %s is %d (%#x)", e.Field, e.Value, uint64(e.Value))
}

// ParseRecord checks that b starts with a whole record whose lengths agree with one another, and
// returns the view of it. It does not touch the body: see [Record.VerifyBody]. It accepts what Java's
// CommitLog.checkMessageAndReturnSize accepts, except for negative lengths, which Java never writes.
//
// The error is [ErrBlank] for a blank record, [ErrShort] when b is shorter than the record says, or
// a [*FormatError].
func ParseRecord(b []byte) (Record, error) {
	if len(b) < posMagic+4 {
		return nil, ErrShort
	}
	size := int(int32(binary.BigEndian.Uint32(b[posTotalSize:])))
	if size > len(b) {
		return nil, ErrShort
	}
	magic := binary.BigEndian.Uint32(b[posMagic:])
	topicLenSize := 1
	switch magic {
	case MagicV1:
	case MagicV2:
		topicLenSize = 2
	case MagicBlank:
		return nil, ErrBlank
	default:
		return nil, &FormatError{Field: "magic", Value: int64(magic)}
	}
	if size < RecordSizeMin {
		return nil, &FormatError{Field: "totalSize", Value: int64(size)}
	}
	r := Record(b[:size:size])
	at := r.posBodyLen()
	// The fixed part may exceed the smallest record by two IPv6 hosts: every step is bounded anew.
	if at+4 > size {
		return nil, &FormatError{Field: "totalSize", Value: int64(size)}
	}
	bodyLen := int(int32(binary.BigEndian.Uint32(r[at:])))
	at += 4
	if bodyLen < 0 || bodyLen > size-at-topicLenSize-propertiesLenSize {
		return nil, &FormatError{Field: "bodyLen", Value: int64(bodyLen)}
	}
	at += bodyLen
	topicLen := int(int8(r[at]))
	if topicLenSize == 2 {
		topicLen = int(int16(binary.BigEndian.Uint16(r[at:])))
	}
	at += topicLenSize
	if topicLen < 0 || topicLen > size-at-propertiesLenSize {
		return nil, &FormatError{Field: "topicLen", Value: int64(topicLen)}
	}
	at += topicLen
	propertiesLen := int(int16(binary.BigEndian.Uint16(r[at:])))
	if propertiesLen < 0 || at+propertiesLenSize+propertiesLen != size {
		return nil, &FormatError{Field: "propertiesLen", Value: int64(propertiesLen)}
	}
	return r, nil
}

// BlankSize returns the size that a blank record at the start of b gives itself. Java accepts any: a
// blank of whatever size means that the log goes on in the next file.
func BlankSize(b []byte) int { return int(int32(binary.BigEndian.Uint32(b[posTotalSize:]))) }

// Size returns the size of the record.
func (r Record) Size() int { return len(r) }

// Magic returns the magic code, [MagicV1] or [MagicV2].
func (r Record) Magic() uint32 { return binary.BigEndian.Uint32(r[posMagic:]) }

// BodyCRC returns the stored checksum of the body.
func (r Record) BodyCRC() uint32 { return binary.BigEndian.Uint32(r[posBodyCRC:]) }

// QueueID returns the queue within the topic.
func (r Record) QueueID() int32 { return int32(binary.BigEndian.Uint32(r[posQueueID:])) }

// Flag returns the application's flag.
func (r Record) Flag() int32 { return int32(binary.BigEndian.Uint32(r[posFlag:])) }

// QueueOffset returns the message's place in its queue.
func (r Record) QueueOffset() QueueOffset {
	return QueueOffset(binary.BigEndian.Uint64(r[posQueueOffset:]))
}

// PhyOffset returns the place in the commit log that the record was written for.
func (r Record) PhyOffset() PhyOffset { return PhyOffset(binary.BigEndian.Uint64(r[posPhyOffset:])) }

// SysFlag returns the agreed bits.
func (r Record) SysFlag() SysFlag { return SysFlag(binary.BigEndian.Uint32(r[posSysFlag:])) }

// BornTimestamp returns the client's time, in Unix milliseconds.
func (r Record) BornTimestamp() int64 {
	return int64(binary.BigEndian.Uint64(r[posBornTimestamp:]))
}

// BornHost returns the client's address.
func (r Record) BornHost() netip.AddrPort { return readHost(r[posBornHost:], r.SysFlag().BornV6()) }

// StoreTimestamp returns the broker's time of storing, in Unix milliseconds.
func (r Record) StoreTimestamp() int64 {
	return int64(binary.BigEndian.Uint64(r[r.posStoreTimestamp():]))
}

// StoreHost returns the broker's address.
func (r Record) StoreHost() netip.AddrPort {
	return readHost(r[r.posStoreHost():], r.SysFlag().StoreV6())
}

// ReconsumeTimes returns how often a consumer gave the message back.
func (r Record) ReconsumeTimes() int32 {
	return int32(binary.BigEndian.Uint32(r[r.posBodyLen()-12:]))
}

// PreparedTransactionOffset returns the place of the half message that this one ends.
func (r Record) PreparedTransactionOffset() PhyOffset {
	return PhyOffset(binary.BigEndian.Uint64(r[r.posBodyLen()-8:]))
}

// Body returns the body as stored.
func (r Record) Body() []byte {
	at := r.posBodyLen()
	end := at + 4 + int(binary.BigEndian.Uint32(r[at:]))
	return r[at+4 : end : end]
}

// Topic returns the topic.
func (r Record) Topic() []byte {
	at, end := r.topicBounds()
	return r[at:end:end]
}

// Properties returns the properties.
func (r Record) Properties() Properties {
	_, end := r.topicBounds()
	return Properties(r[end+propertiesLenSize:])
}

// VerifyBody tells whether the body has the checksum that the record states. An empty body always
// has: Java does not check it.
func (r Record) VerifyBody() bool {
	body := r.Body()
	return len(body) == 0 || BodyCRC(body) == r.BodyCRC()
}

// Decode sets every field of m from the record. Body and Properties alias the record; Topic is
// copied, and only when m does not hold it already, so that a reused m allocates nothing.
func (r Record) Decode(m *Message) {
	topic := r.Topic()
	if m.Topic != string(topic) {
		m.Topic = string(topic)
	}
	m.QueueID = r.QueueID()
	m.Flag = r.Flag()
	m.SysFlag = r.SysFlag()
	m.BornTimestamp = r.BornTimestamp()
	m.BornHost = r.BornHost()
	m.StoreHost = r.StoreHost()
	m.ReconsumeTimes = r.ReconsumeTimes()
	m.PreparedTransactionOffset = r.PreparedTransactionOffset()
	m.Body = r.Body()
	m.Properties = r.Properties()
	m.StoreTimestamp = r.StoreTimestamp()
	m.PhyOffset = r.PhyOffset()
	m.QueueOffset = r.QueueOffset()
}

func (r Record) posStoreTimestamp() int { return posBornHost + hostSize(r.SysFlag().BornV6()) }

func (r Record) posStoreHost() int { return r.posStoreTimestamp() + storeTimestampSize }

// posBodyLen returns the position of the body's length. It reads the system flag only, and so is
// safe on any bytes that reach so far.
func (r Record) posBodyLen() int {
	flag := r.SysFlag()
	return posBornHost + hostSize(flag.BornV6()) + storeTimestampSize + hostSize(flag.StoreV6()) + afterStoreHostSize - 4
}

// topicBounds returns where the topic begins and ends.
func (r Record) topicBounds() (begin, end int) {
	at := r.posBodyLen()
	at += 4 + int(binary.BigEndian.Uint32(r[at:]))
	if r.Magic() == MagicV2 {
		return at + 2, at + 2 + int(binary.BigEndian.Uint16(r[at:]))
	}
	return at + 1, at + 1 + int(r[at])
}
