package protocol

// The headers of heartbeats, membership and configuration checks.

// UnregisterClientRequestHeader is the header of UNREGISTER_CLIENT.
type UnregisterClientRequestHeader struct {
	RPCHeader
	ClientID      string
	ProducerGroup string
	ConsumerGroup string
}

func (h *UnregisterClientRequestHeader) fields(c *fieldCodec) {
	c.str("clientID", &h.ClientID, required)
	c.str("producerGroup", &h.ProducerGroup, optional)
	c.str("consumerGroup", &h.ConsumerGroup, optional)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *UnregisterClientRequestHeader) Decode(f FieldSource) error {
	*h = UnregisterClientRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *UnregisterClientRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetConsumerListByGroupRequestHeader is the header of GET_CONSUMER_LIST_BY_GROUP.
type GetConsumerListByGroupRequestHeader struct {
	RPCHeader
	ConsumerGroup string
}

func (h *GetConsumerListByGroupRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetConsumerListByGroupRequestHeader) Decode(f FieldSource) error {
	*h = GetConsumerListByGroupRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetConsumerListByGroupRequestHeader) Encode(f FieldSink) { encode(f, h) }

// NotifyConsumerIDsChangedRequestHeader is the header of NOTIFY_CONSUMER_IDS_CHANGED, which the broker sends to its clients.
type NotifyConsumerIDsChangedRequestHeader struct {
	RPCHeader
	ConsumerGroup string
}

func (h *NotifyConsumerIDsChangedRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *NotifyConsumerIDsChangedRequestHeader) Decode(f FieldSource) error {
	*h = NotifyConsumerIDsChangedRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *NotifyConsumerIDsChangedRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetConsumerConnectionListRequestHeader is the header of GET_CONSUMER_CONNECTION_LIST.
type GetConsumerConnectionListRequestHeader struct {
	RPCHeader
	ConsumerGroup string
}

func (h *GetConsumerConnectionListRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetConsumerConnectionListRequestHeader) Decode(f FieldSource) error {
	*h = GetConsumerConnectionListRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetConsumerConnectionListRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetProducerConnectionListRequestHeader is the header of GET_PRODUCER_CONNECTION_LIST.
type GetProducerConnectionListRequestHeader struct {
	RPCHeader
	ProducerGroup string
}

func (h *GetProducerConnectionListRequestHeader) fields(c *fieldCodec) {
	c.str("producerGroup", &h.ProducerGroup, required)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetProducerConnectionListRequestHeader) Decode(f FieldSource) error {
	*h = GetProducerConnectionListRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetProducerConnectionListRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetConsumerRunningInfoRequestHeader is the header of GET_CONSUMER_RUNNING_INFO, which the broker passes on to the client.
type GetConsumerRunningInfoRequestHeader struct {
	RPCHeader
	ConsumerGroup string
	ClientID      string
	JstackEnable  bool
}

func (h *GetConsumerRunningInfoRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("clientId", &h.ClientID, required)
	c.bool("jstackEnable", &h.JstackEnable, optional)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetConsumerRunningInfoRequestHeader) Decode(f FieldSource) error {
	*h = GetConsumerRunningInfoRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetConsumerRunningInfoRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ConsumeMessageDirectlyResultRequestHeader is the header of CONSUME_MESSAGE_DIRECTLY, which the broker passes on to the client.
type ConsumeMessageDirectlyResultRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	ClientID      string
	MsgID         string
	BrokerName    string
	Topic         string
	TopicSysFlag  Optional[int32]
	GroupSysFlag  Optional[int32]
}

func (h *ConsumeMessageDirectlyResultRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("clientId", &h.ClientID, optional)
	c.str("msgId", &h.MsgID, optional)
	c.str("brokerName", &h.BrokerName, optional)
	c.str("topic", &h.Topic, optional)
	c.optInt32("topicSysFlag", &h.TopicSysFlag)
	c.optInt32("groupSysFlag", &h.GroupSysFlag)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *ConsumeMessageDirectlyResultRequestHeader) Decode(f FieldSource) error {
	*h = ConsumeMessageDirectlyResultRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ConsumeMessageDirectlyResultRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetConsumerStatusRequestHeader is the header of INVOKE_BROKER_TO_GET_CONSUMER_STATUS and GET_CONSUMER_STATUS_FROM_CLIENT.
type GetConsumerStatusRequestHeader struct {
	TopicHeader
	Topic      string
	Group      string
	ClientAddr string
}

func (h *GetConsumerStatusRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.str("group", &h.Group, required)
	c.str("clientAddr", &h.ClientAddr, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetConsumerStatusRequestHeader) Decode(f FieldSource) error {
	*h = GetConsumerStatusRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetConsumerStatusRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ResetOffsetRequestHeader is the header of INVOKE_BROKER_TO_RESET_OFFSET and RESET_CONSUMER_CLIENT_OFFSET.
type ResetOffsetRequestHeader struct {
	TopicHeader
	Group     string
	Topic     string
	QueueID   int32
	Offset    Optional[int64]
	Timestamp int64
	IsForce   bool
}

func (h *ResetOffsetRequestHeader) fields(c *fieldCodec) {
	c.str("group", &h.Group, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, optional)
	c.optInt64("offset", &h.Offset)
	c.int64("timestamp", &h.Timestamp, required)
	c.bool("isForce", &h.IsForce, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *ResetOffsetRequestHeader) Decode(f FieldSource) error {
	*h = ResetOffsetRequestHeader{QueueID: -1}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ResetOffsetRequestHeader) Encode(f FieldSink) { encode(f, h) }
