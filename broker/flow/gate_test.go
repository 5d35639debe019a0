package flow

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPutGate(t *testing.T) {
	now := time.Unix(1000, 0)
	g := NewGate(3, time.Second, func() time.Time { return now }, func(time.Duration) {})
	admitted := func() {
		t.Helper()
		if err := g.Admit(); err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	refused := func(words string) {
		t.Helper()
		if err := g.Admit(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want %s", err, words)
		}
	}
	admitted()
	first := g.Enter()
	now = now.Add(time.Second)
	admitted()
	second := g.Enter()
	now = now.Add(time.Millisecond)
	refused("[PUT_WAIT]system busy, start flow control for a while: messages wait 1.001s for disk and slaves, at most 1s is acceptable; 2 messages wait")
	g.Leave(first)
	refused("messages wait 1.001s for disk and slaves, at most 1s is acceptable; 1 messages wait")
	now = now.Add(time.Millisecond)
	g.Leave(second)
	admitted() // nothing waits, whatever was
	third := g.Enter()
	admitted() // and what was measured before that is forgotten
	g.Enter()
	g.Enter()
	refused("[PENDING_PUTS]system busy, start flow control for a while: 3 messages wait for the disk, at most 3 may")
	g.Leave(third)
	admitted()
}

// Producers that offer more than the disk takes: what is admitted is answered before its producer gives up, and the disk is
// kept busy. A slow disk that takes all at once is not made slower by refusals.
func TestPutGateKeepsWaitsBounded(t *testing.T) {
	for name, disk := range map[string]struct {
		sync     time.Duration // of one sync
		perSync  int           // puts that one sync takes; 0: all that wait
		wantRate float64       // admitted of all offered, at least
	}{
		"healthy":         {10 * time.Millisecond, 0, 1},
		"slow but wide":   {400 * time.Millisecond, 0, 0.95}, // one refusal at the begin of the burst, before it is known how many a sync takes
		"narrow":          {10 * time.Millisecond, 10, 0.4},
		"slow and narrow": {100 * time.Millisecond, 50, 0.2},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(100_000, time.Second, time.Now, func(time.Duration) {})
			var mu sync.Mutex
			var queue []Place
			stop := make(chan struct{})
			var worst time.Duration
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(disk.sync):
					}
					mu.Lock()
					n := len(queue)
					if disk.perSync > 0 {
						n = min(n, disk.perSync)
					}
					for _, entered := range queue[:n] {
						worst = max(worst, time.Since(entered.at))
						g.Leave(entered)
					}
					queue = queue[n:]
					mu.Unlock()
				}
			}()
			offered, admitted := 0, 0
			for range 10_000 { // 2000 a second
				offered++
				if g.Admit() == nil {
					admitted++
					mu.Lock()
					queue = append(queue, g.Enter())
					mu.Unlock()
				}
				time.Sleep(500 * time.Microsecond)
			}
			close(stop)
			synctest.Wait()
			if rate := float64(admitted) / float64(offered); rate < disk.wantRate {
				t.Errorf("%s: %.2f of the puts are admitted, want %.2f", name, rate, disk.wantRate)
			}
			if worst > 1500*time.Millisecond { // a half above what is acceptable
				t.Errorf("%s: a put waits %v", name, worst)
			}
		})
	}
}
