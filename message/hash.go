package message

import "unicode/utf8"

// Hasher computes Java's String.hashCode over text that comes in pieces of UTF-8, each a whole
// string. The zero value is the hash of the empty string. It hashes UTF-16 units; bytes that are no
// UTF-8 count as Java's decoder reads them: one U+FFFD for each malformed stretch.
type Hasher struct{ h uint32 }

// HashString returns Java's String.hashCode of s, given in UTF-8.
func HashString[T string | []byte](s T) int32 {
	var h Hasher
	return int32(hashUTF8(h.h, s))
}

// TagsCode returns the code that a consume queue keeps of a message's tags, 0 when there are none
// (Java: MessageExtBrokerInner.tagsString2tagsCode).
func TagsCode(tags []byte) int64 { return int64(HashString(tags)) }

// Write adds a piece.
func (h *Hasher) Write(p []byte) { h.h = hashBytes(h.h, p) }

// WriteString adds a piece.
func (h *Hasher) WriteString(s string) { h.h = hashUTF8(h.h, s) }

// WriteByte adds one ASCII character. The error is always nil.
func (h *Hasher) WriteByte(c byte) error {
	h.h = 31*h.h + uint32(c)
	return nil
}

// Sum returns the hash of all that was added.
func (h *Hasher) Sum() int32 { return int32(h.h) }

// Powers of 31, the base of the hash.
const (
	pow2 = 31 * 31
	pow3 = 31 * pow2
	pow4 = 31 * pow3
	pow8 = pow4 * pow4 & (1<<32 - 1)
)

// powers are those of 31 up to the sixteenth.
var powers = func() (p [17]uint32) {
	p[0] = 1
	for i := range 16 {
		p[i+1] = 31 * p[i]
	}
	return p
}()

// The lanes of eight characters in a word: the upper bit of each, each second one, and each second pair.
const (
	wideBits  = 0x8080808080808080
	evenBytes = 0x00FF00FF00FF00FF
	evenPairs = 0x0000FFFF0000FFFF
)

// hashUTF8 takes eight characters at a time, as one word: neighbours are joined to the hashes of pairs, these to those of
// fours, and none overflows its lane. One by one each multiplication would wait for the one before.
func hashUTF8[T string | []byte](h uint32, s T) uint32 {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		p := s[i : i+8]
		x := uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
			uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
		if x&wideBits != 0 {
			return hashWide(h, s[i:])
		}
		x = 31*(x&evenBytes) + x>>8&evenBytes
		x = pow2*(x&evenPairs) + x>>16&evenPairs
		h = pow8*h + pow4*uint32(x) + uint32(x>>32)
	}
	if i+4 <= len(s) {
		a, b, c, d := s[i], s[i+1], s[i+2], s[i+3]
		if a|b|c|d >= utf8.RuneSelf {
			return hashWide(h, s[i:])
		}
		h = pow4*h + pow3*uint32(a) + pow2*uint32(b) + 31*uint32(c) + uint32(d)
		i += 4
	}
	for ; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return hashWide(h, s[i:])
		}
		h = 31*h + uint32(c)
	}
	return h
}

// hashWide goes on with the hash at a character that is not ASCII.
func hashWide[T string | []byte](h uint32, s T) uint32 {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			h = 31*h + uint32(c)
			i++
			continue
		}
		r, size := decodeRune(s[i:])
		if r == utf8.RuneError && size <= 1 {
			size = malformedSize(s[i:])
		}
		if r > 0xFFFF {
			r -= 0x10000
			h = 31*h + uint32(0xD800+r>>10)
			r = 0xDC00 + r&0x3FF
		}
		h = 31*h + uint32(r)
		i += size
	}
	return h
}

// decodeRune is utf8.DecodeRune for both forms of text, without a conversion that allocates.
func decodeRune[T string | []byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	return utf8.DecodeRune(b[:n])
}

// malformedSize returns how many bytes at the start of s Java replaces by one U+FFFD, given that they
// are no UTF-8: the longest start of a valid character, and the three bytes of an encoded surrogate.
func malformedSize[T string | []byte](s T) int {
	size := 1
	switch c := s[0]; {
	case c >= 0xE0 && c <= 0xEF:
		size = 3
	case c >= 0xF0 && c <= 0xF4:
		size = 4
	default:
		return 1
	}
	for n := 1; n < size; n++ {
		if n >= len(s) || s[n]&0xC0 != 0x80 || n == 1 && !secondByteFits(s[0], s[1]) {
			return n
		}
	}
	return size
}

// secondByteFits tells whether Java's decoder takes second, a continuation byte, behind first. It
// refuses overlong forms and what lies beyond Unicode here, and surrogates only later.
func secondByteFits(first, second byte) bool {
	switch first {
	case 0xE0:
		return second >= 0xA0
	case 0xF0:
		return second >= 0x90
	case 0xF4:
		return second < 0x90
	}
	return true
}
