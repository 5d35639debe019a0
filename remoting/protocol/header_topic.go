package protocol

// The headers of topics.

// CreateTopicRequestHeader is the header of UPDATE_AND_CREATE_TOPIC and UPDATE_AND_CREATE_STATIC_TOPIC.
type CreateTopicRequestHeader struct {
	TopicHeader
	Topic           string
	DefaultTopic    string
	ReadQueueNums   int32
	WriteQueueNums  int32
	Perm            int32
	TopicFilterType string
	TopicSysFlag    Optional[int32]
	Order           bool
	Attributes      string
	Force           Optional[bool]
}

func (h *CreateTopicRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.str("defaultTopic", &h.DefaultTopic, required)
	c.int32("readQueueNums", &h.ReadQueueNums, required)
	c.int32("writeQueueNums", &h.WriteQueueNums, required)
	c.int32("perm", &h.Perm, required)
	c.str("topicFilterType", &h.TopicFilterType, optional)
	c.optInt32("topicSysFlag", &h.TopicSysFlag)
	c.bool("order", &h.Order, optional)
	c.str("attributes", &h.Attributes, optional)
	c.optBool("force", &h.Force)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *CreateTopicRequestHeader) Decode(f FieldSource) error {
	*h = CreateTopicRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *CreateTopicRequestHeader) Encode(f FieldSink) { encode(f, h) }

// DeleteTopicRequestHeader is the header of DELETE_TOPIC_IN_BROKER.
type DeleteTopicRequestHeader struct {
	TopicHeader
	Topic string
}

func (h *DeleteTopicRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *DeleteTopicRequestHeader) Decode(f FieldSource) error {
	*h = DeleteTopicRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *DeleteTopicRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetAllTopicConfigRequestHeader is the header of GET_ALL_TOPIC_CONFIG.
type GetAllTopicConfigRequestHeader struct {
	TopicSeq    int32
	DataVersion string
	MaxTopicNum Optional[int32]
}

func (h *GetAllTopicConfigRequestHeader) fields(c *fieldCodec) {
	c.int32("topicSeq", &h.TopicSeq, optional)
	c.str("dataVersion", &h.DataVersion, optional)
	c.optInt32("maxTopicNum", &h.MaxTopicNum)
}

// Decode reads the header from the fields of a command.
func (h *GetAllTopicConfigRequestHeader) Decode(f FieldSource) error {
	*h = GetAllTopicConfigRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetAllTopicConfigRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetAllTopicConfigResponseHeader is the header of the answer to GET_ALL_TOPIC_CONFIG.
type GetAllTopicConfigResponseHeader struct {
	TotalTopicNum Optional[int32]
}

func (h *GetAllTopicConfigResponseHeader) fields(c *fieldCodec) {
	c.optInt32("totalTopicNum", &h.TotalTopicNum)
}

// Decode reads the header from the fields of a command.
func (h *GetAllTopicConfigResponseHeader) Decode(f FieldSource) error {
	*h = GetAllTopicConfigResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetAllTopicConfigResponseHeader) Encode(f FieldSink) { encode(f, h) }

// GetTopicConfigRequestHeader is the header of GET_TOPIC_CONFIG.
type GetTopicConfigRequestHeader struct {
	TopicHeader
	Topic string
}

func (h *GetTopicConfigRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetTopicConfigRequestHeader) Decode(f FieldSource) error {
	*h = GetTopicConfigRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetTopicConfigRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetTopicStatsInfoRequestHeader is the header of GET_TOPIC_STATS_INFO.
type GetTopicStatsInfoRequestHeader struct {
	TopicHeader
	Topic string
}

func (h *GetTopicStatsInfoRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetTopicStatsInfoRequestHeader) Decode(f FieldSource) error {
	*h = GetTopicStatsInfoRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetTopicStatsInfoRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryTopicConsumeByWhoRequestHeader is the header of QUERY_TOPIC_CONSUME_BY_WHO.
type QueryTopicConsumeByWhoRequestHeader struct {
	TopicHeader
	Topic string
}

func (h *QueryTopicConsumeByWhoRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QueryTopicConsumeByWhoRequestHeader) Decode(f FieldSource) error {
	*h = QueryTopicConsumeByWhoRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryTopicConsumeByWhoRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryTopicsByConsumerRequestHeader is the header of QUERY_TOPICS_BY_CONSUMER.
type QueryTopicsByConsumerRequestHeader struct {
	RPCHeader
	Group string
}

func (h *QueryTopicsByConsumerRequestHeader) fields(c *fieldCodec) {
	c.str("group", &h.Group, required)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QueryTopicsByConsumerRequestHeader) Decode(f FieldSource) error {
	*h = QueryTopicsByConsumerRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryTopicsByConsumerRequestHeader) Encode(f FieldSink) { encode(f, h) }
