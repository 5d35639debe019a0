//go:build unix

package daemon

import (
	"os"
	"syscall"
	"testing"
)

func TestSignals(t *testing.T) {
	signals := Signals()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-signals; got != syscall.SIGTERM {
		t.Errorf("got %v", got)
	}
}
