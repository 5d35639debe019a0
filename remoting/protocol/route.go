package protocol

import "maps"

// MasterID is the broker id of a group's master; slaves have greater ones.
const MasterID = 0

// The bits of a topic's permission.
const (
	PermInherit int32 = 1 << 0 // topics may be created after this one's settings
	PermWrite   int32 = 1 << 1
	PermRead    int32 = 1 << 2
)

// The bits of a topic's system flag.
const (
	TopicFlagUnit    int32 = 1 << 0 // the topic belongs to a unit (one of several sites)
	TopicFlagUnitSub int32 = 1 << 1 // it is subscribed to from within units
)

// BrokerData is a group of brokers that serve the same queues: a master and its slaves.
type BrokerData struct {
	Cluster            string           `json:"cluster"`
	BrokerName         string           `json:"brokerName"`
	BrokerAddrs        map[int64]string `json:"brokerAddrs"` // broker id to ip:port; never empty in an answer, Go clients panic at that
	ZoneName           string           `json:"zoneName,omitempty"`
	EnableActingMaster bool             `json:"enableActingMaster"`
}

// Clone gives a copy that shares nothing with b.
func (b *BrokerData) Clone() BrokerData {
	c := *b
	c.BrokerAddrs = maps.Clone(b.BrokerAddrs)
	return c
}

// MinID gives the smallest broker id of the group; false when it has no broker.
func (b *BrokerData) MinID() (id int64, ok bool) {
	for candidate := range b.BrokerAddrs {
		if !ok || candidate < id {
			id, ok = candidate, true
		}
	}
	return id, ok
}

// QueueData says how many queues of a topic one group of brokers has, and what may be done with them.
type QueueData struct {
	BrokerName     string `json:"brokerName"`
	ReadQueueNums  int32  `json:"readQueueNums"`
	WriteQueueNums int32  `json:"writeQueueNums"`
	Perm           int32  `json:"perm"`
	TopicSysFlag   int32  `json:"topicSysFlag"`
}

// TopicRouteData is the body of the answer to GET_ROUTEINFO_BY_TOPIC.
type TopicRouteData struct {
	OrderTopicConf            string                           `json:"orderTopicConf,omitempty"`
	QueueDatas                []QueueData                      `json:"queueDatas"`
	BrokerDatas               []BrokerData                     `json:"brokerDatas"`
	FilterServerTable         map[string][]string              `json:"filterServerTable"`
	TopicQueueMappingByBroker map[string]TopicQueueMappingInfo `json:"topicQueueMappingByBroker,omitempty"`
}

// ClusterInfo is the body of the answer to GET_BROKER_CLUSTER_INFO.
type ClusterInfo struct {
	BrokerAddrTable  map[string]BrokerData `json:"brokerAddrTable"`  // by broker name
	ClusterAddrTable map[string][]string   `json:"clusterAddrTable"` // cluster to its broker names
}

// TopicList is the body of every answer that lists topics.
type TopicList struct {
	TopicList  []string `json:"topicList"`
	BrokerAddr string   `json:"brokerAddr,omitempty"` // whom to ask for the rest, in the name server's list of system topics
}

// BrokerMemberGroup lists the brokers of one name.
type BrokerMemberGroup struct {
	Cluster     string           `json:"cluster"`
	BrokerName  string           `json:"brokerName"`
	BrokerAddrs map[int64]string `json:"brokerAddrs"`
}

// GetBrokerMemberGroupResponseBody is the body of the answer to GET_BROKER_MEMBER_GROUP.
type GetBrokerMemberGroupResponseBody struct {
	BrokerMemberGroup BrokerMemberGroup `json:"brokerMemberGroup"`
}

// LogicQueueMappingItem says where one stretch of a static topic's logical queue lies.
type LogicQueueMappingItem struct {
	Gen         int32  `json:"gen"`
	QueueID     int32  `json:"queueId"`
	Bname       string `json:"bname"`
	LogicOffset int64  `json:"logicOffset"`
	StartOffset int64  `json:"startOffset"`
	EndOffset   int64  `json:"endOffset"`   // exclusive; -1: not yet decided
	TimeOfStart int64  `json:"timeOfStart"` // -1: unknown
	TimeOfEnd   int64  `json:"timeOfEnd"`   // -1: unknown
}

// TopicQueueMappingInfo is what a broker registers of a static topic: which of its logical queues it leads.
type TopicQueueMappingInfo struct {
	Topic       string          `json:"topic"`
	Scope       string          `json:"scope"`
	TotalQueues int32           `json:"totalQueues"`
	Bname       string          `json:"bname"` // the hosting broker
	Epoch       int64           `json:"epoch"`
	Dirty       bool            `json:"dirty"`
	CurrIDMap   map[int32]int32 `json:"currIdMap"` // logical to physical queue id
}

// TopicQueueMappingDetail is what a broker itself keeps of a static topic.
type TopicQueueMappingDetail struct {
	TopicQueueMappingInfo
	HostedQueues map[int32][]LogicQueueMappingItem `json:"hostedQueues"` // by logical queue id
}
