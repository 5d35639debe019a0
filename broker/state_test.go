package broker

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/golden"
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

// Java's state files load, and what is saved again means the same.
func TestGoldenStateFiles(t *testing.T) {
	root := golden.Store(t, golden.Clean)
	open := func(name string) state.File { return state.NewFile(vfs.OS, filepath.Join(root, "config", name)) }
	again := state.NewFile(vfs.OS, filepath.Join(t.TempDir(), "again.json"))
	o := testOptions(root)

	topics := metadata.NewTopics(open("topics.json"), open("topicQueueMapping.json"), metadata.TopicOptions{System: systemTopics(o)}, 0)
	groups := metadata.NewGroups(open("subscriptionGroup.json"), false, 0)
	offsets := metadata.NewOffsets(open("consumerOffset.json"), metadata.OffsetOptions{}, func() int64 { return 0 }, func() {})
	delays := newScheduler(open("delayOffset.json"), []time.Duration{}, time.Now, o.Logger, func() {})
	delays.store = emptyStore{}
	for _, load := range []func() error{topics.Load, groups.Load, offsets.Load, delays.load} {
		if err := load(); err != nil {
			t.Fatal(err)
		}
	}
	if len(topics.List()) < 20 || groups.Get("GC_all") == nil || len(offsets.TopicsOf("GC_all")) == 0 || delays.snapshot().OffsetTable[1] == 0 {
		t.Errorf("the files are not what they were: %d topics, %d groups", len(topics.List()), len(groups.Names()))
	}
	for name, snapshot := range map[string]any{
		"topics.json": topics.Snapshot(), "subscriptionGroup.json": groups.Snapshot(),
		"consumerOffset.json": offsets.Snapshot(), "delayOffset.json": delays.snapshot(),
	} {
		if err := again.Write(snapshot); err != nil {
			t.Fatal(err)
		}
		want, got := statetest.JSON(t, open(name)), statetest.JSON(t, again)
		if name == "topics.json" {
			addMissing(want["topicConfigTable"].(map[string]any), got["topicConfigTable"].(map[string]any))
		}
		if name == "subscriptionGroup.json" {
			addMissing(want["subscriptionGroupTable"].(map[string]any), got["subscriptionGroupTable"].(map[string]any))
		}
		if name == "consumerOffset.json" {
			delete(want, "groupTopicMap")
			delete(got, "groupTopicMap")
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: saved again it differs\n%s", name, statetest.Difference(want, got, name))
		}
	}
}

// addMissing takes over what a new broker adds to Java's tables: the system topics and groups of its own name.
func addMissing(want, got map[string]any) {
	for name, v := range got {
		if _, ok := want[name]; !ok {
			want[name] = v
		}
	}
}
