package engine

import (
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

const (
	// coldBytesPerProcessor is what cold reads may take in a second while messages come, by default and for each processor, as
	// their price is mostly what the processors do with it: docs/design/0013 has what more would do to puts.
	coldBytesPerProcessor = 96 << 20
	// coldBurst is how much they may be ahead of that: below it they would sleep often and shortly, which keeps a processor
	// from resting, above it they take it for long.
	coldBurst = 1 << 20
	// coldPutsRecent is how long after the last message none are taken to come.
	coldPutsRecent = 100 * time.Millisecond
)

// A coldPace holds up those who read cold messages while others are put: what is read from a device, and all that is done with
// it, goes off the processors and the memory of those who put, however fast the device is. When nothing is put it does nothing.
type coldPace struct {
	rate  int64 // bytes/s; negative is no bound
	now   func() time.Time
	sleep func(time.Duration)

	mu       sync.Mutex
	tail     message.PhyOffset // the log's end
	appended time.Time         // when it was first seen there
	due      time.Time         // when all that was read is to have been
}

func newColdPace(rate int64, tail message.PhyOffset) *coldPace {
	return &coldPace{rate: rate, now: time.Now, sleep: time.Sleep, tail: tail}
}

// spend waits after so many bytes were read, by a log that ends at tail.
func (p *coldPace) spend(bytes int, tail message.PhyOffset) {
	if p.rate < 0 || bytes == 0 {
		return
	}
	if wait := p.wait(bytes, tail); wait > p.cost(coldBurst) {
		p.sleep(wait)
	}
}

func (p *coldPace) cost(bytes int) time.Duration {
	return time.Duration(float64(bytes) / float64(p.rate) * float64(time.Second))
}

// wait returns how far the readers are ahead.
func (p *coldPace) wait(bytes int, tail message.PhyOffset) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if tail != p.tail {
		p.tail, p.appended = tail, now
	}
	if now.Sub(p.appended) >= coldPutsRecent {
		p.due = now
		return 0
	}
	// A sleep that was too long is made up for, as far as a burst goes.
	if least := now.Add(-p.cost(coldBurst)); p.due.Before(least) {
		p.due = least
	}
	p.due = p.due.Add(p.cost(bytes))
	return p.due.Sub(now)
}
