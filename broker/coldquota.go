package broker

import (
	"sync"
	"time"
)

// coldQuotaWindow is the time for which the thresholds of cold reads count (ColdDataCgCtrService).
const coldQuotaWindow = 5 * time.Second

// A coldQuota bounds what each group, and all together, read from disk in a window of time, where coldDataFlowControlEnable
// asks for that.
type coldQuota struct {
	now func() time.Time

	mu     sync.Mutex
	begin  time.Time
	all    int64
	groups map[string]int64 // bytes in this window
}

func newColdQuota(now func() time.Time) *coldQuota {
	return &coldQuota{now: now, groups: map[string]int64{}}
}

// roll begins a new window when this one is over.
func (q *coldQuota) roll() {
	if now := q.now(); now.Sub(q.begin) >= coldQuotaWindow {
		q.begin, q.all = now, 0
		clear(q.groups)
	}
}

func (q *coldQuota) spend(group string, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.roll()
	q.all += int64(bytes)
	q.groups[group] += int64(bytes)
}

// exceeded tells whether a group has had all it may in this window, and how much that was.
func (q *coldQuota) exceeded(group string, o *Options) (used, all int64, exceeded bool) {
	if !o.ColdDataFlowControlEnable {
		return 0, 0, false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.roll()
	used = q.groups[group]
	return used, q.all, used >= o.CgColdReadThreshold || used > 0 && q.all >= o.GlobalColdReadThreshold
}
