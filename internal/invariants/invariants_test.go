package invariants

import (
	"bytes"
	"reflect"
	"testing"
)

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestCloseChecker(t *testing.T) {
	var c CloseChecker
	if panics(c.AssertOpen) {
		t.Fatal("a new object counts as closed")
	}
	if got := panics(c.AssertClosed); got != Enabled {
		t.Fatalf("AssertClosed before Close: panicked=%v, want %v", got, Enabled)
	}
	c.Close()
	if panics(c.AssertClosed) {
		t.Fatal("a closed object counts as open")
	}
	if got := panics(c.AssertOpen); got != Enabled {
		t.Fatalf("AssertOpen after Close: panicked=%v, want %v", got, Enabled)
	}
	if got := panics(c.Close); got != Enabled {
		t.Fatalf("second Close: panicked=%v, want %v", got, Enabled)
	}
}

func TestReleaseCostsNothing(t *testing.T) {
	if size := reflect.TypeFor[CloseChecker]().Size(); !Enabled && size != 0 {
		t.Fatalf("CloseChecker is %d bytes in a release", size)
	}
}

func TestMangle(t *testing.T) {
	before := []byte("borrowed")
	b := bytes.Clone(before)
	Mangle(b)
	if changed := !bytes.Equal(b, before); changed != Enabled {
		t.Fatalf("mangled=%v, want %v", changed, Enabled)
	}
	for i := range b {
		if Enabled && b[i] == before[i] {
			t.Fatalf("byte %d survived", i)
		}
	}
}

// With the tag "broken" neither, before a test asks for it.
func TestNothingIsBroken(t *testing.T) {
	for _, b := range []Breakage{AckBeforeSync, DispatchBeforeDurable, TrustLengths} {
		if Broken(b) {
			t.Errorf("broken: %v", b)
		}
	}
}
