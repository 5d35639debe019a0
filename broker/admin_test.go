package broker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func createTopic(name string) *protocol.CreateTopicRequestHeader {
	return &protocol.CreateTopicRequestHeader{
		Topic: name, DefaultTopic: "TBW102", ReadQueueNums: 4, WriteQueueNums: 4, Perm: 6, TopicFilterType: "SINGLE_TAG",
	}
}

func TestTopicAdministration(t *testing.T) {
	s := start(t, nil)
	h := createTopic("orders")
	h.Attributes = "+message.type=FIFO"
	s.must(protocol.UpdateAndCreateTopic, h, nil, nil)
	var config protocol.TopicConfig
	s.must(protocol.GetTopicConfig, &protocol.GetTopicConfigRequestHeader{Topic: "orders"}, nil, &config)
	if config.WriteQueueNums != 4 || config.Perm != 6 || config.Attributes["message.type"] != "FIFO" {
		t.Errorf("%+v", config)
	}
	for _, c := range []struct {
		change func(*protocol.CreateTopicRequestHeader)
		code   protocol.ResponseCode
	}{
		{func(h *protocol.CreateTopicRequestHeader) { h.Topic = "a b" }, protocol.InvalidParameter},
		{func(h *protocol.CreateTopicRequestHeader) { h.Topic = "TBW102" }, protocol.InvalidParameter},
		{func(h *protocol.CreateTopicRequestHeader) { h.ReadQueueNums = -1 }, protocol.InvalidParameter},
		{func(h *protocol.CreateTopicRequestHeader) { h.Attributes = "+queue.type=BatchCQ" }, protocol.SystemError},
		{func(h *protocol.CreateTopicRequestHeader) { h.Attributes = "+nothing=1" }, protocol.SystemError},
	} {
		h := createTopic("other")
		c.change(h)
		s.wantCode(s.call(protocol.UpdateAndCreateTopic, h, nil), c.code)
	}
	var all protocol.TopicConfigAndMappingSerializeWrapper
	resp := s.must(protocol.GetAllTopicConfig, nil, nil, &all)
	if total, _ := resp.Fields.Int64("totalTopicNum"); int(total) != len(all.TopicConfigTable) || total < 14 {
		t.Errorf("%d topics, %d told", len(all.TopicConfigTable), total)
	}
	all = protocol.TopicConfigAndMappingSerializeWrapper{}
	s.must(protocol.GetAllTopicConfig, &protocol.GetAllTopicConfigRequestHeader{TopicSeq: 2, MaxTopicNum: protocol.Some[int32](3)}, nil, &all)
	if len(all.TopicConfigTable) != 3 {
		t.Errorf("a page of 3 has %d", len(all.TopicConfigTable))
	}
	s.put("orders", 1, "x")
	s.dispatched("orders", 1, 1)
	var stats protocol.TopicStatsTable
	s.must(protocol.GetTopicStatsInfo, &protocol.GetTopicStatsInfoRequestHeader{Topic: "orders"}, nil, &stats)
	q := protocol.MessageQueue{BrokerName: "broker-a", Topic: "orders", QueueID: 1}
	if len(stats.OffsetTable) != 4 || stats.OffsetTable[q].MaxOffset != 1 || stats.OffsetTable[q].LastUpdateTimestamp == 0 {
		t.Errorf("%+v", stats)
	}
	s.wantCode(s.call(protocol.GetTopicStatsInfo, &protocol.GetTopicStatsInfoRequestHeader{Topic: "nothing"}, nil), protocol.TopicNotExist)
}

// A topic that is deleted and made again begins anew, also while messages are sent to it.
func TestDeleteTopic(t *testing.T) {
	s := start(t, nil)
	s.must(protocol.UpdateAndCreateTopic, createTopic("orders"), nil, nil)
	for range 5 {
		s.put("orders", 0, "old")
	}
	s.pull(pullHeader("readers", "orders", 0, 0))
	s.offsets.Commit("orders", "readers", 0, 5)
	stop := make(chan struct{})
	done := make(chan error, 1)
	sender := remoting.NewClient(nil)
	defer sender.Close()
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			req := remoting.NewRequest(protocol.SendMessageV2)
			h := sendHeader("orders", 0)
			h.DefaultTopic = []byte("none")
			h.EncodeV2(&req.Fields)
			req.Body = []byte("meanwhile")
			resp, err := sender.Call(t.Context(), s.Addr(), req)
			if err != nil {
				done <- err
				return
			}
			if c := resp.ResponseCode(); c != protocol.Success && c != protocol.TopicNotExist {
				done <- fmt.Errorf("answer %d %q", c, resp.Remark)
				return
			}
		}
	}()
	for range 5 {
		s.must(protocol.DeleteTopicInBroker, &protocol.DeleteTopicRequestHeader{Topic: "orders"}, nil, nil)
		if s.topics.Get("orders") != nil || s.offsets.Queues("orders", "readers") != nil {
			t.Fatal("topic or offsets are still there")
		}
		if n := s.store.MaxOffset("orders", 0); n != 0 {
			t.Fatalf("the queue still has %d messages", n)
		}
		s.must(protocol.UpdateAndCreateTopic, createTopic("orders"), nil, nil)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	h := s.put("orders", 1, "new")
	if h.QueueOffset != 0 {
		t.Errorf("the first message of the new topic has offset %d", h.QueueOffset)
	}
	s.wantCode(s.call(protocol.DeleteTopicInBroker, &protocol.DeleteTopicRequestHeader{Topic: "TBW102"}, nil), protocol.InvalidParameter)
}

func TestGroupAdministration(t *testing.T) {
	s := start(t, nil)
	s.must(protocol.UpdateAndCreateSubscriptionGroup, nil, []byte(`{"groupName":"readers","retryMaxTimes":3}`), nil)
	config := protocol.NewSubscriptionGroupConfig("")
	s.must(protocol.GetSubscriptionGroupConfig, &protocol.GetSubscriptionGroupConfigRequestHeader{Group: "readers"}, nil, config)
	if config.RetryMaxTimes != 3 || !config.ConsumeEnable {
		t.Errorf("%+v", config)
	}
	s.wantCode(s.call(protocol.UpdateAndCreateSubscriptionGroup, nil, []byte(`{"groupName":"a b"}`)), protocol.InvalidParameter)
	s.wantCode(s.call(protocol.UpdateAndCreateSubscriptionGroup, nil, []byte(`garbage`)), protocol.SystemError)
	var all protocol.SubscriptionGroupWrapper
	s.must(protocol.GetAllSubscriptionGroupConfig, nil, nil, &all)
	if _, ok := all.SubscriptionGroupTable["readers"]; !ok {
		t.Errorf("%+v", all)
	}
	s.put("orders", 0, "x")
	s.dispatched("orders", 0, 1)
	s.offsets.Commit("orders", "readers", 0, 1)
	var consume protocol.ConsumeStats
	s.must(protocol.GetConsumeStats, &protocol.GetConsumeStatsRequestHeader{ConsumerGroup: "readers"}, nil, &consume)
	w := consume.OffsetTable[protocol.MessageQueue{BrokerName: "broker-a", Topic: "orders"}]
	if w.BrokerOffset != 1 || w.ConsumerOffset != 1 || w.LastTimestamp == 0 {
		t.Errorf("%+v", consume)
	}
	var list protocol.ConsumeStatsList
	s.must(protocol.GetBrokerConsumeStats, &protocol.GetConsumeStatsInBrokerHeader{}, nil, &list)
	if len(list.ConsumeStatsList) != len(s.groups.Names()) {
		t.Errorf("%d groups", len(list.ConsumeStatsList))
	}
	s.must(protocol.CloneGroupOffset, &protocol.CloneGroupOffsetRequestHeader{SrcGroup: "readers", DestGroup: "others", Topic: "orders", Offline: true}, nil, nil)
	var groups protocol.GroupList
	s.must(protocol.QueryTopicConsumeByWho, &protocol.QueryTopicConsumeByWhoRequestHeader{Topic: "orders"}, nil, &groups)
	if !slices.Equal(groups.GroupList, []string{"others", "readers"}) {
		t.Errorf("%v", groups)
	}
	s.must(protocol.DeleteSubscriptionGroup, &protocol.DeleteSubscriptionGroupRequestHeader{GroupName: "readers", CleanOffset: true}, nil, nil)
	if s.groups.Get("readers") != nil || s.offsets.Queues("orders", "readers") != nil {
		t.Error("group or offsets are still there")
	}
}

func TestRuntimeInfo(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "x")
	var info protocol.KVTable
	s.must(protocol.GetBrokerRuntimeInfo, nil, nil, &info)
	for _, key := range []string{
		"brokerVersionDesc", "brokerActive", "putTps", "getTotalTps", "getTransferredTps", "getFoundTps", "getMissTps", "msgPutTotalYesterdayMorning",
		"msgPutTotalTodayMorning", "msgPutTotalTodayNow", "msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning", "msgGetTotalTodayNow",
		"sendThreadPoolQueueSize", "sendThreadPoolQueueHeadWaitTimeMills", "pullThreadPoolQueueSize", "pageCacheLockTimeMills", "earliestMessageTimeStamp",
		"commitLogDiskRatio", "commitLogMaxOffset", "dispatchBehindBytes", "timerReadBehind", "bootTimestamp", "runtime", "commitLogDirCapacity", "goroutines",
	} {
		if info.Table[key] == "" {
			t.Errorf("no %s", key)
		}
	}
	if parts := strings.Fields(info.Table["putTps"]); len(parts) != 3 {
		t.Errorf("putTps is %q", info.Table["putTps"])
	}
	if info.Table["msgPutTotalTodayNow"] != "1" {
		t.Errorf("%s messages put", info.Table["msgPutTotalTodayNow"])
	}
}

// Settings are shown and changed by RocketMQ's names; a wrong one changes nothing.
func TestConfiguration(t *testing.T) {
	var kept []properties.Entry
	fail := false
	s := start(t, func(o *Options) {
		o.OnConfigChange = func(e []properties.Entry) error {
			if fail {
				return errors.New("the disk is full")
			}
			kept = append(kept, e...)
			return nil
		}
	})
	resp := s.must(protocol.GetBrokerConfig, nil, nil, nil)
	if !strings.Contains(string(resp.Body), "flushDiskType=ASYNC_FLUSH\n") || resp.Fields.Text("version") == "" {
		t.Errorf("%q", resp.Body)
	}
	s.must(protocol.UpdateBrokerConfig, nil, []byte("autoCreateTopicEnable=false\nnoSuchThing=1\n"), nil)
	if s.options().AutoCreateTopicEnable || len(kept) != 2 {
		t.Errorf("not changed, or not kept: %v", kept)
	}
	s.wantCode(s.call(protocol.SendMessageV2, v2{sendHeader("orders", 0)}, []byte("x")), protocol.TopicNotExist)
	for text, code := range map[string]protocol.ResponseCode{
		"brokerPermission=x":   protocol.InvalidParameter,
		"brokerPermission=9":   protocol.InvalidParameter,
		"storePathRootDir=/x":  protocol.NoPermission,
		"configBlackList=none": protocol.NoPermission,
	} {
		s.wantCode(s.call(protocol.UpdateBrokerConfig, nil, []byte(text)), code)
	}
	fail = true
	s.wantCode(s.call(protocol.UpdateBrokerConfig, nil, []byte("traceOn=false")), protocol.SystemError)
	if !s.options().TraceOn {
		t.Error("a change that cannot be kept counts")
	}
}

func TestStatisticsByName(t *testing.T) {
	s := start(t, nil)
	stat := &protocol.ViewBrokerStatsDataRequestHeader{StatsName: "TOPIC_PUT_NUMS", StatsKey: "orders"}
	s.wantCode(s.call(protocol.ViewBrokerStatsData, stat, nil), protocol.SystemError)
	s.put("orders", 0, "x")
	s.dispatched("orders", 0, 1)
	s.pull(pullHeader("readers", "orders", 0, 0))
	s.must(protocol.ViewBrokerStatsData, stat, nil, &protocol.BrokerStatsData{})
	stat.StatsName, stat.StatsKey = "GROUP_GET_NUMS", "orders@readers"
	s.must(protocol.ViewBrokerStatsData, stat, nil, &protocol.BrokerStatsData{})
}

// What an administrator asks of a consumer is passed on to it, and its answer back, byte for byte.
func TestForwarding(t *testing.T) {
	s := start(t, nil)
	h := s.put("orders", 0, "look at me")
	consumer := remoting.NewClient(nil)
	defer consumer.Close()
	info := []byte(`{"jstack":"","mqTable":{{"brokerName":"b","queueId":0,"topic":"t"}:{}}}`)
	consumer.Handle(protocol.GetConsumerRunningInfo, func(*remoting.Conn, *remoting.Command) *remoting.Command {
		resp := remoting.NewResponse(protocol.Success, "fine")
		resp.Body = info
		return resp
	})
	consumer.Handle(protocol.ConsumeMessageDirectly, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		r, err := message.ParseRecord(req.Body)
		if err != nil || string(r.Body()) != "look at me" {
			return remoting.NewResponse(protocol.SystemError, fmt.Sprint(err))
		}
		return remoting.NewResponse(protocol.Success, req.Fields.Text("msgId"))
	})
	consumer.Handle(protocol.GetConsumerStatusFromClient, func(*remoting.Conn, *remoting.Command) *remoting.Command {
		resp := remoting.NewResponse(protocol.Success, "")
		resp.Body = []byte(`{"messageQueueTable":{{"brokerName":"broker-a","queueId":0,"topic":"orders"}:6}}`)
		return resp
	})
	s.heartbeat(consumer, "one", "readers", protocol.Clustering, 1, "orders", "*")
	resp := s.must(protocol.GetConsumerRunningInfo, &protocol.GetConsumerRunningInfoRequestHeader{ConsumerGroup: "readers", ClientID: "one"}, nil, nil)
	if string(resp.Body) != string(info) || resp.Remark != "fine" {
		t.Errorf("%q %q", resp.Remark, resp.Body)
	}
	direct := &protocol.ConsumeMessageDirectlyResultRequestHeader{ConsumerGroup: "readers", ClientID: "one", MsgID: string(h.MsgID)}
	if resp := s.must(protocol.ConsumeMessageDirectly, direct, nil, nil); resp.Remark != string(h.MsgID) {
		t.Errorf("%q", resp.Remark)
	}
	direct.MsgID = "nonsense"
	s.wantCode(s.call(protocol.ConsumeMessageDirectly, direct, nil), protocol.SystemError)
	resp = s.call(protocol.GetConsumerRunningInfo, &protocol.GetConsumerRunningInfoRequestHeader{ConsumerGroup: "readers", ClientID: "two"}, nil)
	if s.wantCode(resp, protocol.SystemError); resp.Remark != "The Consumer <readers> <two> not online" {
		t.Errorf("%q", resp.Remark)
	}
	var status protocol.GetConsumerStatusBody
	s.must(protocol.InvokeBrokerToGetConsumerStatus, &protocol.GetConsumerStatusRequestHeader{Topic: "orders", Group: "readers"}, nil, &status)
	if status.ConsumerTable["one"][protocol.MessageQueue{BrokerName: "broker-a", Topic: "orders"}] != 6 {
		t.Errorf("%+v", status)
	}
	var connections protocol.ConsumerConnection
	s.must(protocol.GetConsumerConnectionList, &protocol.GetConsumerConnectionListRequestHeader{ConsumerGroup: "readers"}, nil, &connections)
	if len(connections.ConnectionSet) != 1 || connections.ConnectionSet[0].ClientID != "one" || connections.SubscriptionTable["orders"].SubString != "*" {
		t.Errorf("%+v", connections)
	}
	s.wantCode(s.call(protocol.GetConsumerConnectionList, &protocol.GetConsumerConnectionListRequestHeader{ConsumerGroup: "nobody"}, nil), protocol.ConsumerNotOnline)
}

// With useServerSideResetOffset off the consumers themselves are told where to go on.
func TestResetAtClients(t *testing.T) {
	s := start(t, func(o *Options) { o.UseServerSideResetOffset = false })
	s.put("orders", 0, "x")
	s.pull(pullHeader("readers", "orders", 0, 0))
	reset := &protocol.ResetOffsetRequestHeader{Group: "readers", Topic: "orders", QueueID: -1, Timestamp: -1, IsForce: true}
	s.wantCode(s.call(protocol.InvokeBrokerToResetOffset, reset, nil), protocol.ConsumerNotOnline)
	told := make(chan []byte, 1)
	consumer := remoting.NewClient(nil)
	defer consumer.Close()
	consumer.Handle(protocol.ResetConsumerClientOffset, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		told <- slices.Clone(req.Body)
		return remoting.NoReply()
	})
	s.heartbeat(consumer, "one", "readers", protocol.Clustering, 1, "orders", "*")
	s.dispatched("orders", 0, 1)
	s.must(protocol.InvokeBrokerToResetOffset, reset, nil, nil)
	var body protocol.ResetOffsetBody
	if err := protocol.UnmarshalJSON(<-told, &body); err != nil || body.OffsetTable[protocol.MessageQueue{BrokerName: "broker-a", Topic: "orders"}] != 1 {
		t.Errorf("%+v, %v", body, err)
	}
}

func TestTimeSpansAndCorrections(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "a")
	s.put("orders", 0, "b")
	s.dispatched("orders", 0, 2)
	s.offsets.Commit("orders", "readers", 0, 1)
	s.offsets.Commit("orders", "others", 0, 2)
	var spans protocol.QueryConsumeTimeSpanBody
	s.must(protocol.QueryConsumeTimeSpan, &protocol.QueryConsumeTimeSpanRequestHeader{Topic: "orders", Group: "readers"}, nil, &spans)
	if len(spans.ConsumeTimeSpanSet) != 4 || spans.ConsumeTimeSpanSet[0].ConsumeTimeStamp <= 0 || spans.ConsumeTimeSpanSet[0].DelayTime < 0 {
		t.Errorf("%+v", spans)
	}
	var corrections protocol.QueryCorrectionOffsetBody
	s.must(protocol.QueryCorrectionOffset, &protocol.QueryCorrectionOffsetHeader{Topic: "orders", CompareGroup: "readers"}, nil, &corrections)
	if corrections.CorrectionOffsets[0] != 1 {
		t.Errorf("%+v", corrections)
	}
	var entries protocol.QueryConsumeQueueResponseBody
	s.must(protocol.QueryConsumeQueue, &protocol.QueryConsumeQueueRequestHeader{Topic: "orders", Index: 1, Count: 5}, nil, &entries)
	if len(entries.QueueData) != 1 || entries.MaxQueueIndex != 2 {
		t.Errorf("%+v", entries)
	}
	at, _ := s.must(protocol.GetEarliestMsgStoreTime, &protocol.GetEarliestMsgStoreTimeRequestHeader{Topic: "orders"}, nil, nil).Fields.Int64("timestamp")
	if time.Since(time.UnixMilli(at)) > time.Minute {
		t.Errorf("earliest time %d", at)
	}
}
