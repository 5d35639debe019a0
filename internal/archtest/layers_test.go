package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/rocketlog/rocketlog/"

// rule says what the packages that fit a pattern may import.
type rule struct {
	layer   int
	pkg     string // below the module; may be a pattern
	uses    []string
	anyUse  bool // may import every package
	forTest bool // only test files import it
}

var rules = []rule{
	{layer: 0, pkg: "internal/invariants"},
	{layer: 0, pkg: "internal/properties"},
	{layer: 0, pkg: "remoting/protocol"},
	{layer: 0, pkg: "internal/archtest", forTest: true},
	{layer: 0, pkg: "internal/script", forTest: true},
	{layer: 0, pkg: "internal/golden", forTest: true},
	{layer: 0, pkg: "internal/fuzzcheck", forTest: true},
	{layer: 0, pkg: "internal/histories", forTest: true},

	{layer: 1, pkg: "internal/vfs", uses: []string{"internal/invariants"}},
	{layer: 1, pkg: "message", uses: []string{"internal/invariants"}},
	{layer: 1, pkg: "remoting", uses: []string{"internal/invariants", "remoting/protocol"}},

	{layer: 2, pkg: "internal/mappedfile", uses: []string{"internal/vfs", "internal/invariants"}},
	{layer: 2, pkg: "remoting/acl", uses: []string{"remoting"}},
	{layer: 2, pkg: "broker/filter", uses: []string{"message"}},
	{layer: 2, pkg: "broker/flow"},
	{layer: 2, pkg: "broker/pop", uses: []string{"message"}},
	{layer: 2, pkg: "broker/state", uses: []string{"internal/vfs", "remoting/protocol"}},
	{layer: 2, pkg: "broker/stats", uses: []string{"message"}},
	{layer: 2, pkg: "broker/transaction", uses: []string{"message"}},

	{layer: 3, pkg: "commitlog", uses: storage},
	{layer: 3, pkg: "consumequeue", uses: storage},
	{layer: 3, pkg: "index", uses: storage},
	{layer: 3, pkg: "engine/timer", uses: storage},
	{layer: 3, pkg: "broker/state/statetest", uses: []string{"broker/state", "internal/vfs"}, forTest: true},
	{layer: 3, pkg: "broker/subscription", uses: []string{"broker/filter", "broker/state", "remoting/protocol"}},
	{layer: 4, pkg: "broker/clients", uses: []string{"broker/state", "broker/subscription", "remoting", "remoting/protocol"}},
	{layer: 3, pkg: "broker/metadata", uses: []string{"broker/state", "broker/stats", "message", "remoting/protocol"}},
	{layer: 3, pkg: "broker/longpoll", uses: []string{"broker/filter", "broker/pop", "message"}},
	{layer: 3, pkg: "ha", uses: []string{"internal/vfs", "message", "internal/invariants"}},

	{layer: 4, pkg: "engine", uses: []string{"commitlog", "consumequeue", "index"}},

	{layer: 5, pkg: "broker/config", uses: []string{"engine", "engine/timer", "ha", "broker/metadata", "internal/vfs", "internal/properties"}},
	{layer: 5, pkg: "broker/schedule", uses: []string{"broker/state", "engine", "message", "internal/vfs", "remoting/protocol"}},

	// Both daemons keep small state files, and answer for their configuration in
	// Java's properties form: see docs/design/0001-files.md on who uses the seam.
	{layer: 6, pkg: "broker", uses: []string{"engine", "engine/timer", "ha", "broker/*", "remoting", "remoting/*",
		"message", "internal/properties"}},
	{layer: 5, pkg: "nameserver", uses: []string{"remoting", "remoting/*", "internal/vfs", "internal/properties"}},
	{layer: 5, pkg: "client", uses: []string{"remoting", "remoting/*", "message"}},
	// What the commands share: exit codes, config file, log, signals.
	{layer: 5, pkg: "internal/daemon", uses: []string{"internal/properties"}},

	{layer: 7, pkg: "cmd/*", uses: []string{"broker", "broker/config", "nameserver", "client", "internal/properties", "internal/daemon"}},
	{layer: 7, pkg: "bench", uses: []string{"engine", "broker", "nameserver"}},
	{layer: 8, pkg: "internal/metamorphic", anyUse: true, forTest: true},
	{layer: 8, pkg: "internal/sim", anyUse: true, forTest: true},
	{layer: 8, pkg: "fuzz", anyUse: true, forTest: true},
}

var storage = []string{"internal/mappedfile", "internal/vfs", "message", "internal/invariants"}

// homes are the packages that may import an outside module, or unsafe.
var homes = map[string][]string{
	"golang.org/x/sys":             {"internal/vfs"},
	"github.com/edsrzf/mmap-go":    {"internal/vfs"},
	"github.com/cespare/xxhash/v2": {"commitlog"},
	"github.com/google/btree":      {"broker/pop", "client"},
	"github.com/pkg/profile":       {"cmd/*", "bench"},
	// The slots of an index file are loaded by readers while the writer stores them.
	"unsafe": {"internal/vfs", "index"},
}

// source is one file and what it imports.
type source struct {
	file    string // slash-separated, below the module
	imports []string
}

func (s source) pkg() string  { return path.Dir(s.file) }
func (s source) isTest() bool { return strings.HasSuffix(s.file, "_test.go") }

// ruleOf finds the rule of a package.
func ruleOf(pkg string) (rule, bool) {
	for _, r := range rules {
		if fits(r.pkg, pkg) {
			return r, true
		}
	}
	return rule{}, false
}

func fits(pattern, pkg string) bool {
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil // the patterns are ours; TestRules checks them
}

// reaches says whether a package of rule r may import pkg: directly, or because
// something it may import may.
func (r rule) reaches(pkg string) bool {
	if r.anyUse {
		return true
	}
	for _, use := range r.uses {
		if fits(use, pkg) {
			return true
		}
		for _, other := range rules {
			if fits(use, other.pkg) && other.reaches(pkg) {
				return true
			}
		}
	}
	return false
}

// complaints lists what is wrong with a file.
func complaints(s source) (wrong []string) {
	complain := func(format string, args ...any) {
		wrong = append(wrong, s.file+": "+fmt.Sprintf(format, args...))
	}
	own, ok := ruleOf(s.pkg())
	if !ok {
		complain("package %s is in no layer", s.pkg())
		return wrong
	}
	for _, imported := range s.imports {
		pkg, ours := strings.CutPrefix(imported, module)
		switch {
		case !ours:
			if home, limited := homeOf(imported); limited && !slices.ContainsFunc(home, func(h string) bool { return fits(h, s.pkg()) }) {
				complain("imports %s, whose home is %v", imported, home)
			}
		case s.isTest() && pkg == s.pkg():
		default:
			target, known := ruleOf(pkg)
			switch {
			case !known:
				complain("imports %s, which is in no layer", pkg)
			case target.forTest && !s.isTest() && !own.forTest:
				complain("imports %s, which is for tests", pkg)
			case target.forTest, own.reaches(pkg), s.isTest() && target.layer < own.layer:
			default:
				complain("imports %s: layer %d may not, or not that of layer %d", pkg, own.layer, target.layer)
			}
		}
	}
	return wrong
}

// homeOf returns where an import from outside may be; limited is false for the
// standard library.
func homeOf(imported string) (home []string, limited bool) {
	for dep, home := range homes {
		if imported == dep || strings.HasPrefix(imported, dep+"/") {
			return home, true
		}
	}
	first, _, _ := strings.Cut(imported, "/")
	return nil, strings.Contains(first, ".")
}

func TestLayers(t *testing.T) {
	files := moduleFiles(t)
	if len(files) < 20 {
		t.Fatalf("only %d files found: is this the module?", len(files))
	}
	for _, s := range files {
		for _, wrong := range complaints(s) {
			t.Error(wrong)
		}
	}
}

// moduleFiles reads the imports of each Go file of the module.
func moduleFiles(t *testing.T) []source {
	root := filepath.Join("..", "..")
	var files []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return enter(root, name, d.Name())
		case filepath.Ext(name) != ".go":
			return nil
		}
		s, err := parse(root, name)
		files = append(files, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// enter says which directories hold packages of this module, as the go command does.
func enter(root, dir, base string) error {
	if dir == root {
		return nil
	}
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return filepath.SkipDir // another module
	}
	return nil
}

func parse(root, name string) (source, error) {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return source{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return source{}, err
	}
	s := source{file: filepath.ToSlash(rel)}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, imported)
	}
	return s, nil
}

// TestRules holds the table against its own claims.
func TestRules(t *testing.T) {
	for i, r := range rules {
		if _, err := path.Match(r.pkg, ""); err != nil {
			t.Errorf("%s: %v", r.pkg, err)
		}
		for _, other := range rules[:i] {
			if other.pkg == r.pkg {
				t.Errorf("%s is there twice", r.pkg)
			}
		}
		for _, use := range r.uses {
			found := false
			for _, other := range rules {
				if !fits(use, other.pkg) {
					continue
				}
				found = true
				if other.layer >= r.layer {
					t.Errorf("%s of layer %d uses %s of layer %d", r.pkg, r.layer, other.pkg, other.layer)
				}
			}
			if !found {
				t.Errorf("%s uses %s, which is in no layer", r.pkg, use)
			}
		}
	}
}

// TestComplaints shows that the test above can fail, and when it does not.
func TestComplaints(t *testing.T) {
	ours := func(pkg string) string { return module + pkg }
	for _, c := range []struct {
		file, imported string
		want           string // part of the complaint; empty for none
	}{
		{"broker/send.go", ours("engine"), ""},
		{"broker/config.go", ours("internal/vfs"), ""},
		{"broker/pull.go", ours("broker/filter"), ""},
		{"broker/register.go", ours("nameserver"), "imports nameserver"},
		{"client/producer.go", ours("engine"), "imports engine"},
		{"engine/store.go", ours("broker"), "imports broker"},
		{"engine/store.go", ours("ha"), "imports ha"},
		{"engine/store.go", ours("engine/timer"), "imports engine/timer"},
		{"ha/master.go", ours("commitlog"), "imports commitlog"},
		{"commitlog/append.go", ours("index"), "imports index"},
		{"commitlog/append.go", ours("internal/golden"), "for tests"},
		{"commitlog/append_test.go", ours("internal/golden"), ""},
		{"commitlog/append_test.go", ours("commitlog"), ""},
		{"commitlog/append_test.go", ours("index"), "imports index"},
		{"nameserver/kv_test.go", ours("engine"), ""},
		{"cmd/broker/main.go", ours("broker"), ""},
		{"cmd/broker/main.go", ours("internal/daemon"), ""},
		{"internal/sim/cluster.go", ours("broker"), ""},
		{"message/record.go", ours("internal/util"), "in no layer"},
		{"util/x.go", "fmt", "in no layer"},
		{"message/record.go", "encoding/binary", ""},
		{"message/record.go", "unsafe", "home"},
		{"internal/vfs/touch.go", "unsafe", ""},
		{"commitlog/recover.go", "github.com/cespare/xxhash/v2", ""},
		{"index/file.go", "github.com/cespare/xxhash/v2", "home"},
		{"internal/vfs/os_linux.go", "golang.org/x/sys/unix", ""},
		{"broker/broker.go", "golang.org/x/sys/unix", "home"},
		{"broker/broker.go", "github.com/sirupsen/logrus", "home"},
		{"cmd/broker/main.go", "github.com/pkg/profile", ""},
	} {
		got := strings.Join(complaints(source{c.file, []string{c.imported}}), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s importing %s: %q, want %q", c.file, c.imported, got, c.want)
		}
	}
}
