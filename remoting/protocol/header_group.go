package protocol

// The headers of consumer groups.

// GetAllSubscriptionGroupRequestHeader is the header of GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
type GetAllSubscriptionGroupRequestHeader struct {
	GroupSeq    int32
	DataVersion string
	MaxGroupNum Optional[int32]
}

func (h *GetAllSubscriptionGroupRequestHeader) fields(c *fieldCodec) {
	c.int32("groupSeq", &h.GroupSeq, optional)
	c.str("dataVersion", &h.DataVersion, optional)
	c.optInt32("maxGroupNum", &h.MaxGroupNum)
}

// Decode reads the header from the fields of a command.
func (h *GetAllSubscriptionGroupRequestHeader) Decode(f FieldSource) error {
	*h = GetAllSubscriptionGroupRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetAllSubscriptionGroupRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetAllSubscriptionGroupResponseHeader is the header of the answer to GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
type GetAllSubscriptionGroupResponseHeader struct {
	TotalGroupNum int32
}

func (h *GetAllSubscriptionGroupResponseHeader) fields(c *fieldCodec) {
	c.int32("totalGroupNum", &h.TotalGroupNum, required)
}

// Decode reads the header from the fields of a command.
func (h *GetAllSubscriptionGroupResponseHeader) Decode(f FieldSource) error {
	*h = GetAllSubscriptionGroupResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetAllSubscriptionGroupResponseHeader) Encode(f FieldSink) { encode(f, h) }

// GetSubscriptionGroupConfigRequestHeader is the header of GET_SUBSCRIPTIONGROUP_CONFIG.
type GetSubscriptionGroupConfigRequestHeader struct {
	RPCHeader
	Group string
}

func (h *GetSubscriptionGroupConfigRequestHeader) fields(c *fieldCodec) {
	c.str("group", &h.Group, required)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetSubscriptionGroupConfigRequestHeader) Decode(f FieldSource) error {
	*h = GetSubscriptionGroupConfigRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetSubscriptionGroupConfigRequestHeader) Encode(f FieldSink) { encode(f, h) }

// DeleteSubscriptionGroupRequestHeader is the header of DELETE_SUBSCRIPTIONGROUP.
type DeleteSubscriptionGroupRequestHeader struct {
	RPCHeader
	GroupName   string
	CleanOffset bool
}

func (h *DeleteSubscriptionGroupRequestHeader) fields(c *fieldCodec) {
	c.str("groupName", &h.GroupName, required)
	c.bool("cleanOffset", &h.CleanOffset, optional)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *DeleteSubscriptionGroupRequestHeader) Decode(f FieldSource) error {
	*h = DeleteSubscriptionGroupRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *DeleteSubscriptionGroupRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QuerySubscriptionByConsumerRequestHeader is the header of QUERY_SUBSCRIPTION_BY_CONSUMER.
type QuerySubscriptionByConsumerRequestHeader struct {
	TopicHeader
	Group string
	Topic string
}

func (h *QuerySubscriptionByConsumerRequestHeader) fields(c *fieldCodec) {
	c.str("group", &h.Group, required)
	c.str("topic", &h.Topic, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QuerySubscriptionByConsumerRequestHeader) Decode(f FieldSource) error {
	*h = QuerySubscriptionByConsumerRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QuerySubscriptionByConsumerRequestHeader) Encode(f FieldSink) { encode(f, h) }

// UpdateGroupForbiddenRequestHeader is the header of UPDATE_AND_GET_GROUP_FORBIDDEN.
type UpdateGroupForbiddenRequestHeader struct {
	TopicHeader
	Group    string
	Topic    string
	Readable Optional[bool]
}

func (h *UpdateGroupForbiddenRequestHeader) fields(c *fieldCodec) {
	c.str("group", &h.Group, required)
	c.str("topic", &h.Topic, required)
	c.optBool("readable", &h.Readable)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *UpdateGroupForbiddenRequestHeader) Decode(f FieldSource) error {
	*h = UpdateGroupForbiddenRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *UpdateGroupForbiddenRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetConsumeStatsRequestHeader is the header of GET_CONSUME_STATS.
type GetConsumeStatsRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	Topic         string
	TopicList     string
}

func (h *GetConsumeStatsRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, optional)
	c.str("topicList", &h.TopicList, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetConsumeStatsRequestHeader) Decode(f FieldSource) error {
	*h = GetConsumeStatsRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetConsumeStatsRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetConsumeStatsInBrokerHeader is the header of GET_BROKER_CONSUME_STATS.
type GetConsumeStatsInBrokerHeader struct {
	IsOrder bool
}

func (h *GetConsumeStatsInBrokerHeader) fields(c *fieldCodec) {
	c.bool("isOrder", &h.IsOrder, required)
}

// Decode reads the header from the fields of a command.
func (h *GetConsumeStatsInBrokerHeader) Decode(f FieldSource) error {
	*h = GetConsumeStatsInBrokerHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetConsumeStatsInBrokerHeader) Encode(f FieldSink) { encode(f, h) }

// QueryConsumeTimeSpanRequestHeader is the header of QUERY_CONSUME_TIME_SPAN.
type QueryConsumeTimeSpanRequestHeader struct {
	TopicHeader
	Topic string
	Group string
}

func (h *QueryConsumeTimeSpanRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.str("group", &h.Group, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QueryConsumeTimeSpanRequestHeader) Decode(f FieldSource) error {
	*h = QueryConsumeTimeSpanRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryConsumeTimeSpanRequestHeader) Encode(f FieldSink) { encode(f, h) }
