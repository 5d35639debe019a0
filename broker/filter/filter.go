package filter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rocketlog/rocketlog/message"
)

// The expression types of the protocol. An absent type means TypeTag.
const (
	TypeTag   = "TAG"
	TypeSQL92 = "SQL92"
)

// ErrUnsupported reports an expression type that is neither of the two.
var ErrUnsupported = errors.New("no expression type of messages")

// linearCodes is the number of tags up to which a linear search beats a map.
const linearCodes = 8

// Expression is a compiled subscription. Its zero value matches nothing.
type Expression struct {
	kind  string
	text  string
	all   bool
	codes []int32            // few codes: searched one by one
	set   map[int32]struct{} // many codes
	sql   *program           // of TypeSQL92
}

var all = &Expression{kind: TypeTag, text: "*", all: true}

// All returns the expression that every message matches.
func All() *Expression { return all }

// IsTag reports whether kind names the TAG type, which an absent type means too.
func IsTag(kind string) bool { return kind == "" || kind == TypeTag }

// Compile returns the expression of the given type that text says. For TypeTag text is a list of tags with "||" between
// them; an empty one and "*" ask for all messages. For TypeSQL92 it is a condition; what is wrong with it is a *SyntaxError.
func Compile(kind, text string) (*Expression, error) {
	if kind == TypeSQL92 {
		sql, err := compileSQL(text)
		if err != nil {
			return nil, err
		}
		return &Expression{kind: TypeSQL92, text: text, sql: sql}, nil
	}
	if !IsTag(kind) {
		return nil, fmt.Errorf("%q: %w", kind, ErrUnsupported)
	}
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed == "*" {
		return all, nil
	}
	var codes []int32
	for tag := range strings.SplitSeq(text, "||") {
		if tag = strings.TrimSpace(tag); tag != "" {
			codes = append(codes, int32(message.TagsCode([]byte(tag))))
		}
	}
	if len(codes) == 0 {
		return nil, fmt.Errorf("subscription %q names no tag", text)
	}
	return withCodes(text, codes), nil
}

// OfCodes returns the expression for a subscription whose tag hash codes the client has worked out itself, as heartbeats
// carry it.
func OfCodes(text string, codes []int32) *Expression {
	if text == "*" {
		return all
	}
	return withCodes(text, slices.Clone(codes))
}

func withCodes(text string, codes []int32) *Expression {
	slices.Sort(codes)
	e := &Expression{kind: TypeTag, text: text, codes: slices.Compact(codes)}
	if len(e.codes) > linearCodes {
		e.set = make(map[int32]struct{}, len(e.codes))
		for _, c := range e.codes {
			e.set[c] = struct{}{}
		}
	}
	return e
}

// String returns the expression's text.
func (e *Expression) String() string { return e.text }

// Type returns the expression's type, TypeTag or TypeSQL92.
func (e *Expression) Type() string { return e.kind }

// MatchesAll reports whether every message matches, so that a reader may leave the filter out.
func (e *Expression) MatchesAll() bool { return e.all }

// MatchTags reports whether a message with this hash code of its tags may match.
func (e *Expression) MatchTags(tagsCode int64) bool {
	if e.all || e.sql != nil {
		return true
	}
	code := int32(tagsCode)
	if e.set != nil {
		_, ok := e.set[code]
		return ok
	}
	for _, c := range e.codes {
		if c == code {
			return true
		}
	}
	return false
}

// MatchRecord reports whether the stored message matches. A TAG expression has nothing to add to MatchTags; an SQL92
// expression is evaluated, without allocating.
func (e *Expression) MatchRecord(r message.Record) bool {
	return e.sql == nil || e.sql.match(r.Properties())
}

// MatchProperties is MatchRecord for a message of which only the properties are at hand.
func (e *Expression) MatchProperties(p message.Properties) bool {
	return e.sql == nil || e.sql.match(p)
}
