package engine

import (
	"sync"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/message"
)

// sequences holds the next offset of every queue put to since the store was
// opened (Java: the topicQueueTable). A queue's first put takes it from the
// consume queue, which by then holds all of the queue's records: what was put
// before the open was dispatched by it.
type sequences struct {
	mu    sync.RWMutex
	byKey map[consumequeue.Key]*commitlog.Sequence
	// light names all light queues there are, nil until it is asked for.
	light map[string]bool
}

// sequenceOf returns the sequence that numbers m, or nil for the records of a
// transaction that are in no queue.
func (s *Store) sequenceOf(m *message.Message) *commitlog.Sequence {
	switch m.SysFlag.Transaction() {
	case message.TransactionPrepared, message.TransactionRollback:
		return nil
	}
	key := consumequeue.Key{Topic: m.Topic, QueueID: m.QueueID}
	s.seqs.mu.RLock()
	seq := s.seqs.byKey[key]
	s.seqs.mu.RUnlock()
	if seq != nil {
		return seq
	}
	return s.newSequence(key)
}

func (s *Store) newSequence(key consumequeue.Key) *commitlog.Sequence {
	s.seqs.mu.Lock()
	defer s.seqs.mu.Unlock()
	return s.newSequenceLocked(key)
}

func (s *Store) newSequenceLocked(key consumequeue.Key) *commitlog.Sequence {
	if seq := s.seqs.byKey[key]; seq != nil {
		return seq
	}
	seq := new(commitlog.Sequence)
	if q := s.queues.Queue(key.Topic, key.QueueID); q != nil {
		seq.Set(q.MaxOffset())
	}
	s.seqs.byKey[key] = seq
	if s.seqs.light != nil && message.IsLightQueue(key.Topic) {
		s.seqs.light[key.Topic] = true
	}
	return seq
}

// numberUndispatched takes in what the queues do not tell of the offsets: the
// records behind what may be read.
func (s *Store) numberUndispatched() error {
	if !s.opts.ConfirmedOnly {
		return nil
	}
	it := s.log.Iterate(s.ReputOffset(), s.log.MaxOffset(), commitlog.Dispatched)
	defer it.Close()
	for {
		r, ok := it.Next()
		if !ok {
			return it.Err()
		}
		if inQueue(r) {
			s.newSequence(consumequeue.Key{Topic: string(r.Topic()), QueueID: r.QueueID()}).Set(r.QueueOffset() + 1)
		}
	}
}

// forgetSequences drops the sequences of a deleted topic.
func (s *Store) forgetSequences(topic string) {
	s.seqs.mu.Lock()
	defer s.seqs.mu.Unlock()
	for key := range s.seqs.byKey {
		if key.Topic == topic {
			delete(s.seqs.byKey, key)
		}
	}
	delete(s.seqs.light, topic)
}

// NextOffset returns the offset that the next message put to a queue gets.
func (s *Store) NextOffset(topic string, queueID int32) message.QueueOffset {
	s.seqs.mu.RLock()
	seq := s.seqs.byKey[consumequeue.Key{Topic: topic, QueueID: queueID}]
	s.seqs.mu.RUnlock()
	if seq != nil {
		return seq.Next()
	}
	return s.MaxOffset(topic, queueID)
}
