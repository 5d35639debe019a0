package state

import (
	"time"
)

// A Persister writes a table's state some time after it changed. It sleeps while nothing does.
type Persister struct {
	delay   time.Duration
	persist func() error
	failed  func(error)
	armed   chan struct{}
}

// NewPersister returns one that calls persist when the delay is over, and again, if it fails, after failed is told.
func NewPersister(delay time.Duration, persist func() error, failed func(error)) *Persister {
	return &Persister{delay: delay, persist: persist, failed: failed, armed: make(chan struct{}, 1)}
}

// Arm has the state written when the delay is over.
func (p *Persister) Arm() {
	select {
	case p.armed <- struct{}{}:
	default:
	}
}

// Run writes until it is stopped. What is armed then is not written.
func (p *Persister) Run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-p.armed:
		}
		select {
		case <-stop:
			return
		case <-time.After(p.delay):
		}
		if err := p.persist(); err != nil {
			p.failed(err)
			p.Arm()
		}
	}
}
