package nameserver

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

var t0 = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// topicsOf makes a registration body with readable and writable topics.
func topicsOf(counter int64, names ...string) *protocol.RegisterBrokerBody {
	body := &protocol.RegisterBrokerBody{FilterServerList: []string{}}
	body.TopicConfigSerializeWrapper.DataVersion.Counter = counter
	body.TopicConfigSerializeWrapper.TopicConfigTable = make(map[string]protocol.TopicConfig)
	for _, name := range names {
		body.TopicConfigSerializeWrapper.TopicConfigTable[name] = protocol.TopicConfig{
			TopicName: name, ReadQueueNums: 4, WriteQueueNums: 4, Perm: protocol.PermRead | protocol.PermWrite,
		}
	}
	return body
}

func broker(name string, id int64, addr string, body *protocol.RegisterBrokerBody) *Registration {
	return &Registration{Cluster: "c", BrokerName: name, BrokerID: id, Addr: addr, HAAddr: addr + "-ha", Conn: ConnID(id + 1), Body: body,
		ActingMaster: protocol.Some(false)}
}

func register(t *testing.T, table *RouteTable, r *Registration) Registered {
	t.Helper()
	got, err := table.Register(t0, r)
	if err != nil {
		t.Fatal(err)
	}
	checkTable(t, table)
	return got
}

// checkTable proves the table against the invariants of the package's doc.
func checkTable(t *testing.T, table *RouteTable) {
	t.Helper()
	members, entries, hosted := 0, 0, 0
	for name, group := range table.groups {
		members += len(group.data.BrokerAddrs)
		entries += len(group.topics)
		if len(group.data.BrokerAddrs) == 0 || group.data.BrokerName != name {
			t.Errorf("invariant 2: group %s is %+v", name, group.data)
		}
		for id, addr := range group.data.BrokerAddrs {
			live := table.live[liveKey{group.data.Cluster, addr}]
			if live == nil || live.brokerName != name || live.brokerID != id {
				t.Errorf("invariant 1: %s %d %s has live entry %+v", name, id, addr, live)
			}
		}
		if _, ok := table.clusters[group.data.Cluster][name]; !ok {
			t.Errorf("invariant 2: %s is not in its cluster", name)
		}
		for topic, queues := range group.topics {
			if table.topics[topic][name] != queues || queues.BrokerName != name {
				t.Errorf("invariant 3: %s of %s differs", topic, name)
			}
		}
	}
	if members != len(table.live) {
		t.Errorf("invariant 1: %d members, %d live", members, len(table.live))
	}
	names := 0
	for cluster, set := range table.clusters {
		names += len(set)
		if len(set) == 0 {
			t.Errorf("invariant 2: cluster %s is empty", cluster)
		}
	}
	if names != len(table.groups) {
		t.Errorf("invariant 2: %d names in clusters, %d groups", names, len(table.groups))
	}
	for topic, queues := range table.topics {
		entries -= len(queues)
		if len(queues) == 0 {
			t.Errorf("invariant 3: topic %s is empty", topic)
		}
	}
	for _, hosts := range table.mappings {
		hosted += len(hosts)
	}
	if entries != 0 || hosted != table.hosted || table.entries > table.opts.TopicsMax {
		t.Errorf("invariant 4: %d entries too many, %d hosted of %d, %d entries", entries, hosted, table.hosted, table.entries)
	}
}

func TestRegisterAnswersRoute(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	if got := register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U"))); !got.New || got.MasterAddr != "" {
		t.Errorf("master: got %+v", got)
	}
	slave := broker("a", 1, "1:2", topicsOf(1, "T", "U"))
	slave.Zone, slave.Body.FilterServerList = "z", []string{"f:1"}
	if got := register(t, table, slave); got.MasterAddr != "1:1" || got.MasterHAAddr != "1:1-ha" {
		t.Errorf("slave: got %+v", got)
	}
	want := &protocol.TopicRouteData{
		QueueDatas:        []protocol.QueueData{{BrokerName: "a", ReadQueueNums: 4, WriteQueueNums: 4, Perm: 6}},
		BrokerDatas:       []protocol.BrokerData{{Cluster: "c", BrokerName: "a", BrokerAddrs: map[int64]string{0: "1:1", 1: "1:2"}, ZoneName: "z"}},
		FilterServerTable: map[string][]string{"1:2": {"f:1"}},
	}
	if got := table.Route("T"); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := table.Route("nobody's"); got != nil {
		t.Errorf("unknown topic: got %+v", got)
	}

	route := table.Route("T") // invariant 5
	route.BrokerDatas[0].BrokerAddrs[7] = "x"
	route.FilterServerTable["1:2"][0] = "x"
	if got := table.Route("T"); !reflect.DeepEqual(got, want) {
		t.Errorf("after changing an answer: got %+v, want %+v", got, want)
	}
}

func TestRegisterRefuses(t *testing.T) {
	table := NewRouteTable(TableOptions{BrokersMax: 2, TopicsMax: 5})
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U")))
	register(t, table, broker("a", 1, "1:2", topicsOf(1)))
	elsewhere := broker("a", 0, "1:1", topicsOf(1))
	elsewhere.Cluster = "d"
	static := topicsOf(1)
	static.TopicConfigSerializeWrapper.TopicQueueMappingInfoMap = make(map[string]protocol.TopicQueueMappingInfo)
	for i := range 6 {
		static.TopicConfigSerializeWrapper.TopicQueueMappingInfoMap[fmt.Sprint(i)] = protocol.TopicQueueMappingInfo{}
	}
	for name, c := range map[string]struct {
		r    *Registration
		want string
	}{
		"one topic, unknown name": {broker("b", 0, "1:3", topicsOf(1, "T")), ErrSingleTopic.Error()},
		"one topic, unknown id":   {broker("a", 2, "1:3", topicsOf(1, "T")), ErrSingleTopic.Error()},
		"negative id":             {broker("b", -1, "1:3", topicsOf(1)), "negative"},
		"other cluster":           {elsewhere, "belongs to cluster c"},
		"too many brokers":        {broker("b", 0, "1:3", topicsOf(1)), "more are not allowed"},
		"too many topics":         {broker("a", 0, "1:1", topicsOf(1, "V", "W", "X", "Y", "T")), "not allowed"},
		"too many mappings":       {broker("a", 0, "1:1", static), "not allowed"},
	} {
		before := fmt.Sprint(table.ClusterInfo(), table.Topics())
		if _, err := table.Register(t0, c.r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if after := fmt.Sprint(table.ClusterInfo(), table.Topics()); after != before {
			t.Errorf("%s: changed the table from %s to %s", name, before, after)
		}
		checkTable(t, table)
	}
	if _, err := table.Register(t0, broker("b", 0, "1:3", topicsOf(1, "T"))); !errors.Is(err, ErrSingleTopic) {
		t.Errorf("got %v", err)
	}
	if table.RegisterTopic("V", []protocol.QueueData{{BrokerName: "a"}, {BrokerName: "a"}, {BrokerName: "a"}, {BrokerName: "a"}}) {
		t.Error("a topic beyond the bound was registered")
	}
}

func TestRegisterSingleTopicOfKnownBroker(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U")))
	register(t, table, broker("a", 0, "1:1", topicsOf(2, "V")))
	if got := table.Topics(); !slices.Equal(got, []string{"T", "U", "V"}) {
		t.Errorf("got %v", got)
	}
	if version, _ := table.DataVersion("c", "1:1"); version.Counter != 2 {
		t.Errorf("got version %+v", version)
	}
}

func TestRegisterKeepsQueuesOfSameVersion(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U")))
	if got := table.WipeWritePerm("a"); got != 2 {
		t.Fatalf("wiped %d", got)
	}
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U", "V")))
	if perm := table.Route("T").QueueDatas[0].Perm; perm != protocol.PermRead {
		t.Errorf("same version: perm %d", perm)
	}
	if table.Route("V") == nil {
		t.Error("same version: new topic is missing")
	}
	register(t, table, broker("a", 0, "1:1", topicsOf(2, "T", "U")))
	if perm := table.Route("T").QueueDatas[0].Perm; perm != protocol.PermRead|protocol.PermWrite {
		t.Errorf("new version: perm %d", perm)
	}
	table.DeleteTopic("T", "c")
	register(t, table, broker("a", 0, "1:1", topicsOf(2, "T", "U")))
	if table.Route("T") == nil {
		t.Error("same version: deleted topic did not come back")
	}
}

func TestRegisterDeletesMissingTopics(t *testing.T) {
	table := NewRouteTable(TableOptions{DeleteTopicWithBrokerRegistration: true})
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U")))
	register(t, table, broker("b", 0, "1:2", topicsOf(1, "T", "V")))
	register(t, table, broker("a", 0, "1:1", topicsOf(2, "U", "W")))
	if got := table.Topics(); !slices.Equal(got, []string{"T", "U", "V", "W"}) {
		t.Errorf("got %v", got)
	}
	if got := table.Route("T").QueueDatas; len(got) != 1 || got[0].BrokerName != "b" {
		t.Errorf("got %+v", got)
	}
}

func TestSlaveBringsNoTopics(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	old := broker("a", 1, "1:2", topicsOf(1, "T", "U"))
	old.ActingMaster = protocol.Optional[bool]{}
	register(t, table, old)
	if got := table.Topics(); len(got) != 0 {
		t.Errorf("slave of 4.x brought %v", got)
	}
	register(t, table, broker("a", 1, "1:2", topicsOf(1, "T", "U"))) // prime slave of 5.x
	if got := table.Topics(); len(got) != 2 {
		t.Errorf("prime slave brought %v", got)
	}
	register(t, table, broker("a", 2, "1:3", topicsOf(1, "T", "U", "V")))
	if got := table.Topics(); len(got) != 2 {
		t.Errorf("second slave brought %v", got)
	}
}

func TestAddressMoves(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U")))
	register(t, table, broker("a", 1, "1:2", topicsOf(1, "T", "U")))

	register(t, table, broker("a", 0, "1:9", topicsOf(1, "T", "U"))) // another master takes the id
	if table.Heartbeat(t0, "c", "1:1") {
		t.Error("the replaced master is still known")
	}
	register(t, table, broker("a", 0, "1:2", topicsOf(1, "T", "U"))) // the slave becomes master
	if got := table.MemberGroup("c", "a").BrokerAddrs; !maps.Equal(got, map[int64]string{0: "1:2"}) {
		t.Errorf("after the switch: %v", got)
	}
	register(t, table, broker("b", 0, "1:2", topicsOf(1, "V", "W"))) // the process comes back under another name
	if got := table.ClusterInfo().ClusterAddrTable["c"]; !slices.Equal(got, []string{"b"}) {
		t.Errorf("after the renaming: %v", got)
	}
	if got := table.Topics(); !slices.Equal(got, []string{"V", "W"}) {
		t.Errorf("after the renaming: %v", got)
	}
}

func TestOutdatedMasterIsIgnored(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	newer := broker("a", 0, "1:2", topicsOf(1, "T", "U"))
	newer.Body.TopicConfigSerializeWrapper.DataVersion.StateVersion = 5
	register(t, table, newer)
	register(t, table, broker("a", 1, "1:1", topicsOf(1)))
	register(t, table, broker("a", 0, "1:1", topicsOf(9, "V", "W")))
	if got := table.MemberGroup("c", "a").BrokerAddrs; !maps.Equal(got, map[int64]string{0: "1:2"}) {
		t.Errorf("got %v", got)
	}
	if table.Route("V") != nil {
		t.Error("the outdated master's topics were taken")
	}
}

func TestDepartures(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U")))
	register(t, table, broker("a", 1, "1:2", topicsOf(1)))
	second := broker("b", 0, "1:3", topicsOf(1, "T", "V"))
	second.HeartbeatTimeout = 10 * time.Second
	register(t, table, second)

	if got := table.Expire(t0.Add(10 * time.Second)); got.Brokers != nil {
		t.Errorf("expired at the limit: %+v", got)
	}
	got := table.Expire(t0.Add(10*time.Second + 1))
	if want := []Member{{"c", "1:3", "b", 0, 1}}; !reflect.DeepEqual(got.Brokers, want) {
		t.Errorf("expired %+v, want %+v", got.Brokers, want)
	}
	if table.Route("V") != nil || table.Route("T") == nil {
		t.Error("topics of the expired broker")
	}
	if !table.Heartbeat(t0.Add(time.Minute), "c", "1:1") || table.Heartbeat(t0, "c", "1:3") {
		t.Error("heartbeats")
	}
	if got := table.Expire(t0.Add(2*time.Minute + 1)); len(got.Brokers) != 1 || got.Brokers[0].Addr != "1:2" {
		t.Errorf("expired %+v", got)
	}
	if got := table.Unregister("c", "1:1", "b"); got.Brokers != nil {
		t.Errorf("unregistered under another name: %+v", got)
	}
	if got := table.Unregister("c", "1:1", "a"); len(got.Brokers) != 1 {
		t.Errorf("unregistered %+v", got)
	}
	if len(table.Topics()) != 0 || len(table.ClusterInfo().ClusterAddrTable) != 0 {
		t.Error("something is left")
	}
	checkTable(t, table)
}

func TestDisconnectTakesAllOfTheConnection(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	for i, name := range []string{"a", "b", "c", "d"} {
		r := broker(name, 0, fmt.Sprint("1:", i), topicsOf(1, "T", "U"))
		r.Conn = ConnID(1 + i/3)
		register(t, table, r)
	}
	again := broker("c", 0, "1:2", topicsOf(1, "T", "U"))
	again.Conn = 3
	register(t, table, again)
	if got := table.Disconnect(1); len(got.Brokers) != 2 || got.Brokers[0].BrokerName != "a" || got.Brokers[1].BrokerName != "b" {
		t.Errorf("got %+v", got)
	}
	if got := table.Disconnect(0); got.Brokers != nil {
		t.Errorf("no connection: got %+v", got)
	}
	checkTable(t, table)
}

func TestActingMaster(t *testing.T) {
	table := NewRouteTable(TableOptions{SupportActingMaster: true})
	const sync = syncMemberPrefix + "a"
	for id, addr := range []string{"1:0", "1:1", "1:2"} {
		r := broker("a", int64(id), addr, topicsOf(1, "T", sync))
		r.ActingMaster = protocol.Some(true)
		register(t, table, r)
	}
	got := table.Unregister("c", "1:0", "a")
	want := []MinBrokerChange{{BrokerName: "a", MinID: 1, MinAddr: "1:1", OfflineAddr: "1:0", Notify: []string{"1:1", "1:2"}}}
	if !reflect.DeepEqual(got.Notify, want) {
		t.Errorf("got %+v, want %+v", got.Notify, want)
	}
	route := table.Route("T")
	if got := route.BrokerDatas[0].BrokerAddrs; !maps.Equal(got, map[int64]string{0: "1:1", 2: "1:2"}) || route.QueueDatas[0].Perm != protocol.PermRead {
		t.Errorf("without master: %v %+v", got, route.QueueDatas)
	}
	if got := table.Route(sync).BrokerDatas[0].BrokerAddrs; !maps.Equal(got, map[int64]string{1: "1:1", 2: "1:2"}) {
		t.Errorf("members' own topic: %v", got)
	}
	table.Configure(TableOptions{})
	if got := table.Route("T").BrokerDatas[0].BrokerAddrs; !maps.Equal(got, map[int64]string{1: "1:1", 2: "1:2"}) {
		t.Errorf("switched off: %v", got)
	}

	prime := broker("a", 1, "1:1", topicsOf(2, "T", "V"))
	prime.ActingMaster = protocol.Some(true)
	register(t, table, prime)
	if perm := table.Route("V").QueueDatas[0].Perm; perm != protocol.PermRead {
		t.Errorf("the acting master's topic has perm %d", perm)
	}
	master := broker("a", 0, "1:0", topicsOf(1, "T", "V"))
	master.ActingMaster = protocol.Some(true)
	back := register(t, table, master)
	wantNotice := &MinBrokerChange{BrokerName: "a", MinID: 0, MinAddr: "1:0", HAAddr: "1:0-ha", Notify: []string{"1:1", "1:2"}}
	if !reflect.DeepEqual(back.Notify, wantNotice) {
		t.Errorf("got %+v, want %+v", back.Notify, wantNotice)
	}
	if perm := table.Route("V").QueueDatas[0].Perm; perm != protocol.PermRead|protocol.PermWrite {
		t.Errorf("the master's topic has perm %d", perm)
	}
}

func TestDeparturesOfOneEventGiveOneNotice(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	for id, addr := range []string{"1:0", "1:1", "1:2"} {
		r := broker("a", int64(id), addr, topicsOf(1, "T", "U"))
		r.ActingMaster = protocol.Some(true)
		r.Conn = ConnID(1 + id/2)
		register(t, table, r)
	}
	got := table.Disconnect(1)
	want := []MinBrokerChange{{BrokerName: "a", MinID: 2, MinAddr: "1:2", OfflineAddr: "1:1", Notify: []string{"1:2"}}}
	if !reflect.DeepEqual(got.Notify, want) {
		t.Errorf("got %+v, want %+v", got.Notify, want)
	}
	if got := table.Disconnect(2); got.Notify != nil {
		t.Errorf("nobody is left, but %+v", got.Notify)
	}
}

func TestStaticTopics(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	body := topicsOf(1, "S", "T")
	body.TopicConfigSerializeWrapper.TopicQueueMappingInfoMap = map[string]protocol.TopicQueueMappingInfo{
		"S": {Topic: "S", Bname: "a", TotalQueues: 2, CurrIDMap: map[int32]int32{0: 1}},
	}
	register(t, table, broker("a", 0, "1:1", body))
	register(t, table, broker("a", 0, "1:1", body))
	route := table.Route("S")
	if got := route.TopicQueueMappingByBroker["a"]; got.TotalQueues != 2 || got.CurrIDMap[0] != 1 {
		t.Errorf("got %+v", got)
	}
	if got := table.Route("T").TopicQueueMappingByBroker; got != nil {
		t.Errorf("a plain topic has mappings %+v", got)
	}
	table.Unregister("c", "1:1", "a")
	checkTable(t, table)
	if len(table.mappings) != 0 {
		t.Error("the mapping outlived its broker")
	}
}

func TestTopicAdministration(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	register(t, table, broker("a", 0, "1:1", topicsOf(1, "T", "U")))
	other := broker("b", 1, "1:2", topicsOf(1, "T", "V"))
	other.Cluster = "d"
	register(t, table, other)

	if got := table.TopicsOfCluster("d"); !slices.Equal(got, []string{"T", "V"}) {
		t.Errorf("topics of d: %v", got)
	}
	if got := table.TopicsOfCluster("e"); len(got) != 0 {
		t.Errorf("topics of no cluster: %v", got)
	}
	if got := table.SystemTopics(); !slices.Equal(got.TopicList, []string{"c", "d", "a", "b"}) || got.BrokerAddr != "1:1" {
		t.Errorf("system topics: %+v", got)
	}
	if !table.RegisterTopic("R", []protocol.QueueData{{BrokerName: "a", Perm: 7}, {BrokerName: "b", TopicSysFlag: 3}}) {
		t.Error("topic of known brokers refused")
	}
	if table.RegisterTopic("R", []protocol.QueueData{{BrokerName: "x"}}) || table.RegisterTopic("R", nil) {
		t.Error("topic of an unknown broker, or of none, taken")
	}
	if got := table.AddWritePerm("a"); got != 3 || table.Route("R").QueueDatas[0].Perm != 6 {
		t.Errorf("added write permission to %d topics: %+v", got, table.Route("R").QueueDatas)
	}
	if table.WipeWritePerm("x") != 0 {
		t.Error("wiped an unknown broker")
	}
	table.DeleteTopic("T", "d")
	if got := table.Route("T").QueueDatas; len(got) != 1 || got[0].BrokerName != "a" {
		t.Errorf("after deletion in one cluster: %+v", got)
	}
	table.DeleteTopic("R", "")
	if table.Route("R") != nil {
		t.Error("deleted topic has a route")
	}
	checkTable(t, table)
}

func TestTopicsByFlag(t *testing.T) {
	table := NewRouteTable(TableOptions{})
	register(t, table, broker("a", 0, "1:1", topicsOf(1)))
	for flag := range int32(4) {
		table.RegisterTopic(fmt.Sprint("T", flag), []protocol.QueueData{{BrokerName: "a", TopicSysFlag: flag}})
	}
	unit, sub := protocol.TopicFlagUnit, protocol.TopicFlagUnitSub
	for _, c := range []struct {
		with, without int32
		want          []string
	}{{unit, 0, []string{"T1", "T3"}}, {sub, 0, []string{"T2", "T3"}}, {sub, unit, []string{"T2"}}} {
		if got := table.TopicsByFlag(c.with, c.without); !slices.Equal(got, c.want) {
			t.Errorf("%d without %d: got %v, want %v", c.with, c.without, got, c.want)
		}
	}
}

func TestKeepZone(t *testing.T) {
	route := &protocol.TopicRouteData{
		BrokerDatas: []protocol.BrokerData{
			{BrokerName: "a", ZoneName: "North", BrokerAddrs: map[int64]string{0: "1:1"}},
			{BrokerName: "b", ZoneName: "south", BrokerAddrs: map[int64]string{0: "1:2"}},
			{BrokerName: "c", ZoneName: "south", BrokerAddrs: map[int64]string{1: "1:3"}},
		},
		QueueDatas:        []protocol.QueueData{{BrokerName: "a"}, {BrokerName: "b"}, {BrokerName: "c"}},
		FilterServerTable: map[string][]string{"1:1": {"f"}, "1:2": {"g"}},
	}
	KeepZone(route, "north")
	if len(route.BrokerDatas) != 2 || len(route.QueueDatas) != 2 || route.QueueDatas[1].BrokerName != "c" || len(route.FilterServerTable) != 1 {
		t.Errorf("got %+v", route)
	}
}
