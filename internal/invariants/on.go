//go:build invariants || race

package invariants

import "sync/atomic"

// Enabled says that costly assertions are compiled in.
const Enabled = true

// mangled is no valid length, magic code or printable text, so that a reader of
// a mangled buffer fails fast.
const mangled = 0xfe

// CloseChecker asserts that an object is closed once and not used afterwards.
// Embed it by value; the zero value is an open object.
type CloseChecker struct {
	closed atomic.Bool
}

// Close records the close; a second one panics.
func (c *CloseChecker) Close() {
	if c.closed.Swap(true) {
		panic("invariants: closed twice")
	}
}

// AssertOpen panics after Close.
func (c *CloseChecker) AssertOpen() {
	if c.closed.Load() {
		panic("invariants: used after close")
	}
}

// AssertClosed panics before Close.
func (c *CloseChecker) AssertClosed() {
	if !c.closed.Load() {
		panic("invariants: not closed")
	}
}

// Mangle overwrites b, which its owner is taking back from a borrower.
func Mangle(b []byte) {
	for i := range b {
		b[i] = mangled
	}
}
