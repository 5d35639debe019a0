package harness

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// HaveJava says in a word why Java's side cannot run here, or "".
func HaveJava() string {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "no " + tool + " on the path"
		}
	}
	return ""
}

// javaProject is a folder under java/ with a pom.xml, built at most once a
// run, and not at all when its target/ is of the same sources.
type javaProject struct {
	root    string // interop/java
	name    string
	sources string

	once sync.Once
	err  error
}

func (p *javaProject) dir() string { return filepath.Join(p.root, p.name) }

// classPath builds the project when needed.
func (p *javaProject) classPath() (string, error) {
	p.once.Do(func() { p.err = p.build() })
	target := filepath.Join(p.dir(), "target")
	return filepath.Join(target, "classes") + ":" + filepath.Join(target, "lib", "*"), p.err
}

func (p *javaProject) build() error {
	sum, err := p.sourceSum()
	if err != nil {
		return err
	}
	stamp := filepath.Join(p.dir(), "target", "stamp")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == sum {
		return nil
	}
	argv := []string{"-q", "-B", "-f", filepath.Join(p.dir(), "pom.xml"), "compile",
		"dependency:copy-dependencies", "-DoutputDirectory=target/lib", "-DincludeScope=runtime"}
	if out, err := exec.Command("mvn", argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("mvn %v: %w\n%s", argv, err, out)
	}
	return os.WriteFile(stamp, []byte(sum), 0o644)
}

// sourceSum is over all that the build reads.
func (p *javaProject) sourceSum() (string, error) {
	h := sha256.New()
	for _, dir := range []string{filepath.Join(p.dir(), "pom.xml"), filepath.Join(p.root, p.sources)} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			fmt.Fprintf(h, "%s %d\n%s", path, len(b), b)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// newProject takes a folder under java/ and that of its sources, both relative to root.
func newProject(root, name, sources string) *javaProject {
	return &javaProject{root: root, name: name, sources: sources}
}
