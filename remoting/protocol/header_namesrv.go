package protocol

// The headers of the name server's codes. What Java demands but an answer does not depend on is optional here.

// PutKVConfigRequestHeader is the header of PUT_KV_CONFIG.
type PutKVConfigRequestHeader struct {
	Namespace string
	Key       string
	Value     string
}

func (h *PutKVConfigRequestHeader) fields(c *fieldCodec) {
	c.str("namespace", &h.Namespace, optional)
	c.str("key", &h.Key, optional)
	c.str("value", &h.Value, optional)
}

// Decode reads the header from the fields of a command.
func (h *PutKVConfigRequestHeader) Decode(f FieldSource) error {
	*h = PutKVConfigRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *PutKVConfigRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetKVConfigRequestHeader is the header of GET_KV_CONFIG.
type GetKVConfigRequestHeader struct {
	Namespace string
	Key       string
}

func (h *GetKVConfigRequestHeader) fields(c *fieldCodec) {
	c.str("namespace", &h.Namespace, optional)
	c.str("key", &h.Key, optional)
}

// Decode reads the header from the fields of a command.
func (h *GetKVConfigRequestHeader) Decode(f FieldSource) error {
	*h = GetKVConfigRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetKVConfigRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetKVConfigResponseHeader is the header of the answer to GET_KV_CONFIG.
type GetKVConfigResponseHeader struct {
	Value string
}

func (h *GetKVConfigResponseHeader) fields(c *fieldCodec) {
	c.str("value", &h.Value, optional)
}

// Decode reads the header from the fields of a command.
func (h *GetKVConfigResponseHeader) Decode(f FieldSource) error {
	*h = GetKVConfigResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetKVConfigResponseHeader) Encode(f FieldSink) { encode(f, h) }

// DeleteKVConfigRequestHeader is the header of DELETE_KV_CONFIG.
type DeleteKVConfigRequestHeader struct {
	Namespace string
	Key       string
}

func (h *DeleteKVConfigRequestHeader) fields(c *fieldCodec) {
	c.str("namespace", &h.Namespace, optional)
	c.str("key", &h.Key, optional)
}

// Decode reads the header from the fields of a command.
func (h *DeleteKVConfigRequestHeader) Decode(f FieldSource) error {
	*h = DeleteKVConfigRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *DeleteKVConfigRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetKVListByNamespaceRequestHeader is the header of GET_KVLIST_BY_NAMESPACE.
type GetKVListByNamespaceRequestHeader struct {
	Namespace string
}

func (h *GetKVListByNamespaceRequestHeader) fields(c *fieldCodec) {
	c.str("namespace", &h.Namespace, optional)
}

// Decode reads the header from the fields of a command.
func (h *GetKVListByNamespaceRequestHeader) Decode(f FieldSource) error {
	*h = GetKVListByNamespaceRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetKVListByNamespaceRequestHeader) Encode(f FieldSink) { encode(f, h) }

// RegisterBrokerRequestHeader is the header of REGISTER_BROKER.
type RegisterBrokerRequestHeader struct {
	BrokerName             string
	BrokerAddr             string
	ClusterName            string
	HAServerAddr           string
	BrokerID               int64
	HeartbeatTimeoutMillis Optional[int64] // absent: two minutes
	EnableActingMaster     Optional[bool]  // absent: a broker older than 5.0
	Compressed             bool
	BodyCRC32              int32 // 0: unchecked
	ZoneName               string
}

func (h *RegisterBrokerRequestHeader) fields(c *fieldCodec) {
	c.str("brokerName", &h.BrokerName, required)
	c.str("brokerAddr", &h.BrokerAddr, required)
	c.str("clusterName", &h.ClusterName, required)
	c.str("haServerAddr", &h.HAServerAddr, optional)
	c.int64("brokerId", &h.BrokerID, required)
	c.optInt64("heartbeatTimeoutMillis", &h.HeartbeatTimeoutMillis)
	c.optBool("enableActingMaster", &h.EnableActingMaster)
	c.bool("compressed", &h.Compressed, optional)
	c.int32("bodyCrc32", &h.BodyCRC32, optional)
	c.str("__ZONE_NAME", &h.ZoneName, optional)
}

// Decode reads the header from the fields of a command.
func (h *RegisterBrokerRequestHeader) Decode(f FieldSource) error {
	*h = RegisterBrokerRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *RegisterBrokerRequestHeader) Encode(f FieldSink) { encode(f, h) }

// RegisterBrokerResponseHeader is the header of the answer to REGISTER_BROKER.
type RegisterBrokerResponseHeader struct {
	HAServerAddr string // of the master, told to slaves
	MasterAddr   string
}

func (h *RegisterBrokerResponseHeader) fields(c *fieldCodec) {
	c.str("haServerAddr", &h.HAServerAddr, optional)
	c.str("masterAddr", &h.MasterAddr, optional)
}

// Decode reads the header from the fields of a command.
func (h *RegisterBrokerResponseHeader) Decode(f FieldSource) error {
	*h = RegisterBrokerResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *RegisterBrokerResponseHeader) Encode(f FieldSink) { encode(f, h) }

// UnregisterBrokerRequestHeader is the header of UNREGISTER_BROKER.
type UnregisterBrokerRequestHeader struct {
	BrokerName  string
	BrokerAddr  string
	ClusterName string
	BrokerID    int64
}

func (h *UnregisterBrokerRequestHeader) fields(c *fieldCodec) {
	c.str("brokerName", &h.BrokerName, required)
	c.str("brokerAddr", &h.BrokerAddr, required)
	c.str("clusterName", &h.ClusterName, required)
	c.int64("brokerId", &h.BrokerID, optional)
}

// Decode reads the header from the fields of a command.
func (h *UnregisterBrokerRequestHeader) Decode(f FieldSource) error {
	*h = UnregisterBrokerRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *UnregisterBrokerRequestHeader) Encode(f FieldSink) { encode(f, h) }

// BrokerHeartbeatRequestHeader is the header of BROKER_HEARTBEAT.
type BrokerHeartbeatRequestHeader struct {
	ClusterName            string
	BrokerAddr             string
	BrokerName             string
	BrokerID               Optional[int64]
	Epoch                  Optional[int32]
	MaxOffset              Optional[int64]
	ConfirmOffset          Optional[int64]
	HeartbeatTimeoutMillis Optional[int64] // spelt as Java spells it
	ElectionPriority       Optional[int32]
}

func (h *BrokerHeartbeatRequestHeader) fields(c *fieldCodec) {
	c.str("clusterName", &h.ClusterName, required)
	c.str("brokerAddr", &h.BrokerAddr, required)
	c.str("brokerName", &h.BrokerName, optional)
	c.optInt64("brokerId", &h.BrokerID)
	c.optInt32("epoch", &h.Epoch)
	c.optInt64("maxOffset", &h.MaxOffset)
	c.optInt64("confirmOffset", &h.ConfirmOffset)
	c.optInt64("heartbeatTimeoutMills", &h.HeartbeatTimeoutMillis)
	c.optInt32("electionPriority", &h.ElectionPriority)
}

// Decode reads the header from the fields of a command.
func (h *BrokerHeartbeatRequestHeader) Decode(f FieldSource) error {
	*h = BrokerHeartbeatRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *BrokerHeartbeatRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryDataVersionRequestHeader is the header of QUERY_DATA_VERSION.
type QueryDataVersionRequestHeader struct {
	BrokerName  string
	BrokerAddr  string
	ClusterName string
	BrokerID    int64
}

func (h *QueryDataVersionRequestHeader) fields(c *fieldCodec) {
	c.str("brokerName", &h.BrokerName, optional)
	c.str("brokerAddr", &h.BrokerAddr, required)
	c.str("clusterName", &h.ClusterName, required)
	c.int64("brokerId", &h.BrokerID, optional)
}

// Decode reads the header from the fields of a command.
func (h *QueryDataVersionRequestHeader) Decode(f FieldSource) error {
	*h = QueryDataVersionRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryDataVersionRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryDataVersionResponseHeader is the header of the answer to QUERY_DATA_VERSION.
type QueryDataVersionResponseHeader struct {
	Changed bool
}

func (h *QueryDataVersionResponseHeader) fields(c *fieldCodec) {
	c.bool("changed", &h.Changed, required)
}

// Decode reads the header from the fields of a command.
func (h *QueryDataVersionResponseHeader) Decode(f FieldSource) error {
	*h = QueryDataVersionResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryDataVersionResponseHeader) Encode(f FieldSink) { encode(f, h) }

// GetBrokerMemberGroupRequestHeader is the header of GET_BROKER_MEMBER_GROUP.
type GetBrokerMemberGroupRequestHeader struct {
	ClusterName string
	BrokerName  string
}

func (h *GetBrokerMemberGroupRequestHeader) fields(c *fieldCodec) {
	c.str("clusterName", &h.ClusterName, optional)
	c.str("brokerName", &h.BrokerName, required)
}

// Decode reads the header from the fields of a command.
func (h *GetBrokerMemberGroupRequestHeader) Decode(f FieldSource) error {
	*h = GetBrokerMemberGroupRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetBrokerMemberGroupRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetRouteInfoRequestHeader is the header of GET_ROUTEINFO_BY_TOPIC.
type GetRouteInfoRequestHeader struct {
	TopicHeader
	Topic                  string
	AcceptStandardJSONOnly Optional[bool]
	ZoneMode               Optional[bool] // answer only with what is in the client's zone
	ZoneName               string
}

func (h *GetRouteInfoRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.optBool("acceptStandardJsonOnly", &h.AcceptStandardJSONOnly)
	c.optBool("__ZONE_MODE", &h.ZoneMode)
	c.str("__ZONE_NAME", &h.ZoneName, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetRouteInfoRequestHeader) Decode(f FieldSource) error {
	*h = GetRouteInfoRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetRouteInfoRequestHeader) Encode(f FieldSink) { encode(f, h) }

// RegisterTopicRequestHeader is the header of REGISTER_TOPIC_IN_NAMESRV.
type RegisterTopicRequestHeader struct {
	TopicHeader
	Topic string
}

func (h *RegisterTopicRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *RegisterTopicRequestHeader) Decode(f FieldSource) error {
	*h = RegisterTopicRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *RegisterTopicRequestHeader) Encode(f FieldSink) { encode(f, h) }

// DeleteTopicFromNamesrvRequestHeader is the header of DELETE_TOPIC_IN_NAMESRV.
type DeleteTopicFromNamesrvRequestHeader struct {
	TopicHeader
	Topic       string
	ClusterName string // empty: in all clusters
}

func (h *DeleteTopicFromNamesrvRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.str("clusterName", &h.ClusterName, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *DeleteTopicFromNamesrvRequestHeader) Decode(f FieldSource) error {
	*h = DeleteTopicFromNamesrvRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *DeleteTopicFromNamesrvRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetTopicsByClusterRequestHeader is the header of GET_TOPICS_BY_CLUSTER.
type GetTopicsByClusterRequestHeader struct {
	Cluster string
}

func (h *GetTopicsByClusterRequestHeader) fields(c *fieldCodec) {
	c.str("cluster", &h.Cluster, optional)
}

// Decode reads the header from the fields of a command.
func (h *GetTopicsByClusterRequestHeader) Decode(f FieldSource) error {
	*h = GetTopicsByClusterRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetTopicsByClusterRequestHeader) Encode(f FieldSink) { encode(f, h) }

// WipeWritePermOfBrokerRequestHeader is the header of WIPE_WRITE_PERM_OF_BROKER.
type WipeWritePermOfBrokerRequestHeader struct {
	BrokerName string
}

func (h *WipeWritePermOfBrokerRequestHeader) fields(c *fieldCodec) {
	c.str("brokerName", &h.BrokerName, required)
}

// Decode reads the header from the fields of a command.
func (h *WipeWritePermOfBrokerRequestHeader) Decode(f FieldSource) error {
	*h = WipeWritePermOfBrokerRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *WipeWritePermOfBrokerRequestHeader) Encode(f FieldSink) { encode(f, h) }

// WipeWritePermOfBrokerResponseHeader is the header of the answer to WIPE_WRITE_PERM_OF_BROKER.
type WipeWritePermOfBrokerResponseHeader struct {
	WipeTopicCount int32
}

func (h *WipeWritePermOfBrokerResponseHeader) fields(c *fieldCodec) {
	c.int32("wipeTopicCount", &h.WipeTopicCount, required)
}

// Decode reads the header from the fields of a command.
func (h *WipeWritePermOfBrokerResponseHeader) Decode(f FieldSource) error {
	*h = WipeWritePermOfBrokerResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *WipeWritePermOfBrokerResponseHeader) Encode(f FieldSink) { encode(f, h) }

// AddWritePermOfBrokerRequestHeader is the header of ADD_WRITE_PERM_OF_BROKER.
type AddWritePermOfBrokerRequestHeader struct {
	BrokerName string
}

func (h *AddWritePermOfBrokerRequestHeader) fields(c *fieldCodec) {
	c.str("brokerName", &h.BrokerName, required)
}

// Decode reads the header from the fields of a command.
func (h *AddWritePermOfBrokerRequestHeader) Decode(f FieldSource) error {
	*h = AddWritePermOfBrokerRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *AddWritePermOfBrokerRequestHeader) Encode(f FieldSink) { encode(f, h) }

// AddWritePermOfBrokerResponseHeader is the header of the answer to ADD_WRITE_PERM_OF_BROKER.
type AddWritePermOfBrokerResponseHeader struct {
	AddTopicCount int32
}

func (h *AddWritePermOfBrokerResponseHeader) fields(c *fieldCodec) {
	c.int32("addTopicCount", &h.AddTopicCount, required)
}

// Decode reads the header from the fields of a command.
func (h *AddWritePermOfBrokerResponseHeader) Decode(f FieldSource) error {
	*h = AddWritePermOfBrokerResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *AddWritePermOfBrokerResponseHeader) Encode(f FieldSink) { encode(f, h) }
