package broker

import (
	"slices"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// sqlBeat sends a heartbeat of a consumer that filters by properties.
func (s *bench) sqlBeat(group, topic, expression string, version int64) {
	s.Helper()
	s.must(protocol.HeartBeat, nil, &protocol.HeartbeatData{ClientID: "me", ConsumerDataSet: []protocol.ConsumerData{{
		GroupName: group, ConsumeType: protocol.ConsumePassively, MessageModel: protocol.Clustering,
		SubscriptionDataSet: []protocol.SubscriptionData{{
			Topic: topic, SubString: expression, ExpressionType: "SQL92", SubVersion: version,
		}},
	}}}, nil)
}

func TestPullBySQL(t *testing.T) {
	s := start(t, nil)
	for _, n := range []string{"1", "20", "x", "300", ""} {
		s.put("orders", 0, "n"+n, "n", n)
	}
	s.dispatched("orders", 0, 5)
	h := pullHeader("readers", "orders", 0, 0)
	h.ExpressionType, h.Subscription = []byte("SQL92"), []byte("n IS NULL OR n > 10")
	if got := s.pull(h).bodies(); !slices.Equal(got, []string{"n20", "n300", "n"}) {
		t.Errorf("by the pull's own expression: %q", got)
	}
	s.sqlBeat("readers", "orders", "n < 100", 10)
	h.SysFlag, h.Subscription, h.SubVersion = 0, nil, 10
	if got := s.pull(h).bodies(); !slices.Equal(got, []string{"n1", "n20"}) {
		t.Errorf("by the heartbeat's expression: %q", got)
	}
	h.SubVersion = 11
	s.wantCode(s.pull(h).Command, protocol.SubscriptionNotLatest)
	s.sqlBeat("readers", "orders", "n <", 11)
	s.wantCode(s.pull(h).Command, protocol.FilterDataNotExist)
	s.sqlBeat("readers", "orders", "n = 300", 12)
	p := s.pull(h)
	if got := p.bodies(); !slices.Equal(got, []string{"n300"}) || p.header.NextBeginOffset != 5 {
		t.Errorf("by a newer heartbeat's expression: %q, next %d", got, p.header.NextBeginOffset)
	}
}

func TestCheckClientConfig(t *testing.T) {
	s := start(t, nil)
	off := start(t, func(o *Options) { o.EnablePropertyFilter = false })
	for _, c := range []struct {
		*bench
		kind, expression string
		code             protocol.ResponseCode
		remark           string
	}{
		{s, "TAG", "A || B", protocol.Success, ""},
		{s, "", "*", protocol.Success, ""},
		{s, "SQL92", "a > 1", protocol.Success, ""},
		{s, "SQL92", "a >", protocol.SubscriptionParseFailed, "the end where a property"},
		{s, "SQL93", "a > 1", protocol.SubscriptionParseFailed, "no expression type"},
		{off, "TAG", "A", protocol.Success, ""},
		{off, "SQL92", "a > 1", protocol.SystemError, "The broker does not support consumer to filter message by SQL92"},
	} {
		body, err := protocol.MarshalJSON(&protocol.CheckClientRequestBody{
			SubscriptionData: protocol.SubscriptionData{Topic: "t", ExpressionType: c.kind, SubString: c.expression},
		})
		if err != nil {
			t.Fatal(err)
		}
		resp := c.call(protocol.CheckClientConfig, nil, body)
		if resp.ResponseCode() != c.code || !strings.Contains(resp.Remark, c.remark) {
			t.Errorf("%s %q: answer %d %q, want %d", c.kind, c.expression, resp.Code, resp.Remark, c.code)
		}
	}
	off.put("orders", 0, "x")
	h := pullHeader("readers", "orders", 0, 0)
	h.ExpressionType, h.Subscription = []byte("SQL92"), []byte("a > 1")
	off.wantCode(off.pull(h).Command, protocol.SystemError)
}

// A pull that is held wakes for a message that the expression matches, and for no other.
func TestLongPollingWakesBySQL(t *testing.T) {
	s := start(t, nil)
	s.put("orders", 0, "first")
	s.dispatched("orders", 0, 1)
	h := pullHeader("readers", "orders", 0, 1)
	h.SysFlag |= protocol.PullSuspend
	h.SuspendTimeoutMillis = 15000
	h.ExpressionType, h.Subscription = []byte("SQL92"), []byte("n BETWEEN 5 AND 7")
	other := remoting.NewClient(nil)
	defer other.Close()
	answer := make(chan pulled, 1)
	go func() {
		req := remoting.NewRequest(protocol.PullMessage)
		h.Encode(&req.Fields)
		answer <- s.readPull(s.send(other, req))
	}()
	s.awaitHold(other)
	s.put("orders", 0, "not wanted", "n", "4")
	s.dispatched("orders", 0, 2)
	if s.holds.Len() != 1 {
		t.Fatal("a message that does not match ends the hold")
	}
	s.put("orders", 0, "wanted", "n", "6")
	p := <-answer
	if got := p.bodies(); !slices.Equal(got, []string{"wanted"}) || p.header.NextBeginOffset != 3 {
		t.Errorf("pulled %q, %+v", got, p.header)
	}
}

// A group's filter is on disk after a stop, and dead at the next start.
func TestFilterOutlivesRestart(t *testing.T) {
	o := testOptions(t.TempDir())
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	s.sqlBeat("readers", "orders", "n < 100", 10)
	s.client.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s = startWith(t, o)
	if _, text, _ := s.filters.Of("orders", "readers"); text != "n < 100" {
		t.Errorf("after a restart: %q", text)
	}
	s.must(protocol.DeleteSubscriptionGroup, &protocol.DeleteSubscriptionGroupRequestHeader{GroupName: "readers"}, nil, nil)
	if _, _, ok := s.filters.Of("orders", "readers"); ok {
		t.Error("the filter of a deleted group stays")
	}
}
