package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

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

func (c *fakeChannel) RemoteAddr() netip.AddrPort { return c.addr }

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
