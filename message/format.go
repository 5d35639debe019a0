package message

import (
	"encoding/binary"
	"net/netip"
)

// The record of one message in the commit log. All numbers are big-endian. Records lie back to back,
// without padding. b and s are the sizes of the two hosts: 8 for IPv4, 20 for IPv6, as the system flag
// says; the offsets on the left are for two IPv4 hosts.
//
//	 0 ┌──────────────────────────────────────┬──────────────────────────────────────┐
//	   │ totalSize                        i32 │ magic                            i32 │
//	 8 ├──────────────────────────────────────┼──────────────────────────────────────┤
//	   │ bodyCRC                          i32 │ queueId                          i32 │
//	16 ├──────────────────────────────────────┼──────────────────────────────────────┘
//	   │ flag                             i32 │
//	20 ├──────────────────────────────────────┴──────────────────────────────────────┐
//	   │ queueOffset                                                             i64 │
//	28 ├─────────────────────────────────────────────────────────────────────────────┤
//	   │ physicalOffset                                                          i64 │
//	36 ├──────────────────────────────────────┬──────────────────────────────────────┘
//	   │ sysFlag                          i32 │
//	40 ├──────────────────────────────────────┴──────────────────────────────────────┐
//	   │ bornTimestamp, ms                                                       i64 │
//	48 ├─────────────────────────────────────────────────────────────────────────────┤
//	   │ bornHost: address 4 or 16, port i32                                       b │
//	56 ├─────────────────────────────────────────────────────────────────────────────┤
//	   │ storeTimestamp, ms                                                      i64 │
//	64 ├─────────────────────────────────────────────────────────────────────────────┤
//	   │ storeHost: address 4 or 16, port i32                                      s │
//	72 ├──────────────────────────────────────┬──────────────────────────────────────┘
//	   │ reconsumeTimes                   i32 │
//	76 ├──────────────────────────────────────┴──────────────────────────────────────┐
//	   │ preparedTransactionOffset                                               i64 │
//	84 ├──────────────────────────────────────┬──────────────────────────────────────┤
//	   │ bodyLen                          i32 │ body                         bodyLen │
//	   ├──────────────────────────────────────┼──────────────────────────────────────┤
//	   │ topicLen              i8 (v2: i16)   │ topic, UTF-8                topicLen │
//	   ├──────────────────────────────────────┼──────────────────────────────────────┤
//	   │ propertiesLen                    i16 │ properties, UTF-8      propertiesLen │
//	   └──────────────────────────────────────┴──────────────────────────────────────┘
//
// The filler at the end of a commit log file ("blank") has the first two fields only; what follows
// them is arbitrary:
//
//	0 ┌──────────────────────────────────────┬──────────────────────────────────────┐
//	  │ bytes left in the file           i32 │ blankMagic                       i32 │
//	  └──────────────────────────────────────┴──────────────────────────────────────┘
const (
	posTotalSize     = 0
	posMagic         = 4
	posBodyCRC       = 8
	posQueueID       = 12
	posFlag          = 16
	posQueueOffset   = 20
	posPhyOffset     = 28
	posSysFlag       = 36
	posBornTimestamp = 40
	posBornHost      = 48

	hostSizeV4 = 4 + 4
	hostSizeV6 = 16 + 4

	// From the end of the born host to the end of the store timestamp, and from the end of the
	// store host to the first byte of the body.
	storeTimestampSize = 8
	afterStoreHostSize = 4 + 8 + 4

	propertiesLenSize = 2

	// recordSizeFixed is the size of a v1 record with IPv4 hosts and nothing of variable length.
	recordSizeFixed = posBornHost + hostSizeV4 + storeTimestampSize + hostSizeV4 +
		afterStoreHostSize + 1 + propertiesLenSize

	// BlankSizeMin is the size of the smallest blank record: a commit log file keeps at least this
	// many bytes free behind its last message.
	BlankSizeMin = 8

	// RecordSizeMin is the size of the smallest record that [ParseRecord] accepts.
	RecordSizeMin = recordSizeFixed
)

var (
	_ = [1]struct{}{}[recordSizeFixed-91]
	_ = [1]struct{}{}[posBornHost-48]
	_ = [1]struct{}{}[hostSizeV6-hostSizeV4-12]
	_ = [1]struct{}{}[posMagic+4-BlankSizeMin]
)

// The magic codes of a record. Java's MessageDecoder writes them as negative ints.
const (
	MagicV1    uint32 = 0xDAA320A7
	MagicV2    uint32 = 0xDAA320AB
	MagicBlank uint32 = 0xCBD43194
)

// Limits of the record's fields.
const (
	// topicLenMaxV1 is what Java reads back from its signed length byte.
	topicLenMaxV1 = 127
	// TopicLenMax bounds the topic of a put, TopicLenMaxRetry that of a retry topic.
	TopicLenMax      = 127
	TopicLenMaxRetry = 255
	// PropertiesLenMax bounds the stored properties.
	PropertiesLenMax = 1<<15 - 1
)

// hostSize returns the bytes that a host takes in a record.
func hostSize(v6 bool) int {
	if v6 {
		return hostSizeV6
	}
	return hostSizeV4
}

// isV6 tells whether a host is stored in 16 bytes. A mapped IPv4 address is stored in 4, as Java
// never holds one in another form.
func isV6(host netip.AddrPort) bool {
	addr := host.Addr()
	return addr.Is6() && !addr.Is4In6()
}

// putHost writes a host at the start of dst and returns its size. The zero host becomes 0.0.0.0:0.
func putHost(dst []byte, host netip.AddrPort) int {
	if isV6(host) {
		addr := host.Addr().As16()
		copy(dst[:16], addr[:])
		binary.BigEndian.PutUint32(dst[16:hostSizeV6], uint32(host.Port()))
		return hostSizeV6
	}
	var addr [4]byte
	if host.Addr().IsValid() {
		addr = host.Addr().Unmap().As4()
	}
	copy(dst[:4], addr[:])
	binary.BigEndian.PutUint32(dst[4:hostSizeV4], uint32(host.Port()))
	return hostSizeV4
}

// readHost reads a host of the given kind. Of the port only the low 16 bits are taken: Java writes
// no others.
func readHost(b []byte, v6 bool) netip.AddrPort {
	if v6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[:16])), uint16(binary.BigEndian.Uint32(b[16:hostSizeV6])))
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), uint16(binary.BigEndian.Uint32(b[4:hostSizeV4])))
}
