package remoting

import (
	"encoding/binary"
	"fmt"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A header in the serialization ROCKETMQ (Java's RocketMQSerializable), big-endian:
//
//	 0      2    3         5         9       13          17
//	+------+----+---------+---------+-------+-----------+--------+
//	| code |lang| version | opaque  | flag  | remarkLen | remark |
//	| 2    | 1  | 2       | 4       | 4     | 4         |        |
//	+------+----+---------+---------+-------+-----------+--------+
//	| fieldsLen | nameLen | name | valueLen | value | nameLen ...
//	| 4         | 2       |      | 4        |       |
//	+-----------+---------+------+----------+-------+---
//
// The code has 16 bits, with a sign. Codes beyond, such as POP_MESSAGE's 200050, arrive as what is left of them (3442), and
// are answered as any unknown code is: that is what clients of a Java broker see.
const (
	binaryFixed    = 21 // all but remark and fields
	binaryRemarkAt = 13
	binaryNameMax  = 1<<15 - 1
)

func decodeBinaryHeader(h []byte, c *Command) error {
	if len(h) < binaryFixed {
		return frameError(framePrefix, "ROCKETMQ header of %d bytes", len(h))
	}
	c.Code = int32(int16(binary.BigEndian.Uint16(h)))
	c.Language = protocol.Language(h[2])
	c.Version = int32(int16(binary.BigEndian.Uint16(h[3:])))
	c.Opaque = int32(binary.BigEndian.Uint32(h[5:]))
	c.Flag = int32(binary.BigEndian.Uint32(h[9:]))
	remarkLen := int64(int32(binary.BigEndian.Uint32(h[binaryRemarkAt:])))
	if remarkLen < 0 || remarkLen > int64(len(h)-binaryFixed) {
		return frameError(framePrefix+binaryRemarkAt, "remark of %d bytes in a header of %d", remarkLen, len(h))
	}
	at := binaryRemarkAt + 4
	if remarkLen > 0 {
		c.Remark = string(h[at : at+int(remarkLen)])
	}
	at += int(remarkLen)
	if n := int64(int32(binary.BigEndian.Uint32(h[at:]))); n < 0 || n != int64(len(h)-at-4) {
		return frameError(framePrefix+at, "%d bytes of fields where %d are", n, len(h)-at-4)
	}
	return decodeBinaryFields(h, at+4, c)
}

// decodeBinaryFields reads name and value pairs from h[at:] to its end.
func decodeBinaryFields(h []byte, at int, c *Command) error {
	for at < len(h) {
		if len(c.Fields.list) == fieldsMax {
			return frameError(framePrefix+at, "more than %d fields", fieldsMax)
		}
		if len(h)-at < 2 {
			return frameError(framePrefix+at, "a field is cut short")
		}
		nameLen := int(binary.BigEndian.Uint16(h[at:]))
		at += 2
		if nameLen > binaryNameMax || nameLen > len(h)-at-4 {
			return frameError(framePrefix+at, "a field's name of %d bytes is cut short", nameLen)
		}
		name := h[at : at+nameLen : at+nameLen]
		at += nameLen
		valueLen := int64(int32(binary.BigEndian.Uint32(h[at:])))
		at += 4
		if valueLen < 0 || valueLen > int64(len(h)-at) {
			return frameError(framePrefix+at, "a field's value of %d bytes is cut short", valueLen)
		}
		end := at + int(valueLen)
		c.Fields.list = append(c.Fields.list, field{name, h[at:end:end]})
		at = end
	}
	return nil
}

func appendBinaryHeader(dst []byte, c *Command) ([]byte, error) {
	dst = binary.BigEndian.AppendUint16(dst, uint16(c.Code))
	dst = append(dst, byte(c.Language))
	dst = binary.BigEndian.AppendUint16(dst, uint16(c.Version))
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.Opaque))
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.Flag))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(c.Remark)))
	dst = append(dst, c.Remark...)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i := range c.Fields.list {
		f := &c.Fields.list[i]
		if len(f.name) > binaryNameMax {
			return nil, fmt.Errorf("field name of %d bytes is over the limit of %d", len(f.name), binaryNameMax)
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.name)))
		dst = append(dst, f.name...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.value)))
		dst = append(dst, f.value...)
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst, nil
}
