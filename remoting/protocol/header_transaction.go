package protocol

// The headers of transactions, send-back and recall.

// EndTransactionRequestHeader is the header of END_TRANSACTION.
type EndTransactionRequestHeader struct {
	RPCHeader
	Topic                string
	ProducerGroup        string
	TranStateTableOffset int64
	CommitLogOffset      int64
	CommitOrRollback     int32
	FromTransactionCheck Optional[bool]
	MsgID                string
	TransactionID        string
}

func (h *EndTransactionRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, optional)
	c.str("producerGroup", &h.ProducerGroup, required)
	c.int64("tranStateTableOffset", &h.TranStateTableOffset, required)
	c.int64("commitLogOffset", &h.CommitLogOffset, required)
	c.int32("commitOrRollback", &h.CommitOrRollback, required)
	c.optBool("fromTransactionCheck", &h.FromTransactionCheck)
	c.str("msgId", &h.MsgID, required)
	c.str("transactionId", &h.TransactionID, optional)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *EndTransactionRequestHeader) Decode(f FieldSource) error {
	*h = EndTransactionRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *EndTransactionRequestHeader) Encode(f FieldSink) { encode(f, h) }

// CheckTransactionStateRequestHeader is the header of CHECK_TRANSACTION_STATE, which the broker sends to a producer.
type CheckTransactionStateRequestHeader struct {
	RPCHeader
	Topic                string
	TranStateTableOffset int64
	CommitLogOffset      int64
	MsgID                string
	TransactionID        string
	OffsetMsgID          string
}

func (h *CheckTransactionStateRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, optional)
	c.int64("tranStateTableOffset", &h.TranStateTableOffset, required)
	c.int64("commitLogOffset", &h.CommitLogOffset, required)
	c.str("msgId", &h.MsgID, optional)
	c.str("transactionId", &h.TransactionID, optional)
	c.str("offsetMsgId", &h.OffsetMsgID, optional)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *CheckTransactionStateRequestHeader) Decode(f FieldSource) error {
	*h = CheckTransactionStateRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *CheckTransactionStateRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ResumeCheckHalfMessageRequestHeader is the header of RESUME_CHECK_HALF_MESSAGE.
type ResumeCheckHalfMessageRequestHeader struct {
	Topic string
	MsgID string
}

func (h *ResumeCheckHalfMessageRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, optional)
	c.str("msgId", &h.MsgID, optional)
}

// Decode reads the header from the fields of a command.
func (h *ResumeCheckHalfMessageRequestHeader) Decode(f FieldSource) error {
	*h = ResumeCheckHalfMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ResumeCheckHalfMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ConsumerSendMsgBackRequestHeader is the header of CONSUMER_SEND_MSG_BACK.
type ConsumerSendMsgBackRequestHeader struct {
	RPCHeader
	Offset            int64
	Group             string
	DelayLevel        int32
	OriginMsgID       string
	OriginTopic       string
	UnitMode          bool
	MaxReconsumeTimes Optional[int32]
}

func (h *ConsumerSendMsgBackRequestHeader) fields(c *fieldCodec) {
	c.int64("offset", &h.Offset, required)
	c.str("group", &h.Group, required)
	c.int32("delayLevel", &h.DelayLevel, required)
	c.str("originMsgId", &h.OriginMsgID, optional)
	c.str("originTopic", &h.OriginTopic, optional)
	c.bool("unitMode", &h.UnitMode, optional)
	c.optInt32("maxReconsumeTimes", &h.MaxReconsumeTimes)
	h.RPCHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *ConsumerSendMsgBackRequestHeader) Decode(f FieldSource) error {
	*h = ConsumerSendMsgBackRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ConsumerSendMsgBackRequestHeader) Encode(f FieldSink) { encode(f, h) }

// RecallMessageRequestHeader is the header of RECALL_MESSAGE.
type RecallMessageRequestHeader struct {
	TopicHeader
	ProducerGroup string
	Topic         string
	RecallHandle  string
}

func (h *RecallMessageRequestHeader) fields(c *fieldCodec) {
	c.str("producerGroup", &h.ProducerGroup, optional)
	c.str("topic", &h.Topic, required)
	c.str("recallHandle", &h.RecallHandle, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *RecallMessageRequestHeader) Decode(f FieldSource) error {
	*h = RecallMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *RecallMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }

// RecallMessageResponseHeader is the header of the answer to RECALL_MESSAGE.
type RecallMessageResponseHeader struct {
	MsgID string
}

func (h *RecallMessageResponseHeader) fields(c *fieldCodec) {
	c.str("msgId", &h.MsgID, required)
}

// Decode reads the header from the fields of a command.
func (h *RecallMessageResponseHeader) Decode(f FieldSource) error {
	*h = RecallMessageResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *RecallMessageResponseHeader) Encode(f FieldSink) { encode(f, h) }

// ReplyMessageRequestHeader is the header of PUSH_REPLY_MESSAGE_TO_CLIENT, which the broker sends to a client.
type ReplyMessageRequestHeader struct {
	TopicHeader
	ProducerGroup         string
	Topic                 string
	DefaultTopic          string
	DefaultTopicQueueNums int32
	QueueID               int32
	SysFlag               int32
	BornTimestamp         int64
	Flag                  int32
	Properties            string
	ReconsumeTimes        Optional[int32]
	UnitMode              bool
	BornHost              string
	StoreHost             string
	StoreTimestamp        int64
}

func (h *ReplyMessageRequestHeader) fields(c *fieldCodec) {
	c.str("producerGroup", &h.ProducerGroup, required)
	c.str("topic", &h.Topic, required)
	c.str("defaultTopic", &h.DefaultTopic, required)
	c.int32("defaultTopicQueueNums", &h.DefaultTopicQueueNums, required)
	c.int32("queueId", &h.QueueID, required)
	c.int32("sysFlag", &h.SysFlag, required)
	c.int64("bornTimestamp", &h.BornTimestamp, required)
	c.int32("flag", &h.Flag, required)
	c.str("properties", &h.Properties, optional)
	c.optInt32("reconsumeTimes", &h.ReconsumeTimes)
	c.bool("unitMode", &h.UnitMode, optional)
	c.str("bornHost", &h.BornHost, required)
	c.str("storeHost", &h.StoreHost, required)
	c.int64("storeTimestamp", &h.StoreTimestamp, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *ReplyMessageRequestHeader) Decode(f FieldSource) error {
	*h = ReplyMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ReplyMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }
