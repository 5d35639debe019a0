package flow

import (
	"sync"
	"time"
)

// QuotaWindow is the time for which the thresholds of cold reads count (ColdDataCgCtrService).
const QuotaWindow = 5 * time.Second

// A Quota bounds what each group, and all together, read from disk in a window of time.
type Quota struct {
	now func() time.Time

	mu     sync.Mutex
	begin  time.Time
	all    int64
	groups map[string]int64 // bytes in this window
}

// NewQuota returns a quota of which nothing is spent.
func NewQuota(now func() time.Time) *Quota {
	return &Quota{now: now, groups: map[string]int64{}}
}

// roll begins a new window when this one is over.
func (q *Quota) roll() {
	if now := q.now(); now.Sub(q.begin) >= QuotaWindow {
		q.begin, q.all = now, 0
		clear(q.groups)
	}
}

// Spend takes down what a group has read.
func (q *Quota) Spend(group string, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.roll()
	q.all += int64(bytes)
	q.groups[group] += int64(bytes)
}

// Exceeded tells whether a group has had all it may in this window, and how much that was: so many bytes for itself, and so many
// of all groups together.
func (q *Quota) Exceeded(group string, ofGroup, ofAll int64) (used, all int64, exceeded bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.roll()
	used = q.groups[group]
	return used, q.all, used >= ofGroup || used > 0 && q.all >= ofAll
}
