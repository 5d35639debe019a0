package clients

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/subscription"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// subscriptionLife is the time after which a subscription known only from a pull is forgotten (subscriptionExpiredTimeout).
const subscriptionLife = 600 * time.Second

// Consumers knows the consumers that are online and what their groups subscribe to (Java's ConsumerManager).
type Consumers struct {
	now    func() time.Time
	notify func(group string, members []Channel) // called without lock when the members of a group change

	mu struct {
		sync.RWMutex
		groups map[string]*group
		of     map[Channel][]string            // the groups of a channel
		weak   map[subscriber]weakSubscription // known from pulls only
	}
}

// group is a group that has members, guarded by the table's lock.
type group struct {
	name          string
	consumeType   protocol.ConsumeType
	messageModel  protocol.MessageModel
	fromWhere     protocol.ConsumeFromWhere
	fingerprint   int32
	subscriptions map[string]*subscription.Subscription
	members       map[Channel]*Client
}

// subscriber is a group as it reads one topic.
type subscriber struct{ topic, group string }

type weakSubscription struct {
	subscription *subscription.Subscription
	until        time.Time
}

// NewConsumers returns an empty table. notify is called without lock when the members of a group change.
func NewConsumers(now func() time.Time, notify func(string, []Channel)) *Consumers {
	t := &Consumers{now: now, notify: notify}
	t.mu.groups = map[string]*group{}
	t.mu.of = map[Channel][]string{}
	t.mu.weak = map[subscriber]weakSubscription{}
	return t
}

// Register notes a heartbeat of a consumer. With keepSubscriptions the heartbeat carries none and those known stay.
// tell says whether the other members of the group hear of a change. It reports whether the fingerprint is a new one.
func (t *Consumers) Register(c Client, data *protocol.ConsumerData, fingerprint int32, keepSubscriptions, tell bool) (fingerprintChanged bool) {
	c.LastSeen = t.now()
	t.mu.Lock()
	g := t.mu.groups[data.GroupName]
	if g == nil {
		g = &group{
			name: strings.Clone(data.GroupName), subscriptions: map[string]*subscription.Subscription{}, members: map[Channel]*Client{},
		}
		t.mu.groups[g.name] = g
	}
	g.consumeType, g.messageModel, g.fromWhere = data.ConsumeType, data.MessageModel, data.ConsumeFromWhere
	changed := g.members[c.Channel] == nil
	if changed {
		t.mu.of[c.Channel] = append(t.mu.of[c.Channel], g.name)
	}
	g.members[c.Channel] = &c
	if !keepSubscriptions && g.subscribe(data.SubscriptionDataSet) {
		changed = true
	}
	fingerprintChanged = fingerprint != 0 && g.fingerprint != 0 && g.fingerprint != fingerprint
	g.fingerprint = fingerprint
	var told []Channel
	if changed && tell {
		told = g.audience()
	}
	t.mu.Unlock()
	if told != nil {
		t.notify(g.name, told)
	}
	return fingerprintChanged
}

// subscribe takes over a member's subscriptions, and reports whether a topic came or went.
func (g *group) subscribe(list []protocol.SubscriptionData) (changed bool) {
	topics := make(map[string]bool, len(list))
	for _, data := range list {
		topics[data.Topic] = true
		old := g.subscriptions[data.Topic]
		if old == nil {
			changed = true
		}
		if old == nil || data.SubVersion > old.Data.SubVersion {
			g.subscriptions[data.Topic] = subscription.New(data)
		}
	}
	for topic := range g.subscriptions {
		if !topics[topic] {
			delete(g.subscriptions, topic)
			changed = true
		}
	}
	return changed
}

// audience are those who hear of a change in the group: nobody where each member consumes all.
func (g *group) audience() []Channel {
	if g.messageModel == protocol.Broadcasting {
		return nil
	}
	return slices.Collect(maps.Keys(g.members))
}

// Unregister takes the channel out of the group.
func (t *Consumers) Unregister(group string, ch Channel, tell bool) {
	t.mu.Lock()
	told := t.leaveLocked(group, ch)
	t.mu.Unlock()
	if tell && len(told) > 0 {
		t.notify(group, told)
	}
}

// Closed takes the channel out of all its groups.
func (t *Consumers) Closed(ch Channel) {
	t.mu.Lock()
	groups := slices.Clone(t.mu.of[ch])
	told := make([][]Channel, len(groups))
	for i, group := range groups {
		told[i] = t.leaveLocked(group, ch)
	}
	t.mu.Unlock()
	for i, group := range groups {
		if len(told[i]) > 0 {
			t.notify(group, told[i])
		}
	}
}

func (t *Consumers) leaveLocked(group string, ch Channel) (told []Channel) {
	g := t.mu.groups[group]
	if g == nil || g.members[ch] == nil {
		return nil
	}
	delete(g.members, ch)
	rest := slices.DeleteFunc(t.mu.of[ch], func(name string) bool { return name == group })
	if len(rest) == 0 {
		delete(t.mu.of, ch)
	} else {
		t.mu.of[ch] = rest
	}
	if len(g.members) == 0 {
		delete(t.mu.groups, group)
		return nil
	}
	return g.audience()
}

// Expire takes out the clients that have been silent for too long, and returns their channels.
func (t *Consumers) Expire() (silent []Channel) {
	now := t.now()
	t.mu.Lock()
	for _, g := range t.mu.groups {
		for ch, c := range g.members {
			if now.Sub(c.LastSeen) > clientLife && !slices.Contains(silent, ch) {
				silent = append(silent, ch)
			}
		}
	}
	for key, w := range t.mu.weak {
		if now.After(w.until) {
			delete(t.mu.weak, key)
		}
	}
	t.mu.Unlock()
	for _, ch := range silent {
		t.Closed(ch)
	}
	return silent
}

// View is what a pull needs to know of an online group.
type View struct {
	Online       bool
	Broadcasting bool
	Passive      bool                       // by push consumers
	Subscription *subscription.Subscription // nil: the group does not subscribe to the topic
}

// View looks up a group and its subscription of a topic. It allocates nothing.
func (t *Consumers) View(group, topic string) (v View) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		v = View{Online: true, Broadcasting: g.messageModel == protocol.Broadcasting, Passive: g.consumeType == protocol.ConsumePassively, Subscription: g.subscriptions[topic]}
	}
	return v
}

// NoteSubscription remembers what a pull without heartbeat asks for, so that tools see who reads a topic.
func (t *Consumers) NoteSubscription(group, topic string, s *subscription.Subscription) {
	key, now := subscriber{topic, group}, t.now()
	t.mu.RLock()
	w := t.mu.weak[key]
	t.mu.RUnlock()
	if w.subscription == s && w.until.Sub(now) > subscriptionLife/2 {
		return
	}
	t.mu.Lock()
	t.mu.weak[key] = weakSubscription{subscription: s, until: now.Add(subscriptionLife)}
	t.mu.Unlock()
}

// SubscriptionOf returns what the group wants of the topic: by heartbeat, else by pulls; or nil.
func (t *Consumers) SubscriptionOf(group, topic string) *subscription.Subscription {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil && g.subscriptions[topic] != nil {
		return g.subscriptions[topic]
	}
	return t.mu.weak[subscriber{topic, group}].subscription
}

// Group is a copy of a group's state.
type Group struct {
	ConsumeType   protocol.ConsumeType
	MessageModel  protocol.MessageModel
	FromWhere     protocol.ConsumeFromWhere
	Members       []Client
	Subscriptions map[string]*subscription.Subscription
}

// Snapshot returns a copy of the group with its members in the order of their ids, or nil when it is not online.
func (t *Consumers) Snapshot(group string) *Group {
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.mu.groups[group]
	if g == nil {
		return nil
	}
	return &Group{
		ConsumeType: g.consumeType, MessageModel: g.messageModel, FromWhere: g.fromWhere,
		Members: sortedClients(g.members), Subscriptions: maps.Clone(g.subscriptions),
	}
}

// GroupsOf returns the online groups that subscribe to the topic, in order.
func (t *Consumers) GroupsOf(topic string) (list []string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for name, g := range t.mu.groups {
		if g.subscriptions[topic] != nil {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Online reports whether the group has a member.
func (t *Consumers) Online(group string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.groups[group] != nil
}

// SubscriptionsOf returns what an online group subscribes to.
func (t *Consumers) SubscriptionsOf(group string) []*subscription.Subscription {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		return slices.Collect(maps.Values(g.subscriptions))
	}
	return nil
}

// Count returns the number of groups that are online.
func (t *Consumers) Count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.mu.groups)
}

// Member returns the channel of one client of the group.
func (t *Consumers) Member(group, id string) (c Client, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		for _, m := range g.members {
			if m.ID == id {
				return *m, true
			}
		}
	}
	return Client{}, false
}
