package pop

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// The records of the revive log are messages of the topic rmq_sys_REVIVE_LOG_<cluster>, told apart by their tag; the body
// is a JSON object whose members are in the order of the alphabet:
//
//	tag   body
//	ck    {"bm":0,"bn":broker,"c":group,"d":[offset-start,...],"it":invisibleMs,"n":count,"pt":popMs,"q":queue,
//	       "reviveTime":pt+it,"ro":0,"rp":"tries","so":start,"sp":suspended,"t":topic}       rp only when not first
//	ack   {"ao":offset,"bn":broker,"c":group,"pt":popMs,"q":queue,"so":start,"t":topic}
//	bAck  the same with ao -1 and "aol":[offset,...] before ao
//
// A record that came by way of the timer has the property TIMER_OUT_MS, and was written when its time had come, as Java
// does with each; one without was written at once.
const (
	TagCheckpoint = "ck"
	TagAck        = "ack"
	TagBatchAck   = "bAck"
)

// CheckpointMax is the most messages that one checkpoint can cover: it has a bit for each.
const CheckpointMax = 32

// maxRecord bounds the bytes of a record that is believed: names are short, and lists have at most CheckpointMax numbers.
const maxRecord = 16 << 10

// A Key names a checkpoint (Java's merge key).
type Key struct {
	Topic, Group string
	Queue        int32
	Start        int64
	PopTime      int64 // Unix ms
	BrokerName   string
}

// A Checkpoint says that messages of one queue were given out to a group, and until when.
type Checkpoint struct {
	Key
	InvisibleTime int64   // ms
	Offsets       []int64 // of the messages, growing, at or after Start; at most CheckpointMax
	Tries         int32   // how often it was written again since its messages could not be made visible
	Suspended     bool    // the consumer put the message off: to come again does not count as a failure
}

// VisibleAt is the time at which the messages come again unless acknowledged, in Unix ms.
func (c *Checkpoint) VisibleAt() int64 { return c.PopTime + c.InvisibleTime }

// An Ack says that some messages of a checkpoint are done.
type Ack struct {
	Key
	Offsets []int64
}

// AppendCheckpoint adds the body of the checkpoint's record.
func AppendCheckpoint(dst []byte, c *Checkpoint) []byte {
	dst = appendString(append(dst, `{"bm":0,"bn":`...), c.BrokerName)
	dst = appendString(append(dst, `,"c":`...), c.Group)
	dst = append(dst, `,"d":[`...)
	for i, offset := range c.Offsets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, offset-c.Start, 10)
	}
	dst = strconv.AppendInt(append(dst, `],"it":`...), c.InvisibleTime, 10)
	dst = strconv.AppendInt(append(dst, `,"n":`...), int64(len(c.Offsets)), 10)
	dst = strconv.AppendInt(append(dst, `,"pt":`...), c.PopTime, 10)
	dst = strconv.AppendInt(append(dst, `,"q":`...), int64(c.Queue), 10)
	dst = strconv.AppendInt(append(dst, `,"reviveTime":`...), c.VisibleAt(), 10)
	dst = append(dst, `,"ro":0`...)
	if c.Tries > 0 {
		dst = strconv.AppendInt(append(dst, `,"rp":"`...), int64(c.Tries), 10)
		dst = append(dst, '"')
	}
	dst = strconv.AppendInt(append(dst, `,"so":`...), c.Start, 10)
	dst = strconv.AppendBool(append(dst, `,"sp":`...), c.Suspended)
	dst = appendString(append(dst, `,"t":`...), c.Topic)
	return append(dst, '}')
}

// AppendAck adds the body of the record of a: that of TagAck when it has one offset, else that of TagBatchAck.
func AppendAck(dst []byte, a *Ack) []byte {
	dst = append(dst, '{')
	if len(a.Offsets) == 1 {
		dst = strconv.AppendInt(append(dst, `"ao":`...), a.Offsets[0], 10)
	} else {
		dst = append(dst, `"ao":-1,"aol":[`...)
		for i, offset := range a.Offsets {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, offset, 10)
		}
		dst = append(dst, ']')
	}
	dst = appendString(append(dst, `,"bn":`...), a.BrokerName)
	dst = appendString(append(dst, `,"c":`...), a.Group)
	dst = strconv.AppendInt(append(dst, `,"pt":`...), a.PopTime, 10)
	dst = strconv.AppendInt(append(dst, `,"q":`...), int64(a.Queue), 10)
	dst = strconv.AppendInt(append(dst, `,"so":`...), a.Start, 10)
	dst = appendString(append(dst, `,"t":`...), a.Topic)
	return append(dst, '}')
}

// Tag is the tag of the record of a.
func (a *Ack) Tag() string {
	if len(a.Offsets) == 1 {
		return TagAck
	}
	return TagBatchAck
}

// AppendCheckpointID adds the unique key of the checkpoint's record.
func AppendCheckpointID(dst []byte, c *Checkpoint) []byte {
	return appendID(dst, &c.Key, c.Start, TagCheckpoint)
}

// AppendAckID adds the unique key of the record of a. For a batch it is that of its missing single offset, as in Java.
func AppendAckID(dst []byte, a *Ack) []byte {
	offset := int64(-1)
	if len(a.Offsets) == 1 {
		offset = a.Offsets[0]
	}
	return appendID(dst, &a.Key, offset, TagAck)
}

func appendID(dst []byte, k *Key, offset int64, tag string) []byte {
	dst = append(append(dst, k.Topic...), '@')
	dst = append(strconv.AppendInt(dst, int64(k.Queue), 10), '@')
	dst = append(strconv.AppendInt(dst, offset, 10), '@')
	dst = append(append(dst, k.Group...), '@')
	dst = append(strconv.AppendInt(dst, k.PopTime, 10), '@')
	dst = append(append(dst, k.BrokerName...), '@')
	return append(dst, tag...)
}

// appendString adds a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			quoted, _ := json.Marshal(s) // of a string: never an error
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// checkpointBody is a checkpoint as JSON. Old brokers wrote no d: the offsets then follow one another.
type checkpointBody struct {
	BitMap        int32   `json:"bm"`
	BrokerName    string  `json:"bn"`
	Group         string  `json:"c"`
	Diffs         []int64 `json:"d"`
	InvisibleTime int64   `json:"it"`
	Count         int32   `json:"n"`
	PopTime       int64   `json:"pt"`
	Queue         int32   `json:"q"`
	Tries         string  `json:"rp"`
	Start         int64   `json:"so"`
	Suspended     bool    `json:"sp"`
	Topic         string  `json:"t"`
}

// DecodeCheckpoint reads the body of a checkpoint's record.
func DecodeCheckpoint(body []byte) (*Checkpoint, error) {
	if len(body) > maxRecord {
		return nil, fmt.Errorf("checkpoint of %d bytes", len(body))
	}
	var b checkpointBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if b.Count < 0 || b.Count > CheckpointMax || len(b.Diffs) != 0 && len(b.Diffs) != int(b.Count) {
		return nil, fmt.Errorf("checkpoint of %d messages with %d offsets", b.Count, len(b.Diffs))
	}
	c := &Checkpoint{
		Key:           Key{b.Topic, b.Group, b.Queue, b.Start, b.PopTime, b.BrokerName},
		InvisibleTime: b.InvisibleTime, Suspended: b.Suspended, Offsets: make([]int64, 0, b.Count),
	}
	if err := c.Key.check(); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if b.InvisibleTime < 0 || b.InvisibleTime > math.MaxInt64-b.PopTime {
		return nil, fmt.Errorf("checkpoint with invisible time %d", b.InvisibleTime)
	}
	if b.Tries != "" {
		tries, err := strconv.ParseInt(b.Tries, 10, 8)
		if err != nil || tries < 0 {
			tries = math.MaxInt8 // as Java takes it
		}
		c.Tries = int32(tries)
	}
	last := b.Start - 1
	for i := range int(b.Count) {
		diff := int64(i)
		if len(b.Diffs) > 0 {
			diff = b.Diffs[i]
		}
		if diff < 0 || diff > math.MaxInt64-b.Start || b.Start+diff <= last {
			return nil, fmt.Errorf("checkpoint whose offsets do not grow: %d", diff)
		}
		last = b.Start + diff
		if uint32(b.BitMap)>>i&1 == 0 {
			c.Offsets = append(c.Offsets, last)
		}
	}
	return c, nil
}

func (k *Key) check() error {
	switch {
	case k.Topic == "" || k.Group == "":
		return fmt.Errorf("no topic or no group")
	case k.Queue < 0 || k.Start < 0 || k.PopTime < 0:
		return fmt.Errorf("queue %d, start %d, time %d", k.Queue, k.Start, k.PopTime)
	}
	return nil
}

// ackBody is an ack as JSON; the long names are those of old brokers.
type ackBody struct {
	Offset     *int64  `json:"ao"`
	OldOffset  *int64  `json:"ackOffset"`
	Offsets    []int64 `json:"aol"`
	OldOffsets []int64 `json:"ackOffsetList"`
	BrokerName string  `json:"bn"`
	OldBroker  string  `json:"brokerName"`
	Group      string  `json:"c"`
	OldGroup   string  `json:"consumerGroup"`
	PopTime    int64   `json:"pt"`
	OldPopTime int64   `json:"popTime"`
	Queue      int32   `json:"q"`
	OldQueue   int32   `json:"queueId"`
	Start      int64   `json:"so"`
	OldStart   int64   `json:"startOffset"`
	Topic      string  `json:"t"`
	OldTopic   string  `json:"topic"`
}

// DecodeAck reads the body of the record of an ack, of either tag. Without a broker's name it has brokerName.
func DecodeAck(body []byte, brokerName string) (*Ack, error) {
	if len(body) > maxRecord {
		return nil, fmt.Errorf("ack of %d bytes", len(body))
	}
	var b ackBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("ack: %w", err)
	}
	a := &Ack{Key: Key{
		Topic: either(b.Topic, b.OldTopic), Group: either(b.Group, b.OldGroup), Queue: either(b.Queue, b.OldQueue),
		Start: either(b.Start, b.OldStart), PopTime: either(b.PopTime, b.OldPopTime),
		BrokerName: either(either(b.BrokerName, b.OldBroker), brokerName),
	}}
	if err := a.Key.check(); err != nil {
		return nil, fmt.Errorf("ack: %w", err)
	}
	a.Offsets = append(b.Offsets, b.OldOffsets...)
	for _, single := range []*int64{b.Offset, b.OldOffset} {
		if single != nil && len(a.Offsets) == 0 {
			a.Offsets = append(a.Offsets, *single)
		}
	}
	for _, offset := range a.Offsets {
		if offset < 0 {
			return nil, fmt.Errorf("ack of offset %d", offset)
		}
	}
	return a, nil
}

func either[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}
