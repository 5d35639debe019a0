package transaction

import (
	"errors"
	"strconv"

	"github.com/rocketlog/rocketlog/message"
)

// An op message says which half messages are settled (Java: TransactionalMessageServiceImpl.getOpMessage). Its body is text:
//
//	┌────────────────┬─────┬────────────────┬─────┬───
//	│ offset, digits │ ',' │ offset, digits │ ',' │ …    a last ',' may be missing
//	└────────────────┴─────┴────────────────┴─────┴───
//
// Its tag is OpTag; it has no other meaning for any other tag.
const (
	OpTag       = "d"
	opSeparator = ','
)

// offsetDigitsMax bounds an offset's text: that of the largest int64.
const offsetDigitsMax = 19

// ErrOp says that an op message has a piece that is no offset. What could be read of it counts.
var ErrOp = errors.New("transaction: op message names what is no offset")

// AppendOp appends the offset of one half message to the body of an op message.
func AppendOp(dst []byte, half message.QueueOffset) []byte {
	return append(strconv.AppendInt(dst, int64(half), 10), opSeparator)
}

// ParseOp appends the offsets in the body of an op message to dst.
func ParseOp(dst []message.QueueOffset, body []byte) (list []message.QueueOffset, err error) {
	for at := 0; at < len(body); at++ {
		start := at
		for at < len(body) && body[at] != opSeparator {
			at++
		}
		offset, ok := parseOffset(body[start:at])
		if !ok {
			err = ErrOp
			continue
		}
		dst = append(dst, offset)
	}
	return dst, err
}

func parseOffset(text []byte) (message.QueueOffset, bool) {
	if len(text) == 0 || len(text) > offsetDigitsMax {
		return 0, false
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	return message.QueueOffset(n), err == nil && n >= 0
}
