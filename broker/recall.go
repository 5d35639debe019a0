package broker

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// recallTag is the tag of a message that recalls another.
const recallTag = "_RECALL_TAG_"

// A recallHandle is what a producer gets for a timer message, to recall it by: URL-safe Base64 of version, topic, broker,
// time and unique key, with spaces between (Java's RecallMessageHandle).
type recallHandle struct {
	topic, broker, time, key string
}

const recallVersion = "v1"

// String is the handle as clients have it.
func (h recallHandle) String() string {
	return base64.URLEncoding.EncodeToString([]byte(strings.Join([]string{recallVersion, h.topic, h.broker, h.time, h.key}, " ")))
}

// parseRecallHandle reads a handle; ok is false for a text that is none. As in Java the padding may be missing.
func parseRecallHandle(text string) (h recallHandle, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return recallHandle{}, false
	}
	parts := strings.Split(string(raw), " ")
	if len(parts) < 5 || parts[0] != recallVersion {
		return recallHandle{}, false
	}
	return recallHandle{topic: parts[1], broker: parts[2], time: parts[3], key: parts[4]}, true
}

// recallHandleOf is the handle of a message that waits for a time until it is put to topic. The time is behind that of its
// slot, so that the message that recalls it is rounded into the same one.
func (b *Broker) recallHandleOf(topic string, out int64, key []byte) string {
	if strings.HasPrefix(topic, message.RetryTopicPrefix) {
		return ""
	}
	return recallHandle{topic: topic, broker: b.options().BrokerName, time: strconv.FormatInt(out+1, 10), key: string(key)}.String()
}

// recall answers RECALL_MESSAGE: it puts a message into the slot of the one that is recalled, which keeps that from
// delivery (Java's RecallMessageProcessor).
func (b *Broker) recall(c *call) error {
	o := b.options()
	c.resp.Fields.AddBytes(message.PropertyRegion, []byte(o.RegionID))
	var req protocol.RecallMessageRequestHeader
	if err := c.header(&req); err != nil {
		return err
	}
	now := b.now().UnixMilli()
	switch {
	case !o.RecallMessageEnable:
		return refuse(protocol.NoPermission, "recall failed, operation is forbidden")
	case now < o.StartAcceptSendRequestTimeStamp, o.BrokerPermission&metadata.PermWrite == 0 && !o.AllowRecallWhenBrokerNotWriteable:
		return refuse(protocol.ServiceNotAvailable, "recall failed, broker service not available")
	case b.topics.Get(req.Topic) == nil:
		return refuse(protocol.TopicNotExist, "recall failed, the topic[%s] not exist", req.Topic)
	}
	h, ok := parseRecallHandle(req.RecallHandle)
	switch {
	case !ok:
		return refuse(protocol.IllegalOperation, "recall handle is invalid")
	case h.topic != req.Topic:
		return refuse(protocol.IllegalOperation, "recall failed, topic not match")
	case h.broker != o.BrokerName:
		return refuse(protocol.IllegalOperation, "recall failed, broker service not available")
	}
	at, err := strconv.ParseInt(h.time, 10, 64)
	if err != nil || at <= now || at-now >= o.TimerMaxDelaySec*1000 {
		return refuse(protocol.IllegalOperation, "recall failed, timestamp invalid")
	}
	key := h.key
	if o.AppendTopicForTimerDeleteKey {
		key = h.topic + "+" + h.key
	}
	m := &message.Message{Topic: h.topic, Body: []byte("0"), BornTimestamp: now, BornHost: c.conn.RemoteAddr(), StoreHost: b.storeHost}
	for _, p := range [][2]string{
		{message.PropertyTags, recallTag}, {message.PropertyTimerDeleteKey, key}, {message.PropertyUniqueKey, h.key},
		{message.PropertyTimerDeliverTime, h.time}, {message.PropertyBornTimestamp, strconv.FormatInt(now, 10)},
		{message.PropertyTraceContext, ""}, {message.PropertyProducerGroup, req.ProducerGroup},
	} {
		m.Properties = message.AppendProperty(m.Properties, p[0], p[1])
	}
	if _, err := b.timers.divert(m, o); err != nil {
		return refuse(protocol.SystemError, "recall failed, execute error: %v", err)
	}
	switch r := b.put(m); r.Status {
	case engine.PutOK, engine.FlushDiskTimeout, engine.FlushSlaveTimeout, engine.SlaveNotAvailable:
	default:
		return refuse(protocol.SystemError, "recall failed, execute error: %v: %v", r.Status, r.Err)
	}
	(&protocol.RecallMessageResponseHeader{MsgID: h.key}).Encode(&c.resp.Fields)
	return nil
}
