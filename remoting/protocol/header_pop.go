package protocol

// The headers of pop consumption.

// PopMessageRequestHeader is the header of POP_MESSAGE.
type PopMessageRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	Topic         string
	QueueID       int32
	MaxMsgNums    int32
	InvisibleTime int64
	PollTime      int64
	BornTime      int64
	InitMode      int32
	ExpType       string
	Exp           string
	Order         Optional[bool]
	AttemptID     string
}

func (h *PopMessageRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.int32("maxMsgNums", &h.MaxMsgNums, required)
	c.int64("invisibleTime", &h.InvisibleTime, required)
	c.int64("pollTime", &h.PollTime, required)
	c.int64("bornTime", &h.BornTime, required)
	c.int32("initMode", &h.InitMode, required)
	c.str("expType", &h.ExpType, optional)
	c.str("exp", &h.Exp, optional)
	c.optBool("order", &h.Order)
	c.str("attemptId", &h.AttemptID, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *PopMessageRequestHeader) Decode(f FieldSource) error {
	*h = PopMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *PopMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }

// PopMessageResponseHeader is the header of the answer to POP_MESSAGE.
type PopMessageResponseHeader struct {
	PopTime         int64
	InvisibleTime   int64
	ReviveQid       int32
	RestNum         int64
	StartOffsetInfo string
	MsgOffsetInfo   string
	OrderCountInfo  string
}

func (h *PopMessageResponseHeader) fields(c *fieldCodec) {
	c.int64("popTime", &h.PopTime, required)
	c.int64("invisibleTime", &h.InvisibleTime, required)
	c.int32("reviveQid", &h.ReviveQid, required)
	c.int64("restNum", &h.RestNum, required)
	c.str("startOffsetInfo", &h.StartOffsetInfo, optional)
	c.str("msgOffsetInfo", &h.MsgOffsetInfo, optional)
	c.str("orderCountInfo", &h.OrderCountInfo, optional)
}

// Decode reads the header from the fields of a command.
func (h *PopMessageResponseHeader) Decode(f FieldSource) error {
	*h = PopMessageResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *PopMessageResponseHeader) Encode(f FieldSink) { encode(f, h) }

// PeekMessageRequestHeader is the header of PEEK_MESSAGE.
type PeekMessageRequestHeader struct {
	TopicHeader
	Topic         string
	QueueID       int32
	MaxMsgNums    int32
	ConsumerGroup string
}

func (h *PeekMessageRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.int32("maxMsgNums", &h.MaxMsgNums, required)
	c.str("consumerGroup", &h.ConsumerGroup, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *PeekMessageRequestHeader) Decode(f FieldSource) error {
	*h = PeekMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *PeekMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }

// AckMessageRequestHeader is the header of ACK_MESSAGE.
type AckMessageRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	Topic         string
	QueueID       int32
	ExtraInfo     string
	Offset        int64
	LiteTopic     string
}

func (h *AckMessageRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.str("extraInfo", &h.ExtraInfo, required)
	c.int64("offset", &h.Offset, required)
	c.str("liteTopic", &h.LiteTopic, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *AckMessageRequestHeader) Decode(f FieldSource) error {
	*h = AckMessageRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *AckMessageRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ChangeInvisibleTimeRequestHeader is the header of CHANGE_MESSAGE_INVISIBLETIME.
type ChangeInvisibleTimeRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	Topic         string
	QueueID       int32
	ExtraInfo     string
	Offset        int64
	InvisibleTime int64
	LiteTopic     string
	Suspend       bool
}

func (h *ChangeInvisibleTimeRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.str("extraInfo", &h.ExtraInfo, required)
	c.int64("offset", &h.Offset, required)
	c.int64("invisibleTime", &h.InvisibleTime, required)
	c.str("liteTopic", &h.LiteTopic, optional)
	c.bool("suspend", &h.Suspend, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *ChangeInvisibleTimeRequestHeader) Decode(f FieldSource) error {
	*h = ChangeInvisibleTimeRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ChangeInvisibleTimeRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ChangeInvisibleTimeResponseHeader is the header of the answer to CHANGE_MESSAGE_INVISIBLETIME.
type ChangeInvisibleTimeResponseHeader struct {
	PopTime       int64
	InvisibleTime int64
	ReviveQid     int32
}

func (h *ChangeInvisibleTimeResponseHeader) fields(c *fieldCodec) {
	c.int64("popTime", &h.PopTime, required)
	c.int64("invisibleTime", &h.InvisibleTime, required)
	c.int32("reviveQid", &h.ReviveQid, required)
}

// Decode reads the header from the fields of a command.
func (h *ChangeInvisibleTimeResponseHeader) Decode(f FieldSource) error {
	*h = ChangeInvisibleTimeResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ChangeInvisibleTimeResponseHeader) Encode(f FieldSink) { encode(f, h) }

// NotificationRequestHeader is the header of NOTIFICATION.
type NotificationRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	Topic         string
	QueueID       int32
	PollTime      int64
	BornTime      int64
	Order         Optional[bool]
	AttemptID     string
	ExpType       string
	Exp           string
}

func (h *NotificationRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	c.int64("pollTime", &h.PollTime, required)
	c.int64("bornTime", &h.BornTime, required)
	c.optBool("order", &h.Order)
	c.str("attemptId", &h.AttemptID, optional)
	c.str("expType", &h.ExpType, optional)
	c.str("exp", &h.Exp, optional)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *NotificationRequestHeader) Decode(f FieldSource) error {
	*h = NotificationRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *NotificationRequestHeader) Encode(f FieldSink) { encode(f, h) }

// NotificationResponseHeader is the header of the answer to NOTIFICATION.
type NotificationResponseHeader struct {
	HasMsg      bool
	PollingFull bool
}

func (h *NotificationResponseHeader) fields(c *fieldCodec) {
	c.bool("hasMsg", &h.HasMsg, required)
	c.bool("pollingFull", &h.PollingFull, optional)
}

// Decode reads the header from the fields of a command.
func (h *NotificationResponseHeader) Decode(f FieldSource) error {
	*h = NotificationResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *NotificationResponseHeader) Encode(f FieldSink) { encode(f, h) }

// PollingInfoRequestHeader is the header of POLLING_INFO.
type PollingInfoRequestHeader struct {
	TopicHeader
	ConsumerGroup string
	Topic         string
	QueueID       int32
}

func (h *PollingInfoRequestHeader) fields(c *fieldCodec) {
	c.str("consumerGroup", &h.ConsumerGroup, required)
	c.str("topic", &h.Topic, required)
	c.int32("queueId", &h.QueueID, required)
	h.TopicHeader.fields(c)
}

// Decode reads the header from the fields of a command.
func (h *PollingInfoRequestHeader) Decode(f FieldSource) error {
	*h = PollingInfoRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *PollingInfoRequestHeader) Encode(f FieldSink) { encode(f, h) }

// PollingInfoResponseHeader is the header of the answer to POLLING_INFO.
type PollingInfoResponseHeader struct {
	PollingNum int32
}

func (h *PollingInfoResponseHeader) fields(c *fieldCodec) {
	c.int32("pollingNum", &h.PollingNum, required)
}

// Decode reads the header from the fields of a command.
func (h *PollingInfoResponseHeader) Decode(f FieldSource) error {
	*h = PollingInfoResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *PollingInfoResponseHeader) Encode(f FieldSink) { encode(f, h) }

// BatchAck acknowledges messages of one checkpoint: those at StartOffset plus the numbers of the bits that are set, the
// lowest bit of the first byte first.
type BatchAck struct {
	ConsumerGroup string `json:"c"`
	Topic         string `json:"t"`
	Retry         string `json:"r"` // "0" the topic itself, "1" or "2" its retry topic of that version
	StartOffset   int64  `json:"so"`
	QueueID       int32  `json:"q"`
	ReviveQueueID int32  `json:"rq"`
	PopTime       int64  `json:"pt"`
	InvisibleTime int64  `json:"it"`
	Bits          []byte `json:"b"`
}

// BatchAckMessageRequestBody is the body of BATCH_ACK_MESSAGE.
type BatchAckMessageRequestBody struct {
	BrokerName string     `json:"brokerName"`
	Acks       []BatchAck `json:"acks"`
}
