package filter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

func TestCompileTags(t *testing.T) {
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("tag%d", i)
	}
	for _, c := range []struct {
		text    string
		match   []string
		refuse  []string
		matches bool // all
	}{
		{text: "", match: []string{"", "A"}, matches: true},
		{text: "*", match: []string{"", "A"}, matches: true},
		{text: " * ", match: []string{"A"}, matches: true},
		{text: "A", match: []string{"A"}, refuse: []string{"B", "", "a"}},
		{text: "A || B", match: []string{"A", "B"}, refuse: []string{"C", "A || B"}},
		{text: "||A||", match: []string{"A"}, refuse: []string{""}},
		{text: "Aa", match: []string{"Aa", "BB"}, refuse: []string{"AB"}}, // BB has the hash code of Aa
		{text: strings.Join(many, "||"), match: many, refuse: []string{"tag40", ""}},
	} {
		e, err := Compile("", c.text)
		if err != nil {
			t.Errorf("Compile(%q): %v", c.text, err)
			continue
		}
		if e.MatchesAll() != c.matches {
			t.Errorf("Compile(%q).MatchesAll() = %v", c.text, !c.matches)
		}
		for _, tag := range c.match {
			if !e.MatchTags(message.TagsCode([]byte(tag))) {
				t.Errorf("Compile(%q) refuses %q", c.text, tag)
			}
		}
		for _, tag := range c.refuse {
			if e.MatchTags(message.TagsCode([]byte(tag))) {
				t.Errorf("Compile(%q) matches %q", c.text, tag)
			}
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	if _, err := Compile(TypeTag, " || "); err == nil {
		t.Error("a subscription without a tag compiles")
	}
	if _, err := Compile("SQL99", "a > 1"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("SQL99: error %v, want ErrUnsupported", err)
	}
}

func TestOfCodes(t *testing.T) {
	codes := []int32{int32(message.TagsCode([]byte("A"))), int32(message.TagsCode([]byte("A")))}
	e := OfCodes("A", codes)
	if !e.MatchTags(message.TagsCode([]byte("A"))) || e.MatchTags(message.TagsCode([]byte("B"))) {
		t.Error("codes of a heartbeat are not used")
	}
	if !OfCodes("*", nil).MatchesAll() {
		t.Error(`"*" does not match all`)
	}
}

func BenchmarkMatchTags(b *testing.B) {
	for _, tags := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("tags=%d", tags), func(b *testing.B) {
			var text []string
			for i := range tags {
				text = append(text, fmt.Sprintf("tag%d", i))
			}
			e, err := Compile(TypeTag, strings.Join(text, "||"))
			if err != nil {
				b.Fatal(err)
			}
			code := message.TagsCode([]byte("another"))
			b.ReportAllocs()
			for b.Loop() {
				e.MatchTags(code)
			}
		})
	}
}
