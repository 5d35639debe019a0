package broker

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
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

func TestFilterTable(t *testing.T) {
	now := int64(1000)
	f, _ := statetest.File(t, "consumerFilter.json")
	open := func() *filterTable {
		table := newFilterTable(f, func() int64 { return now }, func() {})
		if err := table.load(); err != nil {
			t.Fatal(err)
		}
		return table
	}
	sub := func(topic, expression string, version int64) *subscription {
		return newSubscription(protocol.SubscriptionData{Topic: topic, SubString: expression, ExpressionType: "SQL92", SubVersion: version})
	}
	online := func(string) bool { return true }
	offline := func(string) bool { return false }
	table := open()
	get := func(topic string) filterData {
		t.Helper()
		of := table.snapshot().FilterDataByTopic[topic]
		if of == nil || of.GroupFilterData["g"] == nil {
			return filterData{}
		}
		return *of.GroupFilterData["g"]
	}
	tags := newSubscription(protocol.SubscriptionData{Topic: "c", SubString: "A", SubVersion: 1})
	table.register("g", []*subscription{sub("a", "x = 1", 5), sub("b", "x = 2", 5), tags})
	if d := get("a"); d.Expression != "x = 1" || d.BornTime != 1000 || d.Dead || get("b").ClientVersion != 5 || get("c").Expression != "" {
		t.Errorf("registered: %+v", table.snapshot())
	}
	table.register("g", []*subscription{sub("a", "x = 9", 4)})
	if d := get("a"); d.Expression != "x = 1" || !get("b").Dead {
		t.Errorf("an older version counts, or a topic that is left lives: %+v %+v", d, get("b"))
	}
	now = 2000
	table.register("g", []*subscription{sub("a", "x = 3", 6), sub("b", "x = 2", 5)})
	if d := get("a"); d.Expression != "x = 3" || d.BornTime != 2000 || get("b").Dead {
		t.Errorf("a newer version does not count, or a topic come back is dead: %+v %+v", d, get("b"))
	}
	table.register("g", []*subscription{sub("a", "x =", 7), sub("b", "x = 2", 5)})
	if d := get("a"); d.Expression != "" {
		t.Errorf("an expression that cannot be compiled leaves %+v", d)
	}
	if err := table.persist(); err != nil {
		t.Fatal(err)
	}
	now = 100_000
	table = open()
	if d := get("b"); !d.Dead || d.DeadTime != now-loadedDeathAge {
		t.Errorf("loaded: %+v", d)
	}
	table.register("g", []*subscription{sub("b", "x = 2", 8)})
	table.expire(online, 50)
	if d := get("b"); d.Dead || d.BornTime != 1000 || d.ClientVersion != 8 {
		t.Errorf("come back: %+v", d)
	}
	table.expire(offline, 50)
	if d := get("b"); !d.Dead {
		t.Errorf("gone offline: %+v", d)
	}
	now += 49
	table.expire(offline, 50)
	if d := get("b"); !d.Dead {
		t.Error("forgotten too early")
	}
	now++
	table.expire(offline, 50)
	if d := get("b"); d.Dead || len(table.mu.groups) != 0 {
		t.Errorf("not forgotten: %+v", d)
	}
}

// Java's file loads, and what is saved again means the same; the bits of a new filter are those that Java gave it.
func TestGoldenFilters(t *testing.T) {
	root := golden.Store(t, golden.Clean)
	f := state.NewFile(vfs.OS, filepath.Join(root, "config", "consumerFilter.json"))
	table := newFilterTable(f, func() int64 { return 0 }, func() {})
	if err := table.load(); err != nil {
		t.Fatal(err)
	}
	if kind, text, ok := table.of("GT_basic", "GC_sql"); !ok || kind != "SQL92" || text != "n IS NOT NULL AND n > 30" {
		t.Errorf("loaded %q %q", kind, text)
	}
	want := plainJSON(t, f)
	if err := table.persist(); err != nil {
		t.Fatal(err)
	}
	if got := plainJSON(t, f); !reflect.DeepEqual(want, got) {
		t.Errorf("saved again it differs\n%s", firstDifference(want, got, ""))
	}
	java := table.snapshot().FilterDataByTopic["GT_basic"].GroupFilterData["GC_sql"].BloomFilterData
	if ours := newBloomFilterData("GC_sql", "GT_basic"); !reflect.DeepEqual(ours, java) {
		t.Errorf("bits %+v, Java's %+v", ours, java)
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
	if _, text, _ := s.filters.of("orders", "readers"); text != "n < 100" {
		t.Errorf("after a restart: %q", text)
	}
	s.must(protocol.DeleteSubscriptionGroup, &protocol.DeleteSubscriptionGroupRequestHeader{GroupName: "readers"}, nil, nil)
	if _, _, ok := s.filters.of("orders", "readers"); ok {
		t.Error("the filter of a deleted group stays")
	}
}
