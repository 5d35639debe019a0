//go:build broken

package invariants

import "sync/atomic"

var broken atomic.Int32

// Broken tells whether the engine is broken in this way.
func Broken(b Breakage) bool { return broken.Load() == int32(b) }

// Break breaks the engine in this way from now on, and in no other.
func Break(b Breakage) { broken.Store(int32(b)) }
