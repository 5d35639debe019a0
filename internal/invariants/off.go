//go:build !invariants && !race

package invariants

// Enabled says that costly assertions are compiled in.
const Enabled = false

// CloseChecker asserts that an object is closed once and not used afterwards.
// Embed it by value; the zero value is an open object.
type CloseChecker struct{}

// Close records the close; a second one panics.
func (c *CloseChecker) Close() {}

// AssertOpen panics after Close.
func (c *CloseChecker) AssertOpen() {}

// AssertClosed panics before Close.
func (c *CloseChecker) AssertClosed() {}

// Mangle overwrites b, which its owner is taking back from a borrower.
func Mangle(b []byte) {}
