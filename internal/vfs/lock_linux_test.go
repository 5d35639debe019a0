package vfs

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// lockChild names the file that a copy of the test binary locks.
const lockChild = "VFS_TEST_LOCK_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(lockChild); name != "" {
		os.Exit(holdLock(name))
	}
	os.Exit(m.Run())
}

// holdLock takes the lock, says how that went and holds on until its input ends.
func holdLock(name string) int {
	_, err := OS.Lock(name)
	switch {
	case err == nil:
		os.Stdout.WriteString("held\n")
	case errors.Is(err, ErrLocked):
		os.Stdout.WriteString("refused\n")
	default:
		os.Stdout.WriteString(err.Error() + "\n")
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // its end is the news
	return 0
}

// startLocker starts a process that locks name, and returns what it said and
// how to end it: by closing its input, or by kill -9.
func startLocker(t *testing.T, name string) (said string, quit func(kill bool)) {
	t.Helper()
	exe, err := os.Executable()
	noErr(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), lockChild+"="+name)
	stdin, err := cmd.StdinPipe()
	noErr(t, err)
	stdout, err := cmd.StdoutPipe()
	noErr(t, err)
	noErr(t, cmd.Start())
	ended := false
	quit = func(kill bool) {
		if ended {
			return
		}
		ended = true
		if kill {
			_ = cmd.Process.Kill() // Wait tells
		}
		_ = stdin.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(func() { quit(true) })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	noErr(t, err)
	return line[:len(line)-1], quit
}

func TestLockAgainstAnotherProcess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	for _, kill := range []bool{false, true} {
		said, quit := startLocker(t, name)
		if said != "held" {
			t.Fatalf("first process: %s", said)
		}
		if said, _ := startLocker(t, name); said != "refused" {
			t.Fatalf("second process: %s", said)
		}
		_, err := OS.Lock(name)
		wantErr(t, err, ErrLocked, name)
		quit(kill)
		l, err := OS.Lock(name)
		noErr(t, err)
		if said, _ := startLocker(t, name); said != "refused" {
			t.Fatalf("while this process holds it: %s", said)
		}
		noErr(t, l.Close())
	}
}

// Closing any descriptor of a locked file drops the lock of the process, so a
// refused second opener must not have opened it.
func TestLockSurvivesRefusedOpeners(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "lock")
	l, err := OS.Lock(name)
	noErr(t, err)
	defer l.Close()
	link := filepath.Join(dir, "link")
	noErr(t, os.Symlink(dir, link))
	for _, path := range []string{name, filepath.Join(link, "lock"), filepath.Join(dir, ".", "lock")} {
		if _, err := OS.Lock(path); !errors.Is(err, ErrLocked) {
			t.Fatalf("Lock(%s): %v", path, err)
		}
		if _, err := ReadFile(OS, path); !errors.Is(err, ErrLocked) {
			t.Fatalf("ReadFile(%s): %v", path, err)
		}
		if err := OS.SyncAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if said, _ := startLocker(t, name); said != "refused" {
		t.Fatalf("the lock was dropped: another process said %s", said)
	}
	noErr(t, os.MkdirAll(filepath.Join(dir, "other"), 0o755))
	writeFile(t, OS, filepath.Join(dir, "other", "lock"), "a file of the same name is another file")
}
