package remoting

import (
	"strconv"
	"strings"
)

// Fields are the ext fields of a command: an ordered list of names and values. The zero value is empty and ready.
//
// The fields of a received command alias its frame: see [Command]. Fields added to a command to send are copied into a
// buffer that [Fields.Reset] keeps, so that a command used again allocates nothing.
type Fields struct {
	list []field
	buf  []byte // copies and unescaped texts; when it grows, earlier slices keep the old array
}

type field struct{ name, value []byte }

// Len is the number of fields.
func (f *Fields) Len() int { return len(f.list) }

// At returns the i-th field.
func (f *Fields) At(i int) (name, value []byte) {
	e := &f.list[i]
	return e.name, e.value
}

// Get returns the value of the field; the last one when a peer sent the name more than once, as a map would.
func (f *Fields) Get(name string) (value []byte, ok bool) {
	for i := len(f.list) - 1; i >= 0; i-- {
		if string(f.list[i].name) == name {
			return f.list[i].value, true
		}
	}
	return nil, false
}

// Text returns a copy of the field's value; empty when it is absent.
func (f *Fields) Text(name string) string {
	v, _ := f.Get(name)
	return string(v)
}

// Int64 returns the field's value as a number; false when it is absent or none.
func (f *Fields) Int64(name string) (int64, bool) {
	v, ok := f.Get(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil
}

// Bool returns whether the field's value is "true" in any case.
func (f *Fields) Bool(name string) bool {
	v, _ := f.Get(name)
	return strings.EqualFold(string(v), "true")
}

// Add appends a field.
func (f *Fields) Add(name, value string) {
	at := len(f.buf)
	f.buf = append(append(f.buf, name...), value...)
	f.push(at, len(name))
}

// AddBytes appends a field, copying the value.
func (f *Fields) AddBytes(name string, value []byte) {
	at := len(f.buf)
	f.buf = append(append(f.buf, name...), value...)
	f.push(at, len(name))
}

// AddInt appends a field with a decimal value.
func (f *Fields) AddInt(name string, value int64) {
	at := len(f.buf)
	f.buf = strconv.AppendInt(append(f.buf, name...), value, 10)
	f.push(at, len(name))
}

// AddBool appends a field with the value true or false.
func (f *Fields) AddBool(name string, value bool) {
	at := len(f.buf)
	f.buf = strconv.AppendBool(append(f.buf, name...), value)
	f.push(at, len(name))
}

// push makes a field of the buffer's bytes from at on.
func (f *Fields) push(at, nameLen int) {
	b := f.buf[at:len(f.buf):len(f.buf)]
	f.list = append(f.list, field{b[:nameLen:nameLen], b[nameLen:]})
}

// Reset removes all fields.
func (f *Fields) Reset() {
	f.list = f.list[:0]
	f.buf = f.buf[:0]
}

// size is the number of bytes of all names and values.
func (f *Fields) size() int {
	n := 0
	for i := range f.list {
		n += len(f.list[i].name) + len(f.list[i].value)
	}
	return n
}
