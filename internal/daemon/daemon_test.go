package daemon

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestServe(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for _, c := range []struct {
		name    string
		signals []os.Signal
		stop    func(context.Context) error
		want    int
		log     string
	}{
		{"in order", []os.Signal{os.Interrupt}, func(context.Context) error { return nil }, ExitOK, "msg=stopped"},
		{"with an error", []os.Signal{syscall.SIGTERM}, func(context.Context) error { return errors.New("disk") }, ExitFailed, "err=disk"},
		{"at once", []os.Signal{os.Interrupt, syscall.SIGTERM}, func(context.Context) error { <-release; return nil }, ExitKilled, "quitting"},
	} {
		var out bytes.Buffer
		signals := make(chan os.Signal, 2)
		for _, s := range c.signals {
			signals <- s
		}
		if got := Serve(NewLogger(&out), signals, c.stop); got != c.want || !strings.Contains(out.String(), c.log) {
			t.Errorf("%s: got %d, want %d\n%s", c.name, got, c.want, out.String())
		}
	}
}

func TestServeBoundsTheStop(t *testing.T) {
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	Serve(NewLogger(new(bytes.Buffer)), signals, func(ctx context.Context) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the stop has no deadline")
		}
		return nil
	})
}

func TestLoadConfig(t *testing.T) {
	var target struct {
		Port int `property:"listenPort"`
	}
	var out bytes.Buffer
	log := NewLogger(&out)
	if err := LoadConfig(log, "", &target); err != nil {
		t.Error(err)
	}
	if err := LoadConfig(log, filepath.Join(t.TempDir(), "absent.conf"), &target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	file := filepath.Join(t.TempDir(), "n.conf")
	if err := os.WriteFile(file, []byte("listenPort=1\nlistenport=2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := LoadConfig(log, file, &target); err != nil || target.Port != 1 {
		t.Errorf("got %d %v", target.Port, err)
	}
	if !strings.Contains(out.String(), "line=2 key=listenport") || !strings.Contains(out.String(), "did you mean listenPort?") {
		t.Errorf("logged %s", out.String())
	}
}
