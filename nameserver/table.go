package nameserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Bounds and times that hold when nothing else is said.
const (
	defaultBrokersMax = 10_000
	defaultTopicsMax  = 4_000_000
	// defaultHeartbeatTimeout is for brokers that name none: all 4.x, which register every 30 s at most.
	defaultHeartbeatTimeout = 2 * time.Minute
)

// ErrSingleTopic refuses a broker whose first registration has exactly one topic. Such a body is the increment that a
// broker sends when one topic changes; taken for a full table it would hide all its others. Java's rule and remark.
var ErrSingleTopic = errors.New("register broker failed")

// ConnID tells the connections apart over which brokers registered. Zero is no connection.
type ConnID uint64

// TableOptions are the choices that a RouteTable goes by. The zero value is what RocketMQ does by default.
type TableOptions struct {
	// SupportActingMaster answers routes with the smallest slave as master when a group has lost its own.
	SupportActingMaster bool
	// DeleteTopicWithBrokerRegistration drops a broker's topics that its registration no longer has. Brokers then must
	// never register single topics.
	DeleteTopicWithBrokerRegistration bool
	// BrokersMax bounds the registered addresses. Zero: 10,000.
	BrokersMax int
	// TopicsMax bounds the topics, each counted once for every broker name that has it. Zero: 4,000,000.
	TopicsMax int
}

// RouteTable knows the brokers that are alive and the topics they have.
type RouteTable struct {
	opts     TableOptions
	live     map[liveKey]*liveBroker
	groups   map[string]*brokerGroup
	clusters map[string]map[string]struct{}            // cluster to broker names
	topics   map[string]map[string]*protocol.QueueData // topic to broker name; shared with the group's own table
	mappings map[string]map[string]*hostedMapping      // static topic to hosting broker's name
	entries  int                                       // topics of all groups
	hosted   int                                       // mappings of all static topics
}

// liveKey is what a broker process is known by between registrations.
type liveKey struct {
	cluster, addr string
}

// liveBroker is one registered broker process.
type liveBroker struct {
	brokerName string
	brokerID   int64
	haAddr     string
	lastUpdate time.Time
	timeout    time.Duration
	version    protocol.DataVersion
	conn       ConnID
	filters    []string // filter servers, a matter of brokers of 4.x
}

// brokerGroup is a master and its slaves.
type brokerGroup struct {
	data   protocol.BrokerData
	topics map[string]*protocol.QueueData
}

// hostedMapping remembers which group brought a static topic's mapping, to drop it with the group.
type hostedMapping struct {
	protocol.TopicQueueMappingInfo
	owner string
}

// NewRouteTable makes an empty table.
func NewRouteTable(opts TableOptions) *RouteTable {
	t := &RouteTable{
		live:     make(map[liveKey]*liveBroker),
		groups:   make(map[string]*brokerGroup),
		clusters: make(map[string]map[string]struct{}),
		topics:   make(map[string]map[string]*protocol.QueueData),
		mappings: make(map[string]map[string]*hostedMapping),
	}
	t.Configure(opts)
	return t
}

// Configure changes the table's choices. Lower bounds drop nothing that is already there.
func (t *RouteTable) Configure(opts TableOptions) {
	if opts.BrokersMax == 0 {
		opts.BrokersMax = defaultBrokersMax
	}
	if opts.TopicsMax == 0 {
		opts.TopicsMax = defaultTopicsMax
	}
	t.opts = opts
}

// Registration is what a broker says of itself.
type Registration struct {
	Cluster    string
	BrokerName string
	BrokerID   int64
	Addr       string // where clients reach it
	HAAddr     string // where its slaves do
	Zone       string
	// HeartbeatTimeout is how long it may be silent. Zero: two minutes.
	HeartbeatTimeout time.Duration
	// ActingMaster: its group lets a slave stand in for the master. Absent: a broker that knows nothing of that.
	ActingMaster protocol.Optional[bool]
	Conn         ConnID
	Body         *protocol.RegisterBrokerBody // the table takes it over
}

// Registered is what a broker learns by registering.
type Registered struct {
	MasterAddr   string // for slaves: the master, and where it is copied from; empty when there is none
	MasterHAAddr string
	New          bool             // the broker was not known before
	Notify       *MinBrokerChange // the group's smallest id is a smaller one now, or nil
}

// MinBrokerChange is a notice for a group's members that another broker has the smallest id.
type MinBrokerChange struct {
	BrokerName  string
	MinID       int64
	MinAddr     string
	OfflineAddr string   // who went; empty when a broker came
	HAAddr      string   // of the broker that came
	Notify      []string // addresses, by broker id
}

// Register takes a broker's registration, full or of single topics.
//
// It departs from Java's registerBroker where that leaves entries behind that nothing removes: an address that appears
// under another name or id leaves the old one; an address replaced under its id is forgotten; a name cannot be in two
// clusters at once; a refused registration leaves no empty group.
func (t *RouteTable) Register(now time.Time, r *Registration) (Registered, error) {
	key := liveKey{r.Cluster, r.Addr}
	if err := t.admit(key, r); err != nil {
		return Registered{}, err
	}
	version := r.Body.TopicConfigSerializeWrapper.DataVersion
	if t.outdated(r, version) {
		t.remove(key)
		return Registered{}, nil
	}
	known := t.live[key]
	if known != nil && known.brokerName != r.BrokerName {
		t.remove(key)
		known = nil
	}
	group, created := t.join(r)
	previousMin, hadMembers := group.data.MinID()
	first := t.seat(key, r, group) || created

	min, _ := group.data.MinID()
	primeSlave := r.ActingMaster.Present && r.BrokerID != protocol.MasterID && r.BrokerID == min
	if r.BrokerID == protocol.MasterID || primeSlave {
		t.applyTopics(r, group, first, known == nil || known.version != version, primeSlave)
	}
	t.enliven(now, key, r, known)

	result := Registered{New: known == nil}
	if r.BrokerID != protocol.MasterID {
		result.MasterAddr, result.MasterHAAddr = t.master(group)
	}
	if hadMembers && r.BrokerID < previousMin {
		result.Notify = arrival(group, r)
	}
	return result, nil
}

// admit refuses what must not change the table.
func (t *RouteTable) admit(key liveKey, r *Registration) error {
	group := t.groups[r.BrokerName]
	topics := r.Body.TopicConfigSerializeWrapper.TopicConfigTable
	switch {
	case r.BrokerID < 0:
		return fmt.Errorf("broker id %d is negative", r.BrokerID)
	case group != nil && group.data.Cluster != r.Cluster:
		return fmt.Errorf("broker name %s belongs to cluster %s already, so cluster %s cannot have it",
			r.BrokerName, group.data.Cluster, r.Cluster)
	case len(topics) == 1 && (group == nil || group.data.BrokerAddrs[r.BrokerID] == ""):
		return ErrSingleTopic
	case t.live[key] == nil && len(t.live) >= t.opts.BrokersMax:
		return fmt.Errorf("%d brokers are registered, more are not allowed", len(t.live))
	}
	return t.admitTopics(group, r)
}

func (t *RouteTable) admitTopics(group *brokerGroup, r *Registration) error {
	wrapper := &r.Body.TopicConfigSerializeWrapper
	if added := len(wrapper.TopicQueueMappingInfoMap); t.hosted+added > t.opts.TopicsMax {
		return fmt.Errorf("%d static topics with %d more are not allowed", t.hosted, added)
	}
	added := len(wrapper.TopicConfigTable)
	if group != nil && t.entries+added > t.opts.TopicsMax {
		for _, topic := range wrapper.TopicConfigTable {
			if group.topics[topic.TopicName] != nil {
				added--
			}
		}
	}
	if t.entries+added > t.opts.TopicsMax {
		return fmt.Errorf("%d topics with %d more are not allowed", t.entries, added)
	}
	return nil
}

// outdated says whether another address holds the broker's id with a higher state version: then the newcomer is a former
// master that has not yet learnt of its successor.
func (t *RouteTable) outdated(r *Registration, version protocol.DataVersion) bool {
	group := t.groups[r.BrokerName]
	if group == nil {
		return false
	}
	addr := group.data.BrokerAddrs[r.BrokerID]
	return addr != "" && addr != r.Addr && t.live[liveKey{r.Cluster, addr}].version.StateVersion > version.StateVersion
}

// join finds the broker's group or makes it.
func (t *RouteTable) join(r *Registration) (group *brokerGroup, created bool) {
	group = t.groups[r.BrokerName]
	if group == nil {
		group = &brokerGroup{
			data:   protocol.BrokerData{Cluster: r.Cluster, BrokerName: r.BrokerName, BrokerAddrs: make(map[int64]string)},
			topics: make(map[string]*protocol.QueueData),
		}
		t.groups[r.BrokerName] = group
		names := t.clusters[r.Cluster]
		if names == nil {
			names = make(map[string]struct{})
			t.clusters[r.Cluster] = names
		}
		names[r.BrokerName] = struct{}{}
		created = true
	}
	group.data.EnableActingMaster = r.ActingMaster.Or(false)
	group.data.ZoneName = r.Zone
	return group, created
}

// seat puts the broker's address under its id, and says whether the id was free.
func (t *RouteTable) seat(key liveKey, r *Registration, group *brokerGroup) (free bool) {
	addrs := group.data.BrokerAddrs
	if known := t.live[key]; known != nil && known.brokerID != r.BrokerID {
		delete(addrs, known.brokerID) // a slave became master, or the other way round
	}
	previous, taken := addrs[r.BrokerID]
	if taken && previous != r.Addr {
		delete(t.live, liveKey{r.Cluster, previous})
	}
	addrs[r.BrokerID] = r.Addr
	return !taken
}

// applyTopics takes over the topics of a group's master, or of the slave that stands in for it.
func (t *RouteTable) applyTopics(r *Registration, group *brokerGroup, first, changed, primeSlave bool) {
	wrapper := &r.Body.TopicConfigSerializeWrapper
	if t.opts.DeleteTopicWithBrokerRegistration && len(wrapper.TopicQueueMappingInfoMap) == 0 {
		t.dropMissing(group, wrapper.TopicConfigTable)
	}
	for _, topic := range wrapper.TopicConfigTable {
		if !first && !changed && group.topics[topic.TopicName] != nil {
			continue
		}
		if primeSlave && group.data.EnableActingMaster {
			topic.Perm &^= protocol.PermWrite
		}
		t.setQueues(group, topic.TopicName, protocol.QueueData{
			BrokerName:     r.BrokerName,
			ReadQueueNums:  topic.ReadQueueNums,
			WriteQueueNums: topic.WriteQueueNums,
			Perm:           topic.Perm,
			TopicSysFlag:   topic.TopicSysFlag,
		})
	}
	if !first && !changed {
		return
	}
	for topic, info := range wrapper.TopicQueueMappingInfoMap {
		if t.mappings[topic] == nil {
			t.mappings[topic] = make(map[string]*hostedMapping)
		}
		if t.mappings[topic][info.Bname] == nil {
			t.hosted++
		}
		t.mappings[topic][info.Bname] = &hostedMapping{info, r.BrokerName}
	}
}

func (t *RouteTable) dropMissing(group *brokerGroup, topics map[string]protocol.TopicConfig) {
	kept := make(map[string]struct{}, len(topics))
	for _, topic := range topics {
		kept[topic.TopicName] = struct{}{}
	}
	for topic := range group.topics {
		if _, ok := kept[topic]; !ok {
			t.dropQueues(group, topic)
		}
	}
}

func (t *RouteTable) setQueues(group *brokerGroup, topic string, data protocol.QueueData) {
	if group.topics[topic] == nil {
		t.entries++
	}
	group.topics[topic] = &data
	if t.topics[topic] == nil {
		t.topics[topic] = make(map[string]*protocol.QueueData)
	}
	t.topics[topic][group.data.BrokerName] = &data
}

func (t *RouteTable) dropQueues(group *brokerGroup, topic string) {
	if group.topics[topic] == nil {
		return
	}
	t.entries--
	delete(group.topics, topic)
	delete(t.topics[topic], group.data.BrokerName)
	if len(t.topics[topic]) == 0 {
		delete(t.topics, topic)
	}
}

func (t *RouteTable) enliven(now time.Time, key liveKey, r *Registration, known *liveBroker) {
	filters := r.Body.FilterServerList
	if filters == nil && known != nil {
		filters = known.filters
	}
	timeout := r.HeartbeatTimeout
	if timeout <= 0 {
		timeout = defaultHeartbeatTimeout
	}
	t.live[key] = &liveBroker{
		brokerName: r.BrokerName,
		brokerID:   r.BrokerID,
		haAddr:     r.HAAddr,
		lastUpdate: now,
		timeout:    timeout,
		version:    r.Body.TopicConfigSerializeWrapper.DataVersion,
		conn:       r.Conn,
		filters:    filters,
	}
}

func (t *RouteTable) master(group *brokerGroup) (addr, haAddr string) {
	addr = group.data.BrokerAddrs[protocol.MasterID]
	if addr == "" {
		return "", ""
	}
	return addr, t.live[liveKey{group.data.Cluster, addr}].haAddr
}

// arrival tells the members that were there before of the broker that came; if it is alone now, itself.
func arrival(group *brokerGroup, r *Registration) *MinBrokerChange {
	change := &MinBrokerChange{BrokerName: r.BrokerName, MinID: r.BrokerID, MinAddr: r.Addr, HAAddr: r.HAAddr, Notify: group.addrs()}
	if len(change.Notify) > 1 {
		change.Notify = change.Notify[1:] // the first has the smallest id
	}
	return change
}
