package message

import (
	"encoding/binary"
)

// A client sends many messages as one body, items back to back:
//
//	 0 ┌──────────────────────────────────────┬──────────────────────────────────────┐
//	   │ totalSize                        i32 │ magic, written as 0              i32 │
//	 8 ├──────────────────────────────────────┼──────────────────────────────────────┤
//	   │ bodyCRC, written as 0            i32 │ flag                             i32 │
//	16 ├──────────────────────────────────────┼──────────────────────────────────────┤
//	   │ bodyLen                          i32 │ body                         bodyLen │
//	   ├──────────────────────────────────────┼──────────────────────────────────────┤
//	   │ propertiesLen                    i16 │ properties             propertiesLen │
//	   └──────────────────────────────────────┴──────────────────────────────────────┘
const (
	posItemFlag    = 12
	posItemBodyLen = 16
	posItemBody    = 20

	itemSizeFixed = posItemBody + propertiesLenSize
)

var _ = [1]struct{}{}[itemSizeFixed-22]

// BatchItem is one message of a client batch. It aliases the batch.
type BatchItem struct {
	Flag       int32
	Body       []byte
	Properties Properties
}

// NextBatchItem reads the first item of a client batch and returns what follows it. As Java's broker
// does, it goes by the lengths of body and properties and ignores the first three fields. The error
// is [ErrShort] or a [*FormatError].
func NextBatchItem(b []byte) (item BatchItem, rest []byte, err error) {
	if len(b) < itemSizeFixed {
		return BatchItem{}, nil, ErrShort
	}
	bodyLen := int(int32(binary.BigEndian.Uint32(b[posItemBodyLen:])))
	if bodyLen < 0 {
		return BatchItem{}, nil, &FormatError{Field: "bodyLen", Value: int64(bodyLen)}
	}
	if bodyLen > len(b)-itemSizeFixed {
		return BatchItem{}, nil, ErrShort
	}
	at := posItemBody + bodyLen
	propertiesLen := int(int16(binary.BigEndian.Uint16(b[at:])))
	if propertiesLen < 0 {
		return BatchItem{}, nil, &FormatError{Field: "propertiesLen", Value: int64(propertiesLen)}
	}
	end := at + propertiesLenSize + propertiesLen
	if end > len(b) {
		return BatchItem{}, nil, ErrShort
	}
	item = BatchItem{
		Flag:       int32(binary.BigEndian.Uint32(b[posItemFlag:])),
		Body:       b[posItemBody:at:at],
		Properties: Properties(b[at+propertiesLenSize : end : end]),
	}
	return item, b[end:], nil
}

// ForEachBatchItem calls fn for each item of a client batch, in order, and stops at the first error,
// its own or fn's.
func ForEachBatchItem(b []byte, fn func(BatchItem) error) error {
	for len(b) > 0 {
		item, rest, err := NextBatchItem(b)
		if err != nil {
			return err
		}
		if err := fn(item); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// AppendBatchItem appends one item to a client batch and returns the result. The properties must not
// exceed [PropertiesLenMax].
func AppendBatchItem(dst []byte, flag int32, body, properties []byte) []byte {
	size := itemSizeFixed + len(body) + len(properties)
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(flag))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, body...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(properties)))
	return append(dst, properties...)
}
