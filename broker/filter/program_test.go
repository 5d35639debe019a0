package filter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/rocketlog/rocketlog/message"
)

func TestSyntaxErrorTellsWhere(t *testing.T) {
	for text, want := range map[string]string{
		"a = ":           `at byte 4: the end where a property, a constant or ( is expected`,
		"a > 'x'":        "only numbers and properties can be compared by order",
		"a = 1 AND 2":    "not true or false",
		"a # 1":          `no token begins with "#"`,
		"a NOT 1":        `"1" where CONTAINS, STARTSWITH, ENDSWITH, BETWEEN or IN is expected`,
		"a IN ('x', 1)":  `"1" where a text in quotes is expected`,
		"a > 1e999":      "1e999 is not between",
		"a BETWEEN 2 OR": `"OR" where AND is expected`,
	} {
		_, err := Compile(TypeSQL92, text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) || syntax.Text != text {
			t.Errorf("Compile(%q): %v, want %s", text, err, want)
		}
	}
}

func TestBounds(t *testing.T) {
	deep := func(n int) map[string]string {
		return map[string]string{
			"parentheses": strings.Repeat("(", n) + "a = 1" + strings.Repeat(")", n),
			"signs":       strings.Repeat("-", n-len("- 1")) + " 1 = a",
			"not":         strings.Repeat("NOT ", n-1) + "(a = 1)",
			"equals":      strings.Repeat("a = ", n) + "1",
		}
	}
	for name, text := range deep(depthMax / 2) {
		if strings.Contains(text, "--") {
			text = strings.ReplaceAll(text, "-", "- ")
		}
		if _, err := Compile(TypeSQL92, text); err != nil {
			t.Errorf("%s, half of the bound deep: %v", name, err)
		}
	}
	for name, text := range deep(20 * depthMax) {
		if strings.Contains(text, "--") {
			text = strings.ReplaceAll(text, "-", "- ")
		}
		if _, err := Compile(TypeSQL92, text); err == nil || !strings.Contains(err.Error(), "levels") {
			t.Errorf("%s, beyond the bound: error %v", name, err)
		}
	}
	if _, err := Compile(TypeSQL92, "a = '"+strings.Repeat("x", textMax)+"'"); err == nil {
		t.Error("a text beyond the bound compiles")
	}
	long := strings.TrimSuffix(strings.Repeat("a = 1 OR ", 20000), " OR ")
	if _, err := Compile(TypeSQL92, long); err != nil {
		t.Errorf("a long list of alternatives: %v", err)
	}
}

// More properties than are found in one pass.
func TestManyProperties(t *testing.T) {
	var terms []string
	var p message.Properties
	for i := range 3 * slotsMax {
		terms = append(terms, fmt.Sprintf("p%d = %d", i, i))
		p = message.AppendProperty(p, fmt.Sprintf("p%d", i), fmt.Sprint(i))
	}
	e, err := Compile(TypeSQL92, strings.Join(terms, " AND "))
	if err != nil {
		t.Fatal(err)
	}
	if !e.MatchProperties(p) {
		t.Error("all properties are as asked for, and the message does not match")
	}
	if e.MatchProperties(p.Set("p20", "x")) {
		t.Error("the message matches with another p20")
	}
}

// benchProperties are those of a message as a client sends it.
var benchProperties = func() (p message.Properties) {
	for _, kv := range [][2]string{
		{"UNIQ_KEY", "7F000001000018B4AAC2130B4D2A0000"}, {"CLUSTER", "DefaultCluster"}, {"TAGS", "TagA"}, {"KEYS", "order-12345"},
		{"WAIT", "true"}, {"MSG_REGION", "DefaultRegion"}, {"TRACE_ON", "true"}, {"n", "42"}, {"colour", "red"}, {"price", "19.99"},
	} {
		p = message.AppendProperty(p, kv[0], kv[1])
	}
	return p
}()

var benchExpressions = map[string]string{
	"one":    "n = 1",
	"null":   "n IS NOT NULL AND n > 100",
	"three":  "n BETWEEN 10 AND 50 AND colour IN ('green', 'blue') OR price > 20.5",
	"words":  "colour STARTSWITH 'gr' OR colour CONTAINS 'ue'",
	"digits": "price > n",
}

// Any number of goroutines may use one expression: the race detector looks on.
func TestMatchFromManyGoroutines(t *testing.T) {
	for name, text := range benchExpressions {
		e, err := Compile(TypeSQL92, text)
		if err != nil {
			t.Fatal(err)
		}
		want := e.MatchProperties(benchProperties)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 100 {
					if e.MatchProperties(benchProperties) != want {
						t.Errorf("%s: not %v", name, want)
						return
					}
				}
			})
		}
		all.Wait()
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	for name, text := range benchExpressions {
		e, err := Compile(TypeSQL92, text)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { e.MatchProperties(benchProperties) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkMatchSQL(b *testing.B) {
	for name, text := range benchExpressions {
		b.Run("expression="+name, func(b *testing.B) {
			e, err := Compile(TypeSQL92, text)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				e.MatchProperties(benchProperties)
			}
		})
	}
}

func BenchmarkCompileSQL(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(TypeSQL92, benchExpressions["three"]); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzCompile feeds the parser any text and its program any property: neither may panic, and what compiles is the same
// with blanks around it.
func FuzzCompile(f *testing.F) {
	for _, e := range handwritten {
		f.Add(e, "1", "x")
	}
	g := generator{rand.New(rand.NewPCG(1, 2))}
	for range 200 {
		f.Add(g.expression(), g.pick(values...), g.pick(values...))
	}
	f.Fuzz(func(t *testing.T, text, a, b string) {
		e, err := Compile(TypeSQL92, text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.At < 0 || syntax.At > len(text) || utf8.ValidString(text) && !utf8.ValidString(err.Error()) {
				t.Fatalf("Compile(%q): %v", text, err)
			}
			return
		}
		p := message.AppendProperty(message.AppendProperty(nil, "a", a), "b", b)
		again, err := Compile(TypeSQL92, " "+text+" ")
		if err != nil {
			t.Fatalf("with blanks around it: %v", err)
		}
		if e.MatchProperties(p) != again.MatchProperties(p) {
			t.Fatalf("%q: another verdict with blanks around it", text)
		}
	})
}
