package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func withLight(o *Options) { o.EnableLmq, o.EnableMultiDispatch = true, true }

// Light queues are read as topics of one queue, by groups that nobody made; neither is in a table or on a name server, and
// the offsets of such groups are in Java's file of their own.
func TestLightQueues(t *testing.T) {
	dir := t.TempDir()
	open := func() *bench {
		o := testOptions(dir)
		withLight(o)
		b, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return &bench{TB: t, Broker: b}
	}
	const queue, group = "%LMQ%device", "%LMQ%readers"
	s := start(t, func(o *Options) { withLight(o); o.StorePathRootDir = dir })
	h := pullHeader(group, queue, 0, 0)
	s.wantCode(s.call(protocol.PullMessage, h, nil), protocol.PullNotFound)
	for i := range 5 {
		s.put("Parent", int32(i%2), fmt.Sprint("m", i), message.PropertyTags, fmt.Sprint("T", i%2), message.PropertyMultiDispatch, queue+",%LMQ%other")
	}
	s.put("Parent", 0, "without")
	s.dispatched(queue, 0, 5)
	got := s.pull(h)
	if want := []string{"m0", "m1", "m2", "m3", "m4"}; !slices.Equal(got.bodies(), want) || got.header.NextBeginOffset != 5 || got.header.MaxOffset != 5 {
		t.Errorf("pulled %v, %+v", got.bodies(), got.header)
	}
	h.Subscription = []byte("T1")
	if got := s.pull(h); !slices.Equal(got.bodies(), []string{"m1", "m3"}) {
		t.Errorf("with a tag: %v", got.bodies())
	}
	s.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{ConsumerGroup: group, Topic: queue, CommitOffset: 3}, nil, nil)
	s.heartbeat(s.client, "c", "plain", protocol.Clustering, 1, "Parent", "*")
	s.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{ConsumerGroup: "plain", Topic: "Parent", CommitOffset: 1}, nil, nil)
	if s.topics.Snapshot().TopicConfigTable[queue] != nil || s.groups.Snapshot().SubscriptionGroupTable[group] != nil {
		t.Error("a light queue is in the table of topics, or its group in that of groups")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var file struct {
		LmqOffsetTable map[string]int64
		OffsetTable    map[string]map[string]int64
	}
	data, err := os.ReadFile(filepath.Join(dir, "config", "lmqConsumerOffset.json"))
	if err == nil {
		err = json.Unmarshal(data, &file)
	}
	if err != nil || file.LmqOffsetTable[queue+"@"+group] != 3 || file.OffsetTable["Parent@plain"]["0"] != 1 || file.OffsetTable[queue+"@"+group] != nil {
		t.Errorf("the file is %s, %v", data, err)
	}
	again := open()
	defer again.Close()
	if offset, ok := again.offsets.Committed(queue, group, 0); !ok || offset != 3 {
		t.Errorf("the group is at %d, %t", offset, ok)
	}
}

// Whoever holds a pull of a light queue is woken by a message that names it.
func TestLightQueueWakes(t *testing.T) {
	s := start(t, withLight)
	h := pullHeader("g", "%LMQ%device", 0, 0)
	h.SysFlag |= protocol.PullSuspend
	h.SuspendTimeoutMillis = 15000
	answer := make(chan pulled, 1)
	go func() { answer <- s.pull(h) }()
	s.await("the pull to be held", func() bool { return s.holds.Len() == 1 })
	s.put("Parent", 0, "m", message.PropertyMultiDispatch, "%LMQ%device")
	if got := <-answer; !slices.Equal(got.bodies(), []string{"m"}) {
		t.Errorf("answer %d %v", got.Code, got.bodies())
	}
}

func TestLightQueuesThatAreRefused(t *testing.T) {
	s := start(t, func(o *Options) { withLight(o); o.MaxLmqConsumeQueueNum = 1 })
	send := func(names string) protocol.ResponseCode {
		return s.call(protocol.SendMessageV2, v2{sendHeader("Parent", 0, message.PropertyMultiDispatch, names)}, []byte("m")).ResponseCode()
	}
	for _, c := range []struct {
		names string
		want  protocol.ResponseCode
	}{{"%LMQ%a", protocol.Success}, {"plain", protocol.MessageIllegal}, {"%LMQ%a,%LMQ%b", protocol.SystemError}} {
		if got := send(c.names); got != c.want {
			t.Errorf("%s: answer %d, want %d", c.names, got, c.want)
		}
	}
}

// A group pops from a light queue by its offsets there.
func TestPopLightQueue(t *testing.T) {
	s := startPop(t, withLight)
	s.put("Parent", 0, "not for it")
	s.put("Parent", 0, "m", message.PropertyMultiDispatch, "%LMQ%device")
	s.dispatched("%LMQ%device", 0, 1)
	h := popHeader("%LMQ%device")
	resp := s.call(protocol.PopMessage, h, nil)
	var info protocol.PopMessageResponseHeader
	if err := info.Decode(&resp.Fields); err != nil || info.StartOffsetInfo != "0 0 0" || info.MsgOffsetInfo != "0 0 0" {
		t.Errorf("answer %d %q: %+v, %v", resp.Code, resp.Remark, info, err)
	}
}
