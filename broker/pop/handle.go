package pop

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rocketlog/rocketlog/message"
)

// OrderQueue as the revive queue of a receipt says that the message was given out in order, and is not in the revive log
// (Java: KeyBuilder.POP_ORDER_REVIVE_QUEUE).
const OrderQueue = 999

// Source says which topic a message was popped from, as receipts do.
type Source int8

// The sources: the topic itself, or the group's retry topic for it by either name.
const (
	FromTopic Source = iota
	FromRetryV1
	FromRetryV2
)

// WholeTopic as the queue of a pop is all queues of the topic.
const WholeTopic = -1

// SourceOf tells a topic's source by its name. Any retry topic without the separator of the second form counts as one of
// the first, as in Java.
func SourceOf(topic string) Source {
	switch {
	case !strings.HasPrefix(topic, message.RetryTopicPrefix):
		return FromTopic
	case strings.Contains(topic, "+"):
		return FromRetryV2
	default:
		return FromRetryV1
	}
}

// RetryTopicV1 is the topic in which messages of topic come to the group again.
func RetryTopicV1(topic, group string) string { return message.RetryTopicPrefix + group + "_" + topic }

// RetryTopicV2 is the same in the form that can be taken apart again.
func RetryTopicV2(topic, group string) string { return message.RetryTopicPrefix + group + "+" + topic }

// RetryTopics are both, as a group may have messages in either.
func RetryTopics(topic, group string) [2]string {
	return [2]string{RetryTopicV1(topic, group), RetryTopicV2(topic, group)}
}

// Topic is where messages of topic for the group lie that came from s.
func (s Source) Topic(topic, group string) string {
	switch s {
	case FromRetryV1:
		return RetryTopicV1(topic, group)
	case FromRetryV2:
		return RetryTopicV2(topic, group)
	default:
		return topic
	}
}

// NormalTopic is the topic that a retry topic of the group stands for; any other topic stands for itself.
func NormalTopic(topic, group string) string {
	rest, ok := strings.CutPrefix(topic, message.RetryTopicPrefix+group)
	if !ok || rest == "" || rest[0] != '+' && rest[0] != '_' {
		return topic
	}
	return rest[1:]
}

// A Handle is the receipt of one message, in the client's hands as text (the property POP_CK, and extraInfo of requests):
//
//	startOffset popTime invisibleTime reviveQueue source brokerName [queueID [queueOffset [more]]]
//
// separated by single spaces. The first six name the checkpoint; clients of old send only those.
type Handle struct {
	StartOffset   int64 // of the checkpoint
	PopTime       int64 // Unix ms
	InvisibleTime int64 // ms
	ReviveQueue   int32 // of the checkpoint's record; OrderQueue: none
	Source        Source
	BrokerName    string
	QueueID       int32
	QueueOffset   int64 // of the message; -1 when the text ends before it
}

// handleFields is the number of fields that every receipt has.
const handleFields = 6

// ParseHandle reads a receipt.
func ParseHandle(text string) (Handle, error) {
	h := Handle{QueueOffset: -1}
	fields := strings.SplitN(text, " ", handleFields+3)
	if len(fields) < handleFields {
		return h, fmt.Errorf("receipt %.200q has %d fields, at least %d are needed", text, len(fields), handleFields)
	}
	numbers := [...]struct {
		at, bits int
		set      func(int64)
	}{
		{0, 64, func(n int64) { h.StartOffset = n }},
		{1, 64, func(n int64) { h.PopTime = n }},
		{2, 64, func(n int64) { h.InvisibleTime = n }},
		{3, 32, func(n int64) { h.ReviveQueue = int32(n) }},
		{4, 8, func(n int64) { h.Source = Source(n) }},
		{6, 32, func(n int64) { h.QueueID = int32(n) }},
		{7, 64, func(n int64) { h.QueueOffset = n }},
	}
	for _, f := range numbers {
		if f.at >= len(fields) {
			break
		}
		n, err := strconv.ParseInt(fields[f.at], 10, f.bits)
		if err != nil {
			return h, fmt.Errorf("receipt %.200q: field %d: %w", text, f.at, err)
		}
		f.set(n)
	}
	h.BrokerName = fields[5]
	switch {
	case h.StartOffset < 0 || h.PopTime < 0 || h.InvisibleTime < 0 || h.ReviveQueue < 0:
		return h, fmt.Errorf("receipt %.200q has a negative field", text)
	case h.PopTime+h.InvisibleTime < h.PopTime:
		return h, fmt.Errorf("receipt %.200q ends after all time", text)
	}
	return h, nil
}

// Ordered tells whether the message was given out in order.
func (h *Handle) Ordered() bool { return h.ReviveQueue == OrderQueue }

// VisibleAt is the time at which the message comes again, in Unix ms.
func (h *Handle) VisibleAt() int64 { return h.PopTime + h.InvisibleTime }

// Append adds the receipt with all its fields.
func (h *Handle) Append(dst []byte) []byte {
	dst = strconv.AppendInt(dst, h.StartOffset, 10)
	for _, n := range [...]int64{h.PopTime, h.InvisibleTime, int64(h.ReviveQueue), int64(h.Source)} {
		dst = strconv.AppendInt(append(dst, ' '), n, 10)
	}
	dst = append(append(dst, ' '), h.BrokerName...)
	dst = strconv.AppendInt(append(dst, ' '), int64(h.QueueID), 10)
	return strconv.AppendInt(append(dst, ' '), h.QueueOffset, 10)
}

// AppendStartOffset adds the entry of a queue to startOffsetInfo of a pop's answer: "source queue startOffset", entries
// separated by semicolons. A client refuses two of the same source and queue.
func AppendStartOffset(dst []byte, s Source, queue int32, start int64) []byte {
	return strconv.AppendInt(appendEntry(dst, s, queue), start, 10)
}

// AppendMessageOffsets adds the entry of a queue to msgOffsetInfo of a pop's answer: "source queue offset,offset,...".
func AppendMessageOffsets(dst []byte, s Source, queue int32, offsets []int64) []byte {
	dst = appendEntry(dst, s, queue)
	for i, offset := range offsets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, offset, 10)
	}
	return dst
}

func appendEntry(dst []byte, s Source, queue int32) []byte {
	if len(dst) > 0 {
		dst = append(dst, ';')
	}
	dst = strconv.AppendInt(dst, int64(s), 10)
	dst = strconv.AppendInt(append(dst, ' '), int64(queue), 10)
	return append(dst, ' ')
}

// AppendOrderCount adds the entry of one message to orderCountInfo of a pop's answer: "source qo<queue>%<offset> count",
// where count says how often the message was given out before.
func AppendOrderCount(dst []byte, s Source, queue int32, offset int64, count int32) []byte {
	if len(dst) > 0 {
		dst = append(dst, ';')
	}
	dst = strconv.AppendInt(dst, int64(s), 10)
	dst = strconv.AppendInt(append(dst, " qo"...), int64(queue), 10)
	dst = strconv.AppendInt(append(dst, '%'), offset, 10)
	return strconv.AppendInt(append(dst, ' '), int64(count), 10)
}

// AppendQueueOrderCount adds the entry of a queue, the least count of its messages, which old clients go by.
func AppendQueueOrderCount(dst []byte, s Source, queue int32, count int32) []byte {
	return strconv.AppendInt(appendEntry(dst, s, queue), int64(count), 10)
}
