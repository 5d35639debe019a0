package flow

import (
	"sync"
	"time"
)

// The bounds of a Pace.
const (
	rateMin   = 1 << 20  // bytes/s: consumers of old messages get on, however slow the disk is
	rateStart = 64 << 20 // bytes/s
	rateMax   = 1 << 30  // bytes/s
	rateStep  = 100 * time.Millisecond
	// waitFactor and waitSlack say how much longer than without cold reads messages may wait for the disk before
	// cold reads are slowed down.
	waitFactor = 2
	waitSlack  = time.Millisecond
	// quiet is how long after the last cold read the disk is taken to be the producers' alone.
	quiet = time.Second
)

// A Pace says when the next cold read may begin: a bucket of bytes whose rate falls by three tenths in each step in which
// messages wait for the disk twice as long as they do without cold reads, and rises by a tenth otherwise. What a read
// takes is known only afterwards, so the bucket is emptied then and may be in debt.
type Pace struct {
	now func() time.Time

	mu       sync.Mutex
	rate     float64 // bytes/s
	balance  float64 // bytes
	filled   time.Time
	stepped  time.Time
	lastRead time.Time
	calm     time.Duration // what messages wait without cold reads, smoothed; 0 is not known
	busy     time.Duration // and with them
	observed bool          // since the last step
}

// NewPace returns a pace for a disk of which nothing is known.
func NewPace(now func() time.Time) *Pace {
	begin := now()
	return &Pace{now: now, rate: rateStart, filled: begin, stepped: begin}
}

// Observe takes in how long a message has waited for the disk.
func (p *Pace) Observe(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calm == 0 {
		p.calm, p.busy = wait, wait
	}
	if p.now().Sub(p.lastRead) > quiet {
		p.calm += (wait - p.calm) / 16
		p.busy = p.calm
		return
	}
	p.busy += (wait - p.busy) / 8
	p.observed = true
}

// Delay returns how long the next cold read has to wait.
func (p *Pace) Delay() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if idle := now.Sub(p.lastRead); idle > quiet {
		p.balance, p.filled, p.stepped = 0, now, now
	}
	for ; now.Sub(p.stepped) >= rateStep; p.stepped = p.stepped.Add(rateStep) {
		p.step()
	}
	p.balance = min(p.balance+p.rate*now.Sub(p.filled).Seconds(), p.rate*rateStep.Seconds())
	p.filled = now
	if p.balance >= 0 {
		return 0
	}
	// In pieces of a step, as the rate may rise meanwhile.
	return min(time.Duration(-p.balance/p.rate*float64(time.Second))+1, rateStep)
}

func (p *Pace) step() {
	if p.observed && p.slows() {
		p.rate = max(p.rate*0.7, rateMin)
	} else {
		p.rate = min(p.rate*1.1, rateMax)
	}
	p.observed = false
}

func (p *Pace) slows() bool { return p.busy > waitFactor*p.calm+waitSlack }

// Spend takes what a cold read has read.
func (p *Pace) Spend(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.balance -= float64(bytes)
	p.lastRead = p.now()
}

// PaceState is what a Pace goes by.
type PaceState struct {
	Rate       int64 // bytes/s
	Calm, Busy time.Duration
}

// State is what it goes by just now.
func (p *Pace) State() PaceState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PaceState{int64(p.rate), p.calm, p.busy}
}
