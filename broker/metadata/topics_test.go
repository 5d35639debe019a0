package metadata

import (
	"errors"
	"github.com/rocketlog/rocketlog/message"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func TestTopicNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "A-b_9": true, "%RETRY%g": true, "a|b": true, "": false, " ": false, "a b": false, "a.b": false, "ü": false,
		strings.Repeat("t", 127): true, strings.Repeat("t", 128): false,
		"%RETRY%" + strings.Repeat("g", 248): true, "%DLQ%" + strings.Repeat("g", 251): false,
	} {
		if fault := TopicNameFault(name); (fault == "") != ok {
			t.Errorf("topic %q: fault %q", name, fault)
		}
	}
	for name, ok := range map[string]bool{"g": true, "": false, "a/b": false, strings.Repeat("g", 120): true, strings.Repeat("g", 121): false} {
		if fault := GroupNameFault(name); (fault == "") != ok {
			t.Errorf("group %q: fault %q", name, fault)
		}
	}
}

// someTopics are some of the topics that a broker has of itself.
func someTopics() TopicOptions {
	template := NewTopicConfig(message.AutoCreateTopic, 8)
	template.Perm |= PermInherit
	return TopicOptions{System: []*protocol.TopicConfig{template, NewTopicConfig(message.SelfTestTopic, 1)}}
}

func TestTopicsAreMadeAsJavaMakesThem(t *testing.T) {
	f, _ := statetest.File(t, "topics.json")
	topics := NewTopics(f, f, someTopics(), 1)
	told := 0
	topics.OnChange(func() { told++ })
	for _, name := range []string{"TBW102", "SELF_TEST_TOPIC", "rmq_sys_anything"} {
		if !topics.IsSystem(name) {
			t.Errorf("%s is no system topic", name)
		}
	}
	e, err := topics.CreateOnSend("orders", "TBW102", 4, true, 2)
	if err != nil || e.Config().ReadQueueNums != 4 || e.Config().Perm != 6 {
		t.Fatalf("made on send: %+v, %v", e, err)
	}
	if again, err := topics.CreateOnSend("orders", "TBW102", 16, true, 2); again != e || err != nil {
		t.Error("a topic that is there is made again")
	}
	if e, _ := topics.CreateOnSend("wide", "TBW102", 99, true, 2); e.Config().WriteQueueNums != 8 {
		t.Errorf("more queues than the default topic has: %d", e.Config().WriteQueueNums)
	}
	if e, err := topics.CreateOnSend("none", "TBW102", 4, false, 2); e != nil || err == nil {
		t.Error("made though autoCreateTopicEnable is off")
	}
	if told != 2 {
		t.Errorf("%d changes told, want 2", told)
	}
	if v := topics.version(); v.Counter != 2 || v.Timestamp != 2 {
		t.Errorf("data version %+v", v)
	}
	again := NewTopics(f, f, someTopics(), 9)
	if err := again.Load(); err != nil || again.Get("orders") == nil || again.version() != topics.version() {
		t.Errorf("loaded: %v, %+v", err, again.version())
	}
}

func TestTopicUpdateAndRemove(t *testing.T) {
	f, _ := statetest.File(t, "topics.json")
	topics := NewTopics(f, f, someTopics(), 1)
	told := 0
	topics.OnChange(func() { told++ })
	if err := topics.Update([]*protocol.TopicConfig{NewTopicConfig("a", 2), NewTopicConfig("b", 2)}, 2); err != nil {
		t.Fatal(err)
	}
	identity := topics.Get("a")
	if err := topics.Update([]*protocol.TopicConfig{NewTopicConfig("a", 2), NewTopicConfig("b", 5)}, 3); err != nil {
		t.Fatal(err)
	}
	if err := topics.Update([]*protocol.TopicConfig{NewTopicConfig("a", 2)}, 4); err != nil {
		t.Fatal(err)
	}
	if told != 2 || topics.version().Timestamp != 3 {
		t.Errorf("%d changes told, version %+v: an equal configuration is no change", told, topics.version())
	}
	if topics.Get("a") != identity || topics.Get("b").Config().WriteQueueNums != 5 {
		t.Error("a topic is not the same after an update, or not updated")
	}
	topics.MarkOrdered(slices.Values([]string{"a", "nothing"}), 5)
	if !topics.Get("a").Config().Order || told != 3 {
		t.Error("an ordered topic is not marked")
	}
	if gone, err := topics.Remove([]string{"a", "nothing"}, 6); err != nil || topics.Get("a") != nil || len(gone) != 1 || gone[0] != identity {
		t.Errorf("removed: %v, %v", gone, err)
	}
	if !identity.Enter() {
		t.Error("a put cannot begin before the topic is retired")
	}
	if err := identity.Retire(time.Millisecond); !errors.Is(err, errStillInUse) {
		t.Errorf("retired with a put under way: %v", err)
	}
	identity.Leave()
	if err := identity.Retire(time.Second); err != nil || identity.Enter() {
		t.Errorf("retired: %v, or a put begins after it", err)
	}
}

// A failed write is reported to who asked, and the next one makes up for it.
func TestTopicTableReportsFailedWrites(t *testing.T) {
	f, crash := statetest.File(t, "topics.json")
	faults := vfs.NewFaultFS(crash, time.Sleep)
	topics := NewTopics(state.NewFile(faults, f.Name()), f, someTopics(), 1)
	faults.SetRules(vfs.Rule{Op: vfs.OpOpen, Err: syscall.ENOSPC})
	if err := topics.Update([]*protocol.TopicConfig{NewTopicConfig("a", 2)}, 2); err == nil {
		t.Fatal("a failed write is not reported")
	}
	faults.SetRules()
	if err := topics.Update([]*protocol.TopicConfig{NewTopicConfig("b", 2)}, 3); err != nil {
		t.Fatal(err)
	}
	again := NewTopics(state.NewFile(crash, f.Name()), f, someTopics(), 1)
	if err := again.Load(); err != nil || again.Get("a") == nil || again.Get("b") == nil {
		t.Errorf("after the write that worked: %v", err)
	}
}
