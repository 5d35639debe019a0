package protocol

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// UnmarshalJSON reads a body or a config file written by fastjson into the value v points to. It goes by the `json` tags as
// encoding/json does, and takes besides what fastjson writes or reads: see [jsonScanner] for the text, and for the values:
// a number where text is wanted and text where a number or a boolean is wanted, null (which leaves the value alone), and
// objects as member names, which fill a map whose key is a struct. Into an any go map[string]any, []any, string, bool,
// [json.Number] and nil.
func UnmarshalJSON(data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("json: %T is no pointer to a value", v)
	}
	if len(data) > jsonSizeMax {
		return &JSONError{Offset: jsonSizeMax, Reason: "document too large"}
	}
	d := jsonDecoder{jsonScanner{data: data}}
	if err := d.value(target.Elem()); err != nil {
		return err
	}
	return d.end()
}

// StandardJSON rewrites a document as RFC 8259 wants it, for readers that know nothing of fastjson.
func StandardJSON(data []byte) ([]byte, error) {
	if len(data) > jsonSizeMax {
		return nil, &JSONError{Offset: jsonSizeMax, Reason: "document too large"}
	}
	s := jsonScanner{data: data}
	out, err := s.appendStrict(make([]byte, 0, len(data)+len(data)/8))
	if err != nil {
		return nil, err
	}
	return out, s.end()
}

// jsonDecoder fills Go values from what the scanner stands at.
type jsonDecoder struct {
	jsonScanner
}

var (
	typeOfUnmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	typeOfTextUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	typeOfNumber          = reflect.TypeFor[json.Number]()
	typeOfBytes           = reflect.TypeFor[[]byte]()
)

func (d *jsonDecoder) mismatch(v reflect.Value, what string) error {
	return d.fail(fmt.Sprintf("%s does not fit %s", what, v.Type()))
}

// value consumes one JSON value into v.
func (d *jsonDecoder) value(v reflect.Value) error {
	c := d.next()
	for v.Kind() == reflect.Pointer {
		if c == 'n' && d.peekNull() {
			v.SetZero()
			return d.skip()
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if v.CanAddr() && v.Addr().Type().Implements(typeOfUnmarshaler) {
		text, err := d.appendStrict(nil)
		if err != nil {
			return err
		}
		return v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text)
	}
	if v.Kind() == reflect.Interface && v.NumMethod() == 0 {
		got, err := d.any()
		if err == nil && got != nil {
			v.Set(reflect.ValueOf(got))
		}
		return err
	}
	switch c {
	case '{':
		return d.objectInto(v)
	case '[':
		return d.arrayInto(v)
	case '"', '\'':
		text, err := d.str()
		if err != nil {
			return err
		}
		return d.textInto(v, text)
	}
	return d.wordInto(v)
}

func (d *jsonDecoder) peekNull() bool {
	mark := d.pos
	word, err := d.word()
	d.pos = mark
	return err == nil && string(word) == "null"
}

func (d *jsonDecoder) objectInto(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Struct:
		fields := jsonFieldsOf(v.Type())
		return d.object(func(key jsonKey) error {
			field := fields.find(key.text)
			if field == nil {
				return d.skip()
			}
			return d.value(v.FieldByIndex(field.index))
		})
	case reflect.Map:
		return d.mapInto(v)
	case reflect.String: // fastjson gives the text of the object
		text, err := d.appendStrict(nil)
		v.SetString(string(text))
		return err
	}
	return d.mismatch(v, "an object")
}

func (d *jsonDecoder) mapInto(v reflect.Value) error {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	keyType, elemType := v.Type().Key(), v.Type().Elem()
	return d.object(func(key jsonKey) error {
		k := reflect.New(keyType).Elem()
		if err := d.keyInto(k, key); err != nil {
			return err
		}
		elem := reflect.New(elemType).Elem()
		if err := d.value(elem); err != nil {
			return err
		}
		v.SetMapIndex(k, elem)
		return nil
	})
}

// keyInto fills a map key from a member's name.
func (d *jsonDecoder) keyInto(k reflect.Value, key jsonKey) error {
	if k.Addr().Type().Implements(typeOfTextUnmarshaler) {
		return k.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(key.text)
	}
	if k.Kind() != reflect.Struct {
		return d.textInto(k, key.text)
	}
	// The name's text is a document of its own; a quoted string that holds one is taken too (what encoding/json's users write).
	inner := jsonDecoder{jsonScanner{data: key.text, depth: d.depth, containers: d.containers}}
	if err := inner.value(k); err != nil {
		return err
	}
	d.containers = inner.containers
	return inner.end()
}

func (d *jsonDecoder) arrayInto(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return d.array(func() error {
			v.Grow(1)
			n := v.Len()
			v.SetLen(n + 1)
			elem := v.Index(n)
			elem.SetZero()
			return d.value(elem)
		})
	case reflect.Array:
		n := 0
		return d.array(func() error {
			if n == v.Len() {
				return d.mismatch(v, "a longer array")
			}
			n++
			return d.value(v.Index(n - 1))
		})
	case reflect.String:
		text, err := d.appendStrict(nil)
		v.SetString(string(text))
		return err
	}
	return d.mismatch(v, "an array")
}

// textInto sets v from a string: the string itself, or the number or boolean it spells.
func (d *jsonDecoder) textInto(v reflect.Value, text []byte) error {
	if v.CanAddr() && v.Addr().Type().Implements(typeOfTextUnmarshaler) {
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(text)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(string(text))
		return nil
	case reflect.Bool:
		v.SetBool(strings.EqualFold(string(text), "true") || string(text) == "1")
		return nil
	case reflect.Slice:
		if v.Type() == typeOfBytes { // Java's byte[] and BitSet travel as base64
			raw, err := base64.StdEncoding.DecodeString(string(text))
			if err != nil {
				return d.mismatch(v, "a string that is no base64")
			}
			v.SetBytes(raw)
			return nil
		}
	}
	if len(text) == 0 || string(text) == "null" { // to fastjson an empty string is a null object or number
		return nil
	}
	return d.numberInto(v, strings.TrimSpace(string(text)))
}

func (d *jsonDecoder) wordInto(v reflect.Value) error {
	begin := d.pos
	word, err := d.word()
	if err != nil {
		return err
	}
	switch kind, number := classify(word); kind {
	case jsonNull:
		return nil
	case jsonTrue, jsonFalse:
		return d.boolInto(v, kind == jsonTrue)
	case jsonNumber:
		return d.numberInto(v, string(number))
	}
	d.pos = begin
	return d.fail("not a value")
}

func (d *jsonDecoder) boolInto(v reflect.Value, b bool) error {
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(b)
	case v.Kind() == reflect.String:
		v.SetString(strconv.FormatBool(b))
	case v.CanInt() && b:
		v.SetInt(1)
	case v.CanInt():
		v.SetInt(0)
	default:
		return d.mismatch(v, "a boolean")
	}
	return nil
}

func (d *jsonDecoder) numberInto(v reflect.Value, number string) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(number)
		return nil
	case v.Kind() == reflect.Bool:
		v.SetBool(number == "1")
		return nil
	case v.CanInt():
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			var ok bool
			if n, ok = wholePart(number); !ok {
				return d.mismatch(v, "number "+clip(number))
			}
		}
		if v.OverflowInt(n) {
			return d.mismatch(v, "number "+clip(number))
		}
		v.SetInt(n)
		return nil
	case v.CanUint():
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil || v.OverflowUint(n) {
			return d.mismatch(v, "number "+clip(number))
		}
		v.SetUint(n)
		return nil
	case v.CanFloat():
		f, err := strconv.ParseFloat(number, v.Type().Bits())
		if err != nil {
			return d.mismatch(v, "number "+clip(number))
		}
		v.SetFloat(f)
		return nil
	}
	return d.mismatch(v, "a number or text")
}

// wholePart truncates a decimal as Java's BigDecimal.longValue would, within the range where a float64 is exact.
func wholePart(number string) (int64, bool) {
	f, err := strconv.ParseFloat(number, 64)
	const exact = 1 << 53
	if err != nil || f != f || f > exact || f < -exact {
		return 0, false
	}
	return int64(f), true
}

// clip keeps an error short when the number is not.
func clip(s string) string {
	if len(s) > 32 {
		return s[:32] + "..."
	}
	return s
}

// any consumes one value of unknown shape.
func (d *jsonDecoder) any() (any, error) {
	switch d.next() {
	case '{':
		out := make(map[string]any)
		err := d.object(func(key jsonKey) error {
			elem, err := d.any()
			out[string(key.text)] = elem
			return err
		})
		return out, err
	case '[':
		out := []any{}
		err := d.array(func() error {
			elem, err := d.any()
			out = append(out, elem)
			return err
		})
		return out, err
	case '"', '\'':
		text, err := d.str()
		return string(text), err
	}
	begin := d.pos
	word, err := d.word()
	if err != nil {
		return nil, err
	}
	switch kind, number := classify(word); kind {
	case jsonNull:
		return nil, nil
	case jsonTrue, jsonFalse:
		return kind == jsonTrue, nil
	case jsonNumber:
		return json.Number(number), nil
	}
	d.pos = begin
	return nil, d.fail("not a value")
}
