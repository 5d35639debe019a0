package broker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A static topic that a Java broker left is neither read nor written, and what the store has of it stays as it is: queues
// and offsets that clients have of it are those of a mapping.
func TestStaticTopicsAreLeftAlone(t *testing.T) {
	o := testOptions(t.TempDir())
	for name, text := range map[string]string{
		"topics.json":         `{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1},"topicConfigTable":{"Fixed":{"order":false,"perm":6,"readQueueNums":1,"topicFilterType":"SINGLE_TAG","topicName":"Fixed","topicSysFlag":0,"writeQueueNums":1}}}`,
		"consumerOffset.json": `{"offsetTable":{"Fixed@readers":{0:1000}}}`,
		"topicQueueMapping.json": `{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1},"topicQueueMappingInfoMap":{"Fixed":{"bname":"broker-a","currIdMap":{},"dirty":false,"epoch":7,
			"hostedQueues":{0:[{"bname":"broker-a","endOffset":-1,"gen":0,"logicOffset":1000,"queueId":0,"startOffset":0,"timeOfEnd":-1,"timeOfStart":-1}]},
			"scope":"__global__","topic":"Fixed","totalQueues":1}}}`,
	} {
		if err := os.MkdirAll(filepath.Join(o.StorePathRootDir, "config"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(o.StorePathRootDir, "config", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := startWith(t, o)
	s.wantCode(s.pull(pullHeader("readers", "Fixed", 0, 0)).Command, protocol.NoPermission)
	send := &protocol.SendMessageRequestHeader{ProducerGroup: []byte("p"), Topic: []byte("Fixed"), DefaultTopic: []byte(message.AutoCreateTopic), DefaultTopicQueueNums: 1}
	s.wantCode(s.call(protocol.SendMessage, send, []byte("x")), protocol.NoPermission)
	if offset, ok := s.offsets.Committed("Fixed", "readers", 0); !ok || offset != 1000 {
		t.Errorf("the group's offset is %d", offset)
	}
}
