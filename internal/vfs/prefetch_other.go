//go:build !amd64 && !arm64

package vfs

// Prefetch does nothing: this processor has no such request that we know of.
func Prefetch(b []byte) {}

// PrefetchLine does nothing either.
func PrefetchLine(p *byte) {}
