package flow

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A Gate admits puts that wait for the disk or for slaves, by how long such puts are seen to wait (where Java's
// BrokerFastFailure cuts requests off after a fixed 200 ms in a queue, while a sync may take 5 s). A put that would be
// answered after its producer has given up is refused at once: the producer would send it again, and both be stored.
//
// What a new put has to expect is the largest of three: what the last put that was answered waited; how long no put has been
// answered although some wait, which shows a disk that does not answer; and, once puts wait for a fourth of what is
// acceptable, so that a queue stands, what the last one waited by its place in the queue, for the place that comes now:
// the other two tell of a queue that grows too late. As one sync serves all that wait at its begin, the third is no measure
// while nothing stands. When nothing waits any more all is forgotten, and the next put measures anew.
type Gate struct {
	limit    int64         // puts that wait at most
	patience time.Duration // what a put may have to expect
	now      func() time.Time
	observe  func(wait time.Duration) // told of each put that was answered

	pending  atomic.Int64
	lastDone atomic.Int64 // ns: when a put was answered last, or when the first came to wait
	lastWait atomic.Int64 // ns that this one waited
	lastRank atomic.Int64 // and its place among those that waited when it came, from 1
}

// NewGate returns a gate that admits limit puts at most, as long as none has to expect more than patience. observe is told how
// long each put that was answered has waited.
func NewGate(limit int, patience time.Duration, now func() time.Time, observe func(wait time.Duration)) *Gate {
	return &Gate{limit: int64(limit), patience: patience, now: now, observe: observe}
}

// Waiting is how many puts wait.
func (g *Gate) Waiting() int64 { return g.pending.Load() }

// A Place is that of one put between Enter and Leave.
type Place struct {
	at   time.Time
	rank int64
}

// Enter takes a put in.
func (g *Gate) Enter() Place {
	a := Place{g.now(), g.pending.Add(1)}
	if a.rank == 1 {
		g.lastWait.Store(0)
		g.lastDone.Store(a.at.UnixNano())
	}
	return a
}

// Leave takes out a put that is answered.
func (g *Gate) Leave(a Place) {
	now := g.now()
	g.lastWait.Store(int64(now.Sub(a.at)))
	g.observe(now.Sub(a.at))
	g.lastRank.Store(a.rank)
	g.lastDone.Store(now.UnixNano())
	g.pending.Add(-1)
}

// wait is what a put that comes now has to expect, and how many wait already.
func (g *Gate) wait() (expected time.Duration, pending int64) {
	if pending = g.pending.Load(); pending == 0 {
		return 0, 0
	}
	silence := time.Duration(g.now().UnixNano() - g.lastDone.Load())
	last := time.Duration(g.lastWait.Load())
	expected = max(last, silence)
	if rank := g.lastRank.Load(); last > g.patience/4 && pending > rank {
		expected = max(expected, time.Duration(float64(last)*float64(pending)/float64(rank)))
	}
	return expected, pending
}

// Admit refuses a put that would wait too long or be one too many, and says which, with the numbers.
func (g *Gate) Admit() error {
	expected, pending := g.wait()
	switch {
	case pending >= g.limit:
		return fmt.Errorf(
			"[PENDING_PUTS]system busy, start flow control for a while: %d messages wait for the disk, at most %d may; they wait %v",
			pending, g.limit, expected.Round(time.Millisecond))
	case expected > g.patience:
		return fmt.Errorf(
			"[PUT_WAIT]system busy, start flow control for a while: messages wait %v for disk and slaves, at most %v is acceptable; %d messages wait",
			expected.Round(time.Millisecond), g.patience, pending)
	}
	return nil
}
