package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/nameserver"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
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

// find waits for a line that matches and gives what its group matched.
func (o *output) find(t *testing.T, pattern string) string {
	t.Helper()
	line := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if found := line.FindStringSubmatch(o.String()); found != nil {
			return found[1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is missing in\n%s", pattern, o.String())
		}
	}
}

func configFile(t *testing.T, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// small are the settings of a broker on any ports of the loopback with small files.
func small(t *testing.T, more ...string) string {
	return configFile(t, append([]string{
		"listenPort=-1", "bindAddress=127.0.0.1", "brokerIP1=127.0.0.1", "brokerName=broker-a", "mappedFileSizeCommitLog=1048576",
		"storePathRootDir=" + filepath.Join(t.TempDir(), "store"),
	}, more...)...)
}

// routed waits until a name server knows the broker's default topic.
func routed(t *testing.T, addr string) string {
	t.Helper()
	client := remoting.NewClient(nil)
	defer client.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		req := remoting.NewRequest(protocol.GetRouteInfoByTopic)
		req.Fields.Add("topic", "TBW102")
		resp, err := client.Call(context.Background(), addr, req)
		if err == nil && resp.ResponseCode() == protocol.Success {
			return string(resp.Body)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no route: %v %v", resp, err)
		}
	}
}

func TestExitsWithoutServing(t *testing.T) {
	t.Setenv(envNameServers, "")
	for _, c := range []struct {
		name string
		args []string
		want int
		says string
	}{
		{"help", []string{"-h"}, daemon.ExitOK, "--configFile FILE"},
		{"unknown flag", []string{"-x"}, daemon.ExitUsage, "-x"},
		{"argument", []string{"start"}, daemon.ExitUsage, `unexpected argument "start"`},
		{"print", []string{"-p"}, daemon.ExitOK, "\nflushIntervalConsumeQueue=1000\n"},
		{"print with file", []string{"-p", "-c", configFile(t, "listenPort=1234")}, daemon.ExitOK, "\nlistenPort=1234\n"},
		{"print the important", []string{"-m", "-d", "/data", "-n", "h:1"}, daemon.ExitOK, "\nnamesrvAddr=h:1\nrejectTransactionMessage=false\nstorePathCommitLog=\nstorePathRootDir=/data\n"},
		{"absent file", []string{"-c", "/nonexistent/x.conf"}, daemon.ExitFailed, "no such file"},
		{"wrong line", []string{"-c", configFile(t, "# port", "listenPort=x")}, daemon.ExitFailed, "broker.conf:2: listenPort"},
		{"wrong syntax", []string{"-c", configFile(t, `a=\u1`)}, daemon.ExitFailed, "broker.conf:1: a: malformed"},
		{"unknown profile", []string{"-n", "127.0.0.1:1", "-c", small(t), "--profile", "gc"}, daemon.ExitUsage, "block, cpu, goroutine, mem, mutex, trace"},
		{"wrong value", []string{"-n", "127.0.0.1:1", "-c", small(t, "flushDiskType=NEVER")}, daemon.ExitFailed, "property flushDiskType"},
		{"wrong name server", []string{"-n", "localhost", "-c", small(t)}, daemon.ExitFailed, "property namesrvAddr"},
		{"wrong value with own name server", []string{"-c", small(t, "namesrvListenPort=-1", "flushDiskType=NEVER")}, daemon.ExitFailed, "property flushDiskType"},
	} {
		var out output
		got := run(append([]string{"bin/mqbroker"}, c.args...), &out, &out, nil)
		if got != c.want || !strings.Contains("\n"+out.String(), c.says) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s", c.name, got, c.want, c.says, out.String())
		}
	}
}

func TestServesWithItsOwnNameServer(t *testing.T) {
	t.Setenv(envNameServers, "")
	var out output
	signals := make(chan os.Signal, 2)
	exit := make(chan int, 1)
	file, profiles := small(t, "namesrvListenPort=-1", "flushdisktype=SYNC_FLUSH"), t.TempDir()
	go func() {
		exit <- run([]string{"mqbroker", "-c", file, "-profile", "mem=" + profiles}, &out, &out, signals)
	}()

	out.find(t, `msg="The broker\[broker-a, (127.0.0.1:\d+)\] boot success"`)
	if route := routed(t, out.find(t, `msg="The Name Server boot success" addr=(\S+)`)); !strings.Contains(route, `"brokerName":"broker-a"`) {
		t.Errorf("route: %s", route)
	}
	store := out.find(t, ` store=(\S+)`)
	if kv := out.find(t, ` kvConfig=(\S+)`); kv != filepath.Join(store, "config", "kvConfig.json") {
		t.Errorf("the name server's file is %s, the store is %s", kv, store)
	}
	out.find(t, `did you mean (flushDiskType)\?`)

	var second output
	if code := run([]string{"mqbroker", "-c", file}, &second, &second, nil); code != daemon.ExitFailed || !strings.Contains(second.String(), "in use") {
		t.Errorf("a second one on the same store: exit code %d\n%s", code, second.String())
	}

	signals <- syscall.SIGTERM
	if code := <-exit; code != daemon.ExitOK {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	out.find(t, `reason=(unregistered)`)
	if _, err := os.Stat(filepath.Join(store, "abort")); !os.IsNotExist(err) {
		t.Errorf("the store was not closed: %v", err)
	}
	if info, err := os.Stat(filepath.Join(profiles, "mem.pprof")); err != nil || info.Size() == 0 {
		t.Errorf("no profile was written: %v", err)
	}
}

func TestServesWithOtherNameServers(t *testing.T) {
	options := nameserver.DefaultOptions()
	options.BindAddress, options.ListenPort, options.KVConfigPath = "127.0.0.1", -1, filepath.Join(t.TempDir(), "kv.json")
	server, err := nameserver.New(options)
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close(context.Background())
	addr := server.Addr().String()
	for _, c := range []struct {
		name, env string
		flags     []string
		file      string
	}{
		{"flag", "127.0.0.1:1", []string{"-n", addr + ";"}, "namesrvAddr=127.0.0.1:1"},
		{"file", "127.0.0.1:1", nil, "namesrvAddr=127.0.0.1:2\nnamesrvAddr=" + addr},
		{"environment", addr, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(envNameServers, c.env)
			var out output
			signals := make(chan os.Signal, 2)
			exit := make(chan int, 1)
			args := append([]string{"mqbroker", "-c", small(t, c.file, "kvConfigPath=/x")}, c.flags...)
			go func() { exit <- run(args, &out, &out, signals) }()
			out.find(t, `(boot success)`)
			routed(t, addr)
			if strings.Contains(out.String(), "Name Server boot") || !strings.Contains(out.String(), "key=kvConfigPath") {
				t.Errorf("it brought its own name server, or did not say that a key of it has no effect:\n%s", out.String())
			}
			signals <- os.Interrupt
			if code := <-exit; code != daemon.ExitOK {
				t.Errorf("exit code %d\n%s", code, out.String())
			}
		})
	}
}
