package remoting

import (
	"encoding/binary"
	"fmt"
)

// A frame, big-endian throughout:
//
//	 0        4             8                8+h              4+total
//	+--------+------+------+----------------+----------------+
//	| total  | type |  h   |     header     |      body      |
//	| 4      | 1    |  3   |     h          |    total-4-h   |
//	+--------+------+------+----------------+----------------+
//
// total counts what follows it: 4+h+body. type is the SerializeType of this frame's header.
const (
	frameLenSize  = 4
	framePrefix   = 8 // total, type and header length
	frameTotalMin = 4 // a frame without header and body

	// FrameMax is the largest frame, its length word included, as Java's com.rocketmq.remoting.frameMaxLength.
	FrameMax = 16 << 20
	// headerMax bounds a header: 32767 bytes of properties, each escaped to six, and the rest besides.
	headerMax = 256 << 10
	// fieldsMax bounds the number of ext fields.
	fieldsMax = 1024
)

var _ = [1]struct{}{}[framePrefix-frameLenSize-frameTotalMin]

// FrameError says why bytes are no frame. A peer that sent them cannot be followed further: its connection is closed.
type FrameError struct {
	Offset int // in the frame
	Reason string
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("bad frame at byte %d: %s", e.Offset, e.Reason)
}

func frameError(offset int, format string, args ...any) error {
	return &FrameError{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// frameLen returns the length of the frame that b begins with, its length word included; 0 when b is too short to tell.
func frameLen(b []byte, frameMax int) (int, error) {
	if len(b) < frameLenSize {
		return 0, nil
	}
	total := binary.BigEndian.Uint32(b)
	if total < frameTotalMin {
		return 0, frameError(0, "length %d leaves no header", total)
	}
	if uint64(total)+frameLenSize > uint64(frameMax) {
		return 0, badLength(b, total, frameMax)
	}
	return int(total) + frameLenSize, nil
}

// badLength names what probably speaks at the other end when the first four bytes make no sense as a length.
func badLength(b []byte, total uint32, frameMax int) error {
	switch first := string(b[:frameLenSize]); {
	case first[:2] == "\x16\x03":
		return frameError(0, "the peer speaks TLS, this port does not")
	case first == "GET " || first == "POST" || first == "HEAD" || first == "PUT " || first == "OPTI" || first == "PRI ":
		return frameError(0, "the peer speaks HTTP, this port does not")
	case first == "PROX" || first == "\r\n\r\n":
		return frameError(0, "the peer sends a PROXY protocol header, this port takes none")
	}
	return frameError(0, "length %d is over the limit of %d", total, frameMax)
}

// DecodeFrame reads one whole frame into c, whose earlier content is lost. Fields and Body alias b. What c has of buffers
// is used again. An error is a *[FrameError].
func DecodeFrame(b []byte, c *Command) error {
	n, err := frameLen(b, FrameMax)
	if err != nil {
		return err
	}
	if n == 0 || n != len(b) {
		return frameError(0, "length says %d bytes, there are %d", n, len(b))
	}
	return decodeFrame(b, c)
}

// decodeFrame reads a frame whose length is checked.
func decodeFrame(b []byte, c *Command) error {
	word := binary.BigEndian.Uint32(b[frameLenSize:])
	h := int(word & 0xFFFFFF)
	if h > len(b)-framePrefix {
		return frameError(frameLenSize, "header of %d bytes in a frame of %d", h, len(b))
	}
	if h > headerMax {
		return frameError(frameLenSize, "header of %d bytes is over the limit of %d", h, headerMax)
	}
	c.Fields.Reset()
	c.Remark = ""
	c.Segments, c.Release = nil, nil
	c.Serialize = SerializeType(word >> 24)
	c.Body = nil
	if framePrefix+h < len(b) {
		c.Body = b[framePrefix+h : len(b) : len(b)]
	}
	header := b[framePrefix : framePrefix+h : framePrefix+h]
	switch c.Serialize {
	case SerializeJSON:
		return decodeJSONHeader(header, c)
	case SerializeRocketMQ:
		return decodeBinaryHeader(header, c)
	}
	return frameError(frameLenSize, "serialize type %d", c.Serialize)
}

// AppendFrame appends the whole frame, Body and Segments included. On an error dst is as it was.
func (c *Command) AppendFrame(dst []byte) ([]byte, error) {
	out, err := c.AppendHeader(dst)
	if err != nil {
		return dst, err
	}
	out = append(out, c.Body...)
	for _, s := range c.Segments {
		out = append(out, s...)
	}
	return out, nil
}

// AppendHeader appends the frame up to where Body begins; its length counts Body and Segments. On an error dst is as it was.
func (c *Command) AppendHeader(dst []byte) ([]byte, error) {
	begin := len(dst)
	out := append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	switch c.Serialize {
	case SerializeJSON:
		out = appendJSONHeader(out, c)
	case SerializeRocketMQ:
		var err error
		if out, err = appendBinaryHeader(out, c); err != nil {
			return dst, err
		}
	default:
		return dst, fmt.Errorf("serialize type %d", c.Serialize)
	}
	h := len(out) - begin - framePrefix
	total := 4 + h + c.bodyLen()
	if h > headerMax || total+frameLenSize > FrameMax {
		return dst, fmt.Errorf("frame of %d bytes with a header of %d is over the limit of %d and %d", total+frameLenSize, h, FrameMax, headerMax)
	}
	binary.BigEndian.PutUint32(out[begin:], uint32(total))
	binary.BigEndian.PutUint32(out[begin+frameLenSize:], uint32(c.Serialize)<<24|uint32(h))
	return out, nil
}
