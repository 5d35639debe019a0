//go:build canary

package fuzzcheck

import (
	"encoding/binary"
	"testing"
)

// FuzzCanary is a decoder that believes a length: the fuzzer has to find that.
func FuzzCanary(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 'o', 'k'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 4 {
			return
		}
		n := binary.BigEndian.Uint32(b)
		Bounded(t, len(b), func() { sink = make([]byte, n%(1<<28)) })
		if text := b[4 : 4+n]; len(text) != int(n) {
			t.Fatal("another length")
		}
	})
}
