package timer

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/histories"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// TestHistories runs random histories of sends, recalls, clock jumps, stalls, kills and power losses, under many settings.
// Every message that the store kept must be delivered at least once, never before it is due by the clock of that moment,
// and, while nothing disturbs, at most a tick late and once.
func TestHistories(t *testing.T) {
	histories.Each(t, 120, func(t *testing.T, seed uint64) { newHistory(t, seed).run() })
}

// history is one of them.
type history struct {
	*world
	rng       *rand.Rand
	precision int64
	sent      map[string]*sent
	n         int
	repeats   bool  // a power loss or a clock that was set back over what was delivered may repeat
	disturbed int64 // until here lateness is not judged
	failing   bool
}

// sent is what the model knows of a message.
type sent struct {
	due      int64 // as asked
	stored   int64 // by the clock
	recalled bool
	kept     bool // in the log after the last power loss
	seen     int
}

func newHistory(t *testing.T, seed uint64) *history {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := &history{rng: rng, sent: map[string]*sent{}}
	h.precision = []int64{100, 500, 1000}[rng.IntN(3)]
	h.world = &world{t: t, fs: vfs.NewCrashFS(seed), clock: start + rng.Int64N(1000)}
	h.store = &memStore{now: func() int64 { return h.clock }, perBatch: 1 + rng.IntN(20)}
	h.store.refuse = func(*message.Message) error {
		if h.failing && rng.IntN(2) == 0 {
			return errTest
		}
		return nil
	}
	slots := []int64{100, 300, 2000}[rng.IntN(3)]
	h.opts = Options{
		Now: func() time.Time { return time.UnixMilli(h.clock) }, Precision: h.precision, slots: slots,
		RollWindow: 2 + rng.Int64N(slots-blankSlots-2), LogFileSize: []int64{128, 1040, 5000, 65536}[rng.IntN(4)],
		Dropped: func(d Drop) { t.Errorf("dropped %+v", d) },
		Failed: func(err error) {
			if !h.failing {
				t.Errorf("failed: %v", err)
			}
		},
	}
	h.open()
	t.Cleanup(func() { h.timer.closeFiles() }) //nolint:errcheck // the test is over
	return h
}

func (h *history) run() {
	for range 60 {
		switch h.rng.IntN(20) {
		case 0:
			h.t.Log("kill")
			h.killed()
		case 1:
			h.t.Log("power loss")
			h.powerLoss()
		case 2:
			h.t.Log("jump")
			h.jump()
		case 3:
			h.failing = !h.failing
			h.disturb()
		case 4:
			if err := h.timer.flush(); err != nil {
				h.t.Fatal(err)
			}
		case 5:
			for range h.rng.IntN(5) { // stopped in the middle
				h.timer.step()
			}
			h.fs.Snapshot()
		default:
			for range h.rng.IntN(10) {
				h.send()
			}
			h.advance(h.rng.Int64N(3 * h.precision))
		}
		h.judge()
		if h.t.Failed() {
			return
		}
		h.t.Logf("%+d: read %+d, failing %t", h.clock-start, h.timer.state.readTime-start, h.failing)
	}
	h.failing = false
	h.disturb()
	// Everything must come out.
	last := h.clock
	for _, m := range h.sent {
		last = max(last, m.due+2*h.precision)
	}
	for h.clock < last {
		next := (h.clock/h.precision + 1) * h.precision
		if due, ok := h.timer.wheel.next(h.clock/h.precision, h.clock/h.precision+h.timer.wheel.total); ok {
			next = max(next, min((due+1)*h.precision, last))
		} else {
			next = last
		}
		h.clock = next
		drain(h.t, h.timer)
		h.judge()
	}
	for key, m := range h.sent {
		if m.kept && m.seen == 0 && !m.recalled {
			h.t.Errorf("%s, due at %+d, is never delivered", key, m.due-start)
		}
	}
	if err := h.timer.Check(); err != nil {
		h.t.Error(err)
	}
}

func (h *history) advance(ms int64) {
	for end := h.clock + ms; h.clock < end; {
		h.clock += min(1+h.rng.Int64N(h.precision), h.precision-h.clock%h.precision, end-h.clock)
		drain(h.t, h.timer)
		h.judge()
	}
	drain(h.t, h.timer)
}

func (h *history) send() {
	h.n++
	key := fmt.Sprint("m", h.n)
	delay := h.rng.Int64N(20*h.precision) - h.precision
	if h.rng.IntN(5) == 0 {
		delay = h.rng.Int64N(5 * h.opts.slots * h.precision)
	}
	due := max(h.clock+delay, 1)
	h.store.delay(key, due, h.precision)
	h.sent[key] = &sent{due: due, stored: h.clock, kept: true}
	if h.rng.IntN(10) == 0 && due > h.clock+2*h.precision {
		h.store.delay("recall of "+key, due, h.precision, message.PropertyTimerDeleteKey, key)
		h.sent[key].recalled = true // it may come all the same, if the recall is lost
	}
}

func (h *history) killed() {
	h.repeats = h.repeats || h.timer.work.pending() // those of the batch beside the one that fails
	h.kill()
	h.disturb()
}

// disturb says that for now nothing is said about lateness.
func (h *history) disturb() { h.disturbed = h.clock + 2*h.precision }

func (h *history) powerLoss() {
	before := map[message.PhyOffset]bool{}
	for _, phy := range h.store.queue {
		before[phy] = true
	}
	h.world.powerLoss(h.rng.Uint64())
	h.store.crash(h.rng)
	kept := map[string]int{}
	for _, phy := range h.store.queue {
		if err := h.store.Record(phy, func(r message.Record) {
			key, _ := r.Properties().Get(message.PropertyUniqueKey)
			kept[string(key)]++
		}); err != nil {
			h.t.Fatal(err)
		}
	}
	delivered := map[string]int{}
	for _, d := range h.store.put {
		delivered[d.key]++
	}
	for key, m := range h.sent {
		m.kept = kept[key] > 0
		m.seen = delivered[key]
		if !m.kept && m.seen == 0 {
			delete(h.sent, key)
		}
		if m.recalled && kept["recall of "+key] == 0 && h.clock < m.due {
			m.recalled = false // else the recall may have been heeded before it was lost
		}
	}
	h.judged = len(h.store.put)
	h.repeats = true
	h.open()
	h.disturb()
}

// jump sets the clock, while no slot is begun: one that is, is finished whatever the clock says.
func (h *history) jump() {
	h.failing = false
	h.disturb()
	drain(h.t, h.timer)
	h.judge()
	by := h.rng.Int64N(40*h.precision) - 20*h.precision
	if h.rng.IntN(6) == 0 {
		by = h.rng.Int64N(4 * h.opts.slots * h.precision)
	}
	h.clock = max(h.clock+by, 1)
	drain(h.t, h.timer)
	h.disturb()
}

// judge looks at what was delivered since the last time.
func (h *history) judge() {
	for ; h.judged < len(h.store.put); h.judged++ {
		d := h.store.put[h.judged]
		m := h.sent[d.key]
		if m == nil {
			h.t.Errorf("%s was never sent", d.key)
			continue
		}
		m.seen++
		if d.at < m.due {
			h.t.Errorf("%s comes %d ms early", d.key, m.due-d.at)
		}
		if m.seen > 1 && !h.repeats {
			h.t.Errorf("%s comes %d times: due at %+d, stored at %+d, now at %+d", d.key, m.seen, m.due-start, m.stored-start, d.at-start)
		}
		if late := d.at - max(m.due, m.stored); late > h.precision && !h.failing && d.at > h.disturbed && m.stored > h.disturbed {
			h.t.Errorf("%s comes %d ms late: due at %+d, stored at %+d, now at %+d, window %d, slots %d, precision %d", d.key, late, m.due-start, m.stored-start, d.at-start, h.opts.RollWindow, h.opts.slots, h.precision)
		}
	}
}
