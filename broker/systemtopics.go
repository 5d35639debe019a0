package broker

import (
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Queues of topics that the broker makes itself.
const (
	scheduleQueues = 18
	reviveQueues   = 8
	dlqQueues      = 1
)

// systemTopics are the topics that a broker makes at its first start, as TopicConfigManager.init does.
func systemTopics(o *Options) []*protocol.TopicConfig {
	config := func(name string, queues int32, perm int32) *protocol.TopicConfig {
		c := metadata.NewTopicConfig(name, queues)
		c.Perm = perm
		return c
	}
	whenEnabled := func(on bool) int32 {
		if on {
			return metadata.PermInherit | metadata.PermRead | metadata.PermWrite
		}
		return metadata.PermInherit
	}
	const rw = metadata.PermRead | metadata.PermWrite
	list := []*protocol.TopicConfig{
		config(message.SelfTestTopic, 1, rw),
		config(message.BenchmarkTopic, 1024, rw),
		config(o.BrokerClusterName, 16, whenEnabled(o.ClusterTopicEnable)),
		config(o.BrokerName, 1, whenEnabled(o.BrokerTopicEnable)),
		config(message.OffsetMovedTopic, 1, rw),
		config(message.ScheduleTopic, scheduleQueues, rw),
		config(o.BrokerClusterName+"_"+message.ReplyTopicPostfix, 1, rw),
		config(message.ReviveTopicPrefix+o.BrokerClusterName, reviveQueues, rw),
		config(message.SyncMemberPrefix+o.BrokerName, 1, metadata.PermInherit),
		config(message.HalfTopic, 1, rw),
		config(message.OpHalfTopic, 1, rw),
		config(message.TimerTopic, 1, rw),
	}
	if o.AutoCreateTopicEnable {
		list = append(list, config(message.AutoCreateTopic, o.DefaultTopicQueueNums, rw|metadata.PermInherit))
	}
	if o.TraceTopicEnable {
		list = append(list, config(o.MsgTraceTopicName, 1, rw))
	}
	return list
}
