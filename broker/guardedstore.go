package broker

import (
	"fmt"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/schedule"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// guardedStore is the store, with puts that keep clear of the deletion of their topic, and gets that wait for the disk
// without keeping others from a processor.
type guardedStore struct {
	*engine.Store
	topics *metadata.Topics
	cold   *coldReads
}

// Get reads messages of a queue.
func (s guardedStore) Get(req *engine.GetRequest, res *engine.GetResult) { s.cold.Get(req, res) }

// PutAsync puts the message, unless its topic is being deleted.
func (s guardedStore) PutAsync(m *message.Message, done engine.Completion) {
	if t := s.topics.Get(m.Topic); t != nil {
		if !t.Enter() {
			done.PutDone(engine.PutResult{Status: engine.MessageIllegal, Err: fmt.Errorf("topic %s is being deleted", m.Topic)})
			return
		}
		defer t.Leave()
	}
	s.Store.PutAsync(m, done)
}

// scheduleStore is the store as the delivery of delayed messages sees it.
func (b *Broker) scheduleStore() schedule.Store {
	store := guardedStore{b.store, b.topics, b.cold}
	if b.acting != nil {
		return actingStore{store, b.acting}
	}
	return store
}
