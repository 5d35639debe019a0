package protocol

// The headers of pulling. They are on the hot path, as those of sending are.

// PullMessageRequestHeader is the header of PULL_MESSAGE and LITE_PULL_MESSAGE.
type PullMessageRequestHeader struct {
	ConsumerGroup        []byte // borrowed from the command
	Topic                []byte // borrowed from the command
	LiteTopic            []byte // borrowed from the command
	QueueID              int32
	QueueOffset          int64
	MaxMsgNums           int32
	SysFlag              PullSysFlag
	CommitOffset         int64
	SuspendTimeoutMillis int64
	Subscription         []byte // borrowed from the command
	SubVersion           int64
	ExpressionType       []byte // borrowed from the command; empty means TAG
	MaxMsgBytes          Optional[int32]
	RequestSource        Optional[int32] // 0: the broker itself or a consumer, 1: proxy
	ProxyForwardClientID []byte          // proxyFrowardClientId (sic); borrowed from the command
	Logical              Optional[bool]  // lo
	BrokerName           []byte          // bname; borrowed from the command
}

// PullSysFlag says what a pull asks for besides messages.
type PullSysFlag int32

// The bits of a PullSysFlag.
const (
	PullCommitOffset PullSysFlag = 1 << iota // CommitOffset is to be stored as the group's offset
	PullSuspend                              // wait up to SuspendTimeoutMillis when there is no message
	PullSubscription                         // Subscription is there
	PullClassFilter
	PullLite
)

// Has says whether all the bits of f are set.
func (s PullSysFlag) Has(f PullSysFlag) bool { return s&f == f }

// Decode reads the header from the fields of a command.
func (h *PullMessageRequestHeader) Decode(f FieldSource) error {
	*h = PullMessageRequestHeader{}
	const wanted = 1<<9 - 1
	seen := 0
	for i := range f.Len() {
		name, value := f.At(i)
		bit, ok := h.set(name, value)
		if !ok {
			return fieldError(string(name), value, "is no number of its size")
		}
		seen |= bit
	}
	if seen == wanted {
		return nil
	}
	for k, name := range [...]string{"consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag",
		"commitOffset", "suspendTimeoutMillis", "subVersion"} {
		if seen&(1<<k) == 0 {
			return fieldError(name, nil, "is missing")
		}
	}
	return nil
}

// set stores a field and returns its bit among the required ones.
func (h *PullMessageRequestHeader) set(name, value []byte) (bit int, ok bool) {
	ok = true
	switch string(name) {
	case "consumerGroup":
		h.ConsumerGroup, bit = value, 1<<0
	case "topic":
		h.Topic, bit = value, 1<<1
	case "queueId":
		bit = 1 << 2
		h.QueueID, ok = parseInt32(value)
	case "queueOffset":
		bit = 1 << 3
		h.QueueOffset, ok = parseInt(value, 64)
	case "maxMsgNums":
		bit = 1 << 4
		h.MaxMsgNums, ok = parseInt32(value)
	case "sysFlag":
		bit = 1 << 5
		var flag int32
		flag, ok = parseInt32(value)
		h.SysFlag = PullSysFlag(flag)
	case "commitOffset":
		bit = 1 << 6
		h.CommitOffset, ok = parseInt(value, 64)
	case "suspendTimeoutMillis":
		bit = 1 << 7
		h.SuspendTimeoutMillis, ok = parseInt(value, 64)
	case "subVersion":
		bit = 1 << 8
		h.SubVersion, ok = parseInt(value, 64)
	default:
		ok = h.setOptional(name, value)
	}
	return bit, ok
}

func (h *PullMessageRequestHeader) setOptional(name, value []byte) (ok bool) {
	ok = true
	switch string(name) {
	case "subscription":
		h.Subscription = value
	case "expressionType":
		h.ExpressionType = value
	case "bname":
		h.BrokerName = value
	case "lo":
		h.Logical = Some(parseBool(value))
	case "maxMsgBytes":
		h.MaxMsgBytes.Value, ok = parseInt32(value)
		h.MaxMsgBytes.Present = ok
	case "requestSource":
		h.RequestSource.Value, ok = parseInt32(value)
		h.RequestSource.Present = ok
	case "liteTopic":
		h.LiteTopic = value
	case "proxyFrowardClientId":
		h.ProxyForwardClientID = value
	}
	return ok
}

// Encode adds the header to the fields of a command.
func (h *PullMessageRequestHeader) Encode(f FieldSink) {
	f.AddBytes("consumerGroup", h.ConsumerGroup)
	f.AddBytes("topic", h.Topic)
	addBytes(f, "liteTopic", h.LiteTopic)
	f.AddInt("queueId", int64(h.QueueID))
	f.AddInt("queueOffset", h.QueueOffset)
	f.AddInt("maxMsgNums", int64(h.MaxMsgNums))
	f.AddInt("sysFlag", int64(h.SysFlag))
	f.AddInt("commitOffset", h.CommitOffset)
	f.AddInt("suspendTimeoutMillis", h.SuspendTimeoutMillis)
	addBytes(f, "subscription", h.Subscription)
	f.AddInt("subVersion", h.SubVersion)
	addBytes(f, "expressionType", h.ExpressionType)
	addOptInt32(f, "maxMsgBytes", h.MaxMsgBytes)
	addOptInt32(f, "requestSource", h.RequestSource)
	addBytes(f, "proxyFrowardClientId", h.ProxyForwardClientID)
	if h.Logical.Present {
		f.AddBool("lo", h.Logical.Value)
	}
	addBytes(f, "bname", h.BrokerName)
}

// PullMessageResponseHeader is the header of the answers to a pull.
type PullMessageResponseHeader struct {
	SuggestWhichBrokerID int64
	NextBeginOffset      int64
	MinOffset            int64
	MaxOffset            int64
	OffsetDelta          Optional[int64] // static topics: add to the offsets in the records
	TopicSysFlag         Optional[int32]
	GroupSysFlag         Optional[int32]
	ForbiddenType        Optional[int32]
}

// Decode reads the header from the fields of a command.
func (h *PullMessageResponseHeader) Decode(f FieldSource) error {
	*h = PullMessageResponseHeader{}
	return decode(f, h)
}

func (h *PullMessageResponseHeader) fields(c *fieldCodec) {
	c.int64("suggestWhichBrokerId", &h.SuggestWhichBrokerID, required)
	c.int64("nextBeginOffset", &h.NextBeginOffset, required)
	c.int64("minOffset", &h.MinOffset, required)
	c.int64("maxOffset", &h.MaxOffset, required)
	c.optInt64("offsetDelta", &h.OffsetDelta)
	c.optInt32("topicSysFlag", &h.TopicSysFlag)
	c.optInt32("groupSysFlag", &h.GroupSysFlag)
	c.optInt32("forbiddenType", &h.ForbiddenType)
}

// Encode adds the header to the fields of a command.
func (h *PullMessageResponseHeader) Encode(f FieldSink) {
	f.AddInt("suggestWhichBrokerId", h.SuggestWhichBrokerID)
	f.AddInt("nextBeginOffset", h.NextBeginOffset)
	f.AddInt("minOffset", h.MinOffset)
	f.AddInt("maxOffset", h.MaxOffset)
	addOptInt64(f, "offsetDelta", h.OffsetDelta)
	addOptInt32(f, "topicSysFlag", h.TopicSysFlag)
	addOptInt32(f, "groupSysFlag", h.GroupSysFlag)
	addOptInt32(f, "forbiddenType", h.ForbiddenType)
}
