package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// Env is what a side runs with.
type Env struct {
	// Dir is where stores are made; RepoDir the root of the repository, JavaDir the harness's pom.
	Dir, RepoDir, JavaDir string
	// Measure is how long a run measures; warm-ups are in proportion.
	Measure time.Duration
	// Touch is how many GiB of memory are taken before each run and given back in it.
	Touch int

	ctx        context.Context // of the whole run; its end ends the children
	self       string          // this program
	broker     string          // our broker's program
	javaReason string          // why there is no Java
	runs       int
	run        string // directory of the present run
	core       string // to which the programs are bound; empty: to none
	memory     *heldMemory
}

// childTimeout bounds each child: the longest takes half of it.
const childTimeout = 3 * time.Minute

// prepare builds what the sides need.
func (e *Env) prepare(studies []Study) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	e.self = self
	e.javaReason = e.prepareJava()
	for _, s := range studies {
		if !s.needsBroker() {
			continue
		}
		e.broker = filepath.Join(e.Dir, "broker")
		build := exec.Command("go", "build", "-o", e.broker, "./cmd/broker")
		build.Dir = e.RepoDir
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build ./cmd/broker: %w: %s", err, tail(out))
		}
		break
	}
	return nil
}

// prepareJava builds the Java side if need be and says why there is none.
func (e *Env) prepareJava() (reason string) {
	if _, err := exec.LookPath("java"); err != nil {
		return "no java on the path"
	}
	built, err := os.Stat(filepath.Join(e.JavaDir, "target/classes/rocketlog/peer/StorePeer.class"))
	if err == nil && !e.javaNewerThan(built.ModTime()) {
		return ""
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "no mvn on the path"
	}
	build := exec.Command("mvn", "-q", "-B", "compile")
	build.Dir = e.JavaDir
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Sprintf("mvn compile: %v: %s", err, tail(out))
	}
	return ""
}

// javaNewerThan tells whether the pom or a source changed after t.
func (e *Env) javaNewerThan(t time.Time) bool {
	sources, _ := filepath.Glob(filepath.Join(e.JavaDir, "src/main/java/rocketlog/peer/*.java"))
	for _, name := range append(sources, filepath.Join(e.JavaDir, "pom.xml")) {
		if info, err := os.Stat(name); err != nil || info.ModTime().After(t) {
			return true
		}
	}
	return false
}

func (e *Env) missingJava() string { return e.javaReason }

// begin makes the directory and the memory of a run ready; end deletes it and lets the disk settle.
func (e *Env) begin() error {
	e.runs++
	e.run = filepath.Join(e.Dir, "run-"+strconv.Itoa(e.runs))
	err := errors.Join(os.MkdirAll(e.run, 0o755), e.memory.take(e.Touch<<30))
	e.memory.lend()
	return err
}

// clear deletes what one part of a run has left before the next begins, and has memory ready for that.
func (e *Env) clear(names ...string) error {
	err := e.discard(names...)
	e.memory.lend()
	return err
}

// discard deletes what lies in the directory of the run, all of it by "", and takes the memory back.
func (e *Env) discard(names ...string) error {
	err := e.memory.keep()
	for _, name := range names {
		err = errors.Join(err, os.RemoveAll(filepath.Join(e.run, name)))
	}
	return errors.Join(err, e.memory.take(e.Touch<<30))
}

func (e *Env) end(manyFiles bool) error {
	doomed := []string{""}
	if manyFiles { // only the large ones
		doomed = []string{"store/commitlog", "store/index"}
	}
	err := e.discard(doomed...)
	settleDisk()
	return err
}

// settleDisk waits until all that was written is on the disk. The writing of it, which a virtual machine's host does on the same
// processors, is no part of what is measured next.
func settleDisk() { syscall.Sync() }

// child runs a program to its end and returns its result. A child that killed itself after its line is
// fine: that is what fill does.
func (e *Env) child(name string, args ...string) (measure.Result, error) {
	ctx, cancel := context.WithTimeout(e.ctx, childTimeout)
	defer cancel()
	cmd := e.command(ctx, name, args)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	before := stolen()
	runErr := cmd.Run()
	r, err := measure.Parse(out.Bytes())
	r.Stolen = float64((stolen() - before).Milliseconds())
	var exit *exec.ExitError
	killedItself := errors.As(runErr, &exit) && exit.ExitCode() == -1 && ctx.Err() == nil
	switch {
	case runErr != nil && (!killedItself || err != nil):
		return r, fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), runErr, tail(errs.Bytes()))
	case err != nil:
		return r, fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, tail(errs.Bytes()))
	}
	return r, nil
}

// command is that of a program, on the core that the processes of e are bound to, if they are.
func (e *Env) command(ctx context.Context, name string, args []string) *exec.Cmd {
	if e.core == "" {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", e.core, name}, args...)...) // which becomes it
}

// own runs a command of this program.
func (e *Env) own(args ...string) (measure.Result, error) { return e.child(e.self, args...) }

// javaStore runs the Java harness of the message store.
func (e *Env) javaStore(args ...string) (measure.Result, error) {
	return e.child("java", append(e.jvm("6g", "target/classes"), append([]string{"rocketlog.peer.StorePeer"}, args...)...)...)
}

// jvm returns the options of the virtual machine: RocketMQ's start scripts open these packages, and the
// heap is what its documentation has for small machines.
func (e *Env) jvm(directMemory string, classes ...string) []string {
	path := []string{filepath.Join(e.JavaDir, "target/lib/*")}
	for _, c := range classes {
		path = append(path, filepath.Join(e.JavaDir, c))
	}
	options := []string{"-Xms1g", "-Xmx1g", "-XX:MaxDirectMemorySize=" + directMemory, "-XX:+UseG1GC",
		"--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "-Duser.home=" + e.Dir, "-cp", strings.Join(path, ":")}
	for _, p := range []string{"java.nio", "sun.nio.ch", "java.lang"} {
		options = append(options, "--add-opens=java.base/"+p+"=ALL-UNNAMED")
	}
	return options
}

func tail(out []byte) string {
	const size = 600
	return strings.TrimSpace(string(out[max(0, len(out)-size):]))
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }
