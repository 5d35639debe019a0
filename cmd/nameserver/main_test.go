package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/daemon"
)

// output collects what several goroutines print.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func configFile(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "namesrv.properties")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestExitsWithoutServing(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"help", []string{"-h"}, daemon.ExitOK, "--configFile FILE"},
		{"unknown flag", []string{"-x"}, daemon.ExitUsage, "-x"},
		{"argument", []string{"start"}, daemon.ExitUsage, `unexpected argument "start"`},
		{"print", []string{"-p"}, daemon.ExitOK, "\nlistenPort=9876\n"},
		{"print with file", []string{"--printConfigItem", "-c", configFile(t, "listenPort=1234")}, daemon.ExitOK, "\nlistenPort=1234\n"},
		{"absent file", []string{"-c", "/nonexistent/x.conf"}, daemon.ExitFailed, "no such file"},
		{"wrong line", []string{"-c", configFile(t, "# port", "listenPort=x")}, daemon.ExitFailed, "namesrv.properties:2: listenPort"},
		{"wrong value", []string{"-c", configFile(t, "listenPort=70000")}, daemon.ExitFailed, "property listenPort"},
	} {
		var out output
		got := run(append([]string{"mqnamesrv"}, c.args...), &out, &out, nil)
		if got != c.want || !strings.Contains("\n"+out.String(), c.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s", c.name, got, c.want, c.says, out.String())
		}
	}
}

func TestServesUntilTheSignal(t *testing.T) {
	var out output
	signals := make(chan os.Signal, 2)
	exit := make(chan int, 1)
	kv := filepath.Join(t.TempDir(), "kvConfig.json")
	file := configFile(t, "listenPort=-1", "bindAddress=127.0.0.1", "addressServerPort=-1", "kvConfigPath="+kv, "serverWorkerThreads=8")
	go func() { exit <- run([]string{"mqnamesrv", "-c", file}, &out, &out, signals) }()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(out.String(), "/rocketmq/nsaddr"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready:\n%s", out.String())
		}
	}
	signals <- syscall.SIGTERM
	if got := <-exit; got != daemon.ExitOK {
		t.Errorf("exit code %d", got)
	}
	for _, want := range []string{"The Name Server boot success", "addr=127.0.0.1:", "kvConfig=" + kv, "key=serverWorkerThreads", "signal=terminated", "msg=stopped"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
