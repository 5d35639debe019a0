package engine

import (
	"sync"

	"github.com/rocketlog/rocketlog/message"
)

// Puts are a number of puts that are waited for together. The zero value is ready for use, by one goroutine.
type Puts struct {
	outcomes []*outcome
	wg       sync.WaitGroup
}

type outcome struct {
	PutResult
	wg *sync.WaitGroup
}

// PutDone takes the outcome of one put.
func (o *outcome) PutDone(result PutResult) {
	o.PutResult = result
	o.wg.Done()
}

// Put puts the message. store is a Store, or what stands before one.
func (p *Puts) Put(store interface {
	PutAsync(*message.Message, Completion)
}, m *message.Message) {
	o := &outcome{wg: &p.wg}
	p.outcomes = append(p.outcomes, o)
	p.wg.Add(1)
	store.PutAsync(m, o)
}

// Skip takes the place of a put that is not made: its outcome is zero.
func (p *Puts) Skip() { p.outcomes = append(p.outcomes, &outcome{}) }

// Wait waits for all puts, and returns their outcomes in the order in which they were made.
func (p *Puts) Wait() []PutResult {
	p.wg.Wait()
	results := make([]PutResult, len(p.outcomes))
	for i, o := range p.outcomes {
		results[i] = o.PutResult
	}
	return results
}
