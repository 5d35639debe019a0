package engine

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/message"
)

var (
	// errLightName refuses a message. Java would take it, and stop to dispatch
	// there: an offset that is missing is none it can read.
	errLightName = errors.New(message.PropertyMultiDispatch + " names what cannot be a light queue")
	// errLightQueues refuses a message that needs a light queue too many.
	errLightQueues = errors.New("there are as many light queues as there may be")
)

// appendOne appends a message, which counts in the light queues that it names.
func (s *Store) appendOne(m *message.Message) (commitlog.Result, error) {
	seq := s.sequenceOf(m)
	if !s.opts.LightQueues {
		return s.log.Append(m, seq)
	}
	s.fanning.RLock()
	defer s.fanning.RUnlock()
	var room [8]*commitlog.Sequence
	light, err := s.lightSequences(m, room[:0])
	if err != nil {
		return commitlog.Result{}, err
	}
	if len(light) > 0 && seq == nil {
		light = nil // half of a transaction's records are in no queue
	}
	return s.log.Append(m, seq, light...)
}

// fansOut tells whether messages of a topic are put to light queues. Java does
// so for half messages too, before they are committed, and again for what is a
// dead letter of one.
func fansOut(topic string) bool {
	return message.AllowsLightQueues(topic) && topic != message.HalfTopic && topic != message.OpHalfTopic &&
		!message.IsLightQueue(topic) && !bytes.HasPrefix([]byte(topic), []byte(message.DLQTopicPrefix))
}

// lightSequences returns the sequences of the light queues that m names. Offsets
// that it claims to have are taken off: dispatch would believe them.
func (s *Store) lightSequences(m *message.Message, light []*commitlog.Sequence) ([]*commitlog.Sequence, error) {
	d := m.Properties.Dispatch()
	if d.MultiQueueOffset != nil {
		m.Properties = m.Properties.Delete(message.PropertyMultiQueueOffset)
	}
	if len(bytes.TrimSpace(d.MultiDispatch)) == 0 || !fansOut(m.Topic) {
		return nil, nil
	}
	for name := range message.LightQueueNames(d.MultiDispatch) {
		if !message.ValidLightQueue(name) {
			return nil, fmt.Errorf("%w: %q", errLightName, name)
		}
	}
	for name := range message.LightQueueNames(d.MultiDispatch) {
		seq, err := s.lightSequence(name)
		if err != nil {
			return nil, err
		}
		light = append(light, seq)
	}
	m.Properties = m.Properties.Delete(message.PropertyWait) // as in Java
	return light, nil
}

func (s *Store) lightSequence(name []byte) (*commitlog.Sequence, error) {
	s.seqs.mu.RLock()
	seq := s.seqs.byKey[consumequeue.Key{Topic: string(name), QueueID: message.LightQueueID}]
	s.seqs.mu.RUnlock()
	if seq != nil {
		return seq, nil
	}
	s.seqs.mu.Lock()
	defer s.seqs.mu.Unlock()
	if s.seqs.light == nil {
		s.seqs.light = map[string]bool{}
		for _, q := range s.queues.Queues() {
			if topic := q.Key().Topic; message.IsLightQueue(topic) {
				s.seqs.light[topic] = true
			}
		}
	}
	topic := string(name)
	if !s.seqs.light[topic] && len(s.seqs.light) >= s.opts.MaxLightQueues {
		return nil, fmt.Errorf("%w: %d", errLightQueues, s.opts.MaxLightQueues)
	}
	return s.newSequenceLocked(consumequeue.Key{Topic: topic, QueueID: message.LightQueueID}), nil
}

// lightEntry is the place of a record in a light queue.
type lightEntry struct {
	topic  string
	offset message.QueueOffset
}

// toLightQueues adds a record to the light queues that it counts in, which d.light
// then names.
func (d *dispatcher) toLightQueues(p *pending) error {
	props := p.record.Properties().Dispatch()
	u := consumequeue.Unit{Offset: p.off, Size: int32(len(p.record)), TagsCode: message.TagsCode(props.Tags)}
	for name, at := range props.LightQueues(p.record.Topic()) {
		q, err := d.queueOf(name, message.LightQueueID)
		if err != nil {
			return err
		}
		if err := d.toQueue(q, at, u); err != nil {
			return err
		}
		d.light = append(d.light, lightEntry{q.Key().Topic, at})
	}
	return nil
}

// entriesOf yields the queues that a record counts in, and its offset in each.
func entriesOf(r message.Record) iter.Seq2[consumequeue.Key, message.QueueOffset] {
	return func(yield func(consumequeue.Key, message.QueueOffset) bool) {
		if !inQueue(r) || !yield(consumequeue.Key{Topic: string(r.Topic()), QueueID: r.QueueID()}, r.QueueOffset()) {
			return
		}
		for name, off := range r.LightQueues() {
			if !yield(consumequeue.Key{Topic: string(name), QueueID: message.LightQueueID}, off) {
				return
			}
		}
	}
}

// entryIn returns the offset that a record has in a queue, false if it is not
// in it.
func entryIn(r message.Record, key consumequeue.Key) (message.QueueOffset, bool) {
	if !inQueue(r) {
		return 0, false
	}
	if r.QueueID() == key.QueueID && string(r.Topic()) == key.Topic {
		return r.QueueOffset(), true
	}
	if key.QueueID != message.LightQueueID || !message.IsLightQueue(key.Topic) {
		return 0, false
	}
	for name, off := range r.LightQueues() {
		if string(name) == key.Topic {
			return off, true
		}
	}
	return 0, false
}
