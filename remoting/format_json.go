package remoting

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A header in the serialization JSON, as fastjson writes it:
//
//	{"code":310,"extFields":{"a":"group","b":"topic"},"flag":0,"language":"JAVA","opaque":7,
//	 "remark":"text","serializeTypeCurrentRPC":"JSON","version":513}
//
// Read are: any order of members, white space, escapes, null for anything, a number or a word where a string is due and a
// string where a number is due; members that are not known are skipped, to a depth of jsonDepthMax. A value of extFields that
// is no string is its text.
const jsonDepthMax = 32

// jsonReader walks a header by hand: no map, no allocation, each text a piece of the header itself unless it has escapes.
type jsonReader struct {
	b   []byte
	i   int
	c   *Command
	err error
}

func decodeJSONHeader(h []byte, c *Command) error {
	c.Code, c.Language, c.Version, c.Opaque, c.Flag = 0, protocol.LanguageOther, 0, 0, 0
	r := jsonReader{b: h, c: c}
	r.object(r.member)
	if r.err == nil && r.next() != 0 {
		r.fail("something follows the header's object")
	}
	return r.err
}

func (r *jsonReader) fail(reason string) {
	if r.err == nil {
		r.err = frameError(framePrefix+r.i, "JSON header: %s", reason)
	}
}

// next skips white space and returns the byte that it stands at; 0 at the end.
func (r *jsonReader) next() byte {
	for r.i < len(r.b) {
		c := r.b[r.i]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return 1 // no value and no punctuation begins so
		}
		r.i++
	}
	return 0
}

func (r *jsonReader) expect(c byte) bool {
	if r.next() != c {
		r.fail("no " + string(rune(c)) + " where one is due")
		return false
	}
	r.i++
	return true
}

// object reads an object; each is called behind a member's colon, and must consume the value or fail.
func (r *jsonReader) object(each func(name []byte)) {
	if r.expect('{') {
		r.members(each)
	}
}

// members reads members up to the end of their object. A comma too many at its end is let pass, as fastjson does.
func (r *jsonReader) members(each func(name []byte)) {
	for r.err == nil {
		switch r.next() {
		case '}':
			r.i++
			return
		case '"':
		default:
			r.fail("no member name where one is due")
			return
		}
		name := r.text()
		if !r.expect(':') {
			return
		}
		each(name)
		if r.err != nil || !r.another() {
			return
		}
	}
}

// another consumes what stands behind a member, and says whether a further one is to come.
func (r *jsonReader) another() bool {
	switch r.next() {
	case ',':
		r.i++
		return true
	case '}':
		r.i++
		return false
	}
	r.fail("no , or } after a member")
	return false
}

// member takes one member of the header.
func (r *jsonReader) member(name []byte) {
	switch string(name) {
	case "code":
		r.c.Code = r.int32()
	case "flag":
		r.c.Flag = r.int32()
	case "opaque":
		r.c.Opaque = r.int32()
	case "version":
		r.c.Version = r.int32()
	case "language":
		r.c.Language = r.language()
	case "remark":
		if v, ok := r.value(); ok {
			r.c.Remark = string(v)
		}
	case "extFields":
		if r.next() == 'n' {
			r.value()
			return
		}
		r.extFields()
	default:
		r.value()
	}
}

// extFields takes the ext fields: as many as it can in the shape that fastjson gives them, the rest as any object's members.
func (r *jsonReader) extFields() {
	if !r.expect('{') {
		return
	}
	for r.plainField() {
		if r.i < len(r.b) && r.b[r.i] == ',' {
			r.i++
		} else if !r.another() {
			return
		}
	}
	r.members(r.field)
}

// field takes one ext field.
func (r *jsonReader) field(name []byte) {
	if v, ok := r.value(); ok {
		r.push(name, v)
	}
}

func (r *jsonReader) push(name, value []byte) {
	if len(r.c.Fields.list) == fieldsMax {
		r.fail("too many ext fields")
		return
	}
	r.c.Fields.list = append(r.c.Fields.list, field{name, value})
}

// plainField takes a field that stands as "name":"value" without white space, and an escape at most in the value. If it
// is written otherwise, it is left alone. This saves three tenths of a header's time.
func (r *jsonReader) plainField() bool {
	b, nameAt := r.b, r.i+1
	if nameAt >= len(b) || b[r.i] != '"' {
		return false
	}
	nameEnd := nameAt + 1 // the names of a send are one small letter, many of its values one digit
	if nameEnd >= len(b) || b[nameEnd] != '"' || b[nameAt] <= '\\' {
		nameEnd = nameAt + quoteOrEscape(b[nameAt:])
	}
	valueAt := nameEnd + len(`":"`)
	if valueAt > len(b) || string(b[nameEnd:valueAt]) != `":"` {
		return false
	}
	valueEnd := valueAt + 1
	if valueEnd >= len(b) || b[valueEnd] != '"' || b[valueAt]-'0' > 9 {
		valueEnd = valueAt + quoteOrEscape(b[valueAt:])
	}
	if valueEnd == len(b) {
		return false
	}
	value := b[valueAt:valueEnd:valueEnd]
	if b[valueEnd] == '"' {
		r.i = valueEnd + 1
	} else if value = r.escaped(valueAt, valueEnd); r.err != nil {
		return false
	}
	r.push(b[nameAt:nameEnd:nameEnd], value)
	return r.err == nil
}

func (r *jsonReader) int32() int32 {
	begin := r.i
	v, ok := r.value()
	if !ok {
		return 0
	}
	n := int64(0)
	digits := v
	if len(v) > 1 && v[0] == '-' {
		digits = v[1:]
	}
	for _, c := range digits {
		if c -= '0'; c > 9 || n > 1<<32 {
			n = 1 << 40
			break
		}
		n = n*10 + int64(c)
	}
	if len(digits) != len(v) {
		n = -n
	}
	if len(digits) == 0 || int64(int32(n)) != n {
		r.i = begin
		r.fail("not a 32 bit number")
	}
	return int32(n)
}

func (r *jsonReader) language() protocol.Language {
	v, ok := r.value()
	if !ok {
		return protocol.LanguageOther
	}
	if len(v) > 0 && v[0] >= '0' && v[0] <= '9' {
		n, _ := strconv.ParseUint(string(v), 10, 8)
		return protocol.Language(n)
	}
	return protocol.ParseLanguage(v)
}

// value consumes any value and returns its text: of a string its content, of everything else what stands there. False for
// null and on an error.
func (r *jsonReader) value() ([]byte, bool) {
	switch r.next() {
	case '"':
		v := r.text()
		return v, r.err == nil
	case '{', '[':
		begin := r.i
		r.nested()
		return r.b[begin:r.i:r.i], r.err == nil
	}
	begin := r.i
	for r.i < len(r.b) && isWordByte(r.b[r.i]) {
		r.i++
	}
	v := r.b[begin:r.i:r.i]
	if len(v) == 0 {
		r.fail("no value where one is due")
		return nil, false
	}
	return v, string(v) != "null"
}

func isWordByte(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '-' || c == '+' || c == '.'
}

// nested skips an object or array, which is nobody's concern, by its brackets.
func (r *jsonReader) nested() {
	depth := 0
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case '{', '[':
			if depth++; depth > jsonDepthMax {
				r.fail("nested too deep")
				return
			}
		case '}', ']':
			if depth--; depth == 0 {
				r.i++
				return
			}
		case '"':
			if r.skipText(); r.err != nil {
				return
			}
			continue
		}
		r.i++
	}
	r.fail("a value without end")
}

func (r *jsonReader) skipText() {
	for r.i++; r.i < len(r.b); r.i += 2 { // an escape and what it escapes; \uXXXX has no quote in it
		r.i += quoteOrEscape(r.b[r.i:])
		if r.i < len(r.b) && r.b[r.i] == '"' {
			r.i++
			return
		}
	}
	r.i = len(r.b)
	r.fail("a string without end")
}

// text consumes a string and returns its content, which is copied only when it has escapes.
func (r *jsonReader) text() []byte {
	begin := r.i + 1
	end := begin + quoteOrEscape(r.b[begin:])
	if end < len(r.b) && r.b[end] == '"' {
		r.i = end + 1
		return r.b[begin:end:end]
	}
	return r.escaped(begin, end)
}

// escaped consumes a string whose first escape is at; its content goes to the fields' buffer.
func (r *jsonReader) escaped(begin, at int) []byte {
	buf := r.c.Fields.buf
	start := len(buf)
	for at < len(r.b) {
		buf = append(buf, r.b[begin:at]...)
		if r.b[at] == '"' {
			r.i = at + 1
			r.c.Fields.buf = buf
			return buf[start:len(buf):len(buf)]
		}
		n := 0
		if buf, n = appendUnescaped(buf, r.b[at:]); n == 0 {
			r.i = at
			r.fail("a bad escape")
			return nil
		}
		begin = at + n
		at = begin + quoteOrEscape(r.b[begin:])
	}
	r.i = len(r.b)
	r.fail("a string without end")
	return nil
}

// appendUnescaped appends what the escape at the head of b stands for, and returns its length; 0 when it is bad.
func appendUnescaped(dst, b []byte) ([]byte, int) {
	if len(b) >= 6 && string(b[1:4]) == "u00" && b[4] < '8' && b[4] >= '0' { // the separators of properties
		if low := hexDigit(b[5]); low < 16 {
			return append(dst, (b[4]-'0')<<4|low), 6
		}
	}
	if len(b) < 2 {
		return dst, 0
	}
	switch c := b[1]; c {
	case 'u':
		return appendUnicode(dst, b)
	case 'n':
		return append(dst, '\n'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'v': // fastjson writes it, JSON knows it not
		return append(dst, '\v'), 2
	case '"', '\\', '/', '\'':
		return append(dst, c), 2
	case '0', '1', '2', '3', '4', '5', '6', '7': // fastjson again: a control character by its digit
		return append(dst, c-'0'), 2
	case 'x':
		if len(b) >= 4 {
			if hi, lo := hexDigit(b[2]), hexDigit(b[3]); hi|lo < 16 {
				return utf8.AppendRune(dst, rune(hi<<4|lo)), 4
			}
		}
	}
	return dst, 0
}

func appendUnicode(dst, b []byte) ([]byte, int) {
	u, ok := hex4(b)
	if !ok {
		return dst, 0
	}
	if u < utf8.RuneSelf {
		return append(dst, byte(u)), 6
	}
	if utf16.IsSurrogate(u) {
		if len(b) >= 8 && b[6] == '\\' && b[7] == 'u' {
			if low, ok := hex4(b[6:]); ok {
				if pair := utf16.DecodeRune(u, low); pair != utf8.RuneError {
					return utf8.AppendRune(dst, pair), 12
				}
			}
		}
		u = utf8.RuneError
	}
	return utf8.AppendRune(dst, u), 6
}

// hex4 reads the digits of \uXXXX.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 {
		return 0, false
	}
	a, c, d, e := hexDigit(b[2]), hexDigit(b[3]), hexDigit(b[4]), hexDigit(b[5])
	return rune(a)<<12 | rune(c)<<8 | rune(d)<<4 | rune(e), a|c|d|e < 16
}

// hexDigit returns the digit's value, and more than 15 when it is none.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xF0
}

const (
	eachByte  = 0x0101010101010101
	eachHigh  = 0x8080808080808080
	eachQuote = eachByte * '"'
	eachSlash = eachByte * '\\'
)

// quoteOrEscape returns the index of the first quote or backslash, or len(b). It looks at eight bytes at once: a header is
// mostly short strings, for which a call of bytes.IndexByte costs more than it saves.
func quoteOrEscape(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		q, s := w^eachQuote, w^eachSlash
		if m := ((q-eachByte)&^q | (s-eachByte)&^s) & eachHigh; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(b); i++ {
		if b[i] == '"' || b[i] == '\\' {
			return i
		}
	}
	return i
}

func appendJSONHeader(dst []byte, c *Command) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(c.Code), 10)
	if len(c.Fields.list) > 0 {
		dst = append(dst, `,"extFields":{`...)
		for i := range c.Fields.list {
			f := &c.Fields.list[i]
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSONText(dst, f.name)
			dst = append(dst, ':')
			dst = appendJSONText(dst, f.value)
		}
		dst = append(dst, '}')
	}
	dst = append(dst, `,"flag":`...)
	dst = strconv.AppendInt(dst, int64(c.Flag), 10)
	if c.Language.Known() {
		dst = append(dst, `,"language":"`...)
		dst = append(append(dst, c.Language.String()...), '"')
	}
	dst = append(dst, `,"opaque":`...)
	dst = strconv.AppendInt(dst, int64(c.Opaque), 10)
	if c.Remark != "" {
		dst = append(dst, `,"remark":`...)
		dst = appendJSONText(dst, []byte(c.Remark))
	}
	dst = append(dst, `,"serializeTypeCurrentRPC":"JSON","version":`...)
	dst = strconv.AppendInt(dst, int64(c.Version), 10)
	return append(dst, '}')
}

// appendJSONText appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD, as they would at the reader's.
func appendJSONText(dst, s []byte) []byte {
	dst = append(dst, '"')
	i, plain := 0, 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		q, b := w^eachQuote, w^eachSlash
		if ((w-eachByte*' ')|w|(q-eachByte)|(b-eachByte))&eachHigh != 0 { // below ' ', beyond ASCII, quote or backslash
			break
		}
	}
	for i < len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			dst = append(append(dst, s[plain:i]...), "\uFFFD"...)
		} else {
			dst = appendEscape(append(dst, s[plain:i]...), c)
		}
		i++
		plain = i
	}
	return append(append(dst, s[plain:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
