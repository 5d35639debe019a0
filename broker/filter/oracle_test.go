package filter

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

var (
	oracle   = flag.String("oracle", "", "command of the Java filter to compare with (make -C interop filter)")
	rewrite  = flag.Bool("rewrite", false, "keep what the oracle says as testdata/java-verdicts.jsonl.gz")
	seed     = flag.Uint64("seed", 0, "seed of random expressions; 0 is a new one")
	examples = flag.Int("examples", 20000, "random expressions to ask the oracle about")
)

// verdictsFile is what Java's filter says of expressions and properties: testdata/README.md tells where it is from.
const verdictsFile = "testdata/java-verdicts.jsonl.gz"

// An example is an expression, sets of properties and what Java makes of them: E when it does not compile, else a letter
// for each set, T, F, N for null or X for an exception.
type example struct {
	Expression string              `json:"e"`
	Sets       []map[string]string `json:"p"`
	Java       string              `json:"j"`
}

// ours is what our filter says.
func (x *example) ours() string {
	p, err := compileSQL(x.Expression)
	if err != nil {
		return "E"
	}
	out := make([]byte, 0, len(x.Sets))
	for _, set := range x.Sets {
		properties := stored(set)
		s := scope{properties: properties}
		properties.Find(p.names, s.slots[:])
		v := p.test(p.root, &s)
		out = append(out, "FTNX"[v])
		if p.match(properties) != (v == yes) {
			return "match and test disagree"
		}
	}
	return string(out)
}

func stored(set map[string]string) (p message.Properties) {
	for name, value := range set {
		p = message.AppendProperty(p, name, value)
	}
	return p
}

func TestJavaVerdicts(t *testing.T) {
	f, err := os.Open(verdictsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	decoder, count := json.NewDecoder(z), 0
	for ; decoder.More(); count++ {
		var x example
		if err := decoder.Decode(&x); err != nil {
			t.Fatal(err)
		}
		if got := x.ours(); got != x.Java {
			t.Errorf("%q: %s, Java %s; properties %q", x.Expression, got, x.Java, x.Sets)
		}
	}
	if count < 1000 {
		t.Errorf("only %d examples", count)
	}
}

// TestOracle compares with a running Java filter.
func TestOracle(t *testing.T) {
	if *oracle == "" {
		t.Skip("no -oracle")
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-seed %d", *seed)
	g := generator{rand.New(rand.NewPCG(*seed, 0))}
	list := g.examples(*examples)
	argv := strings.Fields(*oracle)
	cmd := exec.Command(argv[0], argv[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() //nolint:errcheck // what it said has been read
	defer in.Close()
	answers := bufio.NewReader(out)
	wrong := 0
	for i := range list {
		x := &list[i]
		if _, err := in.Write(x.question()); err != nil {
			t.Fatal(err)
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		x.Java = strings.TrimSpace(answer)
		if got := x.ours(); got != x.Java {
			if wrong++; wrong < 20 {
				t.Errorf("%q: %s, Java %s; properties %q", x.Expression, got, x.Java, x.Sets)
			}
		}
	}
	if wrong > 0 {
		t.Fatalf("%d of %d differ", wrong, len(list))
	}
	if *rewrite {
		keep(t, list)
	}
}

func (x *example) question() []byte {
	b64 := base64.StdEncoding.EncodeToString
	line := b64([]byte(x.Expression))
	for _, set := range x.Sets {
		line += "\t"
		first := true
		for name, value := range set {
			if !first {
				line += ","
			}
			first = false
			line += b64([]byte(name)) + "," + b64([]byte(value))
		}
	}
	return []byte(line + "\n")
}

// keep writes the examples, of those that do not compile a few only.
func keep(t *testing.T, list []example) {
	f, err := os.Create(verdictsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, _ := gzip.NewWriterLevel(f, gzip.BestCompression)
	encoder := json.NewEncoder(z)
	encoder.SetEscapeHTML(false)
	faulty := 0
	for i := range list {
		if list[i].Java == "E" {
			if faulty++; faulty > len(list)/10 {
				continue
			}
			list[i].Sets = nil
		}
		if err := encoder.Encode(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

// handwritten are expressions at the edges of the grammar.
var handwritten = []string{
	"", " ", "a", "a = 1", "a=1 b", "a = 1 )))", "a = 1 #", "a = 'b' 'c", "a = 1 -- no line end", "a = 1 -- line\n AND b = 2",
	"/* c */ a = 1", "/*/ a = 1", "a = /* x */ 1 /* open", "a = 01", "a = 0L", "a = 12L", "a = 12l", "a > 0.0", "a > 0.5", "a > 5.",
	"a > .5e1", "a > 1e400", "a > 1e-400", "a = 9223372036854775807", "a = 9223372036854775808", "a = -9223372036854775808",
	"a = -9223372036854775807", "a = 2147483648", "a = -2147483648", "NOT a = 1", "NOT (a = 1)", "NOT a", "-a = 1", "- -1 = a", "+a = 1",
	"+'x' = a", "a = 'it''s'", "a = 'b''", "TRUE", "FALSE", "NULL", "NOT NULL", "NULL IS NULL", "a IS NULL", "a is not null",
	"1 IS NULL", "a IS 1", "a IS NOT 1", "TRUE = 'x'", "'x' = TRUE", "a = TRUE", "TRUE = a", "TRUE = TRUE", "1 = TRUE",
	"a = NULL", "NULL = a", "(a = 1) = TRUE", "(a = 1) = b", "b = (a = 1)", "a = 1 = 2", "a = b > c", "a > 1 > 2", "'a' > 1", "a > 'b'",
	"a > b", "a BETWEEN 1 AND 3", "a BETWEEN 3 AND 1", "a BETWEEN -5 AND -7", "a BETWEEN 'x' AND 'y'", "a BETWEEN b AND c",
	"a NOT BETWEEN 3 AND 1", "a BETWEEN 1 AND 2 AND b = 1", "a BETWEEN NULL AND 1", "1 BETWEEN a AND b", "a BETWEEN 1 AND 2.5",
	"a IN ('x')", "a IN ('x', 'y', 'z', '1', '2', '3')", "a NOT IN ('x', '1')", "1 IN ('x')", "(a) IN ('1')", "+a IN ('1')", "a IN ()", "a IN (1)",
	"a CONTAINS 'x'", "a NOT CONTAINS 'x'", "a CONTAINS ''", "a NOT CONTAINS ''", "1 CONTAINS '1'", "'abc' CONTAINS 'b'",
	"a STARTSWITH '1'", "a NOT STARTSWITH '1'", "a ENDSWITH '1'", "a NOT ENDSWITH '1'", "a CONTAINS 1", "a CONTAINS b", "(a = 1) CONTAINS 'x'",
	"a NOT b", "a NOT", "a AND b", "a = 1 AND", "a = 1 OR b", "1 AND 2", "a = 1 AND 2", "(a = 1", "a = 1)", "()", "a <> 1", "a != 1", "a == 1",
	"A = 1", "$a_1 = 1", "a.b = 1", "a = \"1\"", "a = 1;", "a = 'é'", "é = 1", "a = '日本'", "a\u000b= 1", "a = 1\f", "-'x' = 1", "-'x' > 1",
	"-NULL = 1", "-TRUE = 1", "-(a = 1) = 1", "-(a = 'x') IS NULL", "-a", "-(a=1)", "NOT -1", "NOT 1", "(a = 1) IS NULL", "a = 1 IS NULL",
	"a IS NULL IS NULL", "a IS NULL = TRUE", "1 = 1", "1 = 1.0", "1 < 2", "2147483648 = 2147483648.0", "'1' = 1", "1 = '1'", "1 = 'x'", "'x' = 1",
	"a = 1 OR TRUE", "TRUE OR a = 1", "FALSE AND a = 1", "a = 1 AND FALSE", "a > 1 OR TRUE", "NULL OR a = 1", "NULL AND FALSE", "NULL AND TRUE",
	"a = 1.5", "1.5 = a", "a > 1.5f", "a > 1e1d", "a in('x')AND b=1", "a=1or b=2", "a=1and b=2", "1a = 1", "a=-+-1", "a--1", "a - 1", "a > -b",
	"a -- x\r = 1", "a --\n= 1", "a /**/ = 1", "a /***/ = 1", "a /* * / */ = 1", "NOT NOT a = 1", "NOT NOT (a = 1)", "a = b = c", "a = b <> c",
}

// values that properties take on, at the edges of Java's conversions.
var values = []string{
	"1", "2", "3", "x", "y", "abc", "it's", "b'", "-1", "+1", "01", "0", "-0", "1.0", "1.5", "-0.0", "0.0", "5.", ".5", "1e1", "1E+1", "1e", "e1", "1e400",
	"-1e400", "1e-400", "NaN", "-NaN", "+NaN", "nan", "Infinity", "-Infinity", "inf", "infinity", "0x10", "0x1p3", "0x1.8p1", "-0x1p-2d", "0xp1", "0x.8p1",
	"1f", "1d", "1F", "1D", "1L", "1_000", " 1", "1 ", "\t1\n", "\u00a01", "2147483647", "2147483648", "-2147483648", "-2147483649", "9223372036854775807",
	"9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9007199254740993", "9007199254740992.0", "true", "TRUE", "True", "false",
	"null", "٣", "３", "१२", "é", "日本", "-", "+", "--1", "+-1", "1-1", "1+1", ".", "1.2.3", "4.9e-324", "1.7976931348623157e308",
	"0.1000000000000000055511151231257827", "123456789012345678901234567890", "ff", "1ff", "0x1", "0x1p", "1e+", "𝟏", "\u200b1", "1\u0000", " ",
}

// A generator makes examples.
type generator struct{ *rand.Rand }

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g generator) examples(n int) []example {
	var list []example
	for _, e := range handwritten {
		list = append(list, example{Expression: e, Sets: g.sets(12)})
	}
	for _, v := range values { // each against each way of comparing
		set := []map[string]string{{"a": v}, {"a": v, "b": g.pick(values...)}, {"a": g.pick(values...), "b": v}}
		for _, e := range []string{
			"a = 1", "1 = a", "a = 2147483648", "a = 1.5", "a > 1", "a < 2147483648", "a <= 1.5", "1.5 > a", "a = TRUE", "a = (1 = 1)", "a > b", "a = b",
		} {
			list = append(list, example{Expression: e, Sets: set})
		}
	}
	for range n {
		list = append(list, example{Expression: g.expression(), Sets: g.sets(6)})
	}
	return list
}

func (g generator) sets(n int) []map[string]string {
	list := make([]map[string]string, n)
	for i := range list {
		list[i] = map[string]string{}
		for _, name := range []string{"a", "b", "c", "A", "in1"} {
			switch g.IntN(4) {
			case 0:
			case 1:
				list[i][name] = g.pick("1", "2", "3", "x")
			default:
				list[i][name] = g.pick(values...)
			}
		}
	}
	return list
}

// expression is mostly one of the grammar; one of eight has its words changed.
func (g generator) expression() string {
	text := g.condition(g.IntN(4))
	if g.IntN(8) == 0 {
		words := strings.Fields(text)
		for range 1 + g.IntN(2) {
			at := g.IntN(len(words))
			switch g.IntN(3) {
			case 0:
				words[at] = ""
			case 1:
				words[at] = g.pick("AND", "NOT", "(", ")", "IS", "NULL", "=", "a", "1", "'x'", "--", "/*", ",", "-", "<", "'", "0", "L", "IN", "TRUE")
			default:
				other := g.IntN(len(words))
				words[at], words[other] = words[other], words[at]
			}
		}
		text = strings.Join(words, " ")
	}
	return text
}

func (g generator) condition(depth int) string {
	if depth == 0 {
		return g.comparison(0)
	}
	switch g.IntN(6) {
	case 0, 1:
		return g.condition(depth-1) + g.pick(" AND ", " and ", " OR ", " Or ") + g.condition(depth-1)
	case 2:
		return "( " + g.condition(depth-1) + " )" + g.pick("", "", " IS NULL", " = TRUE", " <> "+g.operand(0))
	case 3:
		return g.pick("NOT ", "NOT ( ") + g.condition(depth-1) + g.pick("", " )")
	}
	return g.comparison(depth - 1)
}

func (g generator) comparison(depth int) string {
	o := g.operand(depth)
	switch g.IntN(9) {
	case 0, 1:
		return o + g.pick(" = ", " <> ") + g.operand(depth)
	case 2, 3:
		return o + g.pick(" > ", " >= ", " < ", " <= ") + g.operand(depth)
	case 4:
		return o + g.pick(" BETWEEN ", " NOT BETWEEN ") + g.operand(0) + " AND " + g.operand(0)
	case 5:
		list := g.text()
		for range g.IntN(7) {
			list += ", " + g.text()
		}
		return g.pick("a", "b", "c", "A", o) + g.pick(" IN ", " NOT IN ") + "( " + list + " )"
	case 6:
		return o + g.pick(" ", " NOT ") + g.pick("CONTAINS ", "STARTSWITH ", "endswith ") + g.text()
	case 7:
		return o + g.pick(" IS NULL", " IS NOT NULL")
	}
	return g.pick("TRUE", "FALSE", "NULL", "a", o)
}

func (g generator) operand(depth int) string {
	switch n := g.IntN(16); {
	case n < 8:
		return g.pick("a", "b", "c", "A", "in1", "absent")
	case n < 11:
		return g.pick("1", "2", "0", "1.5", "3.0", "2147483648", "10L", "1e1", ".5", "- 1", "-2.5", "+ 1")
	case n < 12:
		return g.text()
	case n < 13:
		return g.pick("TRUE", "FALSE", "NULL")
	case n < 14:
		return g.pick("- ", "+ ", "NOT ") + g.operand(0)
	}
	if depth > 0 {
		return "( " + g.condition(depth-1) + " )"
	}
	return "a"
}

func (g generator) text() string {
	return "'" + strings.ReplaceAll(g.pick("1", "x", "abc", "b", "it's", "", g.pick(values...)), "'", "''") + "'"
}

func ExampleCompile() {
	e, err := Compile(TypeSQL92, "size > 10 AND colour IN ('red', 'green')")
	if err != nil {
		panic(err)
	}
	for _, size := range []string{"9", "11", "large"} {
		p := message.AppendProperty(message.AppendProperty(nil, "colour", "red"), "size", size)
		fmt.Println(size, e.MatchProperties(p))
	}
	// Output:
	// 9 false
	// 11 true
	// large false
}
