package nameserver

import (
	"maps"
	"slices"
	"strings"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// syncMemberPrefix begins the names of the topics by which brokers of one group find each other; those must see ids as they are.
const syncMemberPrefix = "rmq_sys_SYNC_BROKER_MEMBER_"

// Route gives what clients need to send to a topic or read from it; nil when nobody has the topic.
func (t *RouteTable) Route(topic string) *protocol.TopicRouteData {
	queues := t.topics[topic]
	if len(queues) == 0 {
		return nil
	}
	route := &protocol.TopicRouteData{FilterServerTable: make(map[string][]string)}
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		group := t.groups[name]
		route.QueueDatas = append(route.QueueDatas, *queues[name])
		for _, addr := range group.data.BrokerAddrs {
			if filters := t.live[liveKey{group.data.Cluster, addr}].filters; len(filters) > 0 {
				route.FilterServerTable[addr] = slices.Clone(filters)
			}
		}
		data := group.data.Clone()
		if t.opts.SupportActingMaster && !strings.HasPrefix(topic, syncMemberPrefix) {
			promote(&data, queues[name].Perm)
		}
		route.BrokerDatas = append(route.BrokerDatas, data)
	}
	if hosts := t.mappings[topic]; len(hosts) > 0 {
		route.TopicQueueMappingByBroker = make(map[string]protocol.TopicQueueMappingInfo, len(hosts))
		for host, mapping := range hosts {
			info := mapping.TopicQueueMappingInfo
			info.CurrIDMap = maps.Clone(info.CurrIDMap)
			route.TopicQueueMappingByBroker[host] = info
		}
	}
	return route
}

// promote shows the smallest slave of a group without a master as its master, if the queues are read-only anyway.
func promote(data *protocol.BrokerData, perm int32) {
	min, ok := data.MinID()
	if !ok || min == protocol.MasterID || !data.EnableActingMaster || perm&protocol.PermWrite != 0 {
		return
	}
	data.BrokerAddrs[protocol.MasterID] = data.BrokerAddrs[min]
	delete(data.BrokerAddrs, min)
}

// KeepZone cuts a route down to a client's zone: groups in another one go, unless they have lost their master.
func KeepZone(route *protocol.TopicRouteData, zone string) {
	gone := make(map[string]bool)
	route.BrokerDatas = slices.DeleteFunc(route.BrokerDatas, func(b protocol.BrokerData) bool {
		if b.BrokerAddrs[protocol.MasterID] == "" || strings.EqualFold(b.ZoneName, zone) {
			return false
		}
		gone[b.BrokerName] = true
		for _, addr := range b.BrokerAddrs {
			delete(route.FilterServerTable, addr)
		}
		return true
	})
	route.QueueDatas = slices.DeleteFunc(route.QueueDatas, func(q protocol.QueueData) bool { return gone[q.BrokerName] })
}

// ClusterInfo lists all groups and clusters.
func (t *RouteTable) ClusterInfo() *protocol.ClusterInfo {
	info := &protocol.ClusterInfo{
		BrokerAddrTable:  make(map[string]protocol.BrokerData, len(t.groups)),
		ClusterAddrTable: make(map[string][]string, len(t.clusters)),
	}
	for name, group := range t.groups {
		info.BrokerAddrTable[name] = group.data.Clone()
	}
	for cluster, names := range t.clusters {
		info.ClusterAddrTable[cluster] = slices.Sorted(maps.Keys(names))
	}
	return info
}

// MemberGroup lists the brokers of one name; none when it is unknown.
func (t *RouteTable) MemberGroup(cluster, brokerName string) *protocol.BrokerMemberGroup {
	members := &protocol.BrokerMemberGroup{Cluster: cluster, BrokerName: brokerName, BrokerAddrs: make(map[int64]string)}
	if group := t.groups[brokerName]; group != nil {
		maps.Copy(members.BrokerAddrs, group.data.BrokerAddrs)
	}
	return members
}

// Topics lists all topics.
func (t *RouteTable) Topics() []string {
	return slices.Sorted(maps.Keys(t.topics))
}

// TopicsOfCluster lists the topics that brokers of a cluster have; none when the cluster is unknown.
func (t *RouteTable) TopicsOfCluster(cluster string) []string {
	topics := make(map[string]struct{})
	for name := range t.clusters[cluster] {
		for topic := range t.groups[name].topics {
			topics[topic] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(topics))
}

// SystemTopics lists the topics that clusters and brokers have by being there, which are their names, and one broker's
// address, of whom the asker learns the rest.
func (t *RouteTable) SystemTopics() *protocol.TopicList {
	list := &protocol.TopicList{TopicList: slices.Sorted(maps.Keys(t.clusters))}
	names := slices.Sorted(maps.Keys(t.groups))
	list.TopicList = append(list.TopicList, names...)
	if len(names) > 0 {
		data := t.groups[names[0]].data
		min, _ := data.MinID()
		list.BrokerAddr = data.BrokerAddrs[min]
	}
	return list
}

// TopicsByFlag lists the topics whose system flag has all bits of with and none of without.
func (t *RouteTable) TopicsByFlag(with, without int32) []string {
	var topics []string
	for topic, queues := range t.topics {
		first := slices.Min(slices.Collect(maps.Keys(queues))) // brokers should agree; if not, always the same one decides
		if flag := queues[first].TopicSysFlag; flag&with == with && flag&without == 0 {
			topics = append(topics, topic)
		}
	}
	slices.Sort(topics)
	return topics
}

// RegisterTopic sets the queues of one topic, on brokers that are known: naming another makes it void.
func (t *RouteTable) RegisterTopic(topic string, queues []protocol.QueueData) bool {
	if len(queues) == 0 || t.entries+len(queues) > t.opts.TopicsMax {
		return false
	}
	for _, data := range queues {
		if t.groups[data.BrokerName] == nil {
			return false
		}
	}
	for _, data := range queues {
		t.setQueues(t.groups[data.BrokerName], topic, data)
	}
	return true
}

// DeleteTopic forgets a topic, of one cluster's brokers or with an empty cluster of all. Brokers that still have it bring
// it back when they register next.
func (t *RouteTable) DeleteTopic(topic, cluster string) {
	for name := range t.topics[topic] {
		if group := t.groups[name]; cluster == "" || group.data.Cluster == cluster {
			t.dropQueues(group, topic)
		}
	}
}

// WipeWritePerm makes all topics of a broker name read-only, and counts them. The next registration that changes
// something brings the permissions of the broker back.
func (t *RouteTable) WipeWritePerm(brokerName string) int {
	return t.eachQueues(brokerName, func(q *protocol.QueueData) { q.Perm &^= protocol.PermWrite })
}

// AddWritePerm makes all topics of a broker name readable and writable, as Java does whatever they were, and counts them.
func (t *RouteTable) AddWritePerm(brokerName string) int {
	return t.eachQueues(brokerName, func(q *protocol.QueueData) { q.Perm = protocol.PermRead | protocol.PermWrite })
}

func (t *RouteTable) eachQueues(brokerName string, change func(*protocol.QueueData)) int {
	group := t.groups[brokerName]
	if group == nil {
		return 0
	}
	for _, queues := range group.topics {
		change(queues)
	}
	return len(group.topics)
}
