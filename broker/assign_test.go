package broker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func queuesNamed(n int) (list []protocol.MessageQueue) {
	for i := range n {
		list = append(list, protocol.MessageQueue{Topic: "T", BrokerName: "b", QueueID: int32(i)})
	}
	return list
}

func ids(list []protocol.MessageQueue) (ids []int32) {
	for _, q := range list {
		ids = append(ids, q.QueueID)
	}
	return ids
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		strategy              string
		queues, clients, self int
		want                  string
	}{
		{strategyAverage, 8, 3, 0, "[0 1 2]"}, {strategyAverage, 8, 3, 1, "[3 4 5]"}, {strategyAverage, 8, 3, 2, "[6 7]"},
		{strategyAverage, 2, 3, 1, "[1]"}, {strategyAverage, 2, 3, 2, "[]"}, {strategyAverage, 4, 4, 3, "[3]"},
		{strategyCircle, 8, 3, 0, "[0 3 6]"}, {strategyCircle, 8, 3, 2, "[2 5]"}, {strategyCircle, 2, 3, 2, "[]"},
	} {
		if got := fmt.Sprint(ids(share(c.strategy, queuesNamed(c.queues), c.clients, c.self))); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestPopShare(t *testing.T) {
	for _, c := range []struct {
		queues, clients, self, others int
		want                          string
	}{
		{8, 3, 0, -1, "[-1]"}, {8, 3, 0, 0, "[-1]"}, {8, 3, 0, 2, "[-1]"}, {8, 4, 3, 1, "[6 7 0 1]"}, {8, 4, 0, 2, "[0 1 2 3 4 5]"}, {2, 5, 3, 1, "[1]"},
	} {
		if got := fmt.Sprint(ids(popShare(strategyAverage, queuesNamed(c.queues), c.clients, c.self, true, c.others))); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestAssignment(t *testing.T) {
	dir := t.TempDir()
	query := func(s *bench, model protocol.MessageModel, strategy string) (answer protocol.QueryAssignmentResponseBody) {
		s.must(protocol.QueryAssignment, nil, &protocol.QueryAssignmentRequestBody{
			ClientID: "c2", ConsumerGroup: "g", Topic: "T", MessageModel: model, StrategyName: strategy,
		}, &answer)
		return answer
	}
	t.Run("before", func(t *testing.T) {
		s := startWith(t, testOptions(dir))
		s.put("T", 0, "m")
		if got := query(s, protocol.Clustering, strategyAverage); got.MessageQueueAssignments != nil {
			t.Errorf("a group that nobody is in is assigned %v", got)
		}
		other := remoting.NewClient(nil)
		defer other.Close()
		s.heartbeat(s.client, "c1", "g", protocol.Clustering, 1, "T", "*")
		s.heartbeat(other, "c2", "g", protocol.Clustering, 1, "T", "*")
		got := query(s, protocol.Clustering, strategyAverage)
		if len(got.MessageQueueAssignments) != 2 || got.MessageQueueAssignments[0].MessageQueue.QueueID != 2 || got.MessageQueueAssignments[0].Mode != protocol.RequestModePull {
			t.Errorf("assigned %+v, want the second half of four queues", got)
		}
		if got := query(s, protocol.Broadcasting, strategyAverage); len(got.MessageQueueAssignments) != 4 {
			t.Errorf("broadcasting is assigned %+v", got)
		}
		if got := query(s, protocol.Clustering, "NONE"); got.MessageQueueAssignments != nil {
			t.Errorf("a strategy that is not known assigns %+v", got)
		}
		mode := protocol.SetMessageRequestModeRequestBody{Topic: "T", ConsumerGroup: "g", Mode: protocol.RequestModePop, PopShareQueueNum: -1}
		s.must(protocol.SetMessageRequestMode, nil, &mode, nil)
		for topic, code := range map[string]protocol.ResponseCode{"%RETRY%g": protocol.NoPermission, "none": protocol.TopicNotExist} {
			mode.Topic = topic
			body, _ := protocol.MarshalJSON(&mode)
			s.wantCode(s.call(protocol.SetMessageRequestMode, nil, body), code)
		}
		got = query(s, protocol.Clustering, strategyAverage)
		if len(got.MessageQueueAssignments) != 1 || got.MessageQueueAssignments[0].MessageQueue.QueueID != -1 || got.MessageQueueAssignments[0].Mode != protocol.RequestModePop {
			t.Errorf("a group that pops is assigned %+v", got)
		}
	})
	s := startWith(t, testOptions(dir))
	var all protocol.MessageRequestModeSerializeWrapper
	s.must(protocol.GetAllMessageRequestMode, nil, nil, &all)
	if all.MessageRequestModeMap["T"]["g"].Mode != protocol.RequestModePop {
		t.Errorf("modes after a restart: %+v", all)
	}
}

func TestRouteIsInJavasOrder(t *testing.T) {
	list := readable("T", &protocol.TopicRouteData{QueueDatas: []protocol.QueueData{
		{BrokerName: "b", ReadQueueNums: 2, Perm: metadata.PermRead}, {BrokerName: "a", ReadQueueNums: 1, Perm: metadata.PermRead | metadata.PermWrite}, {BrokerName: "c", ReadQueueNums: 9, Perm: metadata.PermWrite},
	}})
	want := []protocol.MessageQueue{{Topic: "T", BrokerName: "a"}, {Topic: "T", BrokerName: "b"}, {Topic: "T", BrokerName: "b", QueueID: 1}}
	if !slices.Equal(list, want) {
		t.Errorf("queues %v", list)
	}
}
