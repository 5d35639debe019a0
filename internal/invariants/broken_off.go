//go:build !broken

package invariants

// Broken tells whether the engine is broken in this way.
func Broken(Breakage) bool { return false }
