package protocol

// What RocketMQ's controller mode asks brokers and controllers: headers, and bodies in the shapes of Java's classes.

// GetMetaDataResponseHeader is the header of the answer to CONTROLLER_GET_METADATA_INFO.
type GetMetaDataResponseHeader struct {
	Group                   string
	ControllerLeaderID      string
	ControllerLeaderAddress string
	IsLeader                bool
	Peers                   string
}

func (h *GetMetaDataResponseHeader) fields(c *fieldCodec) {
	c.str("group", &h.Group, optional)
	c.str("controllerLeaderId", &h.ControllerLeaderID, optional)
	c.str("controllerLeaderAddress", &h.ControllerLeaderAddress, optional)
	c.bool("isLeader", &h.IsLeader, optional)
	c.str("peers", &h.Peers, optional)
}

// Decode reads the header from the fields of a command.
func (h *GetMetaDataResponseHeader) Decode(f FieldSource) error {
	*h = GetMetaDataResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetMetaDataResponseHeader) Encode(f FieldSink) { encode(f, h) }

// SyncStateSet is who is in sync with a master, by broker ids, the master's included.
type SyncStateSet struct {
	SyncStateSet      []int64 `json:"syncStateSet"`
	SyncStateSetEpoch int32   `json:"syncStateSetEpoch"`
}

// EpochEntry is one epoch of a broker's log. The last one has no end: 1<<63-1.
type EpochEntry struct {
	EndOffset   int64 `json:"endOffset"`
	Epoch       int32 `json:"epoch"`
	StartOffset int64 `json:"startOffset"`
}

// EpochEntryCache is the body of the answer to GET_BROKER_EPOCH_CACHE.
type EpochEntryCache struct {
	BrokerID    int64        `json:"brokerId"`
	BrokerName  string       `json:"brokerName"`
	ClusterName string       `json:"clusterName"`
	EpochList   []EpochEntry `json:"epochList"`
	MaxOffset   int64        `json:"maxOffset"`
}

// BrokerReplicasInfo is the body of the answer to CONTROLLER_GET_SYNC_STATE_DATA, which is asked with a list of broker names.
type BrokerReplicasInfo struct {
	ReplicasInfoTable map[string]ReplicasInfo `json:"replicasInfoTable"`
}

// ReplicasInfo are the brokers of one name.
type ReplicasInfo struct {
	InSyncReplicas    []ReplicaIdentity `json:"inSyncReplicas"`
	MasterAddress     string            `json:"masterAddress"`
	MasterBrokerID    int64             `json:"masterBrokerId"`
	MasterEpoch       int32             `json:"masterEpoch"`
	NotInSyncReplicas []ReplicaIdentity `json:"notInSyncReplicas"`
	SyncStateSetEpoch int32             `json:"syncStateSetEpoch"`
}

// ReplicaIdentity is a broker of a name.
type ReplicaIdentity struct {
	Alive         bool   `json:"alive"`
	BrokerAddress string `json:"brokerAddress"`
	BrokerID      int64  `json:"brokerId"`
	BrokerName    string `json:"brokerName"`
}
