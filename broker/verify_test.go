package broker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
)

// logText is a log that is read while it is written.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns what was written since the last call, of state files alone.
func (l *logText) take() string { return l.takeOf("state file") }

// takeOf returns the lines with a text that were written since the last call.
func (l *logText) takeOf(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	var lines []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// One bit is flipped in each state file: it is found, told with the place of its sector, and the file written anew. While
// state is saved by others nothing is found.
func TestStateFilesAreVerified(t *testing.T) {
	var log logText
	s := start(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s.put("T", 0, "x")
	var saved []string
	for name, save := range map[string]func() error{
		"topics.json": s.topics.State().Save, "subscriptionGroup.json": s.groups.State().Save, "consumerOffset.json": s.offsets.State().Save,
		"consumerOrderInfo.json": s.popper.orders.saver.Save, "messageRequestMode.json": s.assigner.saver.Save,
		"consumerFilter.json": s.filters.Persist, "delayOffset.json": s.schedule.Rewrite,
	} {
		if err := save(); err != nil {
			t.Fatal(err)
		}
		saved = append(saved, name)
	}
	said := func() string {
		log.take()
		s.verifyState()
		return log.take()
	}
	if got := said(); got != "" {
		t.Fatalf("before: %s", got)
	}
	for _, name := range saved {
		path := filepath.Join(s.opts.Load().StorePathRootDir, "config", name)
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := len(was) * 2 / 3
		flipped := bytes.Clone(was)
		flipped[at] ^= 4
		if err := os.WriteFile(path, flipped, 0o644); err != nil {
			t.Fatal(err)
		}
		sector := fmt.Sprintf("byte=%d ", at/512*512)
		if got := said(); strings.Count(got, "was damaged") != 1 || !strings.Contains(got, name) || !strings.Contains(got, sector) || !strings.Contains(got, "mended=true") {
			t.Errorf("%s, byte %d: %s", name, at, got)
		}
		if now, err := os.ReadFile(path); err != nil || len(now) != len(was) {
			t.Errorf("%s has %d bytes, had %d, %v", name, len(now), len(was), err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			if err := s.topics.State().Save(); err != nil {
				t.Error(err)
			}
		}
	}()
	for saving := true; saving; {
		select {
		case <-done:
			saving = false
		default:
		}
		s.verifyState()
	}
	if got := log.take(); strings.Contains(got, "damaged") {
		t.Errorf("while it is saved: %s", got)
	}
}

// The timer's files are verified with the store, and a broker whose wheel was cut while it was down starts and has what waits.
func TestTimerFilesAreVerified(t *testing.T) {
	var log logText
	o := testOptions(t.TempDir())
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	for range 3 {
		s.put("T", 0, "x", message.PropertyTimerDelaySeconds, "3600")
	}
	pending := func(b *Broker) func() bool {
		return func() bool { return b.timers.timer.Load().Metrics().Pending == 3 }
	}
	s.await("taken in", pending(b))
	s.client.Close()
	b.timers.verify()
	if got := log.takeOf("timer file"); got != "" {
		t.Errorf("before: %s", got)
	}
	f, err := os.OpenFile(filepath.Join(o.StorePathRootDir, "timerlog", "00000000000000000000"), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{0xFF}, 52+30) // where the second unit says that its message is
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	b.timers.verify()
	if got := log.takeOf("timer file"); strings.Count(got, "mended=true") != 1 || !strings.Contains(got, "byte=82 ") {
		t.Errorf("told %q", got)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(o.StorePathRootDir, "timerwheel"), 4096); err != nil {
		t.Fatal(err)
	}
	again := startWith(t, o)
	if got := log.takeOf("timer file"); !strings.Contains(got, "mended=true") || !strings.Contains(got, "timerwheel") {
		t.Errorf("told %q", got)
	}
	again.await("taken in", pending(again.Broker))
}
