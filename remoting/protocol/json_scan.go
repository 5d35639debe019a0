package protocol

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a JSON document, so that hostile bytes cost no more than their own length.
const (
	jsonSizeMax       = 64 << 20 // bytes of one document
	jsonDepthMax      = 128      // nested objects and arrays
	jsonContainersMax = 4 << 20  // objects and arrays in one document: `{}` is 2 bytes but a whole struct in memory
)

// JSONError says where in a document its text stops making sense.
type JSONError struct {
	Offset int    // byte in the document
	Reason string // what is wrong there
}

func (e *JSONError) Error() string {
	return fmt.Sprintf("json: byte %d: %s", e.Offset, e.Reason)
}

// jsonScanner walks a document as fastjson's lexer does with its default features. Beyond RFC 8259 it takes:
// member names that are numbers, bare words, objects or arrays; single quotes; commas in any number where one may stand;
// comments; the escapes \x41, \0 to \7, \v and \'; raw control characters in strings; NaN, Infinity and undefined for null;
// the suffixes of Java's number literals.
type jsonScanner struct {
	data       []byte
	pos        int
	depth      int
	containers int
	inKey      bool // inside an object used as a name: another one there would have its quotes escaped twice, and so on
}

// jsonKey is a member's name. An object (or array) as a name is given as its strict JSON text.
type jsonKey struct {
	text   []byte
	object bool
}

func (s *jsonScanner) fail(reason string) error {
	return &JSONError{Offset: s.pos, Reason: reason}
}

// next skips white space and comments and gives the byte it stops at without consuming it; 0 at the end.
func (s *jsonScanner) next() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\b':
			s.pos++
		case c == '/' && s.skipComment():
		case c == 0xEF && s.pos == 0 && bytes.HasPrefix(s.data, []byte("\xEF\xBB\xBF")):
			s.pos += 3
		default:
			return c
		}
	}
	return 0
}

func (s *jsonScanner) skipComment() bool {
	rest := s.data[s.pos:]
	switch {
	case bytes.HasPrefix(rest, []byte("//")):
		if n := bytes.IndexByte(rest, '\n'); n >= 0 {
			s.pos += n + 1
		} else {
			s.pos = len(s.data)
		}
		return true
	case bytes.HasPrefix(rest, []byte("/*")):
		if n := bytes.Index(rest[2:], []byte("*/")); n >= 0 {
			s.pos += 2 + n + 2
			return true
		}
	}
	return false
}

// nextMember is next, but skips commas too.
func (s *jsonScanner) nextMember() byte {
	for {
		c := s.next()
		if c != ',' {
			return c
		}
		s.pos++
	}
}

// end complains of anything behind the value.
func (s *jsonScanner) end() error {
	if s.next() != 0 || s.pos < len(s.data) {
		return s.fail("unexpected text after the value")
	}
	return nil
}

func (s *jsonScanner) enter() error {
	s.depth++
	s.containers++
	switch {
	case s.depth > jsonDepthMax:
		return s.fail("nested too deep")
	case s.containers > jsonContainersMax:
		return s.fail("too many objects")
	}
	s.pos++
	return nil
}

func (s *jsonScanner) leave() {
	s.depth--
	s.pos++
}

// object walks the object at pos; member is called with the scanner standing before each value and must consume it.
func (s *jsonScanner) object(member func(jsonKey) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	for s.nextMember() != '}' {
		key, err := s.key()
		if err != nil {
			return err
		}
		if s.next() != ':' {
			return s.fail("expected a colon after the member's name")
		}
		s.pos++
		if err := member(key); err != nil {
			return err
		}
		if c := s.next(); c != ',' && c != '}' {
			return s.fail("expected a comma or the end of the object")
		}
	}
	s.leave()
	return nil
}

// array walks the array at pos; element is called with the scanner standing before each value and must consume it.
func (s *jsonScanner) array(element func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	for s.nextMember() != ']' {
		if err := element(); err != nil {
			return err
		}
		if c := s.next(); c != ',' && c != ']' {
			return s.fail("expected a comma or the end of the array")
		}
	}
	s.leave()
	return nil
}

func (s *jsonScanner) key() (jsonKey, error) {
	switch s.next() {
	case '"', '\'':
		text, err := s.str()
		return jsonKey{text: text}, err
	case '{', '[':
		text, err := s.objectKey()
		return jsonKey{text: text, object: true}, err
	}
	text, err := s.word()
	return jsonKey{text: text}, err
}

func (s *jsonScanner) objectKey() ([]byte, error) {
	if s.inKey {
		return nil, s.fail("an object as a name inside an object as a name")
	}
	s.inKey = true
	text, err := s.appendStrict(nil)
	s.inKey = false
	return text, err
}

// word consumes a number, a literal or a bare name.
func (s *jsonScanner) word() ([]byte, error) {
	begin := s.pos
	for s.pos < len(s.data) && !jsonDelimiter(s.data[s.pos]) {
		s.pos++
	}
	if s.pos == begin {
		return nil, s.fail("expected a value or a name")
	}
	return s.data[begin:s.pos], nil
}

func jsonDelimiter(c byte) bool {
	switch c {
	case ',', ':', '{', '}', '[', ']', '"', '\'', '/':
		return true
	}
	return c <= ' '
}

// str consumes a quoted string. The result aliases the document when nothing in it is escaped.
func (s *jsonScanner) str() ([]byte, error) {
	quote := s.data[s.pos]
	s.pos++
	rest := s.data[s.pos:]
	n := 0
	for n < len(rest) && rest[n] != quote && rest[n] != '\\' {
		n++
	}
	if n == len(rest) {
		return nil, s.fail("string without an end")
	}
	if rest[n] == quote {
		s.pos += n + 1
		return rest[:n], nil
	}
	out := append(make([]byte, 0, n+16), rest[:n]...)
	s.pos += n
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		s.pos++
		switch c {
		case quote:
			return out, nil
		case '\\':
			var err error
			if out, err = s.escape(out); err != nil {
				return nil, err
			}
		default:
			out = append(out, c)
		}
	}
	return nil, s.fail("string without an end")
}

// escape appends the character whose escape follows the backslash just consumed.
func (s *jsonScanner) escape(out []byte) ([]byte, error) {
	if s.pos >= len(s.data) {
		return nil, s.fail("string without an end")
	}
	c := s.data[s.pos]
	s.pos++
	switch c {
	case '"', '\'', '\\', '/':
		return append(out, c), nil
	case 'b':
		return append(out, '\b'), nil
	case 't':
		return append(out, '\t'), nil
	case 'n':
		return append(out, '\n'), nil
	case 'v':
		return append(out, '\v'), nil
	case 'f', 'F':
		return append(out, '\f'), nil
	case 'r':
		return append(out, '\r'), nil
	case '0', '1', '2', '3', '4', '5', '6', '7':
		return append(out, c-'0'), nil
	case 'x':
		r, err := s.hex(2)
		return utf8.AppendRune(out, r), err
	case 'u':
		return s.unicode(out)
	}
	return nil, s.fail("unknown escape in a string")
}

func (s *jsonScanner) unicode(out []byte) ([]byte, error) {
	r, err := s.hex(4)
	if err != nil {
		return nil, err
	}
	if utf16.IsSurrogate(r) && bytes.HasPrefix(s.data[s.pos:], []byte(`\u`)) {
		mark := s.pos
		s.pos += 2
		low, err := s.hex(4)
		if err != nil {
			return nil, err
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(out, pair), nil
		}
		s.pos = mark
	}
	return utf8.AppendRune(out, r), nil
}

func (s *jsonScanner) hex(digits int) (rune, error) {
	if len(s.data)-s.pos < digits {
		return 0, s.fail("string without an end")
	}
	n, err := strconv.ParseUint(string(s.data[s.pos:s.pos+digits]), 16, 32)
	if err != nil {
		return 0, s.fail("bad hexadecimal digits in a string")
	}
	s.pos += digits
	return rune(n), nil
}

// jsonWord is what a word stands for as a value.
type jsonWord int

const (
	jsonBad jsonWord = iota
	jsonNull
	jsonTrue
	jsonFalse
	jsonNumber
)

// classify says what a word means as a value; for a number it gives the text in RFC 8259's form.
func classify(word []byte) (jsonWord, []byte) {
	switch string(word) {
	case "null", "undefined", "NaN", "Infinity", "-Infinity":
		return jsonNull, nil
	case "true":
		return jsonTrue, nil
	case "false":
		return jsonFalse, nil
	}
	if number := normalizeNumber(word); number != nil {
		return jsonNumber, number
	}
	return jsonBad, nil
}

// normalizeNumber gives the number in RFC 8259's form, or nil when word is none. It copies only when it has to.
func normalizeNumber(word []byte) []byte {
	if isStrictNumber(word) {
		return word
	}
	switch word[len(word)-1] {
	case 'L', 'S', 'B', 'F', 'D':
		word = word[:len(word)-1]
	}
	out := make([]byte, 0, len(word)+1)
	if len(word) > 0 && (word[0] == '+' || word[0] == '-') {
		if word[0] == '-' {
			out = append(out, '-')
		}
		word = word[1:]
	}
	for len(word) > 1 && word[0] == '0' && word[1] >= '0' && word[1] <= '9' {
		word = word[1:]
	}
	if len(word) > 0 && word[0] == '.' {
		out = append(out, '0')
	}
	out = append(out, word...)
	if n := len(out); n > 1 && out[n-1] == '.' {
		out = out[:n-1]
	}
	if !isStrictNumber(out) {
		return nil
	}
	return out
}

func isStrictNumber(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	whole := countDigits(b)
	if whole == 0 || (whole > 1 && b[0] == '0') {
		return false
	}
	b = b[whole:]
	if len(b) > 0 && b[0] == '.' {
		fraction := countDigits(b[1:])
		if fraction == 0 {
			return false
		}
		b = b[1+fraction:]
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		b = b[1:]
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		exponent := countDigits(b)
		if exponent == 0 {
			return false
		}
		b = b[exponent:]
	}
	return len(b) == 0
}

func countDigits(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

// appendStrict consumes one value and appends it as RFC 8259 wants it: names quoted, an object used as a name turned into
// a string that holds its text.
func (s *jsonScanner) appendStrict(dst []byte) ([]byte, error) {
	switch s.next() {
	case '{':
		dst = append(dst, '{')
		first := len(dst)
		err := s.object(func(key jsonKey) error {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			dst = append(appendJSONString(dst, key.text, false), ':')
			var err error
			dst, err = s.appendStrict(dst)
			return err
		})
		return append(dst, '}'), err
	case '[':
		dst = append(dst, '[')
		first := len(dst)
		err := s.array(func() error {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			var err error
			dst, err = s.appendStrict(dst)
			return err
		})
		return append(dst, ']'), err
	case '"', '\'':
		text, err := s.str()
		return appendJSONString(dst, text, false), err
	}
	return s.appendStrictWord(dst)
}

func (s *jsonScanner) appendStrictWord(dst []byte) ([]byte, error) {
	begin := s.pos
	word, err := s.word()
	if err != nil {
		return dst, err
	}
	switch kind, number := classify(word); kind {
	case jsonNull:
		return append(dst, "null"...), nil
	case jsonTrue, jsonFalse:
		return append(dst, word...), nil
	case jsonNumber:
		return append(dst, number...), nil
	}
	s.pos = begin
	return dst, s.fail("not a value")
}

// skip consumes one value without keeping it.
func (s *jsonScanner) skip() error {
	switch s.next() {
	case '{':
		return s.object(func(jsonKey) error { return s.skip() })
	case '[':
		return s.array(s.skip)
	case '"', '\'':
		_, err := s.str()
		return err
	}
	_, err := s.appendStrictWord(nil)
	return err
}
