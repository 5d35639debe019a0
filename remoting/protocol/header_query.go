package protocol

// The headers of message lookups.

// QueryMessageRequestHeader is the header of QUERY_MESSAGE.
type QueryMessageRequestHeader struct {
	TopicHeader
	Topic          string
	Key            string
	MaxNum         int32
	BeginTimestamp int64
	EndTimestamp   int64
	IndexType      string
	LastKey        string
}

func (h *QueryMessageRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.str("key", &h.Key, required)
	c.int32("maxNum", &h.MaxNum, required)
	c.int64("beginTimestamp", &h.BeginTimestamp, required)
	c.int64("endTimestamp", &h.EndTimestamp, required)
	c.str("indexType", &h.IndexType, optional)
	c.str("lastKey", &h.LastKey, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QueryMessageRequestHeader) Decode(f FieldSource) error {
	*h = QueryMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryMessageResponseHeader is the header of the answer to QUERY_MESSAGE.
type QueryMessageResponseHeader struct {
	IndexLastUpdateTimestamp int64
	IndexLastUpdatePhyoffset int64
}

func (h *QueryMessageResponseHeader) fields(c *fieldCodec) {
	c.int64("indexLastUpdateTimestamp", &h.IndexLastUpdateTimestamp, required)
	c.int64("indexLastUpdatePhyoffset", &h.IndexLastUpdatePhyoffset, required)
}

// Decode reads the header from the fields of a command.
func (h *QueryMessageResponseHeader) Decode(f FieldSource) error {
	*h = QueryMessageResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryMessageResponseHeader) Encode(f FieldSink) { encode(f, h) }

// ViewMessageRequestHeader is the header of VIEW_MESSAGE_BY_ID.
type ViewMessageRequestHeader struct {
	Topic  string
	Offset int64
}

func (h *ViewMessageRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, optional)
	c.int64("offset", &h.Offset, required)
}

// Decode reads the header from the fields of a command.
func (h *ViewMessageRequestHeader) Decode(f FieldSource) error {
	*h = ViewMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ViewMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }

// QueryConsumeQueueRequestHeader is the header of QUERY_CONSUME_QUEUE.
type QueryConsumeQueueRequestHeader struct {
	TopicHeader
	Topic         string
	QueueID       int32
	Index         int64
	Count         int32
	ConsumerGroup string
}

func (h *QueryConsumeQueueRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, optional)
	c.int32("queueId", &h.QueueID, optional)
	c.int64("index", &h.Index, optional)
	c.int32("count", &h.Count, optional)
	c.str("consumerGroup", &h.ConsumerGroup, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *QueryConsumeQueueRequestHeader) Decode(f FieldSource) error {
	*h = QueryConsumeQueueRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *QueryConsumeQueueRequestHeader) Encode(f FieldSink) { encode(f, h) }
