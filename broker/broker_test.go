package broker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func TestSendAndPull(t *testing.T) {
	s := start(t, nil)
	for i := range 5 {
		h := s.put("orders", 1, fmt.Sprintf("body %d", i), "TAGS", "A", "KEYS", "k", "UNIQ_KEY", fmt.Sprintf("ID%d", i))
		if h.QueueID != 1 || h.QueueOffset != int64(i) || string(h.TransactionID) != fmt.Sprintf("ID%d", i) {
			t.Fatalf("answer to send %d: %+v", i, h)
		}
		host, offset, err := message.ParseOffsetID(string(h.MsgID))
		if err != nil || host != s.storeHost {
			t.Fatalf("message id %q: host %v, %v", h.MsgID, host, err)
		}
		ref, err := s.store.RecordAt(offset)
		if err != nil || string(ref.Record().Body()) != fmt.Sprintf("body %d", i) {
			t.Fatalf("message id %q leads to no record of it: %v", h.MsgID, err)
		}
		ref.Release()
	}
	s.dispatched("orders", 1, 5)
	p := s.pull(pullHeader("readers", "orders", 1, 0))
	if got := p.bodies(); !slices.Equal(got, []string{"body 0", "body 1", "body 2", "body 3", "body 4"}) {
		t.Fatalf("pulled %q", got)
	}
	if p.header.NextBeginOffset != 5 || p.header.MinOffset != 0 || p.header.MaxOffset != 5 || p.Remark != "FOUND" {
		t.Errorf("pull: %q %+v", p.Remark, p.header)
	}
	r := p.records[0]
	for name, want := range map[string]string{
		"TAGS": "A", "KEYS": "k", "UNIQ_KEY": "ID0", "MSG_REGION": "DefaultRegion", "TRACE_ON": "true", "CLUSTER": "DefaultCluster",
	} {
		if got, _ := r.Properties().Get(name); string(got) != want {
			t.Errorf("property %s is %q, want %q", name, got, want)
		}
	}
	if r.StoreHost() != s.storeHost || !r.BornHost().Addr().IsLoopback() {
		t.Errorf("hosts: store %v, born %v", r.StoreHost(), r.BornHost())
	}
}

// A request goes through the long names too, without the flag that makes it V2.
func TestSendByLongNames(t *testing.T) {
	s := start(t, nil)
	h := sendHeader("orders", 0)
	resp := s.must(protocol.SendMessage, h, []byte("body"), nil)
	if resp.Fields.Text("transactionId") == "" {
		t.Error("a message without a unique key gets none")
	}
	if resp.Fields.Text("MSG_REGION") != "DefaultRegion" || resp.Fields.Text("TRACE_ON") != "true" {
		t.Errorf("fields of tracing: %q, %q", resp.Fields.Text("MSG_REGION"), resp.Fields.Text("TRACE_ON"))
	}
}

func TestSendBatch(t *testing.T) {
	s := start(t, nil)
	var body []byte
	for i := range 4 {
		p := message.AppendProperty(nil, "UNIQ_KEY", fmt.Sprintf("ID%d", i))
		body = message.AppendBatchItem(body, int32(i), fmt.Appendf(nil, "body %d", i), p)
	}
	h := sendHeader("orders", 2)
	h.Batch = true
	resp := s.must(protocol.SendBatchMessage, v2{h}, body, nil)
	ids := strings.Split(resp.Fields.Text("msgId"), ",")
	if len(ids) != 4 {
		t.Fatalf("message ids %q", ids)
	}
	s.dispatched("orders", 2, 4)
	p := s.pull(pullHeader("readers", "orders", 2, 0))
	for i, r := range p.records {
		_, offset, err := message.ParseOffsetID(ids[i])
		if err != nil || r.PhyOffset() != offset || string(r.Body()) != fmt.Sprintf("body %d", i) || r.Flag() != int32(i) {
			t.Errorf("message %d: %v, at %d, id says %d (%v)", i, string(r.Body()), r.PhyOffset(), offset, err)
		}
		if _, ok := r.Properties().Get("MSG_REGION"); ok {
			t.Error("messages of a batch have the client's properties only")
		}
	}
	if len(p.records) != 4 {
		t.Errorf("%d messages", len(p.records))
	}
}

func TestSendOneway(t *testing.T) {
	s := start(t, nil)
	req := remoting.NewRequest(protocol.SendMessageV2)
	sendHeader("orders", 0).EncodeV2(&req.Fields)
	req.Body = []byte("body")
	conn, err := s.client.Conn(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Oneway(req); err != nil {
		t.Fatal(err)
	}
	s.dispatched("orders", 0, 1)
	if conns := s.server.Conns(); len(conns) != 1 || conns[0].InFlight() != 0 {
		t.Errorf("%d connections, or a one-way request counts as in flight", len(conns))
	}
}

func TestSendRefusals(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxMessageSize = 1 << 16 })
	s.put("orders", 0, "x")
	for _, c := range []struct {
		name   string
		change func(*protocol.SendMessageRequestHeader)
		body   string
		code   protocol.ResponseCode
		remark string
	}{
		{"topic with a blank", func(h *protocol.SendMessageRequestHeader) { h.Topic = []byte("a topic") }, "x", protocol.InvalidParameter, "illegal characters"},
		{"topic that is too long", func(h *protocol.SendMessageRequestHeader) { h.Topic = []byte(strings.Repeat("t", 128)) }, "x", protocol.InvalidParameter, "127"},
		{"no such default topic", func(h *protocol.SendMessageRequestHeader) {
			h.Topic, h.DefaultTopic = []byte("other"), []byte("nothing")
		}, "x", protocol.TopicNotExist, "topic[other] not exist, apply first please!"},
		{"default topic that is not inherited", func(h *protocol.SendMessageRequestHeader) {
			h.Topic, h.DefaultTopic = []byte("other"), []byte("orders")
		}, "x", protocol.TopicNotExist, "not made automatically"},
		{"queue out of range", func(h *protocol.SendMessageRequestHeader) { h.QueueID = 99 }, "x", protocol.InvalidParameter, "request queueId[99] is illegal"},
		{"the schedule topic", func(h *protocol.SendMessageRequestHeader) { h.Topic = []byte("SCHEDULE_TOPIC_XXXX") }, "x", protocol.NoPermission, "is forbidden"},
		{"no body", func(*protocol.SendMessageRequestHeader) {}, "", protocol.MessageIllegal, "empty"},
		{"body that is too large", func(*protocol.SendMessageRequestHeader) {}, strings.Repeat("x", 1<<16+1), protocol.MessageIllegal, "msg body length limit 65536B"},
		{"properties that are too large", func(h *protocol.SendMessageRequestHeader) {
			h.Properties = message.AppendProperty(nil, "p", strings.Repeat("x", 32768))
		}, "x", protocol.MessageIllegal, "32KB"},
		{"a timer of no time", func(h *protocol.SendMessageRequestHeader) {
			h.Properties = message.AppendProperty(nil, "TIMER_DELAY_SEC", "soon")
		}, "x", protocol.MessageIllegal, "timer message illegal"},
		{"a batch for a retry topic", func(h *protocol.SendMessageRequestHeader) {
			h.Topic, h.Batch = []byte("%RETRY%readers"), true
		}, "x", protocol.MessageIllegal, "retry"},
		{"a batch of garbage", func(h *protocol.SendMessageRequestHeader) { h.Batch = true }, "garbage", protocol.MessageIllegal, "message 0 of the batch"},
	} {
		h := sendHeader("orders", 0)
		c.change(h)
		resp := s.call(protocol.SendMessageV2, v2{h}, []byte(c.body))
		if resp.ResponseCode() != c.code || !strings.Contains(resp.Remark, c.remark) {
			t.Errorf("%s: answer %d %q, want %d %q", c.name, resp.Code, resp.Remark, c.code, c.remark)
		}
		if resp.Fields.Text("MSG_REGION") == "" {
			t.Errorf("%s: no field MSG_REGION in the refusal", c.name)
		}
	}
	if n := s.stats.Refused.Load(); n == 0 {
		t.Error("refusals are not counted")
	}
}

// Bad fields name themselves.
func TestBadHeaderFields(t *testing.T) {
	s := start(t, nil)
	for _, c := range []struct {
		code         protocol.RequestCode
		fields       []string
		wantInRemark string
	}{
		{protocol.SendMessageV2, []string{"a", "g", "b", "t"}, "defaultTopic"},
		{protocol.SendMessageV2, []string{"a", "g", "b", "t", "c", "TBW102", "d", "x"}, "defaultTopicQueueNums"},
		{protocol.PullMessage, []string{"consumerGroup", "g"}, "topic"},
		{protocol.PullMessage, []string{"consumerGroup", "g", "topic", "t", "queueId", "99999999999"}, "queueId"},
		{protocol.GetMaxOffset, nil, "topic"},
		{protocol.UpdateConsumerOffset, []string{"consumerGroup", "g", "topic", "t", "queueId", "1", "commitOffset", "-"}, "commitOffset"},
	} {
		req := remoting.NewRequest(c.code)
		for i := 0; i+1 < len(c.fields); i += 2 {
			req.Fields.Add(c.fields[i], c.fields[i+1])
		}
		req.Body = []byte("body")
		resp := s.send(s.client, req)
		if resp.ResponseCode() != protocol.SystemError || !strings.Contains(resp.Remark, c.wantInRemark) {
			t.Errorf("code %d: answer %d %q, want one that names %s", c.code, resp.Code, resp.Remark, c.wantInRemark)
		}
	}
}

func TestPullStatuses(t *testing.T) {
	s := start(t, nil)
	for i := range 3 {
		s.put("orders", 0, fmt.Sprint(i), "TAGS", "A")
	}
	s.dispatched("orders", 0, 3)
	base := func() *protocol.PullMessageRequestHeader { return pullHeader("readers", "orders", 0, 0) }
	for _, c := range []struct {
		name   string
		change func(*protocol.PullMessageRequestHeader)
		code   protocol.ResponseCode
		remark string
		next   int64
	}{
		{"found", func(*protocol.PullMessageRequestHeader) {}, protocol.Success, "FOUND", 3},
		{"at the end", func(h *protocol.PullMessageRequestHeader) { h.QueueOffset = 3 }, protocol.PullNotFound, "OFFSET_OVERFLOW_ONE", 3},
		{"behind the end", func(h *protocol.PullMessageRequestHeader) { h.QueueOffset = 99 }, protocol.PullOffsetMoved, "OFFSET_OVERFLOW_BADLY", 3},
		{"before the start", func(h *protocol.PullMessageRequestHeader) { h.QueueOffset = -1 }, protocol.PullOffsetMoved, "OFFSET_TOO_SMALL", 0},
		{"nothing matches", func(h *protocol.PullMessageRequestHeader) { h.Subscription = []byte("B || C") }, protocol.PullRetryImmediately, "NO_MATCHED_MESSAGE", 3},
		{"an empty queue", func(h *protocol.PullMessageRequestHeader) { h.QueueID = 3 }, protocol.PullNotFound, "", 0},
		{"an empty queue from an offset", func(h *protocol.PullMessageRequestHeader) { h.QueueID, h.QueueOffset = 3, 7 }, protocol.PullOffsetMoved, "", 0},
		{"an unknown topic", func(h *protocol.PullMessageRequestHeader) { h.Topic = []byte("nothing") }, protocol.TopicNotExist, "topic[nothing] not exist", 0},
		{"a bad queue", func(h *protocol.PullMessageRequestHeader) { h.QueueID = 4 }, protocol.InvalidParameter, "queueId[4] is illegal", 0},
		{"a bad group", func(h *protocol.PullMessageRequestHeader) { h.ConsumerGroup = []byte("a b") }, protocol.SubscriptionGroupNotExist, "", 0},
		{"SQL", func(h *protocol.PullMessageRequestHeader) {
			h.ExpressionType, h.Subscription = []byte("SQL92"), []byte("a > 1")
		}, protocol.PullRetryImmediately, "NO_MATCHED_MESSAGE", 3},
		{"bad SQL", func(h *protocol.PullMessageRequestHeader) {
			h.ExpressionType, h.Subscription = []byte("SQL92"), []byte("a >")
		}, protocol.SubscriptionParseFailed, "the end where", 0},
		{"no tag", func(h *protocol.PullMessageRequestHeader) { h.Subscription = []byte("||") }, protocol.SubscriptionParseFailed, "", 0},
		{"no subscription and no heartbeat", func(h *protocol.PullMessageRequestHeader) { h.SysFlag = 0 }, protocol.SubscriptionNotExist, "", 0},
	} {
		h := base()
		c.change(h)
		p := s.pull(h)
		if p.ResponseCode() != c.code || !strings.Contains(p.Remark, c.remark) {
			t.Errorf("%s: answer %d %q, want %d %q", c.name, p.Code, p.Remark, c.code, c.remark)
		}
		if p.header.NextBeginOffset != c.next {
			t.Errorf("%s: next offset %d, want %d", c.name, p.header.NextBeginOffset, c.next)
		}
	}
}

// A consumer with heartbeats pulls without saying what it subscribes to.
func TestPullBySubscriptionOfHeartbeat(t *testing.T) {
	s := start(t, nil)
	for i, tag := range []string{"A", "B", "A", "C"} {
		s.put("orders", 0, fmt.Sprintf("%s%d", tag, i), "TAGS", tag)
	}
	s.dispatched("orders", 0, 4)
	s.heartbeat(s.client, "me", "readers", protocol.Clustering, 10, "orders", "A||C")
	h := pullHeader("readers", "orders", 0, 0)
	h.SysFlag, h.Subscription, h.SubVersion = 0, nil, 10
	p := s.pull(h)
	if got := p.bodies(); !slices.Equal(got, []string{"A0", "A2", "C3"}) {
		t.Errorf("pulled %q", got)
	}
	h.SubVersion = 11
	s.wantCode(s.pull(h).Command, protocol.SubscriptionNotLatest)
	h.Topic = []byte("TBW102")
	s.wantCode(s.pull(h).Command, protocol.SubscriptionNotExist)
}

// A pull that finds nothing waits, and is answered with the message as soon as it is there.
func TestLongPollingWakes(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "first", "TAGS", "A")
	s.dispatched("orders", 0, 1)
	answer := make(chan pulled, 1)
	h := pullHeader("readers", "orders", 0, 1)
	h.SysFlag |= protocol.PullSuspend
	h.SuspendTimeoutMillis = 15000
	h.Subscription = []byte("B")
	other := remoting.NewClient(nil)
	defer other.Close()
	go func() {
		req := remoting.NewRequest(protocol.PullMessage)
		h.Encode(&req.Fields)
		answer <- s.readPull(s.send(other, req))
	}()
	s.awaitHold(other)
	s.put("orders", 0, "not wanted", "TAGS", "A")
	s.dispatched("orders", 0, 2)
	if s.holds.Len() != 1 {
		t.Fatal("a message that does not match ends the hold")
	}
	s.put("orders", 0, "wanted", "TAGS", "B")
	p := <-answer
	if got := p.bodies(); !slices.Equal(got, []string{"wanted"}) || p.header.NextBeginOffset != 3 {
		t.Errorf("pulled %q, %+v", got, p.header)
	}
	if s.holds.Len() != 0 {
		t.Error("the answered pull is still held")
	}
}

// A pull whose time is over is answered with nothing found.
func TestLongPollingEnds(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "x")
	s.dispatched("orders", 0, 1)
	h := pullHeader("readers", "orders", 0, 1)
	h.SysFlag |= protocol.PullSuspend
	h.SuspendTimeoutMillis = 30
	begin := time.Now()
	p := s.pull(h)
	s.wantCode(p.Command, protocol.PullNotFound)
	if took := time.Since(begin); took < 30*time.Millisecond || took > 5*time.Second {
		t.Errorf("held for %v", took)
	}
}

// The holds of a client end with its connection.
func TestHoldsEndWithConnection(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "x")
	s.dispatched("orders", 0, 1)
	other := remoting.NewClient(nil)
	conn, err := other.Conn(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		h := pullHeader("readers", "orders", 0, 1)
		h.SysFlag |= protocol.PullSuspend
		h.SuspendTimeoutMillis = 60000
		req := remoting.NewRequest(protocol.PullMessage)
		h.Encode(&req.Fields)
		go conn.Request(t.Context(), req) //nolint:errcheck // it fails, with its connection
	}
	s.await("the pulls to be held", func() bool { return s.holds.Len() == 3 })
	other.Close()
	s.await("the holds to end", func() bool { return s.holds.Len() == 0 })
}

func TestOffsets(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "a")
	s.put("orders", 0, "b")
	s.dispatched("orders", 0, 2)
	query := &protocol.QueryConsumerOffsetRequestHeader{ConsumerGroup: "readers", Topic: "orders"}
	if got := s.must(protocol.QueryConsumerOffset, query, nil, nil).Fields.Text("offset"); got != "0" {
		t.Errorf("a new group of a young topic begins at %q", got)
	}
	query.SetZeroIfNotFound = protocol.Some(false)
	s.wantCode(s.call(protocol.QueryConsumerOffset, query, nil), protocol.QueryNotFound)
	query.SetZeroIfNotFound = protocol.Optional[bool]{}
	query.QueueID = 1
	s.wantCode(s.call(protocol.QueryConsumerOffset, query, nil), protocol.QueryNotFound)

	update := &protocol.UpdateConsumerOffsetRequestHeader{ConsumerGroup: "readers", Topic: "orders", QueueID: 1, CommitOffset: 7}
	s.wantCode(s.call(protocol.UpdateConsumerOffset, update, nil), protocol.SubscriptionGroupNotExist)
	s.pull(pullHeader("readers", "orders", 0, 0)) // makes the group
	s.must(protocol.UpdateConsumerOffset, update, nil, nil)
	if got := s.must(protocol.QueryConsumerOffset, query, nil, nil).Fields.Text("offset"); got != "7" {
		t.Errorf("offset %q", got)
	}
	update.Topic = "nothing"
	s.wantCode(s.call(protocol.UpdateConsumerOffset, update, nil), protocol.TopicNotExist)

	h := pullHeader("readers", "orders", 0, 0)
	h.SysFlag |= protocol.PullCommitOffset
	h.CommitOffset = 2
	s.pull(h)
	if offset, ok := s.offsets.Committed("orders", "readers", 0); !ok || offset != 2 {
		t.Errorf("the pull's offset is not committed: %d, %t", offset, ok)
	}
	if got := s.must(protocol.GetMaxOffset, &protocol.GetMaxOffsetRequestHeader{Topic: "orders", Committed: true}, nil, nil).Fields.Text("offset"); got != "2" {
		t.Errorf("max offset %q", got)
	}
	if got := s.must(protocol.GetMinOffset, &protocol.GetMinOffsetRequestHeader{Topic: "orders"}, nil, nil).Fields.Text("offset"); got != "0" {
		t.Errorf("min offset %q", got)
	}
	if got := s.must(protocol.SearchOffsetByTimestamp, &protocol.SearchOffsetRequestHeader{Topic: "orders", BoundaryType: "LOWER"}, nil, nil).Fields.Text("offset"); got != "0" {
		t.Errorf("offset by time %q", got)
	}
}

// A reset moves the group, its next pull is told, and commits do not count until then.
func TestResetOffset(t *testing.T) {
	s := start(t, nil)
	for range 5 {
		s.put("orders", 0, "x")
	}
	s.dispatched("orders", 0, 5)
	s.pull(pullHeader("readers", "orders", 0, 0))
	s.offsets.Commit("orders", "readers", 0, 5)
	var body protocol.ResetOffsetBody
	s.must(protocol.InvokeBrokerToResetOffset, &protocol.ResetOffsetRequestHeader{
		Group: "readers", Topic: "orders", QueueID: 0, Offset: protocol.Some[int64](2), Timestamp: -1, IsForce: true,
	}, nil, &body)
	if body.OffsetTable[protocol.MessageQueue{BrokerName: "broker-a", Topic: "orders"}] != 2 {
		t.Errorf("answer %v", body)
	}
	resp := s.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{ConsumerGroup: "readers", Topic: "orders", CommitOffset: 5}, nil, nil)
	if resp.Remark != "Offset has been previously reset" {
		t.Errorf("commit during a reset: %q", resp.Remark)
	}
	p := s.pull(pullHeader("readers", "orders", 0, 5))
	s.wantCode(p.Command, protocol.PullOffsetMoved)
	if p.header.NextBeginOffset != 2 {
		t.Errorf("the pull is sent to %d", p.header.NextBeginOffset)
	}
	if got := s.pull(pullHeader("readers", "orders", 0, 2)); len(got.records) != 3 {
		t.Errorf("%d messages after the reset", len(got.records))
	}
	s.wantCode(s.call(protocol.InvokeBrokerToResetOffset, &protocol.ResetOffsetRequestHeader{Group: "nobody", Topic: "orders", QueueID: -1}, nil), protocol.SubscriptionGroupNotExist)
}

// Members of a group are told of those who come and go.
func TestGroupChangesAreTold(t *testing.T) {
	s := start(t, nil)
	told := make(chan string, 16)
	newMember := func() *remoting.Client {
		c := remoting.NewClient(nil)
		c.Handle(protocol.NotifyConsumerIDsChanged, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
			told <- req.Fields.Text("consumerGroup")
			return remoting.NoReply()
		})
		return c
	}
	first, second := newMember(), newMember()
	defer first.Close()
	s.heartbeat(first, "one", "readers", protocol.Clustering, 1, "orders", "*")
	if got := <-told; got != "readers" {
		t.Errorf("told of %q", got)
	}
	s.heartbeat(first, "one", "readers", protocol.Clustering, 1, "orders", "*")
	s.heartbeat(second, "two", "readers", protocol.Clustering, 1, "orders", "*")
	<-told
	<-told
	var list protocol.GetConsumerListByGroupResponseBody
	s.must(protocol.GetConsumerListByGroup, &protocol.GetConsumerListByGroupRequestHeader{ConsumerGroup: "readers"}, nil, &list)
	if !slices.Equal(list.ConsumerIDList, []string{"one", "two"}) {
		t.Errorf("members %q", list.ConsumerIDList)
	}
	second.Close()
	if got := <-told; got != "readers" {
		t.Errorf("told of %q", got)
	}
	s.must(protocol.GetConsumerListByGroup, &protocol.GetConsumerListByGroupRequestHeader{ConsumerGroup: "readers"}, nil, &list)
	if !slices.Equal(list.ConsumerIDList, []string{"one"}) {
		t.Errorf("members %q", list.ConsumerIDList)
	}
	if len(told) != 0 {
		t.Errorf("told %d times more than things changed", len(told))
	}
	s.wantCode(s.call(protocol.GetConsumerListByGroup, &protocol.GetConsumerListByGroupRequestHeader{ConsumerGroup: "nobody"}, nil), protocol.SystemError)
	if s.topics.Get("%RETRY%readers") == nil {
		t.Error("no retry topic")
	}
}

func TestLocks(t *testing.T) {
	s := start(t, nil)
	q := func(id int32) protocol.MessageQueue {
		return protocol.MessageQueue{BrokerName: "broker-a", Topic: "orders", QueueID: id}
	}
	lock := func(client string, queues ...protocol.MessageQueue) []protocol.MessageQueue {
		var got protocol.LockBatchResponseBody
		s.must(protocol.LockBatchMQ, nil, &protocol.LockBatchRequestBody{ConsumerGroup: "readers", ClientID: client, MQSet: queues}, &got)
		return got.LockOKMQSet
	}
	if got := lock("one", q(0), q(1)); len(got) != 2 {
		t.Fatalf("first lock: %v", got)
	}
	if got := lock("two", q(1), q(2)); !slices.Equal(got, []protocol.MessageQueue{q(2)}) {
		t.Fatalf("second lock: %v", got)
	}
	s.must(protocol.UnlockBatchMQ, nil, &protocol.UnlockBatchRequestBody{ConsumerGroup: "readers", ClientID: "one", MQSet: []protocol.MessageQueue{q(1), q(2)}}, nil)
	if got := lock("two", q(0), q(1), q(2)); !slices.Equal(got, []protocol.MessageQueue{q(1), q(2)}) {
		t.Fatalf("lock after the unlock: %v", got)
	}
}

// A message given back comes again by way of the delay levels, and after too many times it is a dead letter.
func TestSendBack(t *testing.T) {
	s := start(t, func(o *Options) { o.MessageDelayLevel = "0s 0s 0s 0s" })
	h := s.put("orders", 0, "hard", "TAGS", "A", "UNIQ_KEY", "ID")
	_, offset, err := message.ParseOffsetID(string(h.MsgID))
	if err != nil {
		t.Fatal(err)
	}
	back := &protocol.ConsumerSendMsgBackRequestHeader{
		Offset: int64(offset), Group: "readers", DelayLevel: 0, OriginTopic: "orders", MaxReconsumeTimes: protocol.Some[int32](2),
	}
	var last message.Record
	for times := int32(1); times <= 2; times++ {
		s.must(protocol.ConsumerSendMsgBack, back, nil, nil)
		s.dispatched("%RETRY%readers", 0, int64(times))
		p := s.pull(pullHeader("readers", "%RETRY%readers", 0, int64(times-1)))
		if len(p.records) != 1 {
			t.Fatalf("retry %d: %d messages, %d %q", times, len(p.records), p.Code, p.Remark)
		}
		last = p.records[0]
		if last.ReconsumeTimes() != times || string(last.Body()) != "hard" {
			t.Errorf("retry %d: reconsume times %d", times, last.ReconsumeTimes())
		}
		back.Offset = int64(last.PhyOffset())
	}
	for name, want := range map[string]string{"RETRY_TOPIC": "orders", "ORIGIN_MESSAGE_ID": string(h.MsgID), "TAGS": "A", "UNIQ_KEY": "ID"} {
		if got, _ := last.Properties().Get(name); string(got) != want {
			t.Errorf("property %s is %q, want %q", name, got, want)
		}
	}
	s.must(protocol.ConsumerSendMsgBack, back, nil, nil)
	s.dispatched("%DLQ%readers", 0, 1)
	p := s.pull(pullHeader("readers", "%DLQ%readers", 0, 0))
	if len(p.records) != 1 || p.records[0].ReconsumeTimes() != 3 {
		t.Fatalf("dead letters: %d", len(p.records))
	}
	back.Offset = 1 << 40
	s.wantCode(s.call(protocol.ConsumerSendMsgBack, back, nil), protocol.SystemError)
	if _, _, _, ok := s.stats.Windows("SNDBCK_PUT_NUMS", "orders@readers", s.topics.PutsTo, 0); !ok {
		t.Error("no statistic of what was given back")
	}
}

// A consumer that cannot give back sends to the retry topic itself.
func TestRetryBySend(t *testing.T) {
	s := start(t, func(o *Options) { o.MessageDelayLevel = "0s 0s 0s 0s" })
	h := sendHeader("%RETRY%readers", 0, "DELAY", "3", "RETRY_TOPIC", "orders")
	h.ReconsumeTimes, h.MaxReconsumeTimes = protocol.Some[int32](1), protocol.Some[int32](3)
	resp := s.must(protocol.SendMessageV2, v2{h}, []byte("again"), nil)
	if resp.Fields.Text("queueId") != "0" {
		t.Errorf("queue %q", resp.Fields.Text("queueId"))
	}
	s.dispatched("%RETRY%readers", 0, 1)
	h.ReconsumeTimes = protocol.Some[int32](4)
	s.must(protocol.SendMessageV2, v2{h}, []byte("dead"), nil)
	s.dispatched("%DLQ%readers", 0, 1)
	if got := s.pull(pullHeader("readers", "%DLQ%readers", 0, 0)).bodies(); !slices.Equal(got, []string{"dead"}) {
		t.Errorf("dead letters %q", got)
	}
}

func TestDelayedMessage(t *testing.T) {
	s := start(t, func(o *Options) { o.MessageDelayLevel = "1s 0s" })
	begin := time.Now()
	h := s.put("orders", 2, "later", "DELAY", "1", "TAGS", "A")
	if h.QueueID != 2 {
		t.Errorf("the client is told queue %d", h.QueueID)
	}
	s.put("orders", 2, "sooner", "DELAY", "9") // there is no such level: the highest is taken
	s.dispatched("orders", 2, 2)
	if took := time.Since(begin); took < 990*time.Millisecond {
		t.Errorf("delivered after %v", took)
	}
	p := s.pull(pullHeader("readers", "orders", 2, 0))
	if got := p.bodies(); !slices.Equal(got, []string{"sooner", "later"}) {
		t.Fatalf("pulled %q", got)
	}
	if got := p.records[1]; string(got.Topic()) != "orders" || got.StoreTimestamp()-got.BornTimestamp() < 990 {
		t.Errorf("topic %s, stored %d ms after it was born", got.Topic(), got.StoreTimestamp()-got.BornTimestamp())
	}
}

func TestQueries(t *testing.T) {
	s := start(t, nil)
	h := s.put("orders", 0, "x", "KEYS", "key", "UNIQ_KEY", "unique")
	s.dispatched("orders", 0, 1)
	_, offset, err := message.ParseOffsetID(string(h.MsgID))
	if err != nil {
		t.Fatal(err)
	}
	resp := s.must(protocol.ViewMessageByID, &protocol.ViewMessageRequestHeader{Offset: int64(offset)}, nil, nil)
	if r, err := message.ParseRecord(resp.Body); err != nil || string(r.Body()) != "x" {
		t.Errorf("view by id: %v", err)
	}
	s.wantCode(s.call(protocol.ViewMessageByID, &protocol.ViewMessageRequestHeader{Offset: 1 << 40}, nil), protocol.SystemError)

	query := &protocol.QueryMessageRequestHeader{Topic: "orders", Key: "key", MaxNum: 10, EndTimestamp: 1<<63 - 1}
	byTag := &protocol.QueryMessageRequestHeader{Topic: "orders", Key: "queried", IndexType: "T", MaxNum: 10, EndTimestamp: 1<<63 - 1}
	s.put("orders", 0, "tagged", "TAGS", "queried")
	s.await("the index", func() bool { return s.call(protocol.QueryMessage, byTag, nil).Code == 0 })
	if r, err := message.ParseRecord(s.must(protocol.QueryMessage, byTag, nil, nil).Body); err != nil || string(r.Body()) != "tagged" {
		t.Errorf("by tag: %q, %v", r, err)
	}
	byTag.IndexType = "K"
	s.wantCode(s.call(protocol.QueryMessage, byTag, nil), protocol.QueryNotFound)
	s.await("the index", func() bool { return s.call(protocol.QueryMessage, query, nil).Code == 0 })
	if r, err := message.ParseRecord(s.must(protocol.QueryMessage, query, nil, nil).Body); err != nil || string(r.Body()) != "x" {
		t.Errorf("query by key: %v", err)
	}
	query.Key = "other"
	resp = s.call(protocol.QueryMessage, query, nil)
	s.wantCode(resp, protocol.QueryNotFound)
	if resp.Fields.Text("indexLastUpdateTimestamp") == "" {
		t.Error("no header in the answer to a query that finds nothing")
	}
	query.Key = "unique"
	req := remoting.NewRequest(protocol.QueryMessage)
	query.Encode(&req.Fields)
	req.Fields.Add(uniqueKeyQuery, "true")
	s.wantCode(s.send(s.client, req), protocol.Success)
}

func TestUnknownCode(t *testing.T) {
	s := start(t, nil)
	s.wantCode(s.call(9999, nil, nil), protocol.RequestCodeNotSupported)
}

// The port of the VIP channel takes sends and administration, and no pulls.
func TestFastPort(t *testing.T) {
	s := start(t, nil)
	call := func(code protocol.RequestCode, header interface{ Encode(protocol.FieldSink) }, body []byte) *remoting.Command {
		req := remoting.NewRequest(code)
		if header != nil {
			header.Encode(&req.Fields)
		}
		req.Body = body
		resp, err := s.client.Call(t.Context(), s.FastAddr(), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	s.wantCode(call(protocol.SendMessageV2, v2{sendHeader("orders", 0)}, []byte("x")), protocol.Success)
	s.wantCode(call(protocol.GetBrokerRuntimeInfo, nil, nil), protocol.Success)
	s.wantCode(call(protocol.PullMessage, pullHeader("readers", "orders", 0, 0), nil), protocol.RequestCodeNotSupported)
}

func TestPermissions(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "x")
	set := func(value string) {
		s.must(protocol.UpdateBrokerConfig, nil, []byte("brokerPermission="+value+"\n"), nil)
	}
	set("2")
	resp := s.call(protocol.PullMessage, pullHeader("readers", "orders", 0, 0), nil)
	s.wantCode(resp, protocol.NoPermission)
	if resp.Fields.Text("forbiddenType") != "1" {
		t.Errorf("forbidden type %q", resp.Fields.Text("forbiddenType"))
	}
	set("6")
	s.must(protocol.UpdateAndGetGroupForbidden, &protocol.UpdateGroupForbiddenRequestHeader{Group: "readers", Topic: "orders", Readable: protocol.Some(false)}, nil, nil)
	resp = s.call(protocol.PullMessage, pullHeader("readers", "orders", 0, 0), nil)
	s.wantCode(resp, protocol.NoPermission)
	if resp.Fields.Text("forbiddenType") != "5" {
		t.Errorf("forbidden type %q", resp.Fields.Text("forbiddenType"))
	}
}

// What the broker knows is there again after a restart.
func TestRestart(t *testing.T) {
	o := testOptions(t.TempDir())
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	s.put("orders", 3, "x")
	s.dispatched("orders", 3, 1)
	s.pull(pullHeader("readers", "orders", 3, 0))
	s.offsets.Commit("orders", "readers", 3, 1)
	s.offsets.Commit("orders", "readers", 2, 77) // more than there is: as after a power loss
	s.client.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}

	s = startWith(t, o)
	if s.topics.Get("orders") == nil || s.groups.Get("readers") == nil {
		t.Error("topic or group is forgotten")
	}
	if offset, ok := s.offsets.Committed("orders", "readers", 3); !ok || offset != 1 {
		t.Errorf("offset %d, %t", offset, ok)
	}
	if offset, _ := s.offsets.Committed("orders", "readers", 2); offset != 0 {
		t.Errorf("an offset behind the end of its queue stays at %d", offset)
	}
	if p := s.pull(pullHeader("readers", "orders", 3, 0)); !slices.Equal(p.bodies(), []string{"x"}) {
		t.Errorf("pulled %q", p.bodies())
	}
}

func TestOpenRefusals(t *testing.T) {
	s := start(t, nil)
	o := testOptions(t.TempDir())
	o.ListenPort = s.port
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "listenPort") {
		t.Errorf("port in use: %v", err)
	}
	o = testOptions(t.TempDir())
	o.BrokerRole, o.FlushDiskType, o.MessageDelayLevel, o.NamesrvAddr = "LEADER", "SOMETIMES", "1s 2x", "nowhere"
	_, err := Open(o)
	for _, property := range []string{"brokerRole", "flushDiskType", "messageDelayLevel", "namesrvAddr"} {
		if err == nil || !strings.Contains(err.Error(), property) {
			t.Errorf("error %v does not name %s", err, property)
		}
	}
}
