package schedule

import (
	"slices"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// memoryStore holds the schedule topic in memory and takes what is delivered.
type memoryStore struct {
	mu        sync.Mutex
	queues    map[int32][]memoryEntry
	delivered []deliveredMessage
	refuse    error
	flushed   int // deliveries that are on disk
	gets      int
}

type memoryEntry struct {
	due    int64
	record []byte
}

type deliveredMessage struct {
	topic string
	queue int32
	body  string
	at    int64
}

func newMemoryStore() *memoryStore { return &memoryStore{queues: map[int32][]memoryEntry{}} }

// delay stores a message at a level.
func (s *memoryStore) delay(level int32, topic, body string, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := message.Message{
		Topic: message.ScheduleTopic, QueueID: level - 1, Body: []byte(body), StoreTimestamp: time.Now().UnixMilli(),
		QueueOffset: message.QueueOffset(len(s.queues[level-1])),
	}
	if topic != "" {
		m.Properties = message.AppendProperty(message.AppendProperty(nil, message.PropertyRealTopic, topic), message.PropertyRealQueueID, "3")
	}
	b := make([]byte, m.RecordSize())
	message.EncodeRecord(b, &m, message.BodyCRC(m.Body))
	s.queues[level-1] = append(s.queues[level-1], memoryEntry{time.Now().Add(delay).UnixMilli(), b})
}

func (s *memoryStore) Get(req *engine.GetRequest, res *engine.GetResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	q := s.queues[req.QueueID]
	res.Status, res.NextOffset, res.Segments = engine.NoMatchedMessage, req.Offset, nil
	res.MaxOffset = message.QueueOffset(len(q))
	if req.Offset >= res.MaxOffset {
		res.Status = engine.OffsetOverflowOne
		return
	}
	for _, e := range q[req.Offset:] {
		if len(res.Segments) == req.MaxMsgs {
			break
		}
		res.NextOffset++
		if !req.Filter.MatchTags(e.due) {
			continue
		}
		res.Status = engine.Found
		res.Segments = append(res.Segments, e.record)
	}
}

func (s *memoryStore) PutAsync(m *message.Message, done engine.Completion) {
	s.mu.Lock()
	r := engine.PutResult{Status: engine.PutOK}
	if s.refuse != nil {
		r = engine.PutResult{Status: engine.ServiceNotAvailable, Err: s.refuse}
	} else {
		s.delivered = append(s.delivered, deliveredMessage{m.Topic, m.QueueID, string(m.Body), time.Now().UnixMilli()})
	}
	s.mu.Unlock()
	done.PutDone(r)
}

func (s *memoryStore) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushed = len(s.delivered)
	return nil
}

// end is where the log ends, as if a message were a byte.
func (s *memoryStore) end() message.PhyOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return message.PhyOffset(len(s.delivered))
}

// lose is a power loss, and returns what it took.
func (s *memoryStore) lose() []deliveredMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := slices.Clone(s.delivered[s.flushed:])
	s.delivered = s.delivered[:s.flushed]
	return lost
}

func (s *memoryStore) MinOffset(string, int32) message.QueueOffset { return 0 }

func (s *memoryStore) MaxOffset(_ string, queue int32) message.QueueOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return message.QueueOffset(len(s.queues[queue]))
}

func (s *memoryStore) taken() []deliveredMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.delivered)
}
