package subscription

import (
	"fmt"
	"strings"
	"testing"
)

// What is the same is compiled once; what is of no use, or too long, is not kept, and neither is more than there is room for.
func TestCacheIsBounded(t *testing.T) {
	c := NewCache()
	get := func(kind, text string) *Subscription { return c.Get([]byte(kind), []byte(text)) }
	if s := get("TAG", "A"); s.Filter == nil || !s.InRequest || get("", "A") != s || get("TAG", "B") == s {
		t.Errorf("tags: %+v", s)
	}
	if s := get("SQL92", "A = 1"); s.Filter == nil || s.Data.ExpressionType != "SQL92" || get("SQL92", "A = 1") != s {
		t.Errorf("a condition: %+v", s)
	}
	for _, text := range []string{"A =", "A = '" + strings.Repeat("x", cacheKeyMax) + "'"} {
		s := get("SQL92", text)
		if (s.Filter == nil) != (s.Fault != nil) {
			t.Errorf("%.10s: filter %v, fault %v", text, s.Filter, s.Fault)
		}
		if get("SQL92", text) == s {
			t.Errorf("%.10s is kept", text)
		}
	}
	for i := range 2 * cacheMax {
		get("TAG", fmt.Sprint("tag", i))
	}
	if n := len(c.mu.table); n > cacheMax {
		t.Errorf("%d are kept", n)
	}
	if n := testing.AllocsPerRun(100, func() { c.Get([]byte("TAG"), []byte("A")) }); n > 0 {
		t.Errorf("one that is known takes %v allocations", n)
	}
}
