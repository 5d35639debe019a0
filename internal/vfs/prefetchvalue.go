package vfs

import "unsafe"

// PrefetchHead is Prefetch for the first n bytes of a value, or all of it where
// that is less.
func PrefetchHead[T any](p *T, n int) {
	Prefetch(unsafe.Slice((*byte)(unsafe.Pointer(p)), min(n, int(unsafe.Sizeof(*p)))))
}
