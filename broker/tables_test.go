package broker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func TestTopicNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "A-b_9": true, "%RETRY%g": true, "a|b": true, "": false, " ": false, "a b": false, "a.b": false, "ü": false,
		strings.Repeat("t", 127): true, strings.Repeat("t", 128): false,
		"%RETRY%" + strings.Repeat("g", 248): true, "%DLQ%" + strings.Repeat("g", 251): false,
	} {
		if fault := topicNameFault(name); (fault == "") != ok {
			t.Errorf("topic %q: fault %q", name, fault)
		}
	}
	for name, ok := range map[string]bool{"g": true, "": false, "a/b": false, strings.Repeat("g", 120): true, strings.Repeat("g", 121): false} {
		if fault := groupNameFault(name); (fault == "") != ok {
			t.Errorf("group %q: fault %q", name, fault)
		}
	}
}

func TestTopicsAreMadeAsJavaMakesThem(t *testing.T) {
	f, _ := statetest.File(t, "topics.json")
	o := testOptions("")
	topics := newTopicTable(f, o, 1)
	told := 0
	topics.changed = func() { told++ }
	for name, want := range map[string][2]int32{
		"TBW102": {8, 7}, "SELF_TEST_TOPIC": {1, 6}, "BenchmarkTest": {1024, 6}, "DefaultCluster": {16, 7}, "broker-a": {1, 7},
		"SCHEDULE_TOPIC_XXXX": {18, 6}, "DefaultCluster_REPLY_TOPIC": {1, 6}, "rmq_sys_REVIVE_LOG_DefaultCluster": {8, 6},
		"rmq_sys_SYNC_BROKER_MEMBER_broker-a": {1, 1},
	} {
		e := topics.get(name)
		if e == nil || e.config.Load().WriteQueueNums != want[0] || e.config.Load().Perm != want[1] {
			t.Errorf("system topic %s: %+v", name, e)
		}
		if !topics.isSystem(name) {
			t.Errorf("%s is no system topic", name)
		}
	}
	e, err := topics.createOnSend("orders", "TBW102", 4, o, 2)
	if err != nil || e.config.Load().ReadQueueNums != 4 || e.config.Load().Perm != 6 {
		t.Fatalf("made on send: %+v, %v", e, err)
	}
	if again, err := topics.createOnSend("orders", "TBW102", 16, o, 2); again != e || err != nil {
		t.Error("a topic that is there is made again")
	}
	if e, _ := topics.createOnSend("wide", "TBW102", 99, o, 2); e.config.Load().WriteQueueNums != 8 {
		t.Errorf("more queues than the default topic has: %d", e.config.Load().WriteQueueNums)
	}
	off := *o
	off.AutoCreateTopicEnable = false
	if e, err := topics.createOnSend("none", "TBW102", 4, &off, 2); e != nil || err == nil {
		t.Error("made though autoCreateTopicEnable is off")
	}
	if told != 2 {
		t.Errorf("%d changes told, want 2", told)
	}
	if v := topics.version(); v.Counter != 2 || v.Timestamp != 2 {
		t.Errorf("data version %+v", v)
	}
	again := newTopicTable(f, o, 9)
	if err := again.load(); err != nil || again.get("orders") == nil || again.version() != topics.version() {
		t.Errorf("loaded: %v, %+v", err, again.version())
	}
}

func TestTopicUpdateAndRemove(t *testing.T) {
	f, _ := statetest.File(t, "topics.json")
	topics := newTopicTable(f, testOptions(""), 1)
	told := 0
	topics.changed = func() { told++ }
	if err := topics.update([]*protocol.TopicConfig{newTopicConfig("a", 2), newTopicConfig("b", 2)}, 2); err != nil {
		t.Fatal(err)
	}
	identity := topics.get("a")
	if err := topics.update([]*protocol.TopicConfig{newTopicConfig("a", 2), newTopicConfig("b", 5)}, 3); err != nil {
		t.Fatal(err)
	}
	if err := topics.update([]*protocol.TopicConfig{newTopicConfig("a", 2)}, 4); err != nil {
		t.Fatal(err)
	}
	if told != 2 || topics.version().Timestamp != 3 {
		t.Errorf("%d changes told, version %+v: an equal configuration is no change", told, topics.version())
	}
	if topics.get("a") != identity || topics.get("b").config.Load().WriteQueueNums != 5 {
		t.Error("a topic is not the same after an update, or not updated")
	}
	topics.markOrdered(slices.Values([]string{"a", "nothing"}), 5)
	if !topics.get("a").config.Load().Order || told != 3 {
		t.Error("an ordered topic is not marked")
	}
	if gone, err := topics.remove([]string{"a", "nothing"}, 6); err != nil || topics.get("a") != nil || len(gone) != 1 || gone[0] != identity {
		t.Errorf("removed: %v, %v", gone, err)
	}
	if !identity.enter() {
		t.Error("a put cannot begin before the topic is retired")
	}
	if err := identity.retire(time.Millisecond); !errors.Is(err, errStillInUse) {
		t.Errorf("retired with a put under way: %v", err)
	}
	identity.leave()
	if err := identity.retire(time.Second); err != nil || identity.enter() {
		t.Errorf("retired: %v, or a put begins after it", err)
	}
}

// A failed write is reported to who asked, and the next one makes up for it.
func TestTopicTableReportsFailedWrites(t *testing.T) {
	f, crash := statetest.File(t, "topics.json")
	faults := vfs.NewFaultFS(crash, time.Sleep)
	topics := newTopicTable(state.NewFile(faults, f.Name()), testOptions(""), 1)
	faults.SetRules(vfs.Rule{Op: vfs.OpOpen, Err: syscall.ENOSPC})
	if err := topics.update([]*protocol.TopicConfig{newTopicConfig("a", 2)}, 2); err == nil {
		t.Fatal("a failed write is not reported")
	}
	faults.SetRules()
	if err := topics.update([]*protocol.TopicConfig{newTopicConfig("b", 2)}, 3); err != nil {
		t.Fatal(err)
	}
	again := newTopicTable(state.NewFile(crash, f.Name()), testOptions(""), 1)
	if err := again.load(); err != nil || again.get("a") == nil || again.get("b") == nil {
		t.Errorf("after the write that worked: %v", err)
	}
}

func TestGroups(t *testing.T) {
	f, _ := statetest.File(t, "subscriptionGroup.json")
	o := testOptions("")
	groups := newGroupTable(f, testOptions(""), 1)
	if groups.get("TOOLS_CONSUMER") == nil {
		t.Error("the tools' group is not there")
	}
	c, err := groups.findOrCreate("readers", o, 2)
	if c == nil || err != nil || c.RetryMaxTimes != 16 || c.RetryQueueNums != 1 || !c.ConsumeEnable {
		t.Fatalf("made by use: %+v, %v", c, err)
	}
	off := *o
	off.AutoCreateSubscriptionGroup = false
	for name, made := range map[string]bool{"others": false, "CID_RMQ_SYS_x": true} {
		if c, _ := groups.findOrCreate(name, &off, 3); (c != nil) != made {
			t.Errorf("%s with autoCreateSubscriptionGroup off: made %t", name, c != nil)
		}
	}
	if c, _ := groups.findOrCreate("a b", o, 3); c != nil {
		t.Error("a group with a blank is made")
	}
	if err := groups.forbid("readers", "orders", false, 4); err != nil || !groups.readForbidden("readers", "orders") || groups.readForbidden("readers", "other") {
		t.Errorf("forbidden: %v", err)
	}
	again := newGroupTable(f, testOptions(""), 9)
	if err := again.load(); err != nil || again.get("readers") == nil || !again.readForbidden("readers", "orders") {
		t.Errorf("loaded: %v", err)
	}
	if err := groups.forbid("readers", "orders", true, 5); err != nil || groups.readForbidden("readers", "orders") {
		t.Errorf("allowed again: %v", err)
	}
	if err := groups.remove("readers", 6); err != nil || groups.get("readers") != nil {
		t.Errorf("removed: %v", err)
	}
}

// What an older writer did not know has its default, not zero.
func TestGroupsOfOlderWriters(t *testing.T) {
	f, fs := statetest.File(t, "subscriptionGroup.json")
	const file = `{"subscriptionGroupTable":{"old":{"groupName":"old","retryMaxTimes":3}}}`
	if err := vfs.WriteFileAtomic(fs, f.Name(), []byte(file)); err != nil {
		t.Fatal(err)
	}
	groups := newGroupTable(f, testOptions(""), 1)
	if err := groups.load(); err != nil {
		t.Fatal(err)
	}
	c := groups.get("old")
	if c == nil || c.RetryMaxTimes != 3 || !c.ConsumeEnable || !c.NotifyConsumerIDsChangedEnable || c.RetryQueueNums != 1 {
		t.Errorf("%+v", c)
	}
}

// The offsets are those of a plain map, through random histories with saves and loads.
func TestOffsetsAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	f, _ := statetest.File(t, "consumerOffset.json")
	table := newOffsetTable(f, offsetOptions{}, func() int64 { return 7 }, func() {})
	type key struct {
		topic, group string
		queue        int32
	}
	model, saved := map[key]int64{}, map[key]int64{}
	for range 20000 {
		k := key{fmt.Sprint("t", rnd.IntN(5)), fmt.Sprint("g", rnd.IntN(5)), rnd.Int32N(4)}
		switch rnd.IntN(200) {
		case 0:
			if err := table.persist(); err != nil {
				t.Fatal(err)
			}
			saved = map[key]int64{}
			for k, v := range model {
				saved[k] = v
			}
		case 1: // the process is killed
			table = newOffsetTable(f, offsetOptions{}, func() int64 { return 7 }, func() {})
			if err := table.load(); err != nil {
				t.Fatal(err)
			}
			model = map[key]int64{}
			for k, v := range saved {
				model[k] = v
			}
		case 2:
			table.forget(func(topic, group string) bool { return topic == k.topic && group == k.group })
			for other := range model {
				if other.topic == k.topic && other.group == k.group {
					delete(model, other)
				}
			}
		default:
			v := rnd.Int64N(1000)
			table.commit(k.topic, k.group, k.queue, v)
			model[k] = v
		}
		got, ok := table.committed(k.topic, k.group, k.queue)
		if want, had := model[k]; ok != had || got != want {
			t.Fatalf("%v: offset %d %t, want %d %t", k, got, ok, want, had)
		}
	}
}

func TestOffsetsArmTheirWriterOnce(t *testing.T) {
	f, _ := statetest.File(t, "consumerOffset.json")
	armed := 0
	table := newOffsetTable(f, offsetOptions{}, func() int64 { return 7 }, func() { armed++ })
	if err := table.persist(); err != nil {
		t.Fatal(err)
	}
	if v, _ := state.Load[offsetsFile](f); v != nil {
		t.Error("written though nothing changed")
	}
	table.commit("t", "g", 0, 1)
	table.commit("t", "g", 0, 2)
	table.commit("t", "g", 0, 2)
	if armed != 1 {
		t.Errorf("armed %d times", armed)
	}
	if err := table.persist(); err != nil {
		t.Fatal(err)
	}
	table.commit("t", "g", 0, 2)
	if armed != 1 {
		t.Error("an offset that is as it was makes the table dirty")
	}
	table.commit("t", "g", 0, 3)
	if armed != 2 {
		t.Errorf("armed %d times", armed)
	}
}

func TestOffsetResets(t *testing.T) {
	f, _ := statetest.File(t, "consumerOffset.json")
	table := newOffsetTable(f, offsetOptions{}, func() int64 { return 7 }, func() {})
	table.commit("t", "g", 0, 9)
	if _, ok := table.takeReset("t", "g", 0); ok {
		t.Error("a reset that nobody asked for")
	}
	table.reset("t", "g", 0, 4)
	if !table.pendingReset("t", "g", 0) || table.pendingReset("t", "g", 1) {
		t.Error("the reset is not pending, or for another queue too")
	}
	if offset, ok := table.takeReset("t", "g", 0); !ok || offset != 4 {
		t.Errorf("taken: %d %t", offset, ok)
	}
	if _, ok := table.takeReset("t", "g", 0); ok || table.pendingReset("t", "g", 0) {
		t.Error("a reset is taken twice")
	}
	if offset, _ := table.committed("t", "g", 0); offset != 4 {
		t.Errorf("committed %d", offset)
	}
	table.copyGroup("t", "g", "h")
	if offset, _ := table.committed("t", "h", 0); offset != 4 {
		t.Errorf("copied %d", offset)
	}
	if got := table.groupsOf("t"); !slices.Equal(got, []string{"g", "h"}) {
		t.Errorf("groups %v", got)
	}
}

// clock is a time that a test moves.
type clock struct {
	sync.Mutex
	t time.Time
}

func newClock() *clock { return &clock{t: time.UnixMilli(1_700_000_000_000)} }

func (c *clock) now() time.Time {
	c.Lock()
	defer c.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	c.t = c.t.Add(d)
}

// owns tells whether a client gets or has the queue.
func owns(t *testing.T, table *lockTable, client string, q protocol.MessageQueue) bool {
	t.Helper()
	owned, err := table.lock("g", client, []protocol.MessageQueue{q})
	if err != nil {
		t.Fatal(err)
	}
	return len(owned) == 1
}

// A queue is never two clients' at once, and one that is silent loses it.
func TestLockExpiry(t *testing.T) {
	c := newClock()
	f, _ := statetest.File(t, "queueLocks.json")
	table := newLockTable(f, c.now, func() {})
	q := protocol.MessageQueue{Topic: "t"}
	if !owns(t, table, "one", q) || !table.anyHeld("g") {
		t.Fatal("a free queue is not locked")
	}
	c.pass(lockLife - time.Second)
	if owns(t, table, "two", q) {
		t.Fatal("locked twice")
	}
	if !owns(t, table, "one", q) {
		t.Fatal("the owner cannot prolong")
	}
	c.pass(lockLife - time.Second)
	if owns(t, table, "two", q) {
		t.Fatal("locked twice after it was prolonged")
	}
	c.pass(time.Second)
	if table.anyHeld("g") {
		t.Error("an expired lock counts")
	}
	if !owns(t, table, "two", q) {
		t.Fatal("an expired lock is not taken over")
	}
	if err := table.unlock("g", "one", []protocol.MessageQueue{q}); err != nil || !table.anyHeld("g") {
		t.Errorf("unlocked by one who is not the owner: %v", err)
	}
	c.pass(lockLife)
	table.expire()
	if len(table.mu.groups) != 0 {
		t.Error("expired locks are kept")
	}
}

// A crash of the broker gives nobody a queue whose owner may go on consuming: locks outlive it, with what was prolonged, and
// what was unlocked is free.
func TestLocksSurviveCrash(t *testing.T) {
	c := newClock()
	f, fsys := statetest.File(t, "queueLocks.json")
	var table *lockTable
	crash := func(seed uint64) {
		fsys = fsys.Crash(seed)
		table = newLockTable(state.NewFile(fsys, f.Name()), c.now, func() {})
		if err := table.load(); err != nil {
			t.Fatal(err)
		}
	}
	q, other := protocol.MessageQueue{Topic: "t"}, protocol.MessageQueue{Topic: "t", QueueID: 1}
	crash(1)
	if !owns(t, table, "one", q) || !owns(t, table, "one", other) {
		t.Fatal("a free queue is not locked")
	}
	crash(2)
	if owns(t, table, "two", q) || !owns(t, table, "one", q) {
		t.Fatal("a crash makes a queue another's")
	}
	c.pass(20 * time.Second)
	if !owns(t, table, "one", q) {
		t.Fatal("the owner cannot prolong")
	}
	if err := table.persist(); err != nil {
		t.Fatal(err)
	}
	crash(3)
	c.pass(lockLife - time.Second)
	if owns(t, table, "two", q) {
		t.Fatal("a crash forgets that a lock was prolonged")
	}
	if !owns(t, table, "two", other) {
		t.Fatal("what nobody prolongs is held for longer by a crash")
	}
	if err := table.unlock("g", "one", []protocol.MessageQueue{q}); err != nil {
		t.Fatal(err)
	}
	crash(4)
	if !owns(t, table, "two", q) || owns(t, table, "one", other) {
		t.Fatal("what is unlocked is not free after a crash")
	}
	c.pass(-2 * lockLife)
	crash(5)
	if !owns(t, table, "one", q) {
		t.Fatal("a lock holds as long as the clock was set back")
	}
}

// fakeChannel is a client's connection that counts what it is sent.
type fakeChannel struct {
	addr netip.AddrPort
	sent int
}

func (c *fakeChannel) RemoteAddr() netip.AddrPort     { return c.addr }
func (c *fakeChannel) Oneway(*remoting.Command) error { c.sent++; return nil }

func TestConsumerTable(t *testing.T) {
	c := newClock()
	var told []string
	table := newConsumerTable(c.now, func(group string, members []channel) {
		told = append(told, fmt.Sprintf("%s:%d", group, len(members)))
	})
	one, two := &fakeChannel{addr: netip.MustParseAddrPort("10.0.0.1:1")}, &fakeChannel{addr: netip.MustParseAddrPort("10.0.0.2:2")}
	beat := func(ch channel, id string, model protocol.MessageModel, version int64, topics ...string) *protocol.ConsumerData {
		d := &protocol.ConsumerData{GroupName: "g", MessageModel: model}
		for _, topic := range topics {
			d.SubscriptionDataSet = append(d.SubscriptionDataSet, protocol.SubscriptionData{Topic: topic, SubString: "*", SubVersion: version})
		}
		return d
	}
	expect := func(step string, want ...string) {
		t.Helper()
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %q, want %q", step, told, want)
		}
		told = nil
	}
	register := func(ch channel, id string, d *protocol.ConsumerData) {
		table.register(client{channel: ch, id: id}, d, 0, false, true)
	}
	register(one, "a", beat(one, "a", protocol.Clustering, 1, "t"))
	expect("the first member", "g:1")
	register(one, "a", beat(one, "a", protocol.Clustering, 2, "t"))
	expect("a newer version of the same subscription")
	if v := table.view("g", "t"); v.subscription == nil || v.subscription.data.SubVersion != 2 {
		t.Errorf("subscription %+v", v.subscription)
	}
	register(two, "b", beat(two, "b", protocol.Clustering, 2, "t"))
	expect("the second member", "g:2")
	register(two, "b", beat(two, "b", protocol.Clustering, 3, "t", "u"))
	expect("a topic more", "g:2")
	register(two, "b", beat(two, "b", protocol.Clustering, 4, "u"))
	expect("a topic less", "g:2")
	c.pass(clientLife / 2)
	register(one, "a", beat(one, "a", protocol.Clustering, 4, "u"))
	expect("nothing new")
	c.pass(clientLife/2 + time.Second)
	if silent := table.expire(); !slices.Equal(silent, []channel{two}) {
		t.Errorf("silent: %v", silent)
	}
	expect("a silent member", "g:1")
	register(one, "a", beat(one, "a", protocol.Broadcasting, 4, "u"))
	register(two, "b", beat(two, "b", protocol.Broadcasting, 4, "u"))
	expect("a broadcasting group has nothing to share")
	table.unregister("g", one, true)
	table.closed(two)
	expect("nobody is left")
	if table.snapshot("g") != nil || len(table.mu.of) != 0 {
		t.Error("a group without members is kept")
	}
}

func TestHeartbeatsWithoutSubscriptions(t *testing.T) {
	table := newConsumerTable(newClock().now, func(string, []channel) {})
	ch := &fakeChannel{}
	full := &protocol.ConsumerData{GroupName: "g", SubscriptionDataSet: []protocol.SubscriptionData{{Topic: "t", SubString: "A", SubVersion: 1}}}
	if table.register(client{channel: ch, id: "a"}, full, 77, false, true) {
		t.Error("the first fingerprint is no change")
	}
	if table.register(client{channel: ch, id: "a"}, &protocol.ConsumerData{GroupName: "g"}, 77, true, true) {
		t.Error("the same fingerprint is no change")
	}
	if table.view("g", "t").subscription == nil {
		t.Error("a heartbeat without subscriptions takes them away")
	}
	if !table.register(client{channel: ch, id: "a"}, full, 78, false, true) {
		t.Error("another fingerprint is a change")
	}
}

func TestSubscriptionsOfPullsExpire(t *testing.T) {
	c := newClock()
	table := newConsumerTable(c.now, func(string, []channel) {})
	s := newSubscription(protocol.SubscriptionData{Topic: "t", SubString: "*"})
	table.noteSubscription("g", "t", s)
	if table.subscriptionOf("g", "t") != s {
		t.Error("a pull's subscription is not known")
	}
	c.pass(subscriptionLife + time.Second)
	table.expire()
	if table.subscriptionOf("g", "t") != nil {
		t.Error("a pull's subscription is known for ever")
	}
}

func TestProducerTable(t *testing.T) {
	c := newClock()
	table := newProducerTable(c.now)
	one, two := &fakeChannel{}, &fakeChannel{}
	table.register("g", client{channel: one, id: "b"})
	table.register("g", client{channel: two, id: "a"})
	table.register("h", client{channel: two, id: "a"})
	if got := table.snapshot("g"); len(got) != 2 || got[0].id != "a" {
		t.Errorf("members %v", got)
	}
	table.closed(two)
	if len(table.snapshot("g")) != 1 || table.snapshot("h") != nil {
		t.Error("a closed connection stays a member")
	}
	c.pass(clientLife + time.Second)
	if silent := table.expire(); len(silent) != 1 || len(table.all()) != 0 {
		t.Errorf("silent: %v", silent)
	}
}

func TestPropertyFacts(t *testing.T) {
	p := func(pairs ...string) (p message.Properties) {
		for i := 0; i < len(pairs); i += 2 {
			p = message.AppendProperty(p, pairs[i], pairs[i+1])
		}
		return p
	}
	for _, c := range []struct {
		properties message.Properties
		want       propertyFacts
	}{
		{nil, propertyFacts{}},
		{p("TAGS", "A", "UNIQ_KEY", "u"), propertyFacts{uniqueKey: []byte("u")}},
		{p("DELAY", "3"), propertyFacts{delayLevel: 3, delayed: true}},
		{p("DELAY", "x"), propertyFacts{delayed: true}},
		{p("TIMER_DELAY_MS", "3"), propertyFacts{timer: true, delayed: true}},
		{p("_SYS_MSG_PRIORITY_", "0"), propertyFacts{priority: 1}},
		{p("_SYS_MSG_PRIORITY_", "2147483647"), propertyFacts{priority: 1<<31 - 1}},
		{p("_SYS_MSG_PRIORITY_", "-1"), propertyFacts{}},
		{p("_SYS_MSG_PRIORITY_", "high"), propertyFacts{}},
		{p("__SHARDINGKEY", "a"), propertyFacts{sharded: true}},
		{p("TRAN_MSG", "TRUE"), propertyFacts{transaction: true}},
		{p("TRAN_MSG", "false"), propertyFacts{}},
		{p("CLUSTER", "mine"), propertyFacts{reserved: true}},
		{p("POP_CK", "1 2 3"), propertyFacts{reserved: true}},
		{p("CLUSTERS", "mine"), propertyFacts{}},
		{message.Properties("a\x01\x02"), propertyFacts{reserved: true}},
		{message.Properties("\x02"), propertyFacts{reserved: true}},
		{message.Properties("TAGS\x01A"), propertyFacts{}},
	} {
		var got propertyFacts
		got.scan(c.properties)
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q: %+v, want %+v", c.properties, got, c.want)
		}
	}
}
