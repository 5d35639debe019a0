package message

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// BodyCRC returns the checksum that a record keeps of its body: CRC-32 (IEEE) without the top bit,
// as Java's UtilAll.crc32 computes it.
func BodyCRC(body []byte) uint32 {
	return crc32.ChecksumIEEE(body) & 0x7FFFFFFF
}

// EncodeRecord writes the record of m into dst, which must be m.RecordSize() bytes long. It is meant
// to write into the mapped file itself. bodyCRC is passed in so that it can be computed before the
// caller takes the log's append lock.
func EncodeRecord(dst []byte, m *Message, bodyCRC uint32) {
	size := m.RecordSize()
	if len(dst) != size {
		panic(fmt.Sprintf("message: %d bytes for a record of %d", len(dst), size))
	}
	bornV6, storeV6 := isV6(m.BornHost), isV6(m.StoreHost)
	flag := m.SysFlag &^ (FlagBornV6 | FlagStoreV6)
	if bornV6 {
		flag |= FlagBornV6
	}
	if storeV6 {
		flag |= FlagStoreV6
	}

	binary.BigEndian.PutUint32(dst[posTotalSize:], uint32(size))
	binary.BigEndian.PutUint32(dst[posMagic:], m.Magic())
	binary.BigEndian.PutUint32(dst[posBodyCRC:], bodyCRC)
	binary.BigEndian.PutUint32(dst[posQueueID:], uint32(m.QueueID))
	binary.BigEndian.PutUint32(dst[posFlag:], uint32(m.Flag))
	binary.BigEndian.PutUint64(dst[posQueueOffset:], uint64(m.QueueOffset))
	binary.BigEndian.PutUint64(dst[posPhyOffset:], uint64(m.PhyOffset))
	binary.BigEndian.PutUint32(dst[posSysFlag:], uint32(flag))
	binary.BigEndian.PutUint64(dst[posBornTimestamp:], uint64(m.BornTimestamp))
	at := posBornHost
	at += putHost(dst[at:], m.BornHost)
	binary.BigEndian.PutUint64(dst[at:], uint64(m.StoreTimestamp))
	at += storeTimestampSize
	at += putHost(dst[at:], m.StoreHost)
	binary.BigEndian.PutUint32(dst[at:], uint32(m.ReconsumeTimes))
	binary.BigEndian.PutUint64(dst[at+4:], uint64(m.PreparedTransactionOffset))
	binary.BigEndian.PutUint32(dst[at+12:], uint32(len(m.Body)))
	at += afterStoreHostSize
	at += copy(dst[at:], m.Body)
	if len(m.Topic) > topicLenMaxV1 {
		dst[at] = byte(len(m.Topic) >> 8)
		at++
	}
	dst[at] = byte(len(m.Topic))
	at++
	at += copy(dst[at:], m.Topic)
	binary.BigEndian.PutUint16(dst[at:], uint16(len(m.Properties)))
	copy(dst[at+propertiesLenSize:], m.Properties)
}

// EncodeBlank writes the header of a blank record that fills the len(dst) bytes left in a file; the
// bytes behind the header stay as they are. dst must hold at least [BlankSizeMin] bytes.
func EncodeBlank(dst []byte) { EncodeBlankHeader(dst, int64(len(dst))) }

// EncodeBlankHeader writes the header of a blank record of size bytes to dst, which need not hold
// more than that header.
func EncodeBlankHeader(dst []byte, size int64) {
	if size < BlankSizeMin {
		panic(fmt.Sprintf("message: %d bytes for a blank record", size))
	}
	binary.BigEndian.PutUint32(dst[posTotalSize:], uint32(size))
	binary.BigEndian.PutUint32(dst[posMagic:], MagicBlank)
}
