package filter

import (
	"fmt"
	"strings"
)

// tokenKind tells the kinds of words of SQL92 apart. Keywords have kinds of their own.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenString // text holds the quotes as written
	tokenDecimal
	tokenFloat
	tokenEqual
	tokenNotEqual
	tokenGreater
	tokenGreaterEqual
	tokenLess
	tokenLessEqual
	tokenOpen
	tokenClose
	tokenComma
	tokenPlus
	tokenMinus
	tokenNot
	tokenAnd
	tokenOr
	tokenBetween
	tokenIn
	tokenTrue
	tokenFalse
	tokenNull
	tokenIs
	tokenContains
	tokenStartsWith
	tokenEndsWith
)

// keywords by their upper-case form; they are found in any case.
var keywords = map[string]tokenKind{
	"NOT": tokenNot, "AND": tokenAnd, "OR": tokenOr, "BETWEEN": tokenBetween, "IN": tokenIn, "TRUE": tokenTrue,
	"FALSE": tokenFalse, "NULL": tokenNull, "IS": tokenIs, "CONTAINS": tokenContains, "STARTSWITH": tokenStartsWith,
	"ENDSWITH": tokenEndsWith,
}

// keywordLenMax is the length of the longest keyword.
const keywordLenMax = len("STARTSWITH")

// A token is one word of an expression. Its text aliases the expression.
type token struct {
	kind tokenKind
	text string
	at   int // where in the expression it begins
}

func (t token) String() string {
	if t.kind == tokenEnd {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

// A lexer cuts an expression into tokens by the rules of Java's SelectorParser.jj: of all tokens that fit, the longest.
type lexer struct {
	text string
	at   int
}

// next returns the next token, or an error where none fits.
func (l *lexer) next() (token, error) {
	l.skip()
	start := l.at
	if start == len(l.text) {
		return token{kind: tokenEnd, at: start}, nil
	}
	kind, size := tokenEnd, 0
	switch c := l.text[start]; {
	case isNameStart(c):
		kind, size = l.name()
	case isDigit(c) || c == '.':
		kind, size = l.number()
	case c == '\'':
		kind, size = tokenString, l.quoted()
	default:
		kind, size = l.symbol()
	}
	if size == 0 {
		return token{}, &SyntaxError{Text: l.text, At: start, Reason: fmt.Sprintf("no token begins with %q", firstRune(l.text[start:]))}
	}
	l.at += size
	return token{kind: kind, text: l.text[start:l.at], at: start}, nil
}

// skip passes over white space and comments. A line comment ends with its line: at the end of the text it is none, and
// neither is a block comment that is not closed.
func (l *lexer) skip() {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\n\r\f", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--"):
			end := strings.IndexAny(rest, "\n\r")
			if end < 0 {
				return
			}
			l.at += end + 1
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return
			}
			l.at += 2 + end + 2
		default:
			return
		}
	}
}

func (l *lexer) name() (kind tokenKind, size int) {
	rest := l.text[l.at:]
	for size = 1; size < len(rest) && (isNameStart(rest[size]) || isDigit(rest[size])); size++ {
	}
	if size <= keywordLenMax {
		if kind, ok := keywords[strings.ToUpper(rest[:size])]; ok {
			return kind, size
		}
	}
	return tokenName, size
}

// number finds a decimal or a floating point literal, whichever is longer. A decimal does not begin with zero, unless it
// is zero, which stands alone: 012 is two numbers.
func (l *lexer) number() (kind tokenKind, size int) {
	rest := l.text[l.at:]
	whole := digits(rest)
	at := whole
	isFloat := false
	if at < len(rest) && rest[at] == '.' {
		fraction := digits(rest[at+1:])
		if whole == 0 && fraction == 0 {
			return tokenEnd, 0
		}
		isFloat = true
		at += 1 + fraction
	}
	if e := exponent(rest[at:]); e > 0 {
		isFloat = true
		at += e
	}
	switch {
	case isFloat:
		return tokenFloat, at
	case rest[0] == '0':
		return tokenDecimal, 1
	case whole < len(rest) && (rest[whole] == 'l' || rest[whole] == 'L'):
		return tokenDecimal, whole + 1
	}
	return tokenDecimal, whole
}

// digits counts the digits that s begins with.
func digits(s string) (n int) {
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// exponent returns the length of the exponent that s begins with, 0 when it does not.
func exponent(s string) int {
	if len(s) == 0 || s[0]|0x20 != 'e' {
		return 0
	}
	at := 1
	if at < len(s) && (s[at] == '+' || s[at] == '-') {
		at++
	}
	n := digits(s[at:])
	if n == 0 {
		return 0
	}
	return at + n
}

// quoted returns the length of a text in quotes; a quote inside is written twice. When such a pair turns out to have no
// end behind it, the text ends with the pair's first.
func (l *lexer) quoted() (size int) {
	rest := l.text[l.at:]
	for at := 1; at < len(rest); at++ {
		if rest[at] != '\'' {
			continue
		}
		size = at + 1
		if size == len(rest) || rest[size] != '\'' {
			return size
		}
		at++
	}
	return size
}

func (l *lexer) symbol() (tokenKind, int) {
	rest := l.text[l.at:]
	if len(rest) > 1 {
		switch rest[:2] {
		case "<>":
			return tokenNotEqual, 2
		case ">=":
			return tokenGreaterEqual, 2
		case "<=":
			return tokenLessEqual, 2
		}
	}
	switch rest[0] {
	case '=':
		return tokenEqual, 1
	case '>':
		return tokenGreater, 1
	case '<':
		return tokenLess, 1
	case '(':
		return tokenOpen, 1
	case ')':
		return tokenClose, 1
	case ',':
		return tokenComma, 1
	case '+':
		return tokenPlus, 1
	case '-':
		return tokenMinus, 1
	}
	return tokenEnd, 0
}

// unquote returns what a string token stands for.
func unquote(text string) string {
	return strings.ReplaceAll(text[1:len(text)-1], "''", "'")
}

func isNameStart(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
