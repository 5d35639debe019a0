package clients

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/subscription"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

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
	table := NewConsumers(c.now, func(group string, members []Channel) {
		told = append(told, fmt.Sprintf("%s:%d", group, len(members)))
	})
	one, two := &fakeChannel{addr: netip.MustParseAddrPort("10.0.0.1:1")}, &fakeChannel{addr: netip.MustParseAddrPort("10.0.0.2:2")}
	beat := func(ch Channel, id string, model protocol.MessageModel, version int64, topics ...string) *protocol.ConsumerData {
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
	register := func(ch Channel, id string, d *protocol.ConsumerData) {
		table.Register(Client{Channel: ch, ID: id}, d, 0, false, true)
	}
	register(one, "a", beat(one, "a", protocol.Clustering, 1, "t"))
	expect("the first member", "g:1")
	register(one, "a", beat(one, "a", protocol.Clustering, 2, "t"))
	expect("a newer version of the same subscription")
	if v := table.View("g", "t"); v.Subscription == nil || v.Subscription.Data.SubVersion != 2 {
		t.Errorf("subscription %+v", v.Subscription)
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
	if silent := table.Expire(); !slices.Equal(silent, []Channel{two}) {
		t.Errorf("silent: %v", silent)
	}
	expect("a silent member", "g:1")
	register(one, "a", beat(one, "a", protocol.Broadcasting, 4, "u"))
	register(two, "b", beat(two, "b", protocol.Broadcasting, 4, "u"))
	expect("a broadcasting group has nothing to share")
	table.Unregister("g", one, true)
	table.Closed(two)
	expect("nobody is left")
	if table.Snapshot("g") != nil || len(table.mu.of) != 0 {
		t.Error("a group without members is kept")
	}
}

func TestHeartbeatsWithoutSubscriptions(t *testing.T) {
	table := NewConsumers(newClock().now, func(string, []Channel) {})
	ch := &fakeChannel{}
	full := &protocol.ConsumerData{GroupName: "g", SubscriptionDataSet: []protocol.SubscriptionData{{Topic: "t", SubString: "A", SubVersion: 1}}}
	if table.Register(Client{Channel: ch, ID: "a"}, full, 77, false, true) {
		t.Error("the first fingerprint is no change")
	}
	if table.Register(Client{Channel: ch, ID: "a"}, &protocol.ConsumerData{GroupName: "g"}, 77, true, true) {
		t.Error("the same fingerprint is no change")
	}
	if table.View("g", "t").Subscription == nil {
		t.Error("a heartbeat without subscriptions takes them away")
	}
	if !table.Register(Client{Channel: ch, ID: "a"}, full, 78, false, true) {
		t.Error("another fingerprint is a change")
	}
}

func TestSubscriptionsOfPullsExpire(t *testing.T) {
	c := newClock()
	table := NewConsumers(c.now, func(string, []Channel) {})
	s := subscription.New(protocol.SubscriptionData{Topic: "t", SubString: "*"})
	table.NoteSubscription("g", "t", s)
	if table.SubscriptionOf("g", "t") != s {
		t.Error("a pull's subscription is not known")
	}
	c.pass(subscriptionLife + time.Second)
	table.Expire()
	if table.SubscriptionOf("g", "t") != nil {
		t.Error("a pull's subscription is known for ever")
	}
}

func TestProducerTable(t *testing.T) {
	c := newClock()
	table := NewProducers(c.now)
	one, two := &fakeChannel{}, &fakeChannel{}
	table.Register("g", Client{Channel: one, ID: "b"})
	table.Register("g", Client{Channel: two, ID: "a"})
	table.Register("h", Client{Channel: two, ID: "a"})
	if got := table.Snapshot("g"); len(got) != 2 || got[0].ID != "a" {
		t.Errorf("members %v", got)
	}
	table.Closed(two)
	if len(table.Snapshot("g")) != 1 || table.Snapshot("h") != nil {
		t.Error("a closed connection stays a member")
	}
	c.pass(clientLife + time.Second)
	if silent := table.Expire(); len(silent) != 1 || len(table.All()) != 0 {
		t.Errorf("silent: %v", silent)
	}
}
