//go:build amd64 || arm64

package vfs

// Prefetch asks the processor to bring b into its cache and does not wait for
// it. It reads nothing: b may be anywhere, even where reading it would fault.
//
//go:noescape
func Prefetch(b []byte)

// PrefetchLine is Prefetch for the line of the cache that a byte lies in.
//
//go:noescape
func PrefetchLine(p *byte)
