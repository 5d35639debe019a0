package stats

import "strings"

// The statistics that mqadmin and the dashboard ask for by name (Java's Stats). Those that the broker itself asks for are
// exported.
const (
	TopicPutNums   = "TOPIC_PUT_NUMS"
	topicPutSize   = "TOPIC_PUT_SIZE"
	GroupGetNums   = "GROUP_GET_NUMS"
	groupGetSize   = "GROUP_GET_SIZE"
	groupPopNums   = "GROUP_CK_NUMS"
	groupAckNums   = "GROUP_ACK_NUMS"
	sendBackNums   = "SNDBCK_PUT_NUMS"
	deadLetterNums = "DLQ_PUT_NUMS"
	brokerPutNums  = "BROKER_PUT_NUMS"
	brokerGetNums  = "BROKER_GET_NUMS"
	brokerPopNums  = "BROKER_CK_NUMS"
	brokerAckNums  = "BROKER_ACK_NUMS"
)

// kindNames are the statistics by name that messages are counted for.
var kindNames = map[string]Kind{
	GroupGetNums: Gets, groupGetSize: Gets, groupPopNums: Pops, groupAckNums: Acks,
	sendBackNums: SendBacks, deadLetterNums: DeadLetters,
}

// keySeparator stands between topic and group in the key of a statistic.
const keySeparator = "@"

// Windows returns what the named statistic says of the last minute, hour and day. topic gives what was put to a topic, nil when
// there is none.
func (s *Counters) Windows(name, key string, topic func(string) *Traffic, now int64) (minute, hour, day Rate, ok bool) {
	t, bytes := s.named(name, key, topic)
	if t == nil {
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t.history == nil && t.times.Load() == 0 {
		return
	}
	last := t.sample(now)
	between := func(list []sample) Rate {
		first := last
		if len(list) > 0 {
			first = list[0]
		}
		r := Rate{Sum: last.messages - first.messages, Times: last.times - first.times, millis: last.at - first.at}
		if bytes {
			r.Sum = last.bytes - first.bytes
		}
		return r
	}
	if t.history != nil {
		return between(t.history.minute), between(t.history.hour), between(t.history.day), true
	}
	return Rate{}, Rate{}, Rate{}, true
}

// named finds the traffic of a statistic, and whether its bytes are meant.
func (s *Counters) named(name, key string, topic func(string) *Traffic) (t *Traffic, bytes bool) {
	switch name {
	case TopicPutNums, topicPutSize:
		return topic(key), name == topicPutSize
	case brokerPutNums:
		return &s.Put, false
	case brokerGetNums:
		return &s.Get, false
	case brokerPopNums:
		return &s.all[Pops], false
	case brokerAckNums:
		return &s.all[Acks], false
	}
	stat, known := kindNames[name]
	ofTopic, group, two := strings.Cut(key, keySeparator)
	if !known || !two {
		return nil, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.groups[stat][pair{lightTogether(ofTopic), lightTogether(group)}], name == groupGetSize
}
