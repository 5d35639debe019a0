package protocol

// The headers of consumer and queue offsets.

// QueryConsumerOffsetRequestHeader is the header of QUERY_CONSUMER_OFFSET.
type QueryConsumerOffsetRequestHeader struct {
	TopicHeader
	ConsumerGroup     string
	Topic             string
	QueueID           int32
	SetZeroIfNotFound Optional[bool]
}

func (h *QueryConsumerOffsetRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.optBool("setZeroIfNotFound", &h.SetZeroIfNotFound)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QueryConsumerOffsetRequestHeader) Decode(f FieldSource) error {
	*h = QueryConsumerOffsetRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryConsumerOffsetRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryConsumerOffsetResponseHeader is the header of the answer to QUERY_CONSUMER_OFFSET.
type QueryConsumerOffsetResponseHeader struct {
	Offset int64
}

func (h *QueryConsumerOffsetResponseHeader) fields(c *fieldCodec) {
	c.int64("offset", &h.Offset, required)
}

// Decode reads the header from the fields of a command.
func (h *QueryConsumerOffsetResponseHeader) Decode(f FieldSource) error {
	*h = QueryConsumerOffsetResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryConsumerOffsetResponseHeader) Encode(f FieldSink) { encode(f, h) }

// UpdateConsumerOffsetRequestHeader is the header of UPDATE_CONSUMER_OFFSET.
type UpdateConsumerOffsetRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	Topic         string
	QueueID       int32
	CommitOffset  int64
}

func (h *UpdateConsumerOffsetRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.int64("commitOffset", &h.CommitOffset, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *UpdateConsumerOffsetRequestHeader) Decode(f FieldSource) error {
	*h = UpdateConsumerOffsetRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *UpdateConsumerOffsetRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetMaxOffsetRequestHeader is the header of GET_MAX_OFFSET.
type GetMaxOffsetRequestHeader struct {
	TopicHeader
	Topic     string
	QueueID   int32
	Committed bool
}

func (h *GetMaxOffsetRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.bool("committed", &h.Committed, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetMaxOffsetRequestHeader) Decode(f FieldSource) error {
	*h = GetMaxOffsetRequestHeader{Committed: true}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetMaxOffsetRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetMaxOffsetResponseHeader is the header of the answer to GET_MAX_OFFSET.
type GetMaxOffsetResponseHeader struct {
	Offset int64
}

func (h *GetMaxOffsetResponseHeader) fields(c *fieldCodec) {
	c.int64("offset", &h.Offset, required)
}

// Decode reads the header from the fields of a command.
func (h *GetMaxOffsetResponseHeader) Decode(f FieldSource) error {
	*h = GetMaxOffsetResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetMaxOffsetResponseHeader) Encode(f FieldSink) { encode(f, h) }

// GetMinOffsetRequestHeader is the header of GET_MIN_OFFSET.
type GetMinOffsetRequestHeader struct {
	TopicHeader
	Topic   string
	QueueID int32
}

func (h *GetMinOffsetRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetMinOffsetRequestHeader) Decode(f FieldSource) error {
	*h = GetMinOffsetRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetMinOffsetRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetMinOffsetResponseHeader is the header of the answer to GET_MIN_OFFSET.
type GetMinOffsetResponseHeader struct {
	Offset int64
}

func (h *GetMinOffsetResponseHeader) fields(c *fieldCodec) {
	c.int64("offset", &h.Offset, required)
}

// Decode reads the header from the fields of a command.
func (h *GetMinOffsetResponseHeader) Decode(f FieldSource) error {
	*h = GetMinOffsetResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetMinOffsetResponseHeader) Encode(f FieldSink) { encode(f, h) }

// SearchOffsetRequestHeader is the header of SEARCH_OFFSET_BY_TIMESTAMP.
type SearchOffsetRequestHeader struct {
	TopicHeader
	Topic        string
	LiteTopic    string
	QueueID      int32
	Timestamp    int64
	BoundaryType string
}

func (h *SearchOffsetRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.str("liteTopic", &h.LiteTopic, optional)
	c.int32("queueId", &h.QueueID, required)
	c.int64("timestamp", &h.Timestamp, required)
	c.str("boundaryType", &h.BoundaryType, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *SearchOffsetRequestHeader) Decode(f FieldSource) error {
	*h = SearchOffsetRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *SearchOffsetRequestHeader) Encode(f FieldSink) { encode(f, h) }

// SearchOffsetResponseHeader is the header of the answer to SEARCH_OFFSET_BY_TIMESTAMP.
type SearchOffsetResponseHeader struct {
	Offset int64
}

func (h *SearchOffsetResponseHeader) fields(c *fieldCodec) {
	c.int64("offset", &h.Offset, required)
}

// Decode reads the header from the fields of a command.
func (h *SearchOffsetResponseHeader) Decode(f FieldSource) error {
	*h = SearchOffsetResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *SearchOffsetResponseHeader) Encode(f FieldSink) { encode(f, h) }

// GetEarliestMsgStoreTimeRequestHeader is the header of GET_EARLIEST_MSG_STORETIME.
type GetEarliestMsgStoreTimeRequestHeader struct {
	TopicHeader
	Topic   string
	QueueID int32
}

func (h *GetEarliestMsgStoreTimeRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *GetEarliestMsgStoreTimeRequestHeader) Decode(f FieldSource) error {
	*h = GetEarliestMsgStoreTimeRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetEarliestMsgStoreTimeRequestHeader) Encode(f FieldSink) { encode(f, h) }

// GetEarliestMsgStoreTimeResponseHeader is the header of the answer to GET_EARLIEST_MSG_STORETIME.
type GetEarliestMsgStoreTimeResponseHeader struct {
	Timestamp int64
}

func (h *GetEarliestMsgStoreTimeResponseHeader) fields(c *fieldCodec) {
	c.int64("timestamp", &h.Timestamp, required)
}

// Decode reads the header from the fields of a command.
func (h *GetEarliestMsgStoreTimeResponseHeader) Decode(f FieldSource) error {
	*h = GetEarliestMsgStoreTimeResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetEarliestMsgStoreTimeResponseHeader) Encode(f FieldSink) { encode(f, h) }

// CloneGroupOffsetRequestHeader is the header of CLONE_GROUP_OFFSET.
type CloneGroupOffsetRequestHeader struct {
	RPCHeader
	SrcGroup  string
	DestGroup string
	Topic     string
	Offline   bool
}

func (h *CloneGroupOffsetRequestHeader) fields(c *fieldCodec) {
	c.str("srcGroup", &h.SrcGroup, required)
	c.str("destGroup", &h.DestGroup, required)
	c.str("topic", &h.Topic, optional)
	c.bool("offline", &h.Offline, optional)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *CloneGroupOffsetRequestHeader) Decode(f FieldSource) error {
	*h = CloneGroupOffsetRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *CloneGroupOffsetRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryCorrectionOffsetHeader is the header of QUERY_CORRECTION_OFFSET.
type QueryCorrectionOffsetHeader struct {
	TopicHeader
	FilterGroups string
	CompareGroup string
	Topic        string
}

func (h *QueryCorrectionOffsetHeader) fields(c *fieldCodec) {
	c.str("filterGroups", &h.FilterGroups, optional)
	c.str("compareGroup", &h.CompareGroup, required)
	c.str("topic", &h.Topic, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QueryCorrectionOffsetHeader) Decode(f FieldSource) error {
	*h = QueryCorrectionOffsetHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryCorrectionOffsetHeader) Encode(f FieldSink) { encode(f, h) }
