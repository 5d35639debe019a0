package broker

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// clientLife is the time without a heartbeat after which a client is gone (Java's channelExpiredTimeout). Clients send one
// every 30 s.
const clientLife = 120 * time.Second

// subscriptionLife is the time after which a subscription known only from a pull is forgotten (subscriptionExpiredTimeout).
const subscriptionLife = 600 * time.Second

// A channel is the broker's end of a client's connection, as far as the tables of clients need it.
type channel interface {
	RemoteAddr() netip.AddrPort
	Oneway(*remoting.Command) error
}

// A client is one connection's membership in one group.
type client struct {
	channel  channel
	id       string
	language protocol.Language
	version  int32
	lastSeen time.Time
}

// A subscription is what a group wants of a topic. It is not changed once made.
type subscription struct {
	data   protocol.SubscriptionData
	filter *filter.Expression // nil: the expression cannot be evaluated, as fault says
	fault  error

	inRequest bool // a request carried it, no heartbeat
}

func newSubscription(data protocol.SubscriptionData) *subscription {
	s := &subscription{data: data}
	switch tag := filter.IsTag(data.ExpressionType); {
	case tag && data.ClassFilterMode:
		s.filter = filter.All()
	case tag && len(data.CodeSet) > 0:
		s.filter = filter.OfCodes(data.SubString, data.CodeSet)
	default:
		s.filter, s.fault = filter.Compile(data.ExpressionType, data.SubString)
	}
	return s
}

// consumerTable knows the consumers that are online and what their groups subscribe to (Java's ConsumerManager).
type consumerTable struct {
	now    func() time.Time
	notify func(group string, members []channel) // called without lock when the members of a group change

	mu struct {
		sync.RWMutex
		groups map[string]*consumerGroup
		of     map[channel][]string            // the groups of a channel
		weak   map[topicGroup]weakSubscription // known from pulls only
	}
}

// consumerGroup is a group that has members, guarded by the table's lock.
type consumerGroup struct {
	name          string
	consumeType   protocol.ConsumeType
	messageModel  protocol.MessageModel
	fromWhere     protocol.ConsumeFromWhere
	fingerprint   int32
	subscriptions map[string]*subscription
	members       map[channel]*client
}

type weakSubscription struct {
	subscription *subscription
	until        time.Time
}

func newConsumerTable(now func() time.Time, notify func(string, []channel)) *consumerTable {
	t := &consumerTable{now: now, notify: notify}
	t.mu.groups = map[string]*consumerGroup{}
	t.mu.of = map[channel][]string{}
	t.mu.weak = map[topicGroup]weakSubscription{}
	return t
}

// register notes a heartbeat of a consumer. With keepSubscriptions the heartbeat carries none and those known stay.
// tell says whether the other members of the group hear of a change. It reports whether the fingerprint is a new one.
func (t *consumerTable) register(c client, data *protocol.ConsumerData, fingerprint int32, keepSubscriptions, tell bool) (fingerprintChanged bool) {
	c.lastSeen = t.now()
	t.mu.Lock()
	g := t.mu.groups[data.GroupName]
	if g == nil {
		g = &consumerGroup{
			name: strings.Clone(data.GroupName), subscriptions: map[string]*subscription{}, members: map[channel]*client{},
		}
		t.mu.groups[g.name] = g
	}
	g.consumeType, g.messageModel, g.fromWhere = data.ConsumeType, data.MessageModel, data.ConsumeFromWhere
	changed := g.members[c.channel] == nil
	if changed {
		t.mu.of[c.channel] = append(t.mu.of[c.channel], g.name)
	}
	g.members[c.channel] = &c
	if !keepSubscriptions && g.subscribe(data.SubscriptionDataSet) {
		changed = true
	}
	fingerprintChanged = fingerprint != 0 && g.fingerprint != 0 && g.fingerprint != fingerprint
	g.fingerprint = fingerprint
	var told []channel
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
func (g *consumerGroup) subscribe(list []protocol.SubscriptionData) (changed bool) {
	topics := make(map[string]bool, len(list))
	for _, data := range list {
		topics[data.Topic] = true
		old := g.subscriptions[data.Topic]
		if old == nil {
			changed = true
		}
		if old == nil || data.SubVersion > old.data.SubVersion {
			g.subscriptions[data.Topic] = newSubscription(data)
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
func (g *consumerGroup) audience() []channel {
	if g.messageModel == protocol.Broadcasting {
		return nil
	}
	return slices.Collect(maps.Keys(g.members))
}

// unregister takes the channel out of the group.
func (t *consumerTable) unregister(group string, ch channel, tell bool) {
	t.mu.Lock()
	told := t.leaveLocked(group, ch)
	t.mu.Unlock()
	if tell && len(told) > 0 {
		t.notify(group, told)
	}
}

// closed takes the channel out of all its groups.
func (t *consumerTable) closed(ch channel) {
	t.mu.Lock()
	groups := slices.Clone(t.mu.of[ch])
	told := make([][]channel, len(groups))
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

func (t *consumerTable) leaveLocked(group string, ch channel) (told []channel) {
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

// expire takes out the clients that have been silent for too long, and returns their channels.
func (t *consumerTable) expire() (silent []channel) {
	now := t.now()
	t.mu.Lock()
	for _, g := range t.mu.groups {
		for ch, c := range g.members {
			if now.Sub(c.lastSeen) > clientLife && !slices.Contains(silent, ch) {
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
		t.closed(ch)
	}
	return silent
}

// groupView is what a pull needs to know of an online group.
type groupView struct {
	online       bool
	broadcasting bool
	passive      bool          // by push consumers
	subscription *subscription // nil: the group does not subscribe to the topic
}

// view looks up a group and its subscription of a topic. It allocates nothing.
func (t *consumerTable) view(group, topic string) (v groupView) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		v = groupView{online: true, broadcasting: g.messageModel == protocol.Broadcasting, passive: g.consumeType == protocol.ConsumePassively, subscription: g.subscriptions[topic]}
	}
	return v
}

// noteSubscription remembers what a pull without heartbeat asks for, so that tools see who reads a topic.
func (t *consumerTable) noteSubscription(group, topic string, s *subscription) {
	key, now := topicGroup{topic, group}, t.now()
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

// subscriptionOf returns what the group wants of the topic: by heartbeat, else by pulls; or nil.
func (t *consumerTable) subscriptionOf(group, topic string) *subscription {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil && g.subscriptions[topic] != nil {
		return g.subscriptions[topic]
	}
	return t.mu.weak[topicGroup{topic, group}].subscription
}

// consumerSnapshot is a copy of a group's state.
type consumerSnapshot struct {
	consumeType   protocol.ConsumeType
	messageModel  protocol.MessageModel
	fromWhere     protocol.ConsumeFromWhere
	members       []client
	subscriptions map[string]*subscription
}

// snapshot returns a copy of the group with its members in the order of their ids, or nil when it is not online.
func (t *consumerTable) snapshot(group string) *consumerSnapshot {
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.mu.groups[group]
	if g == nil {
		return nil
	}
	return &consumerSnapshot{
		consumeType: g.consumeType, messageModel: g.messageModel, fromWhere: g.fromWhere,
		members: sortedClients(g.members), subscriptions: maps.Clone(g.subscriptions),
	}
}

// groupsOf returns the online groups that subscribe to the topic, in order.
func (t *consumerTable) groupsOf(topic string) (list []string) {
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

// online reports whether the group has a member.
func (t *consumerTable) online(group string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.groups[group] != nil
}

// subscriptionsOf returns what an online group subscribes to.
func (t *consumerTable) subscriptionsOf(group string) []*subscription {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		return slices.Collect(maps.Values(g.subscriptions))
	}
	return nil
}

// count returns the number of groups that are online.
func (t *consumerTable) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.mu.groups)
}

// member returns the channel of one client of the group.
func (t *consumerTable) member(group, id string) (c client, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		for _, m := range g.members {
			if m.id == id {
				return *m, true
			}
		}
	}
	return client{}, false
}

func sortedClients(members map[channel]*client) []client {
	list := make([]client, 0, len(members))
	for _, m := range members {
		list = append(list, *m)
	}
	slices.SortFunc(list, func(a, b client) int {
		if d := strings.Compare(a.id, b.id); d != 0 {
			return d
		}
		return a.channel.RemoteAddr().Compare(b.channel.RemoteAddr())
	})
	return list
}

// producerTable knows the producers that are online (Java's ProducerManager).
type producerTable struct {
	now func() time.Time

	mu struct {
		sync.RWMutex
		groups map[string]map[channel]*client
		byID   map[string]client // of each id the last that registered
	}
}

func newProducerTable(now func() time.Time) *producerTable {
	t := &producerTable{now: now}
	t.mu.groups = map[string]map[channel]*client{}
	t.mu.byID = map[string]client{}
	return t
}

// withID returns the producer of that client id.
func (t *producerTable) withID(id string) (c client, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c, ok = t.mu.byID[id]
	return c, ok
}

func (t *producerTable) register(group string, c client) {
	c.lastSeen = t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.mu.groups[group]
	if g == nil {
		g = map[channel]*client{}
		t.mu.groups[strings.Clone(group)] = g
	}
	g[c.channel] = &c
	t.mu.byID[c.id] = c
}

func (t *producerTable) unregister(group string, ch channel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaveLocked(group, ch)
}

func (t *producerTable) closed(ch channel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for group := range t.mu.groups {
		t.leaveLocked(group, ch)
	}
}

func (t *producerTable) leaveLocked(group string, ch channel) {
	g := t.mu.groups[group]
	c := g[ch]
	delete(g, ch)
	if g != nil && len(g) == 0 {
		delete(t.mu.groups, group)
	}
	if c != nil {
		t.forgetIDLocked(c)
	}
}

// forgetIDLocked takes out the id of a client that left a group, unless its connection is in another.
func (t *producerTable) forgetIDLocked(c *client) {
	if t.mu.byID[c.id].channel != c.channel {
		return
	}
	for _, g := range t.mu.groups {
		if g[c.channel] != nil {
			return
		}
	}
	delete(t.mu.byID, c.id)
}

// expire takes out the clients that have been silent for too long, and returns their channels.
func (t *producerTable) expire() (silent []channel) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for group, g := range t.mu.groups {
		for ch, c := range g {
			if now.Sub(c.lastSeen) > clientLife {
				silent = append(silent, ch)
				t.leaveLocked(group, ch)
			}
		}
	}
	return silent
}

// snapshot returns the members of the group, or nil when it is not online.
func (t *producerTable) snapshot(group string) []client {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		return sortedClients(g)
	}
	return nil
}

// all returns the members of every group.
func (t *producerTable) all() map[string][]client {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make(map[string][]client, len(t.mu.groups))
	for group, g := range t.mu.groups {
		list[group] = sortedClients(g)
	}
	return list
}
