package vfs

import (
	"encoding/binary"
	"math/bits"
)

// Memory of a mapping is changed by other goroutines while it is looked at
// here, as the kernel looks at it. Whether they are synchronized among
// themselves is the race detector's to say; that they are not synchronized with
// this file is the nature of the thing, so what touches such memory is out of
// its sight. Arrays are copied whole because the built-in copy is watched even
// in functions marked so, and so is the comparison of large arrays.

//go:norace
func samePage(a, b *crashPage) bool {
	for i := 0; i < len(a); i += 8 {
		if binary.NativeEndian.Uint64(a[i:]) != binary.NativeEndian.Uint64(b[i:]) {
			return false
		}
	}
	return true
}

//go:norace
func clonePage(p *crashPage) *crashPage {
	q := new(crashPage)
	*q = *p
	return q
}

// copyRaw copies src to the start of dst, one of which is memory of a mapping.
//
//go:norace
func copyRaw(dst, src []byte) {
	const block = 64
	for len(src) >= block {
		*(*[block]byte)(dst) = *(*[block]byte)(src)
		dst, src = dst[block:], src[block:]
	}
	for i := range src {
		dst[i] = src[i]
	}
}

// bitmap is a set of pages.
type bitmap []uint64

func (b bitmap) has(i int) bool { return i/64 < len(b) && b[i/64]>>(i%64)&1 != 0 }

func (b *bitmap) set(i int) {
	if i/64 >= len(*b) {
		*b = append(*b, make([]uint64, i/64+1-len(*b))...)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

// clearFrom removes the pages from i on and says how many they were.
func (b bitmap) clearFrom(i int) int64 {
	before := b.count()
	if i/64 < len(b) {
		b[i/64] &= 1<<(i%64) - 1
		clear(b[i/64+1:])
	}
	return before - b.count()
}

func (b bitmap) count() (n int64) {
	for _, word := range b {
		n += int64(bits.OnesCount64(word))
	}
	return n
}
