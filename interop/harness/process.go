package harness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command says what to start.
type Command struct {
	Name string // names the log file
	Argv []string
	Env  []string // added to the environment
	Dir  string
	Logs string // directory of the log file; standard output goes there as well unless Stdout is set
	// Stdout receives the output when set. Close follows the process's end.
	Stdout io.WriteCloser
	// Stdin makes Process.Stdin writable.
	Stdin bool
}

// Process is a started program with its log file.
type Process struct {
	Name  string
	Log   string
	Stdin io.WriteCloser

	cmd   *exec.Cmd
	ended chan struct{}
}

// spawner starts all processes from one OS thread that lives as long as the
// program: the kernel ends a child with Pdeathsig when the thread that
// started it ends, and that must be no sooner than the program itself.
var spawner = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Start starts the program. It is killed when the test binary ends, however
// that ends.
func (c Command) Start() (*Process, error) {
	log, err := os.OpenFile(filepath.Join(c.Logs, c.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), c.Env...)
	cmd.Stderr = log
	cmd.Stdout = log
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	setDeathSignal(cmd)
	p := &Process{Name: c.Name, Log: log.Name(), cmd: cmd, ended: make(chan struct{})}
	if c.Stdin {
		if p.Stdin, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
	}
	started := make(chan error)
	spawner() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	go func() {
		_ = cmd.Wait() // the exit status is in cmd.ProcessState
		log.Close()
		if c.Stdout != nil {
			c.Stdout.Close()
		}
		close(p.ended)
	}()
	return p, nil
}

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Anonymous is the memory of the process that is in RAM and of no file, in
// bytes. Only Linux tells it.
func (p *Process) Anonymous() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			var kib int64
			_, err := fmt.Sscanf(rest, "%d kB", &kib)
			return kib << 10, err
		}
	}
	return 0, errors.New("the system does not tell RssAnon")
}

// Kill is kill -9, and waits until the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Pause is SIGSTOP, and Resume ends it.
func (p *Process) Pause() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume is SIGCONT.
func (p *Process) Resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// Stop asks the process to end by SIGTERM and kills it when it has not done
// so in time, which is an error.
func (p *Process) Stop(timeout time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(timeout):
		p.Kill()
		return errors.New(p.Name + " did not end after SIGTERM in " + timeout.String())
	}
}

// ExitCode is valid after the end; -1 when a signal ended the process.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Tail returns the last bytes of the process's log, for a failed test.
func (p *Process) Tail(n int64) string {
	f, err := os.Open(p.Log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > n {
		_, _ = f.Seek(-n, io.SeekEnd)
	}
	b, _ := io.ReadAll(f)
	var tail strings.Builder
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, "|-INFO in ") { // Java's logging tells at length how it was set up
			tail.WriteString(line)
		}
	}
	return tail.String()
}
