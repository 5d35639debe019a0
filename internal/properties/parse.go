package properties

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Entry is one setting.
type Entry struct {
	Key, Value string
	Line       int // where it begins, from 1; 0 when it comes from no file
}

// Error says where a file has something wrong.
type Error struct {
	File   string // empty when the settings came from elsewhere
	Line   int    // from 1
	Key    string // empty when the line has none
	Reason string
}

func (e *Error) Error() string {
	at := e.File
	if e.Line > 0 {
		at += ":" + strconv.Itoa(e.Line)
	}
	switch {
	case at == "":
		return e.Key + ": " + e.Reason
	case e.Key == "":
		return at + ": " + e.Reason
	}
	return at + ": " + e.Key + ": " + e.Reason
}

// Parse reads the entries of a file in their order. The name is for errors.
func Parse(file string, data []byte) ([]Entry, error) {
	var entries []Entry
	p := parser{rest: bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))}
	for {
		logical, line, ok := p.next()
		if !ok {
			return entries, nil
		}
		rawKey, rawValue := split(logical)
		key, err := unescape(rawKey)
		if err != nil {
			return nil, &Error{File: file, Line: line, Reason: err.Error()}
		}
		value, err := unescape(rawValue)
		if err != nil {
			return nil, &Error{File: file, Line: line, Key: key, Reason: err.Error()}
		}
		entries = append(entries, Entry{Key: key, Value: value, Line: line})
	}
}

// parser cuts a file into logical lines: a line that ends in an odd number of backslashes goes on in the next one.
type parser struct {
	rest []byte
	line int
}

// natural gives the next line without its end and without leading white space.
func (p *parser) natural() (text []byte, ok bool) {
	if len(p.rest) == 0 {
		return nil, false
	}
	p.line++
	end := bytes.IndexAny(p.rest, "\r\n")
	if end < 0 {
		text, p.rest = p.rest, nil
	} else {
		text = p.rest[:end]
		if bytes.HasPrefix(p.rest[end:], []byte("\r\n")) {
			end++
		}
		p.rest = p.rest[end+1:]
	}
	return bytes.TrimLeft(text, " \t\f"), true
}

func (p *parser) next() (logical []byte, line int, ok bool) {
	var text []byte
	for {
		if text, ok = p.natural(); !ok {
			return nil, 0, false
		}
		if len(text) > 0 && text[0] != '#' && text[0] != '!' {
			break
		}
	}
	line = p.line
	for continues(text) {
		logical = append(logical, text[:len(text)-1]...)
		if text, ok = p.natural(); !ok {
			return logical, line, true
		}
	}
	return append(logical, text...), line, true
}

func continues(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// split finds where the key ends: at the first '=', ':' or white space that is not escaped.
func split(line []byte) (key, value []byte) {
	end := 0
	for end < len(line) && !bytes.ContainsRune([]byte("=: \t\f"), rune(line[end])) {
		if line[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(line))
	value = bytes.TrimLeft(line[end:], " \t\f")
	if len(value) > 0 && (value[0] == '=' || value[0] == ':') {
		value = bytes.TrimLeft(value[1:], " \t\f")
	}
	return line[:end], value
}

func unescape(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return strings.ToValidUTF8(string(raw), string(utf8.RuneError)), nil
	}
	out := make([]byte, 0, len(raw))
	var units []uint16 // of \uXXXX in a row, which may be surrogates
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) || raw[i+1] != 'u' {
			out, units = appendUnits(out, units), nil
		}
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if i == len(raw) {
			break
		}
		switch raw[i] {
		case 't':
			out = append(out, '\t')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 'f':
			out = append(out, '\f')
		case 'u':
			if len(raw)-i < 5 {
				return "", fmt.Errorf("malformed escape %q", raw[i-1:])
			}
			unit, err := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
			if err != nil {
				return "", fmt.Errorf("malformed escape %q", raw[i-1:i+5])
			}
			units = append(units, uint16(unit))
			i += 4
		default:
			out = append(out, raw[i])
		}
	}
	return strings.ToValidUTF8(string(appendUnits(out, units)), string(utf8.RuneError)), nil
}

func appendUnits(out []byte, units []uint16) []byte {
	return append(out, string(utf16.Decode(units))...)
}

// Format writes entries as a file.
func Format(entries []Entry) []byte {
	var out []byte
	for _, e := range entries {
		out = appendEscaped(out, e.Key, true)
		out = append(out, '=')
		out = appendEscaped(out, e.Value, false)
		out = append(out, '\n')
	}
	return out
}

func appendEscaped(out []byte, text string, key bool) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '\t':
			out = append(out, `\t`...)
		case '\n':
			out = append(out, `\n`...)
		case '\r':
			out = append(out, `\r`...)
		case '\f':
			out = append(out, `\f`...)
		case '\\':
			out = append(out, '\\', c)
		case ' ':
			if key || i == 0 {
				out = append(out, '\\')
			}
			out = append(out, c)
		case '=', ':', '#', '!':
			if key {
				out = append(out, '\\')
			}
			out = append(out, c)
		default:
			out = append(out, c)
		}
	}
	return out
}
