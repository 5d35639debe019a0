package filter

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parseInteger reads text as Java's Integer.valueOf (32 bits) and Long.valueOf (64) do: a sign, then digits of any script,
// and nothing else. It allocates nothing.
func parseInteger(text []byte, bits uint) (n int64, ok bool) {
	negative := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		negative = text[0] == '-'
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, false
	}
	// The sum is kept negative, whose range is the larger by one.
	least := int64(math.MinInt64) >> (64 - bits)
	for len(text) > 0 {
		digit, size := int64(text[0])-'0', 1
		if text[0] >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRune(text)
			digit = digitValue(r)
		}
		if digit < 0 || digit > 9 || n < least/10 || n*10 < least+digit {
			return 0, false
		}
		n = n*10 - digit
		text = text[size:]
	}
	if negative {
		return n, true
	}
	if n == least {
		return 0, false
	}
	return -n, true
}

// digitValue is Java's Character.digit of a char in base ten, -1 when r is no digit. The digits of a script follow one
// another, and each range of the table holds whole scripts.
func digitValue(r rune) int64 {
	for _, digits := range unicode.Nd.R16 {
		if r >= rune(digits.Lo) && r <= rune(digits.Hi) {
			return int64(r-rune(digits.Lo)) % 10
		}
	}
	return -1
}

// floatTextMax is the length of a number that is read without allocating. Numbers in a double need 25.
const floatTextMax = 64

// parseFloat reads text as Java's Double.valueOf does: with blanks around it, a type suffix, NaN and Infinity in exactly
// this form, hexadecimal ones with an exponent.
func parseFloat(text []byte) (f float64, ok bool) {
	for len(text) > 0 && text[0] <= ' ' {
		text = text[1:]
	}
	for len(text) > 0 && text[len(text)-1] <= ' ' {
		text = text[:len(text)-1]
	}
	body := text
	if len(body) > 0 && (body[0] == '-' || body[0] == '+') {
		body = body[1:]
	}
	switch string(body) {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		if text[0] == '-' {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	}
	hexadecimal := len(body) > 1 && body[0] == '0' && body[1]|0x20 == 'x'
	if n := len(body); n > 0 {
		if last := body[n-1] | 0x20; last == 'f' || last == 'd' {
			text, body = text[:len(text)-1], body[:n-1]
		}
	}
	if !plainFloat(body, hexadecimal) {
		return 0, false
	}
	if len(text) <= floatTextMax {
		var buf [floatTextMax]byte
		n := copy(buf[:], text)
		f, ok = convertFloat(string(buf[:n])) // on the stack, as it does not escape
		return f, ok
	}
	return convertFloat(string(text))
}

// convertFloat is strconv's conversion, with numbers out of range becoming infinite as in Java.
func convertFloat(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

// plainFloat reports whether text is digits with a point and an exponent, and none of what strconv takes besides: words
// and underscores. A hexadecimal one must have its exponent.
func plainFloat(text []byte, hexadecimal bool) bool {
	if len(text) == 0 {
		return false
	}
	exponent := false
	for i, c := range text {
		switch {
		case isDigit(c) || c == '.':
		case hexadecimal && i == 1:
		case hexadecimal && c|0x20 == 'p', !hexadecimal && c|0x20 == 'e':
			exponent = true
		case hexadecimal && !exponent && c|0x20 >= 'a' && c|0x20 <= 'f':
		case (c == '+' || c == '-') && i > 0 && exponent:
		default:
			return false
		}
	}
	return exponent || !hexadecimal
}

// compareFloats is Java's Double.compare: -0 comes before 0, and NaN, which equals itself, after everything.
func compareFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b && a != 0:
		return 0
	case a == b:
		return cmp.Compare(signOf(a), signOf(b))
	}
	switch aNaN, bNaN := math.IsNaN(a), math.IsNaN(b); {
	case aNaN && bNaN:
		return 0
	case aNaN:
		return 1
	}
	return -1
}

func signOf(f float64) int {
	if math.Signbit(f) {
		return -1
	}
	return 1
}

// isTrue is Java's Boolean.valueOf.
func isTrue(text []byte) bool { return len(text) == 4 && strings.EqualFold(string(text), "true") }
