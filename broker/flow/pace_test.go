package flow

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestColdQuota(t *testing.T) {
	now := time.Unix(1000, 0)
	q := NewQuota(func() time.Time { return now })
	exceeded := func(group string) bool { _, _, e := q.Exceeded(group, 100, 150); return e }
	q.Spend("a", 99)
	if exceeded("a") {
		t.Error("a has 1 byte left")
	}
	q.Spend("a", 1)
	if !exceeded("a") || exceeded("b") {
		t.Error("a alone has had all it may")
	}
	q.Spend("b", 50)
	if !exceeded("b") || exceeded("c") {
		t.Error("all groups that read have had all they may; one that did not may begin, as in Java")
	}
	now = now.Add(QuotaWindow)
	if exceeded("a") || exceeded("b") {
		t.Error("a new window has begun")
	}
}

// A disk whose syncs take longer the more is read from it: cold reads are slowed down until messages wait no longer than
// twice what they wait without, go on at any rate, and go faster when the disk does.
func TestColdPaceFollowsTheDisk(t *testing.T) {
	for name, disk := range map[string]struct {
		wait             func(readRate float64) time.Duration
		rateMin, rateMax float64 // of reads in the last seconds, in MiB/s
	}{
		"not troubled": {func(float64) time.Duration { return 2 * time.Millisecond }, 300, 1 << 10},
		"shared": { // waits double at 50 MiB/s
			func(rate float64) time.Duration {
				return time.Duration((1 + rate/50) * float64(4*time.Millisecond))
			}, 20, 80},
		"hopeless": { // any read hurts
			func(rate float64) time.Duration {
				if rate > 0 {
					return 100 * time.Millisecond
				}
				return 4 * time.Millisecond
			}, 0.5, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPace(time.Now)
				for range 100 { // producers alone
					p.Observe(disk.wait(0))
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(2 * quiet)
				const step = 10 * time.Millisecond
				var read, recent float64
				for tick := range 1500 {
					for p.Delay() == 0 {
						p.Spend(64 << 10)
						read += 64.0 / 1024
						recent += 64.0 / 1024
					}
					recent *= 0.9 // a tenth of what is read in a second
					p.Observe(disk.wait(recent * 10))
					time.Sleep(step)
					if tick == 999 {
						read = 0
					}
				}
				if rate := read / 5; rate < disk.rateMin || rate > disk.rateMax {
					t.Errorf("%.1f MiB/s were read, want %v to %v; %+v", rate, disk.rateMin, disk.rateMax, p.State())
				}
			})
		})
	}
}
