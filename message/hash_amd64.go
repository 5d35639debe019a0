package message

// hashBytes goes on with the hash, sixteen characters at a time where there are as many and all are ASCII.
func hashBytes(h uint32, s []byte) uint32 {
	if len(s) >= 16 && sse41 {
		if sum, ok := hashLong(h, &s[0], len(s), &powers); ok {
			return sum
		}
	}
	return hashUTF8(h, s)
}

// hashLong needs sixteen characters and SSE4.1, and is not ok if a character is not ASCII.
//
//go:noescape
func hashLong(h uint32, p *byte, n int, powers *[17]uint32) (sum uint32, ok bool)

// sse41 is so of every processor since 2011, but not promised by the least that Go asks for.
var sse41 = hasSSE41()

func hasSSE41() bool
