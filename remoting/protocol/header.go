package protocol

import (
	"fmt"
	"strconv"
)

// FieldSource is what a header is decoded from: the ext fields of a received command.
type FieldSource interface {
	// Get returns the value of the named field. The bytes are only borrowed.
	Get(name string) (value []byte, ok bool)
	// Len is the number of fields.
	Len() int
	// At returns the i-th field, 0 <= i < Len. The bytes are only borrowed.
	At(i int) (name, value []byte)
}

// FieldSink is what a header is encoded to: the ext fields of a command to send. Arguments are copied.
type FieldSink interface {
	Add(name, value string)
	AddBytes(name string, value []byte)
	AddInt(name string, value int64)
	AddBool(name string, value bool)
}

// Header is any of this package's headers.
type Header interface {
	Decode(f FieldSource) error
	Encode(f FieldSink)
}

// Optional is a field that Java may leave null, where null means something else than zero.
type Optional[T int32 | int64 | bool] struct {
	Value   T
	Present bool
}

// Some is an Optional that is there.
func Some[T int32 | int64 | bool](v T) Optional[T] { return Optional[T]{Value: v, Present: true} }

// Or returns the value, or otherwise when it is absent.
func (o Optional[T]) Or(otherwise T) T {
	if o.Present {
		return o.Value
	}
	return otherwise
}

// HeaderError says which field of a header is missing or not what it should be.
type HeaderError struct {
	Field  string
	Value  string // as received; cut when long
	Reason string
}

func (e *HeaderError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("header field %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("header field %s: %s: %q", e.Field, e.Reason, e.Value)
}

func fieldError(name string, value []byte, reason string) error {
	const shown = 64
	if len(value) > shown {
		value = value[:shown]
	}
	return &HeaderError{Field: name, Value: string(value), Reason: reason}
}

// RPCHeader holds the fields that every header derived from Java's RpcRequestHeader accepts besides its own.
type RPCHeader struct {
	Namespace    string         // ns
	Namespaced   Optional[bool] // nsd
	TargetBroker string         // bname: the name of the broker that the request is meant for
	Oneway       Optional[bool] // oway
}

func (h *RPCHeader) fields(c *fieldCodec) {
	c.str("ns", &h.Namespace, optional)
	c.optBool("nsd", &h.Namespaced)
	c.str("bname", &h.TargetBroker, optional)
	c.optBool("oway", &h.Oneway)
}

// TopicHeader holds the fields that every header derived from Java's TopicRequestHeader accepts besides its own.
type TopicHeader struct {
	RPCHeader
	Logical Optional[bool] // lo: false when the queue id is a physical one of a static topic
}

func (h *TopicHeader) fields(c *fieldCodec) {
	h.RPCHeader.fields(c)
	c.optBool("lo", &h.Logical)
}

// fieldCodec walks the fields of one header, reading them or writing them, so that each header names its fields once.
// The first error stays and the rest of the walk does nothing.
type fieldCodec struct {
	src FieldSource // decoding, else nil
	dst FieldSink   // encoding, else nil
	err error
}

// need says whether a header makes no sense without the field.
type need bool

const (
	required need = true
	optional need = false
)

type fielded interface{ fields(c *fieldCodec) }

func decode(f FieldSource, h fielded) error {
	c := fieldCodec{src: f}
	h.fields(&c)
	return c.err
}

func encode(f FieldSink, h fielded) {
	c := fieldCodec{dst: f}
	h.fields(&c)
}

// get returns a field to decode. An empty value counts as absent: the binary serialization cannot tell them apart.
func (c *fieldCodec) get(name string, n need) (value []byte, ok bool) {
	if c.err != nil {
		return nil, false
	}
	value, ok = c.src.Get(name)
	if ok && len(value) > 0 {
		return value, true
	}
	if n == required {
		c.err = fieldError(name, nil, "is missing")
	}
	return nil, false
}

func (c *fieldCodec) str(name string, p *string, n need) {
	if c.dst != nil {
		if *p != "" {
			c.dst.Add(name, *p)
		}
		return
	}
	if v, ok := c.get(name, n); ok {
		*p = string(v)
	}
}

// num reads an integer of the given width.
func (c *fieldCodec) num(name string, bits int, n need) (int64, bool) {
	v, ok := c.get(name, n)
	if !ok {
		return 0, false
	}
	i, ok := parseInt(v, bits)
	if !ok {
		c.err = fieldError(name, v, "is no "+strconv.Itoa(bits)+" bit integer")
	}
	return i, ok
}

func (c *fieldCodec) int32(name string, p *int32, n need) {
	if c.dst != nil {
		c.dst.AddInt(name, int64(*p))
		return
	}
	if v, ok := c.num(name, 32, n); ok {
		*p = int32(v)
	}
}

func (c *fieldCodec) int64(name string, p *int64, n need) {
	if c.dst != nil {
		c.dst.AddInt(name, *p)
		return
	}
	if v, ok := c.num(name, 64, n); ok {
		*p = v
	}
}

func (c *fieldCodec) bool(name string, p *bool, n need) {
	if c.dst != nil {
		c.dst.AddBool(name, *p)
		return
	}
	if v, ok := c.get(name, n); ok {
		*p = parseBool(v)
	}
}

func (c *fieldCodec) optInt32(name string, p *Optional[int32]) {
	if c.dst != nil {
		if p.Present {
			c.dst.AddInt(name, int64(p.Value))
		}
		return
	}
	if v, ok := c.num(name, 32, optional); ok {
		*p = Some(int32(v))
	}
}

func (c *fieldCodec) optInt64(name string, p *Optional[int64]) {
	if c.dst != nil {
		if p.Present {
			c.dst.AddInt(name, p.Value)
		}
		return
	}
	if v, ok := c.num(name, 64, optional); ok {
		*p = Some(v)
	}
}

func (c *fieldCodec) optBool(name string, p *Optional[bool]) {
	if c.dst != nil {
		if p.Present {
			c.dst.AddBool(name, p.Value)
		}
		return
	}
	if v, ok := c.get(name, optional); ok {
		*p = Some(parseBool(v))
	}
}

// parseInt reads a decimal integer as Java's parseInt and parseLong do: an optional sign, digits, nothing else.
func parseInt(b []byte, bits int) (int64, bool) {
	digits := b
	negative := false
	if len(b) > 1 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 {
		return 0, false
	}
	limit := uint64(1) << (bits - 1)
	if !negative {
		limit--
	}
	var u uint64
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		u = u*10 + uint64(c)
	}
	if u > limit {
		return 0, false
	}
	if negative {
		return -int64(u), true
	}
	return int64(u), true
}

// parseBool reads a boolean as Java's parseBoolean does: anything but "true", in any case, is false.
func parseBool(b []byte) bool {
	return len(b) == 4 && b[0]|0x20 == 't' && b[1]|0x20 == 'r' && b[2]|0x20 == 'u' && b[3]|0x20 == 'e'
}
