package protocol

// The headers of sending. They are on the hot path: their text fields alias the command's bytes, and neither decoding nor
// encoding allocates.

// SendMessageRequestHeader is the header of SEND_MESSAGE, and by its short names (Java's SendMessageRequestHeaderV2) of
// SEND_MESSAGE_V2, SEND_BATCH_MESSAGE and SEND_REPLY_MESSAGE_V2. Decode reads the long names, DecodeV2 the short ones.
//
//	short  long                    short  long
//	a      producerGroup           h      flag
//	b      topic                   i      properties
//	c      defaultTopic            j      reconsumeTimes
//	d      defaultTopicQueueNums   k      unitMode
//	e      queueId                 l      maxReconsumeTimes
//	f      sysFlag                 m      batch
//	g      bornTimestamp           n      bname
type SendMessageRequestHeader struct {
	ProducerGroup         []byte // borrowed from the command
	Topic                 []byte // borrowed from the command
	DefaultTopic          []byte // borrowed from the command
	DefaultTopicQueueNums int32
	QueueID               int32
	SysFlag               int32
	BornTimestamp         int64
	Flag                  int32
	Properties            []byte // borrowed from the command
	ReconsumeTimes        Optional[int32]
	UnitMode              bool
	MaxReconsumeTimes     Optional[int32]
	Batch                 bool
	BrokerName            []byte // borrowed from the command
}

// sendFields are the long names in the order of the short ones, from a on.
var sendFields = [...]string{
	"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag", "bornTimestamp", "flag",
	"properties", "reconsumeTimes", "unitMode", "maxReconsumeTimes", "batch", "bname",
}

const sendShortNames = "abcdefghijklmn"

var _ = [1]struct{}{}[len(sendShortNames)-len(sendFields)]

// sendRequired has the bit of each field that must be there: a to h.
const sendRequired = 1<<8 - 1

// Decode reads the header by its long names.
func (h *SendMessageRequestHeader) Decode(f FieldSource) error {
	*h = SendMessageRequestHeader{}
	seen := 0
	for i := range f.Len() {
		name, value := f.At(i)
		if k := sendFieldIndex(name); k >= 0 {
			seen |= 1 << k
			if !h.set(k, value) {
				return fieldError(sendFields[k], value, "is no number of its size")
			}
		}
	}
	return sendMissing(seen, sendFields[:])
}

// DecodeV2 reads the header by its short names.
func (h *SendMessageRequestHeader) DecodeV2(f FieldSource) error {
	*h = SendMessageRequestHeader{}
	seen := 0
	for i := range f.Len() {
		name, value := f.At(i)
		if len(name) != 1 || name[0] < 'a' || name[0] > 'n' {
			continue
		}
		k := int(name[0] - 'a')
		seen |= 1 << k
		if !h.set(k, value) {
			return fieldError(sendShortNames[k:k+1]+" ("+sendFields[k]+")", value, "is no number of its size")
		}
	}
	return sendMissing(seen, sendFields[:])
}

func sendFieldIndex(name []byte) int {
	for k, want := range sendFields {
		if string(name) == want {
			return k
		}
	}
	return -1
}

func sendMissing(seen int, names []string) error {
	if seen&sendRequired == sendRequired {
		return nil
	}
	for k, name := range names {
		if seen&(1<<k) == 0 {
			return fieldError(name, nil, "is missing")
		}
	}
	return nil
}

// set stores the k-th field; false when it is no number of its size.
func (h *SendMessageRequestHeader) set(k int, value []byte) (ok bool) {
	ok = true
	switch k {
	case 0:
		h.ProducerGroup = value
	case 1:
		h.Topic = value
	case 2:
		h.DefaultTopic = value
	case 3:
		h.DefaultTopicQueueNums, ok = parseInt32(value)
	case 4:
		h.QueueID, ok = parseInt32(value)
	case 5:
		h.SysFlag, ok = parseInt32(value)
	case 6:
		h.BornTimestamp, ok = parseInt(value, 64)
	case 7:
		h.Flag, ok = parseInt32(value)
	case 8:
		h.Properties = value
	case 9:
		h.ReconsumeTimes.Value, ok = parseInt32(value)
		h.ReconsumeTimes.Present = ok
	case 10:
		h.UnitMode = parseBool(value)
	case 11:
		h.MaxReconsumeTimes.Value, ok = parseInt32(value)
		h.MaxReconsumeTimes.Present = ok
	case 12:
		h.Batch = parseBool(value)
	case 13:
		h.BrokerName = value
	}
	return ok
}

// Encode adds the header by its long names.
func (h *SendMessageRequestHeader) Encode(f FieldSink) { h.encode(f, &sendFields) }

// EncodeV2 adds the header by its short names.
func (h *SendMessageRequestHeader) EncodeV2(f FieldSink) { h.encode(f, &sendShortFields) }

var sendShortFields = [len(sendFields)]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"}

func (h *SendMessageRequestHeader) encode(f FieldSink, names *[len(sendFields)]string) {
	f.AddBytes(names[0], h.ProducerGroup)
	f.AddBytes(names[1], h.Topic)
	f.AddBytes(names[2], h.DefaultTopic)
	f.AddInt(names[3], int64(h.DefaultTopicQueueNums))
	f.AddInt(names[4], int64(h.QueueID))
	f.AddInt(names[5], int64(h.SysFlag))
	f.AddInt(names[6], h.BornTimestamp)
	f.AddInt(names[7], int64(h.Flag))
	addBytes(f, names[8], h.Properties)
	addOptInt32(f, names[9], h.ReconsumeTimes)
	f.AddBool(names[10], h.UnitMode)
	addOptInt32(f, names[11], h.MaxReconsumeTimes)
	f.AddBool(names[12], h.Batch)
	addBytes(f, names[13], h.BrokerName)
}

// SendMessageResponseHeader is the header of the answers to all kinds of sends.
type SendMessageResponseHeader struct {
	MsgID         []byte // the offset message id; several, with commas between, for a batch
	QueueID       int32
	QueueOffset   int64
	TransactionID []byte
	BatchUniqID   []byte
	RecallHandle  []byte
}

// Decode reads the header from the fields of a command.
func (h *SendMessageResponseHeader) Decode(f FieldSource) error {
	*h = SendMessageResponseHeader{}
	const wanted = 1<<3 - 1
	seen, ok := 0, true
	for i := range f.Len() {
		name, value := f.At(i)
		switch string(name) {
		case "msgId":
			h.MsgID = value
			seen |= 1
		case "queueId":
			h.QueueID, ok = parseInt32(value)
			seen |= 2
		case "queueOffset":
			h.QueueOffset, ok = parseInt(value, 64)
			seen |= 4
		case "transactionId":
			h.TransactionID = value
		case "batchUniqId":
			h.BatchUniqID = value
		case "recallHandle":
			h.RecallHandle = value
		}
		if !ok {
			return fieldError(string(name), value, "is no number of its size")
		}
	}
	if seen != wanted {
		return fieldError("msgId, queueId or queueOffset", nil, "is missing")
	}
	return nil
}

// Encode adds the header to the fields of a command.
func (h *SendMessageResponseHeader) Encode(f FieldSink) {
	f.AddBytes("msgId", h.MsgID)
	f.AddInt("queueId", int64(h.QueueID))
	f.AddInt("queueOffset", h.QueueOffset)
	addBytes(f, "transactionId", h.TransactionID)
	addBytes(f, "batchUniqId", h.BatchUniqID)
	addBytes(f, "recallHandle", h.RecallHandle)
}

func parseInt32(b []byte) (int32, bool) {
	v, ok := parseInt(b, 32)
	return int32(v), ok
}

func addBytes(f FieldSink, name string, value []byte) {
	if len(value) > 0 {
		f.AddBytes(name, value)
	}
}

func addOptInt32(f FieldSink, name string, v Optional[int32]) {
	if v.Present {
		f.AddInt(name, int64(v.Value))
	}
}

func addOptInt64(f FieldSink, name string, v Optional[int64]) {
	if v.Present {
		f.AddInt(name, v.Value)
	}
}
