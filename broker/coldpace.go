package broker

import (
	"sync"
	"time"
)

// The bounds of a coldPace.
const (
	coldRateMin   = 1 << 20  // bytes/s: consumers of old messages get on, however slow the disk is
	coldRateStart = 64 << 20 // bytes/s
	coldRateMax   = 1 << 30  // bytes/s
	coldRateStep  = 100 * time.Millisecond
	// coldWaitFactor and coldWaitSlack say how much longer than without cold reads messages may wait for the disk before
	// cold reads are slowed down.
	coldWaitFactor = 2
	coldWaitSlack  = time.Millisecond
	// coldQuiet is how long after the last cold read the disk is taken to be the producers' alone.
	coldQuiet = time.Second
)

// A coldPace says when the next cold read may begin: a bucket of bytes whose rate falls by three tenths in each step in which
// messages wait for the disk twice as long as they do without cold reads, and rises by a tenth otherwise. What a read
// takes is known only afterwards, so the bucket is emptied then and may be in debt.
type coldPace struct {
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

func newColdPace(now func() time.Time) *coldPace {
	begin := now()
	return &coldPace{now: now, rate: coldRateStart, filled: begin, stepped: begin}
}

// observe takes in how long a message has waited for the disk.
func (p *coldPace) observe(wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calm == 0 {
		p.calm, p.busy = wait, wait
	}
	if p.now().Sub(p.lastRead) > coldQuiet {
		p.calm += (wait - p.calm) / 16
		p.busy = p.calm
		return
	}
	p.busy += (wait - p.busy) / 8
	p.observed = true
}

// delay returns how long the next cold read has to wait.
func (p *coldPace) delay() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if idle := now.Sub(p.lastRead); idle > coldQuiet {
		p.balance, p.filled, p.stepped = 0, now, now
	}
	for ; now.Sub(p.stepped) >= coldRateStep; p.stepped = p.stepped.Add(coldRateStep) {
		p.step()
	}
	p.balance = min(p.balance+p.rate*now.Sub(p.filled).Seconds(), p.rate*coldRateStep.Seconds())
	p.filled = now
	if p.balance >= 0 {
		return 0
	}
	// In pieces of a step, as the rate may rise meanwhile.
	return min(time.Duration(-p.balance/p.rate*float64(time.Second))+1, coldRateStep)
}

func (p *coldPace) step() {
	if p.observed && p.slows() {
		p.rate = max(p.rate*0.7, coldRateMin)
	} else {
		p.rate = min(p.rate*1.1, coldRateMax)
	}
	p.observed = false
}

func (p *coldPace) slows() bool { return p.busy > coldWaitFactor*p.calm+coldWaitSlack }

// spend takes what a cold read has read.
func (p *coldPace) spend(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.balance -= float64(bytes)
	p.lastRead = p.now()
}

// paceState is what a coldPace goes by.
type paceState struct {
	rate       int64 // bytes/s
	calm, busy time.Duration
}

func (p *coldPace) state() paceState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return paceState{int64(p.rate), p.calm, p.busy}
}
