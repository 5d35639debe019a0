package bench

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// QueuesPerTopic is how many queues of a workload belong to one topic.
const QueuesPerTopic = 8

const hexDigits = "0123456789abcdef"

// Source makes the messages of one writer: a body of fixed bytes, a tag, one key and a unique key, no
// two keys alike, spread over queues. It reuses its message and patches keys in place, so that making
// a message costs next to nothing.
type Source struct {
	// Message is the one that Next changed last. The store may write to it.
	Message message.Message

	topics      []string
	queues      int
	id          int
	sequence    uint64
	key, unique []byte // places of the changing digits in Message.Properties
}

// NewSource returns the source of writer id, whose messages have bodies of bodySize bytes and go to so
// many queues. Sources with different ids never make the same key.
func NewSource(id, queues, bodySize int) *Source {
	s := &Source{queues: queues, id: id}
	for i := range (queues + QueuesPerTopic - 1) / QueuesPerTopic {
		s.topics = append(s.topics, Topic(i))
	}
	body := make([]byte, bodySize)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	const key, unique = "0000000000000000", "000000000000"
	start := "KEYS\x01order-"
	middle := fmt.Sprintf("\x02UNIQ_KEY\x017F000001%04X2A139A55", id)
	properties := []byte(start + key + middle + unique + "\x02WAIT\x01true\x02TAGS\x01TagA\x02")
	s.key = properties[len(start):][:len(key)]
	s.unique = properties[len(start)+len(key)+len(middle):][:len(unique)]
	host := netip.MustParseAddrPort("127.0.0.1:10911")
	s.Message = message.Message{
		BornHost: host, StoreHost: host, Body: body, Properties: properties,
		BornTimestamp: time.Now().UnixMilli(),
	}
	// The keys of two writers differ in their first digits.
	copy(s.key, fmt.Sprintf("%04x", id))
	return s
}

// Topic returns the name of the workload's i-th topic.
func Topic(i int) string { return "BenchTopic" + strconv.Itoa(i) }

// Next changes the message into the next one.
func (s *Source) Next() *message.Message {
	n := s.sequence
	s.sequence++
	putHex(s.key[4:], n)
	putHex(s.unique, n)
	queue := int((n*31 + uint64(s.id)) % uint64(s.queues))
	s.Message.Topic = s.topics[queue/QueuesPerTopic]
	s.Message.QueueID = int32(queue % QueuesPerTopic)
	return &s.Message
}

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = hexDigits[v&15]
		v >>= 4
	}
}
