package message

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
)

// A light queue (Java: LMQ) is a topic of one queue that holds no messages of its own: those of other topics count in it as
// well, if their property INNER_MULTI_DISPATCH names it. INNER_MULTI_QUEUE_OFFSET has, in the same order, the offset in each.

// LightQueueID is the only queue of a light queue's topic.
const LightQueueID = 0

// lightSeparator stands between the names and the offsets of light queues (Java: MixAll.LMQ_DISPATCH_SEPARATOR).
const lightSeparator = ','

// lightNameMax is how long a name may be that becomes a folder.
const lightNameMax = 255

// IsLightQueue tells whether a topic, or a consumer group, is one of light queues.
func IsLightQueue[S string | []byte](name S) bool {
	return len(name) >= len(LMQPrefix) && string(name[:len(LMQPrefix)]) == LMQPrefix
}

// ValidLightQueue tells whether a message may name this light queue: Java passes over those whose name is no folder's.
func ValidLightQueue[S string | []byte](name S) bool {
	return IsLightQueue(name) && len(name) <= lightNameMax && strings.IndexByte(string(name), '/') < 0 && strings.IndexByte(string(name), 0) < 0
}

// AllowsLightQueues tells whether messages of a topic count in light queues (Java: MixAll.topicAllowsLMQ).
func AllowsLightQueues[S string | []byte](topic S) bool {
	t := string(topic)
	return !strings.HasPrefix(t, RetryTopicPrefix) && !strings.HasPrefix(t, SystemTopicPrefix) && t != ScheduleTopic
}

// LightQueueNames yields the names that INNER_MULTI_DISPATCH holds, as they are.
func LightQueueNames(names []byte) iter.Seq[[]byte] {
	return bytes.SplitSeq(lightList(names), []byte{lightSeparator})
}

// lightList takes the separators off the end, as Java's String.split does.
func lightList(list []byte) []byte { return bytes.TrimRight(list, string(lightSeparator)) }

// LightQueues yields the light queues that a record counts in, and its offset in each. Lists that do not agree name none,
// as in Java.
func (r Record) LightQueues() iter.Seq2[[]byte, QueueOffset] {
	return func(yield func([]byte, QueueOffset) bool) {
		d := r.Properties().Dispatch()
		for name, off := range d.LightQueues(r.Topic()) {
			if !yield(name, off) {
				return
			}
		}
	}
}

// OffsetIn returns the record's offset in a queue of the topic: its own, or the one in a light queue of that name.
func (r Record) OffsetIn(topic string) QueueOffset {
	if IsLightQueue(topic) && string(r.Topic()) != topic {
		for name, off := range r.LightQueues() {
			if string(name) == topic {
				return off
			}
		}
	}
	return r.QueueOffset()
}

// LightQueues is [Record.LightQueues] of a record of that topic.
func (d *DispatchProperties) LightQueues(topic []byte) iter.Seq2[[]byte, QueueOffset] {
	return func(yield func([]byte, QueueOffset) bool) {
		names, offsets := lightList(d.MultiDispatch), lightList(d.MultiQueueOffset)
		if len(names) == 0 || len(offsets) == 0 || !AllowsLightQueues(topic) ||
			bytes.Count(names, []byte{lightSeparator}) != bytes.Count(offsets, []byte{lightSeparator}) {
			return
		}
		for len(names) > 0 {
			var name, offset []byte
			name, names, _ = bytes.Cut(names, []byte{lightSeparator})
			offset, offsets, _ = bytes.Cut(offsets, []byte{lightSeparator})
			off, err := strconv.ParseInt(string(offset), 10, 64)
			if err != nil || off < 0 || !ValidLightQueue(name) {
				continue
			}
			if !yield(name, QueueOffset(off)) {
				return
			}
		}
	}
}

// AppendLightOffset appends one offset to a list of them.
func AppendLightOffset(list []byte, off QueueOffset) []byte {
	if len(list) > 0 {
		list = append(list, lightSeparator)
	}
	return strconv.AppendInt(list, int64(off), 10)
}
