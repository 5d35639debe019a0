package broker

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A broker that finds its state damaged goes on by the backup, and there are two generations again before it serves: the damaged
// file does not become one of them.
func TestDamagedStateIsNotMadeTheBackup(t *testing.T) {
	var log logText
	o := testOptions(t.TempDir())
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b, err := Open(o)
	if err == nil {
		err = errors.Join(b.topics.Update([]*protocol.TopicConfig{metadata.NewTopicConfig("first", 2)}, 1), b.topics.Update([]*protocol.TopicConfig{metadata.NewTopicConfig("second", 2)}, 2))
		err = errors.Join(err, b.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(o.StorePathRootDir, "config", "topics.json")
	backup, err := os.ReadFile(name + ".bak")
	if err == nil {
		err = os.Truncate(name, 100)
	}
	if err != nil || !strings.Contains(string(backup), "first") {
		t.Fatalf("the backup: %s, %v", backup, err)
	}
	damaged, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	log.take()
	s := startWith(t, o)
	if got := log.take(); !strings.Contains(got, name) || !strings.Contains(got, "damaged") || !strings.Contains(got, "mended=true") {
		t.Errorf("said %q", got)
	}
	if s.topics.Get("first") == nil {
		t.Error("the backup was not read")
	}
	for generation, want := range map[string][]byte{name + ".bak": backup, name + ".damaged": damaged} {
		if got, err := os.ReadFile(generation); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %s, %v", generation, got, err)
		}
	}
	again := metadata.NewTopics(state.NewFile(vfs.OS, name), state.File{}, metadata.TopicOptions{}, 0)
	if err := again.Load(); err != nil || again.Get("first") == nil {
		t.Errorf("written anew: %v", err)
	}
}
