package engine

import (
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// A reader is held to its rate while messages come, in few sleeps, and as soon as none come to nothing.
func TestColdPace(t *testing.T) {
	const rate, chunk = 100 << 20, coldChunkSize
	now, slept, sleeps := time.Unix(1, 0), time.Duration(0), 0
	p := newColdPace(rate, 7)
	p.now = func() time.Time { return now }
	p.sleep = func(d time.Duration) { now, slept, sleeps = now.Add(d), slept+d, sleeps+1 }
	read := func(n int, took time.Duration, tail func() message.PhyOffset) time.Duration {
		begin := now
		for range n {
			now = now.Add(took)
			p.spend(chunk, tail())
		}
		return now.Sub(begin)
	}
	tail := message.PhyOffset(7)
	still := func() message.PhyOffset { return tail }
	grows := func() message.PhyOffset { tail++; return tail }

	if read(400, time.Microsecond, still); slept != 0 {
		t.Errorf("slept %v though nothing is put", slept)
	}
	if d := read(400, 100*time.Microsecond, grows); d < 990*time.Millisecond || d > 1020*time.Millisecond || sleeps > 100 {
		t.Errorf("100 MiB took %v and %d sleeps, at 100 MiB/s", d, sleeps)
	}
	// A device that is slower by itself is not slowed down, and no more than a burst of what it did not take is made up for.
	slept = 0
	if read(100, 3*time.Millisecond, grows); slept != 0 {
		t.Errorf("slept %v beside a slow device", slept)
	}
	if d := read(400, 0, grows); d < 970*time.Millisecond {
		t.Errorf("100 MiB took %v after a slow device", d)
	}
	slept, now = 0, now.Add(coldPutsRecent)
	if read(400, 0, still); slept != 0 {
		t.Errorf("slept %v after the last message", slept)
	}
	p = newColdPace(-1, 7)
	p.sleep = func(time.Duration) { t.Error("slept without a bound") }
	read(400, 0, grows)
}
