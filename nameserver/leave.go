package nameserver

import (
	"maps"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Heartbeat notes that a broker lives; unknown ones have to register first. It says whether the broker is known.
func (t *RouteTable) Heartbeat(now time.Time, cluster, addr string) bool {
	broker := t.live[liveKey{cluster, addr}]
	if broker == nil {
		return false
	}
	broker.lastUpdate = now
	return true
}

// DataVersion gives the version of the tables that a broker registered last; false when it is unknown.
func (t *RouteTable) DataVersion(cluster, addr string) (protocol.DataVersion, bool) {
	broker := t.live[liveKey{cluster, addr}]
	if broker == nil {
		return protocol.DataVersion{}, false
	}
	return broker.version, true
}

// Member is a broker as the table knows it.
type Member struct {
	Cluster    string
	Addr       string
	BrokerName string
	BrokerID   int64
	Conn       ConnID
}

// Departures are the brokers that one event took away and the notices that this calls for.
type Departures struct {
	Brokers []Member
	Notify  []MinBrokerChange // one a group that allows acting masters and lost its smallest id
}

// Unregister takes a broker out at its own wish. A request that names an address under another broker's name is void.
func (t *RouteTable) Unregister(cluster, addr, brokerName string) Departures {
	key := liveKey{cluster, addr}
	if broker := t.live[key]; broker == nil || broker.brokerName != brokerName {
		return Departures{}
	}
	return t.depart([]liveKey{key})
}

// Disconnect takes all brokers out that registered over a connection and not again over a later one. (Java takes out one of
// them only, and so keeps the others of a container alive until they time out.)
func (t *RouteTable) Disconnect(conn ConnID) Departures {
	return t.departIf(func(b *liveBroker) bool { return b.conn == conn && conn != 0 })
}

// Expire takes all brokers out that were silent for longer than they may be.
func (t *RouteTable) Expire(now time.Time) Departures {
	return t.departIf(func(b *liveBroker) bool { return b.lastUpdate.Add(b.timeout).Before(now) })
}

func (t *RouteTable) departIf(gone func(*liveBroker) bool) Departures {
	var keys []liveKey
	for key, broker := range t.live {
		if gone(broker) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b liveKey) int {
		return slices.Compare([]string{a.cluster, a.addr}, []string{b.cluster, b.addr})
	})
	return t.depart(keys)
}

func (t *RouteTable) depart(keys []liveKey) Departures {
	var all Departures
	changes := make(map[string]*MinBrokerChange) // the last one of a group stands
	for _, key := range keys {
		broker := t.live[key]
		all.Brokers = append(all.Brokers, Member{key.cluster, key.addr, broker.brokerName, broker.brokerID, broker.conn})
		if change := t.remove(key); change != nil {
			changes[broker.brokerName] = change
		}
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		if group := t.groups[name]; group != nil {
			changes[name].Notify = group.addrs()
			all.Notify = append(all.Notify, *changes[name])
		}
	}
	return all
}

// remove takes one broker out, and with the last of a group the group and its topics. The notice it may give lacks whom to
// notify, since more may leave.
func (t *RouteTable) remove(key liveKey) *MinBrokerChange {
	broker := t.live[key]
	if broker == nil {
		return nil
	}
	delete(t.live, key)
	group := t.groups[broker.brokerName]
	min, _ := group.data.MinID()
	delete(group.data.BrokerAddrs, broker.brokerID)
	if len(group.data.BrokerAddrs) == 0 {
		t.dissolve(group)
		return nil
	}
	if !group.data.EnableActingMaster {
		return nil
	}
	newMin, _ := group.data.MinID()
	if newMin != protocol.MasterID { // the acting master only serves reads
		for _, queues := range group.topics {
			queues.Perm &^= protocol.PermWrite
		}
	}
	if broker.brokerID != min {
		return nil
	}
	return &MinBrokerChange{BrokerName: broker.brokerName, MinID: newMin, MinAddr: group.data.BrokerAddrs[newMin], OfflineAddr: key.addr}
}

// addrs gives the members' addresses by id.
func (g *brokerGroup) addrs() []string {
	addrs := make([]string, 0, len(g.data.BrokerAddrs))
	for _, id := range slices.Sorted(maps.Keys(g.data.BrokerAddrs)) {
		addrs = append(addrs, g.data.BrokerAddrs[id])
	}
	return addrs
}

func (t *RouteTable) dissolve(group *brokerGroup) {
	name, cluster := group.data.BrokerName, group.data.Cluster
	for topic := range group.topics {
		t.dropQueues(group, topic)
	}
	for topic, hosts := range t.mappings {
		t.hosted -= len(hosts)
		maps.DeleteFunc(hosts, func(_ string, m *hostedMapping) bool { return m.owner == name })
		t.hosted += len(hosts)
		if len(hosts) == 0 {
			delete(t.mappings, topic)
		}
	}
	delete(t.groups, name)
	delete(t.clusters[cluster], name)
	if len(t.clusters[cluster]) == 0 {
		delete(t.clusters, cluster)
	}
}
