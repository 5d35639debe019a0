package broker

import "testing"

// The topics that a broker makes are Java's.
func TestSystemTopics(t *testing.T) {
	made := map[string][2]int32{}
	for _, c := range systemTopics(testOptions("")) {
		if c.ReadQueueNums != c.WriteQueueNums {
			t.Errorf("%s has %d queues to read and %d to write", c.TopicName, c.ReadQueueNums, c.WriteQueueNums)
		}
		made[c.TopicName] = [2]int32{c.WriteQueueNums, c.Perm}
	}
	for name, want := range map[string][2]int32{
		"TBW102": {8, 7}, "SELF_TEST_TOPIC": {1, 6}, "BenchmarkTest": {1024, 6}, "DefaultCluster": {16, 7}, "broker-a": {1, 7},
		"SCHEDULE_TOPIC_XXXX": {18, 6}, "DefaultCluster_REPLY_TOPIC": {1, 6}, "rmq_sys_REVIVE_LOG_DefaultCluster": {8, 6},
		"rmq_sys_SYNC_BROKER_MEMBER_broker-a": {1, 1},
	} {
		if made[name] != want {
			t.Errorf("system topic %s: %v, want %v", name, made[name], want)
		}
	}
}
