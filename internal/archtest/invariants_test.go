package archtest

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Where the design says by what each invariant is guarded.
const guardsFile = "../../docs/design/0008-campaigns.md"

var (
	// A numbered invariant in a package's comment.
	numberedLine = regexp.MustCompile(`(?m)^//\s+(\d+)\. `)
	// A row of the tables of guards.
	guardsRow = regexp.MustCompile("(?m)^\\| `([a-z]+)` (.*?) \\| (.+) \\|$")
	// In its first cell the numbers, each followed by what it says; "1 to 3" and "1 and 3" are lists.
	guardedNumber = regexp.MustCompile(`(?:^|, )(\d)(?: (to|and) (\d))?`)
	testName      = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)`")
	testFunc      = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\(`)
)

// Each numbered invariant of each package has a row in the design that says by what it is guarded, and the tests named there
// exist.
func TestInvariantsAreGuarded(t *testing.T) {
	design, err := os.ReadFile(guardsFile)
	if err != nil {
		t.Fatal(err)
	}
	guarded := map[string]bool{}
	named := map[string]bool{}
	for _, row := range guardsRow.FindAllStringSubmatch(string(design), -1) {
		for _, n := range guardedNumber.FindAllStringSubmatch(row[2], -1) {
			first, last := n[1][0], n[1][0]
			if n[2] == "to" {
				last = n[3][0]
			}
			for i := first; i <= last; i++ {
				guarded[row[1]+" "+string(i)] = true
			}
			if n[2] == "and" {
				guarded[row[1]+" "+n[3]] = true
			}
		}
		for _, name := range testName.FindAllStringSubmatch(row[3], -1) {
			named[name[1]] = true
		}
	}

	invariants, tests := invariantsAndTests(t)
	for name := range invariants {
		if !guarded[name] {
			t.Errorf("%s does not say by what invariant %s is guarded", guardsFile, name)
		}
	}
	for name := range guarded {
		if !invariants[name] {
			t.Errorf("%s speaks of invariant %s, which no package has", guardsFile, name)
		}
	}
	for name := range named {
		if !tests[name] {
			t.Errorf("%s names %s, which is not there", guardsFile, name)
		}
	}
	if len(invariants) < 50 || len(named) < 50 {
		t.Errorf("only %d invariants and %d tests were found", len(invariants), len(named))
	}
}

// invariantsAndTests reads the comments of all packages of this module, and the names of all tests, those of nested modules
// too.
func invariantsAndTests(t *testing.T) (invariants, tests map[string]bool) {
	invariants, tests = map[string]bool{}, map[string]bool{}
	root := filepath.Join("..", "..")
	for _, s := range moduleFiles(t) {
		if path.Base(s.file) != "doc.go" {
			continue
		}
		if err := eachMatch(filepath.Join(root, s.file), numberedLine, func(n string) { invariants[path.Base(s.pkg())+" "+n] = true }); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != root:
			return filepath.SkipDir
		case strings.HasSuffix(name, "_test.go"):
			return eachMatch(name, testFunc, func(test string) { tests[test] = true })
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return invariants, tests
}

// eachMatch visits the first group of each match in a file.
func eachMatch(file string, pattern *regexp.Regexp, visit func(string)) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, m := range pattern.FindAllStringSubmatch(string(b), -1) {
		visit(m[1])
	}
	return nil
}
