package broker

import "time"

// deadline is embedded in a request that waits until a time at most.
type deadline struct {
	until time.Time
	where int // in the heap; -1 when it is in none
}

func (d *deadline) self() *deadline { return d }

// deadlineHeap orders requests by their deadline (container/heap).
type deadlineHeap[W interface{ self() *deadline }] []W

func (h deadlineHeap[W]) Len() int           { return len(h) }
func (h deadlineHeap[W]) Less(i, j int) bool { return h[i].self().until.Before(h[j].self().until) }
func (h deadlineHeap[W]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].self().where, h[j].self().where = i, j
}

// Push appends a request.
func (h *deadlineHeap[W]) Push(x any) {
	w := x.(W)
	w.self().where = len(*h)
	*h = append(*h, w)
}

// Pop removes the last request.
func (h *deadlineHeap[W]) Pop() any {
	var none W
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = none
	*h = (*h)[:last]
	w.self().where = -1
	return w
}
