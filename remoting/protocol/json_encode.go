package protocol

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MarshalJSON writes v in the shape that fastjson gives it by default, which Java's tools require where maps have keys
// other than strings: a number as a member's name stands bare, a struct as a map's key is an object. Fields follow the
// `json` tags, are sorted by name, and are left out when nil (or empty, with omitempty); a nil map or slice is empty, not null.
func MarshalJSON(v any) ([]byte, error) {
	e := jsonEncoder{bareKeys: true}
	err := e.value(reflect.ValueOf(v), 0)
	return e.out, err
}

// MarshalStandardJSON writes v as MarshalJSON does, but quotes every name and escapes what is not ASCII, for clients that
// ask for standard JSON. A map with struct keys has no such form: it is an error.
func MarshalStandardJSON(v any) ([]byte, error) {
	e := jsonEncoder{ascii: true}
	err := e.value(reflect.ValueOf(v), 0)
	return e.out, err
}

type jsonEncoder struct {
	out      []byte
	bareKeys bool // numbers and objects as names stand as they are
	ascii    bool // everything else is escaped
}

var (
	typeOfMarshaler     = reflect.TypeFor[json.Marshaler]()
	typeOfTextMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func (e *jsonEncoder) value(v reflect.Value, depth int) error {
	if depth > jsonDepthMax {
		return errors.New("json: value nested too deep")
	}
	if !v.IsValid() {
		e.out = append(e.out, "null"...)
		return nil
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		return e.value(v.Elem(), depth+1)
	}
	if done, err := e.marshaler(v); done || err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Struct:
		return e.structure(v, depth)
	case reflect.Map:
		return e.mapping(v, depth)
	case reflect.Slice, reflect.Array:
		return e.list(v, depth)
	}
	return e.scalar(v)
}

// marshaler lets types with a form of their own write it.
func (e *jsonEncoder) marshaler(v reflect.Value) (bool, error) {
	switch {
	case v.Type().Implements(typeOfMarshaler):
		text, err := v.Interface().(json.Marshaler).MarshalJSON()
		e.out = append(e.out, text...)
		return true, err
	case v.Type().Implements(typeOfTextMarshaler):
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		e.out = appendJSONString(e.out, text, e.ascii)
		return true, err
	case v.Type() == typeOfNumber && v.Len() > 0:
		e.out = append(e.out, v.String()...)
		return true, nil
	}
	return false, nil
}

func (e *jsonEncoder) scalar(v reflect.Value) error {
	switch {
	case v.Kind() == reflect.String:
		e.out = appendJSONString(e.out, []byte(v.String()), e.ascii)
	case v.Kind() == reflect.Bool:
		e.out = strconv.AppendBool(e.out, v.Bool())
	case v.CanInt():
		e.out = strconv.AppendInt(e.out, v.Int(), 10)
	case v.CanUint():
		e.out = strconv.AppendUint(e.out, v.Uint(), 10)
	case v.CanFloat():
		e.float(v.Float(), v.Type().Bits())
	default:
		return fmt.Errorf("json: a %s has no JSON form", v.Type())
	}
	return nil
}

// float writes 0 as 0.0, as Java does, and what is no number as null, as fastjson does.
func (e *jsonEncoder) float(f float64, bits int) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		e.out = append(e.out, "null"...)
		return
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) { // Double.toString's bounds
		format = 'E'
	}
	begin := len(e.out)
	e.out = strconv.AppendFloat(e.out, f, format, -1, bits)
	if format == 'f' && !slices.Contains(e.out[begin:], '.') {
		e.out = append(e.out, ".0"...)
	}
}

func (e *jsonEncoder) structure(v reflect.Value, depth int) error {
	e.out = append(e.out, '{')
	first := true
	for _, field := range jsonFieldsOf(v.Type()).sorted {
		member := v.FieldByIndex(field.index)
		if isNull(member) || field.omitEmpty && isEmpty(member) {
			continue
		}
		if !first {
			e.out = append(e.out, ',')
		}
		first = false
		e.out = append(appendJSONString(e.out, []byte(field.name), e.ascii), ':')
		if err := e.value(member, depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

func isNull(v reflect.Value) bool {
	return (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && v.IsNil()
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array:
		return v.Len() == 0
	}
	return v.IsZero()
}

// mapping writes a map in the order of its keys' text, so that equal maps give equal bytes; integers go by value.
func (e *jsonEncoder) mapping(v reflect.Value, depth int) error {
	type entry struct {
		number int64
		name   []byte
		value  reflect.Value
	}
	entries := make([]entry, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		name, err := e.name(it.Key(), depth)
		if err != nil {
			return err
		}
		n := entry{name: name, value: it.Value()}
		if it.Key().CanInt() {
			n.number = it.Key().Int()
		}
		entries = append(entries, n)
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if a.number != b.number {
			if a.number < b.number {
				return -1
			}
			return 1
		}
		return slices.Compare(a.name, b.name)
	})
	e.out = append(e.out, '{')
	for i, entry := range entries {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		e.out = append(append(e.out, entry.name...), ':')
		if err := e.value(entry.value, depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	return nil
}

// name gives a map key as a member's name, quoted where it has to be.
func (e *jsonEncoder) name(k reflect.Value, depth int) ([]byte, error) {
	if k.Type().Implements(typeOfTextMarshaler) {
		text, err := k.Interface().(encoding.TextMarshaler).MarshalText()
		return appendJSONString(nil, text, e.ascii), err
	}
	switch {
	case k.Kind() == reflect.String:
		return appendJSONString(nil, []byte(k.String()), e.ascii), nil
	case k.CanInt() && e.bareKeys:
		return strconv.AppendInt(nil, k.Int(), 10), nil
	case k.CanInt():
		return append(strconv.AppendInt([]byte{'"'}, k.Int(), 10), '"'), nil
	case k.Kind() == reflect.Struct && e.bareKeys:
		inner := jsonEncoder{bareKeys: true}
		err := inner.value(k, depth+1)
		return inner.out, err
	}
	return nil, fmt.Errorf("json: a %s is no name of a member", k.Type())
}

func (e *jsonEncoder) list(v reflect.Value, depth int) error {
	if v.Type() == typeOfBytes {
		e.out = append(e.out, '"')
		e.out = base64.StdEncoding.AppendEncode(e.out, v.Bytes())
		e.out = append(e.out, '"')
		return nil
	}
	e.out = append(e.out, '[')
	for i := range v.Len() {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := e.value(v.Index(i), depth+1); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

// appendJSONString appends s quoted. Bytes that are no UTF-8 become U+FFFD; with ascii all beyond ASCII is escaped.
func appendJSONString(dst, s []byte, ascii bool) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c == '\n':
				dst = append(dst, '\\', 'n')
			case c == '\r':
				dst = append(dst, '\\', 'r')
			case c == '\t':
				dst = append(dst, '\\', 't')
			case c < ' ' || c == 0x7F:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			default:
				dst = append(dst, c)
			}
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		i += n
		if !ascii && r != '\u2028' && r != '\u2029' { // these two end a line in JavaScript
			dst = utf8.AppendRune(dst, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			dst = append(dst, '\\', 'u', hex[unit>>12], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
		}
	}
	return append(dst, '"')
}
