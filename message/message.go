package message

import (
	"errors"
	"net/netip"
	"strings"
)

// PhyOffset is the position of a byte in the commit log.
type PhyOffset int64

// QueueOffset is the position of an entry in a consume queue.
type QueueOffset int64

// Message is a message on its way into the store, or one decoded from it (Java:
// MessageExtBrokerInner and MessageExt).
type Message struct {
	// Topic names the topic; see [Message.Check] for what it may be.
	Topic string
	// QueueID is the queue within the topic.
	QueueID int32
	// Flag belongs to the application; the store keeps it as it is.
	Flag int32
	// SysFlag holds the agreed bits. The two IPv6 bits are set by the encoder, from the hosts.
	SysFlag SysFlag
	// BornTimestamp is the client's time of sending, in Unix milliseconds.
	BornTimestamp int64
	// BornHost is the client, StoreHost the broker. The zero value is stored as 0.0.0.0:0.
	BornHost, StoreHost netip.AddrPort
	// ReconsumeTimes counts the deliveries that a consumer gave back.
	ReconsumeTimes int32
	// PreparedTransactionOffset is the place of the half message that this one ends.
	PreparedTransactionOffset PhyOffset
	// Body is stored as it is, compressed or not.
	Body []byte
	// Properties are in stored form.
	Properties Properties

	// StoreTimestamp (Unix milliseconds), PhyOffset and QueueOffset are set by the put, under the
	// log's append lock.
	StoreTimestamp int64
	PhyOffset      PhyOffset
	QueueOffset    QueueOffset
}

// The reasons for which [Message.Check] refuses a message; Java answers each with a status of its own.
var (
	ErrTopic              = errors.New("message: topic is empty, too long or not usable as a folder name")
	ErrBodyTooLarge       = errors.New("message: body exceeds the maximum size")
	ErrPropertiesTooLarge = errors.New("message: properties exceed 32767 bytes")
	ErrBodyNil            = errors.New("message: body is missing")
)

// Check tells whether the message may be stored: topic, size of the body (at most bodyMax bytes;
// an empty body is fine, a nil one is not) and of the properties.
func (m *Message) Check(bodyMax int) error {
	switch {
	case !validTopic(m.Topic):
		return ErrTopic
	case m.Body == nil:
		return ErrBodyNil
	case len(m.Body) > bodyMax:
		return ErrBodyTooLarge
	case len(m.Properties) > PropertiesLenMax:
		return ErrPropertiesTooLarge
	}
	return nil
}

// validTopic keeps Java's lengths (HookUtils.checkBeforePutMessage) and, since the topic becomes a
// folder of the consume queues, refuses what would leave or split that folder.
func validTopic(topic string) bool {
	lenMax := TopicLenMax
	if strings.HasPrefix(topic, RetryTopicPrefix) {
		lenMax = TopicLenMaxRetry
	}
	if len(topic) == 0 || len(topic) > lenMax || topic == "." || topic == ".." {
		return false
	}
	return strings.IndexByte(topic, '/') < 0 && strings.IndexByte(topic, 0) < 0
}

// Magic returns the magic code of the message's record: v2, with a two-byte topic length, for topics
// whose length Java could not read back from its signed byte.
func (m *Message) Magic() uint32 {
	if len(m.Topic) > topicLenMaxV1 {
		return MagicV2
	}
	return MagicV1
}

// RecordSize returns the size of the message's record.
func (m *Message) RecordSize() int {
	size := recordSizeFixed + len(m.Body) + len(m.Topic) + len(m.Properties)
	if len(m.Topic) > topicLenMaxV1 {
		size++
	}
	if isV6(m.BornHost) {
		size += hostSizeV6 - hostSizeV4
	}
	if isV6(m.StoreHost) {
		size += hostSizeV6 - hostSizeV4
	}
	return size
}
