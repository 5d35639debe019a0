package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// field is one thing that a line says.
type field struct {
	name  string
	value any // string, integer, []byte or object
}

// object is a value with fields of its own.
type object []field

// printer writes lines, as text or as JSON objects, and remembers the first error.
type printer struct {
	out  *bufio.Writer
	json bool
	err  error
}

func newPrinter(out io.Writer, asJSON bool) *printer {
	return &printer{out: bufio.NewWriterSize(out, 64<<10), json: asJSON}
}

// line writes one line: what it is about, and its fields in their order.
func (p *printer) line(kind string, fields ...field) error {
	if p.err != nil {
		return p.err
	}
	var text []byte
	if p.json {
		text = appendObject(nil, append(object{{"kind", kind}}, fields...))
	} else {
		text = []byte(kind)
		for _, f := range fields {
			text = append(append(append(text, ' '), f.name...), '=')
			text = appendText(text, f.value)
		}
	}
	_, p.err = p.out.Write(append(text, '\n'))
	return p.err
}

func (p *printer) flush() error {
	if p.err != nil {
		return p.err
	}
	return p.out.Flush()
}

func appendObject(dst []byte, fields object) []byte {
	dst = append(dst, '{')
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendJSON(dst, f.name), ':')
		if inner, ok := f.value.(object); ok {
			dst = appendObject(dst, inner)
		} else {
			dst = appendJSON(dst, f.value)
		}
	}
	return append(dst, '}')
}

func appendJSON(dst []byte, value any) []byte {
	text, err := json.Marshal(value)
	if err != nil { // of none of the types that field lists
		panic(err)
	}
	return append(dst, text...)
}

func appendText(dst []byte, value any) []byte {
	switch value := value.(type) {
	case object:
		dst = append(dst, '{')
		for i, f := range value {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = append(appendWord(dst, f.name), '=')
			dst = appendText(dst, f.value)
		}
		return append(dst, '}')
	case []byte:
		return strconv.AppendQuote(dst, string(value))
	case string:
		return appendWord(dst, value)
	}
	return fmt.Append(dst, value)
}

// appendWord quotes what would not be one word.
func appendWord(dst []byte, word string) []byte {
	if word == "" || strings.ContainsAny(word, " \"={}") || strconv.Quote(word) != `"`+word+`"` {
		return strconv.AppendQuote(dst, word)
	}
	return append(dst, word...)
}
