package fuzzcheck

import (
	"fmt"
	"testing"
)

// failing stands for a test that is told that it fails.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }

var sink []byte

func TestBounded(t *testing.T) {
	for _, c := range []struct {
		size, takes int
		fails       bool
	}{
		{10, 1000, false}, {10, 64 << 20, true}, {1 << 20, 64 << 20, false},
	} {
		told := failing{TB: t}
		Bounded(&told, c.size, func() { sink = make([]byte, c.takes) })
		if (told.text != "") != c.fails {
			t.Errorf("%d bytes for %d: %q", c.takes, c.size, told.text)
		}
	}
}
