package timer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// pair is a master's timer and that of its slave, which has the master's log as it was when it was last copied.
type pair struct {
	*world
	slave *world
}

func newPair(t *testing.T) *pair {
	p := &pair{world: newWorld(t)}
	p.slave = &world{t: t, fs: vfs.NewCrashFS(2), clock: start, opts: p.world.opts}
	s := p.slave
	s.store = &memStore{now: func() int64 { return s.clock }}
	s.opts.Now = func() time.Time { return time.UnixMilli(s.clock) }
	s.opts.Following = true
	s.open()
	t.Cleanup(func() { s.timer.closeFiles() }) //nolint:errcheck // the test is over
	return p
}

// copy gives the slave the master's log and tells it how far the master's timer is for certain.
func (p *pair) copy() {
	p.t.Helper()
	if err := p.timer.flush(); err != nil {
		p.t.Fatal(err)
	}
	p.copyLog()
	p.slave.timer.Follow(p.timer.Checkpoint())
	p.slave.to(p.slave.clock)
}

func (p *pair) copyLog() {
	from, to := p.store, p.slave.store
	to.log, to.queue = slices.Clone(from.log), slices.Clone(from.queue)
	to.put = slices.Clone(from.put)
}

// takeOver makes the slave a master, at its next start.
func (p *pair) takeOver() {
	p.t.Helper()
	if err := p.slave.timer.flush(); err != nil {
		p.t.Fatal(err)
	}
	p.slave.opts.Following = false
	p.slave.kill()
}

// A slave that is made a master delivers what its master had not, and nothing again.
func TestFollowAndTakeOver(t *testing.T) {
	p := newPair(t)
	for i := range 20 {
		p.store.delay(fmt.Sprint("m", i), start+int64(i+1)*1000, 1000)
	}
	p.store.delay("recalled", start+15_000, 1000)
	p.store.delay("recall", start+15_000, 1000, message.PropertyTimerDeleteKey, "recalled")
	p.to(start + 5000)
	p.store.delay("late", start+2000, 1000) // put at once
	p.to(start + 5000)
	p.slave.clock = start + 5000
	p.copy()
	if got, want := p.slave.timer.Metrics().QueueOffset, p.timer.Metrics().QueueOffset; got != want {
		t.Fatalf("taken in up to %d, the master up to %d", got, want)
	}
	p.slave.to(start + 60_000) // nothing is delivered here
	p.slave.expect(p.keys()...)
	p.slave.clock = start + 5000
	p.takeOver()
	p.slave.expect(p.keys()...)
	p.slave.run(start+30_000, 1000)
	var want []string
	want = append(want, p.keys()...)
	for i := 5; i < 20; i++ {
		want = append(want, fmt.Sprint("m", i))
	}
	p.slave.expect(want...)
	if err := p.slave.timer.Check(); err != nil {
		t.Fatal(err)
	}
}

// What the master took in, and the slave not yet, is not delivered again if it was due before the master's read time.
func TestTakeOverBeforeAllIsTakenIn(t *testing.T) {
	p := newPair(t)
	p.store.perBatch, p.slave.store.perBatch = 4, 4
	for i := range 12 {
		p.store.delay(fmt.Sprint("m", i), start+int64(i+1)*1000, 1000)
	}
	p.to(start + 6000)
	if err := p.timer.flush(); err != nil {
		t.Fatal(err)
	}
	p.copyLog()
	p.slave.clock = start + 6000
	p.slave.timer.Follow(p.timer.Checkpoint())
	p.slave.timer.step() // one batch of three
	if q := p.slave.timer.Metrics().QueueOffset; q != 4 {
		t.Fatalf("taken in up to %d", q)
	}
	p.takeOver()
	p.slave.run(start+20_000, 1000)
	p.slave.expect("m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11")
}

// A message that the slave has and that its master has not taken in waits until it has.
func TestFollowNoFurtherThanTheMaster(t *testing.T) {
	p := newPair(t)
	p.store.delay("a", start+5000, 1000)
	p.to(start)
	p.copy()
	p.store.delay("b", start+1000, 1000)
	p.copyLog()
	p.slave.to(start + 3000)
	if q := p.slave.timer.Metrics().QueueOffset; q != 1 {
		t.Fatalf("taken in up to %d", q)
	}
	p.takeOver() // the master has delivered neither
	p.slave.run(start+6000, 1000)
	p.slave.expect("b", "a")
}

// At any moment a slave that takes over misses nothing, whatever went round, whenever either took it in, and with clocks
// that differ.
func TestTakeOverAtAnyTime(t *testing.T) {
	const histories, messages = 60, 40
	for seed := range uint64(histories) {
		rng := rand.New(rand.NewPCG(seed, 9))
		p := newPair(t)
		skew := rng.Int64N(4000) - 2000
		for i := range messages {
			p.store.delay(fmt.Sprint("m", i), start+1+rng.Int64N(1_300_000), 1000)
		}
		until := start + rng.Int64N(1_300_000)
		for p.clock < until {
			p.to(min(p.clock+1+rng.Int64N(4000), until))
			if rng.IntN(20) == 0 {
				p.slave.clock = p.clock + skew
				p.copy()
			}
		}
		p.slave.clock = p.clock + skew
		p.copyLog()
		p.takeOver()
		p.slave.run(start+1_310_000, 1000)
		times := map[string]int{}
		for _, key := range p.slave.keys() {
			times[key]++
		}
		for i := range messages {
			if key := fmt.Sprint("m", i); times[key] == 0 {
				t.Fatalf("seed %d: %s is missed", seed, key)
			}
		}
	}
}

// A master whose clock is set back is followed back.
func TestFollowBack(t *testing.T) {
	p := newPair(t)
	p.store.delay("a", start+10_000, 1000)
	p.store.delay("b", start+50_000, 1000)
	p.to(start + 20_000)
	p.slave.clock = start + 20_000
	p.copy()
	p.to(start + 5000)
	p.store.delay("c", start+15_000, 1000)
	p.to(start + 5000)
	p.copy()
	p.slave.clock = start + 5000
	p.takeOver()
	p.slave.to(start + 14_999)
	p.slave.expect("a")
	p.slave.to(start + 15_000)
	p.slave.expect("a", "c")
	p.slave.to(start + 50_000)
	p.slave.expect("a", "c", "b")
}
