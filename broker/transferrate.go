package broker

import (
	"sync"
	"time"
)

// transferRate tells those who ask for the state of the replication how many bytes of the log went over each connection in
// a second, since somebody asked last. Nothing is counted while nobody asks.
type transferRate struct {
	mu struct {
		sync.Mutex
		at    time.Time
		bytes map[string]int64 // by peer, at that time
		rates map[string]int64
	}
}

// rateWindow is the least time over which a rate is told: who asks sooner is told the last.
const rateWindow = time.Second

// of gives the rate of each peer, of which so many bytes were transferred by now. A peer that is new has none yet.
func (r *transferRate) of(now time.Time, bytes map[string]int64) map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	past := now.Sub(r.mu.at)
	if past < rateWindow {
		return r.mu.rates
	}
	rates := make(map[string]int64, len(bytes))
	for peer, n := range bytes {
		if before, known := r.mu.bytes[peer]; known && n > before {
			rates[peer] = int64(float64(n-before) / past.Seconds())
		}
	}
	r.mu.at, r.mu.bytes, r.mu.rates = now, bytes, rates
	return rates
}
