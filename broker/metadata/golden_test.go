package metadata

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Java's state files load, and what is saved again means the same.
func TestGoldenStateFiles(t *testing.T) {
	root := golden.Store(t, golden.Clean)
	open := func(name string) state.File { return state.NewFile(vfs.OS, filepath.Join(root, "config", name)) }
	again := state.NewFile(vfs.OS, filepath.Join(t.TempDir(), "again.json"))

	topics := NewTopics(open("topics.json"), open("topicQueueMapping.json"), TopicOptions{}, 0)
	groups := NewGroups(open("subscriptionGroup.json"), false, 0)
	offsets := NewOffsets(open("consumerOffset.json"), OffsetOptions{}, func() int64 { return 0 }, func() {})
	for _, load := range []func() error{topics.Load, groups.Load, offsets.Load} {
		if err := load(); err != nil {
			t.Fatal(err)
		}
	}
	if len(topics.List()) < 20 || groups.Get("GC_all") == nil || len(offsets.TopicsOf("GC_all")) == 0 {
		t.Errorf("the files are not what they were: %d topics, %d groups", len(topics.List()), len(groups.Names()))
	}
	for name, snapshot := range map[string]any{
		"topics.json": topics.Snapshot(), "subscriptionGroup.json": groups.Snapshot(),
		"consumerOffset.json": offsets.Snapshot(),
	} {
		if err := again.Write(snapshot); err != nil {
			t.Fatal(err)
		}
		want, got := statetest.JSON(t, open(name)), statetest.JSON(t, again)
		if name == "subscriptionGroup.json" {
			for group, v := range got["subscriptionGroupTable"].(map[string]any) {
				java := want["subscriptionGroupTable"].(map[string]any)
				if _, ok := java[group]; !ok { // a system group that Java's broker did not have yet
					java[group] = v
				}
			}
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
