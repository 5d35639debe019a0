package message

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// javaProperties reads properties the way MessageDecoder.string2messageProperties does, step by step.
func javaProperties(p string) map[string]string {
	m := make(map[string]string)
	for index := 0; index < len(p); {
		end := strings.IndexByte(p[index:], 2)
		if end < 0 {
			end = len(p)
		} else {
			end += index
		}
		if sep := strings.IndexByte(p[index:], 1) + index; end-index >= 3 && sep > index && sep < end-1 {
			m[p[index:sep]] = p[sep+1 : end]
		}
		index = end + 1
	}
	return m
}

func collect(p Properties) map[string]string {
	m := make(map[string]string)
	for name, value := range p.All() {
		m[string(name)] = string(value)
	}
	return m
}

func TestPropertiesRules(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]string
	}{
		{"none", "", nil},
		{"one", "a\x01b\x02", map[string]string{"a": "b"}},
		{"open end", "a\x01b\x02c\x01d", map[string]string{"a": "b", "c": "d"}},
		{"later wins", "a\x01b\x02a\x01c\x02", map[string]string{"a": "c"}},
		{"later without value does not win", "a\x01b\x02a\x01\x02", map[string]string{"a": "b"}},
		{"no name", "\x01b\x02", nil},
		{"no value", "a\x01\x02", nil},
		{"no separator", "abc\x02", nil},
		{"two separators in a piece", "a\x01b\x01c\x02", map[string]string{"a": "b\x01c"}},
		{"separators only", "\x02\x02\x01\x02", nil},
		{"name of another's beginning", "ab\x01c\x02a\x01d\x02", map[string]string{"ab": "c", "a": "d"}},
		{"UTF-8", "键\x01值\x02", map[string]string{"键": "值"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkProperties(t, Properties(tt.text), tt.want) })
	}
}

// checkProperties compares every way to read properties with what they are to hold.
func checkProperties(t *testing.T, p Properties, want map[string]string) {
	t.Helper()
	if got := collect(p); !maps.Equal(got, want) {
		t.Fatalf("%q: all are %q, want %q", p, got, want)
	}
	d := p.Dispatch()
	for name, got := range map[string][]byte{PropertyTags: d.Tags, PropertyKeys: d.Keys,
		PropertyUniqueKey: d.UniqueKey, PropertyDelayLevel: d.DelayLevel} {
		if string(got) != want[name] || (got == nil) != (want[name] == "") {
			t.Fatalf("%q: dispatch sees %s as %q, want %q", p, name, got, want[name])
		}
	}
	names := append(slices.Collect(maps.Keys(want)), PropertyTags, PropertyWait, "", "x")
	for _, name := range names {
		value, has := want[name]
		if got, ok := p.Get(name); ok != has || string(got) != value {
			t.Fatalf("%q: %q is %q (%v), want %q (%v)", p, name, got, ok, value, has)
		}
	}
}

// randomProperties puts pieces together that try every rule.
func randomProperties(rnd *rand.Rand) Properties {
	pieces := []string{"\x01", "\x02", "a", "b", "TAGS", "KEYS", "UNIQ_KEY", "DELAY", "WAIT", "true",
		"TAGS\x01x\x02", "KEYS\x01k1 k2\x02", "UNIQ_KEY\x01u\x02", "DELAY\x013\x02", "T", "U"}
	var p Properties
	for range rnd.IntN(12) {
		p = append(p, pieces[rnd.IntN(len(pieces))]...)
	}
	return p
}

func TestPropertiesRandom(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range 20000 {
		p := randomProperties(rnd)
		before := string(p)
		want := javaProperties(before)
		checkProperties(t, p, want)

		set := p.Set("KEYS", "new")
		want["KEYS"] = "new"
		checkProperties(t, set, want)
		deleted := set.Delete("KEYS")
		delete(want, "KEYS")
		checkProperties(t, deleted, want)
		if string(p) != before {
			t.Fatalf("%q became %q", before, p)
		}
	}
}

func TestPropertiesDeleteLeavesTheOriginal(t *testing.T) {
	p := Properties("a\x01b\x02c\x01d\x02")
	if got := p.Delete("x"); string(got) != string(p) {
		t.Fatalf("%q", got)
	}
	if got := p.Delete("a"); string(got) != "c\x01d\x02" || string(p) != "a\x01b\x02c\x01d\x02" {
		t.Fatalf("%q of %q", got, p)
	}
	if got := p.Set("c", "e"); string(got) != "a\x01b\x02c\x01e\x02" || string(p) != "a\x01b\x02c\x01d\x02" {
		t.Fatalf("%q of %q", got, p)
	}
}

func TestWaitStored(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "WAIT\x01true\x02": true, "WAIT\x01TRUE\x02": true, "WAIT\x01false\x02": false,
		"WAIT\x011\x02": false, "WAIT\x01\x02": true,
	} {
		if got := Properties(text).WaitStored(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestCRCProperty(t *testing.T) {
	for _, text := range []string{"", "a\x01b\x02", "a\x01b", "a\x01b\x02__CRC32#\x0112\x02"} {
		m := goldenMessage()
		m.Properties = Properties(text).ReserveCRCProperty()
		r := encode(m)
		SealCRCProperty(r)
		if r, err := ParseRecord(r); err != nil {
			t.Fatal(err)
		} else if present, ok := r.VerifyCRCProperty(); !present || !ok {
			t.Fatalf("%q: present %v, ok %v", text, present, ok)
		}
		for at := range len(r) - CRCPropertySize {
			r[at] ^= 4
			if _, err := ParseRecord(r); err == nil {
				if _, ok := r.VerifyCRCProperty(); ok {
					t.Fatalf("%q: byte %d changed unseen", text, at)
				}
			}
			r[at] ^= 4
		}
	}
	if present, ok := encode(goldenMessage()).VerifyCRCProperty(); present || ok {
		t.Fatal("a checksum where there is none")
	}
	m := goldenMessage()
	m.Properties = Properties("__CRC32#\x0112345678901\x02")
	if present, ok := encode(m).VerifyCRCProperty(); !present || ok {
		t.Fatal("eleven digits pass")
	}
}
