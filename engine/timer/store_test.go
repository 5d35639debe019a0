package timer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

// memStore is a store in memory: one log, and the queue of the timer topic.
type memStore struct {
	mu       sync.Mutex // for tests in which the timer runs
	now      func() int64
	log      []byte
	queue    []message.PhyOffset // of the timer topic
	durable  int                 // bytes of the log that a power loss leaves
	put      []delivery          // what was put to other topics
	refuse   func(*message.Message) error
	minPhy   message.PhyOffset // messages below are deleted
	perBatch int               // messages that Records shows at a time; 0 is 64
}

// delivery is a message that the timer put to its topic.
type delivery struct {
	key, topic string
	queue      int32
	at         int64 // ms
	phy        message.PhyOffset
	properties message.Properties
	body       string
}

var _ Queue = (*memStore)(nil)

// append stores a message and returns where it ends.
func (s *memStore) append(m *message.Message) message.PhyOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.PhyOffset, m.StoreTimestamp = message.PhyOffset(len(s.log)), s.now()
	if m.Topic == message.TimerTopic {
		m.QueueOffset = message.QueueOffset(len(s.queue))
		s.queue = append(s.queue, m.PhyOffset)
	} else {
		key, _ := m.Properties.Get(message.PropertyUniqueKey)
		s.put = append(s.put, delivery{
			key: string(key), topic: m.Topic, queue: m.QueueID, at: s.now(), phy: m.PhyOffset,
			properties: append(message.Properties(nil), m.Properties...), body: string(m.Body),
		})
	}
	record := make([]byte, m.RecordSize())
	message.EncodeRecord(record, m, message.BodyCRC(m.Body))
	s.log = append(s.log, record...)
	return message.PhyOffset(len(s.log))
}

// delay stores a message that is to be delivered at a time in ms, as a broker does.
func (s *memStore) delay(key string, deliver, precision int64, more ...string) {
	p := message.AppendProperty(nil, message.PropertyUniqueKey, key)
	p = message.AppendProperty(p, message.PropertyTimerDeliverTime, strconv.FormatInt(deliver, 10))
	p = message.AppendProperty(p, message.PropertyTimerOutTime, strconv.FormatInt(OutTime(deliver, precision), 10))
	p = message.AppendProperty(p, message.PropertyRealTopic, "topic")
	p = message.AppendProperty(p, message.PropertyRealQueueID, "3")
	for i := 0; i < len(more); i += 2 {
		p = message.AppendProperty(p, more[i], more[i+1])
	}
	s.append(&message.Message{Topic: message.TimerTopic, Body: []byte("body " + key), Properties: p})
}

func (s *memStore) MinOffset() message.QueueOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, phy := range s.queue {
		if phy >= s.minPhy {
			return message.QueueOffset(i)
		}
	}
	return message.QueueOffset(len(s.queue))
}

func (s *memStore) MaxOffset() message.QueueOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return message.QueueOffset(len(s.queue))
}

func (s *memStore) MinPhyOffset() message.PhyOffset { return s.minPhy }

func (s *memStore) MaxPhyOffset() message.PhyOffset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return message.PhyOffset(len(s.log))
}

// deliveries are what was put to other topics by now.
func (s *memStore) deliveries() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.put)
}

func (s *memStore) Records(from message.QueueOffset, visit func(message.Record) bool) (message.QueueOffset, error) {
	most := message.QueueOffset(64)
	if s.perBatch > 0 {
		most = message.QueueOffset(s.perBatch)
	}
	at := max(from, s.MinOffset())
	for end := min(at+most, s.MaxOffset()); at < end; at++ {
		ok := true
		s.mu.Lock()
		phy := s.queue[at]
		s.mu.Unlock()
		if err := s.Record(phy, func(r message.Record) { ok = visit(r) }); err != nil {
			return at, err
		}
		if !ok {
			break
		}
	}
	return at, nil
}

func (s *memStore) Record(at message.PhyOffset, visit func(message.Record)) error {
	s.mu.Lock()
	log := s.log
	s.mu.Unlock()
	if at < s.minPhy || at < 0 || int(at) >= len(log) {
		return ErrGone
	}
	r, err := message.ParseRecord(log[at:])
	if err != nil || r.PhyOffset() != at {
		return fmt.Errorf("%w: %v", ErrGone, err)
	}
	visit(r)
	return nil
}

func (s *memStore) Put(m *message.Message, done Completion) {
	if s.refuse != nil {
		if err := s.refuse(m); err != nil {
			done.PutDone(Outcome{Err: err})
			return
		}
	}
	done.PutDone(Outcome{End: s.append(m)})
}

func (s *memStore) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.durable = len(s.log)
	return nil
}

// crash is what a power loss leaves of the store: all that was flushed and perhaps some more.
func (s *memStore) crash(rng *rand.Rand) {
	end := s.durable
	for end < len(s.log) && rng.IntN(8) > 0 {
		r, err := message.ParseRecord(s.log[end:])
		if err != nil {
			panic(err)
		}
		end += r.Size()
	}
	s.cut(end)
}

// cut ends the log at end.
func (s *memStore) cut(end int) {
	s.log = s.log[:end]
	for n := len(s.queue); n > 0 && int(s.queue[n-1]) >= end; n-- {
		s.queue = s.queue[:n-1]
	}
	for n := len(s.put); n > 0 && int(s.put[n-1].phy) >= end; n-- {
		s.put = s.put[:n-1]
	}
}

// drain steps until there is nothing to do for now.
func drain(t *testing.T, tm *Timer) {
	t.Helper()
	for range 1_000_000 {
		if _, more := tm.step(); !more {
			return
		}
	}
	t.Fatal("the timer never comes to rest")
}

var errTest = errors.New("not now")
