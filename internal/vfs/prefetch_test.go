package vfs

import "testing"

// Prefetch takes any slice, also of none.
func TestPrefetchTouchesNothing(t *testing.T) {
	m, err := Anonymous(3 * pageSize)
	if err != nil {
		t.Fatal(err)
	}
	b := m.Bytes()
	for _, s := range [][]byte{nil, {}, b[:0], b[:1], b[63:65], b, b[len(b):]} {
		Prefetch(s)
	}
	if err := m.Unmap(); err != nil {
		t.Fatal(err)
	}
	Prefetch(b) // no longer mapped
}

// PrefetchHead ends with the value.
func TestPrefetchHeadOfAnything(t *testing.T) {
	type value struct{ b [200]byte }
	for _, n := range []int{0, 1, 64, 1000} {
		PrefetchHead(new(value), n)
	}
}
