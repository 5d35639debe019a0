package longpoll

import (
	"container/heap"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/message"
)

// A Waiter is told of the end of its wait, once: either that it has something to read or its time is over (Resume), or
// that its owner is gone (Free). The goroutine that calls Resume may be kept for as long as a read takes; where it writes, the
// answer is handed to the system by it and not by another, which would have to be woken.
type Waiter interface {
	Resume(writes bool)
	Free()
}

// A Request is what pulls and pops that wait have in common. It belongs to the room while it is in there.
type Request struct {
	Topic  string
	Queue  int32
	Filter *filter.Expression // nil: any message will do
	Until  time.Time          // when the wait ends at the latest
	Owner  any                // whose close ends it
	Waiter Waiter
}

func (r *Request) asked() *Request { return r }

// wants tells whether the request waits for such a message.
func (r *Request) wants(tagsCode int64, record message.Record) bool {
	return r.Filter == nil || r.Filter.MatchTags(tagsCode) && r.Filter.MatchRecord(record)
}

// waiting is the room's part of a request, a pointer to which is W.
type waiting[W any] struct {
	where int32 // in the heap of the room; -1 when it has left
	owned links[W]
}

func (w *waiting[W]) self() *waiting[W] { return w }

// inside tells whether the request, which was let in, still waits. The caller holds the room's lock.
func (w *waiting[W]) inside() bool { return w.where >= 0 }

// occupant is a pointer to something with a request and waiting in it.
type occupant[W any] interface {
	comparable
	asked() *Request
	self() *waiting[W]
}

// links are the neighbours of a request in a list.
type links[W any] struct{ prev, next W }

// push puts w in front of a list, whose head it returns. of tells of which list it is.
func push[W comparable](head, w W, of func(W) *links[W]) W {
	var none W
	*of(w) = links[W]{next: head}
	if head != none {
		of(head).prev = w
	}
	return w
}

// remove takes w out of a list, whose head it returns.
func remove[W comparable](head, w W, of func(W) *links[W]) W {
	var none W
	l := *of(w)
	*of(w) = links[W]{}
	if l.next != none {
		of(l.next).prev = l.prev
	}
	if l.prev == none {
		return l.next
	}
	of(l.prev).next = l.next
	return head
}

// presence counts requests by a hash of what they wait at. It lets the dispatch pass by without a lock where nobody waits.
type presence struct {
	seed  maphash.Seed
	slots [presenceSlots]atomic.Int32
}

// presenceSlots is large against the queues that consumers wait at in most brokers.
const presenceSlots = 1 << 12

// at is the counter of a queue, and of others with the same hash.
func (p *presence) at(topic string, queue int32) *atomic.Int32 {
	return &p.slots[(maphash.String(p.seed, topic)+uint64(queue)*0x9e3779b97f4a7c15)>>32%presenceSlots]
}

// room is embedded in a table of requests that wait. The table knows who waits for what; the room ends the waits that the
// table wakes, whose time is over or whose owner is gone.
type room[W occupant[W]] struct {
	limit   int
	now     func() time.Time
	remove  func(W)      // the table's: takes a request out of its lists and, by leave, of the room; called with the lock held
	count   atomic.Int64 // as many as wait
	present presence

	mu     sync.Mutex // over what follows, and the table's lists
	closed bool
	owners map[any]W // the heads of lists
	byEnd  endHeap[W]

	expiry chan struct{} // the first end may have come nearer

	woken struct {
		sync.Mutex
		cond   sync.Cond
		list   []Waiter
		closed bool
	}
	done sync.WaitGroup
}

// wakers is the number of goroutines that answer woken requests.
const wakers = 2

func (r *room[W]) open(limit int, now func() time.Time, remove func(W)) {
	r.limit, r.now, r.remove = limit, now, remove
	r.present.seed = maphash.MakeSeed()
	r.owners = map[any]W{}
	r.expiry = make(chan struct{}, 1)
	r.woken.cond.L = &r.woken
	r.done.Add(1 + wakers)
	go r.runExpire()
	for range wakers {
		go r.runWake()
	}
}

// full tells whether nobody is let in. The caller holds the lock.
func (r *room[W]) full() bool { return r.closed || len(r.byEnd) >= r.limit }

func ownedLinks[W occupant[W]](w W) *links[W] { return &w.self().owned }

// enter takes a request in, whose waiter is the room's from now on. The caller holds the lock.
func (r *room[W]) enter(w W) {
	owner := w.asked().Owner
	r.owners[owner] = push(r.owners[owner], w, ownedLinks[W])
	heap.Push(&r.byEnd, w)
	r.count.Store(int64(len(r.byEnd)))
	if w.self().where == 0 {
		r.rearm()
	}
}

// leave takes a request out. The caller holds the lock.
func (r *room[W]) leave(w W) {
	var none W
	owner := w.asked().Owner
	if head := remove(r.owners[owner], w, ownedLinks[W]); head != none {
		r.owners[owner] = head
	} else {
		delete(r.owners, owner)
	}
	heap.Remove(&r.byEnd, int(w.self().where))
	r.count.Store(int64(len(r.byEnd)))
}

// Len returns the number of requests that wait.
func (r *room[W]) Len() int { return int(r.count.Load()) }

func (r *room[W]) rearm() {
	select {
	case r.expiry <- struct{}{}:
	default:
	}
}

// Drop ends all waits of an owner that is gone.
func (r *room[W]) Drop(owner any) {
	var none W
	var gone []Waiter
	r.mu.Lock()
	for w := r.owners[owner]; w != none; w = r.owners[owner] {
		gone = append(gone, w.asked().Waiter)
		r.remove(w)
	}
	r.mu.Unlock()
	for _, w := range gone {
		w.Free()
	}
}

// wake has the wakers answer requests that have left.
func (r *room[W]) wake(left ...W) {
	if len(left) == 0 {
		return
	}
	r.woken.Lock()
	for _, w := range left {
		r.woken.list = append(r.woken.list, w.asked().Waiter)
	}
	r.woken.Unlock()
	if len(left) == 1 {
		r.woken.cond.Signal()
	} else {
		r.woken.cond.Broadcast()
	}
}

// runWake answers woken requests, in the order in which they woke.
func (r *room[W]) runWake() {
	defer r.done.Done()
	r.woken.Lock()
	for {
		for len(r.woken.list) == 0 && !r.woken.closed {
			r.woken.cond.Wait()
		}
		if len(r.woken.list) == 0 {
			r.woken.Unlock()
			return
		}
		w := r.woken.list[0]
		r.woken.list[0] = nil
		r.woken.list = r.woken.list[1:]
		r.woken.Unlock()
		w.Resume(true)
		r.woken.Lock()
	}
}

// runExpire wakes the requests whose time is over. It sleeps until the first end.
func (r *room[W]) runExpire() {
	defer r.done.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, open := r.expire()
		if !open {
			return
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-r.expiry:
		}
	}
}

// expire wakes what is due, and returns the time until the next end.
func (r *room[W]) expire() (next time.Duration, open bool) {
	now := r.now()
	r.mu.Lock()
	due := r.removeWhile(func(first W) bool { return !now.Before(first.asked().Until) })
	next = time.Hour
	if len(r.byEnd) > 0 {
		next = max(r.byEnd[0].asked().Until.Sub(now), time.Millisecond)
	}
	open = !r.closed
	r.mu.Unlock()
	r.wake(due...)
	return next, open
}

// removeWhile removes requests in the order of their ends. The caller holds the lock.
func (r *room[W]) removeWhile(ends func(first W) bool) (left []W) {
	for len(r.byEnd) > 0 && ends(r.byEnd[0]) {
		left = append(left, r.byEnd[0])
		r.remove(r.byEnd[0])
	}
	return left
}

// Close ends all waits as if their time were over, answers them, and stops the goroutines.
func (r *room[W]) Close() {
	r.mu.Lock()
	r.closed = true
	rest := r.removeWhile(func(W) bool { return true })
	r.mu.Unlock()
	r.wake(rest...)
	r.rearm()
	r.woken.Lock()
	r.woken.closed = true
	r.woken.Unlock()
	r.woken.cond.Broadcast()
	r.done.Wait()
}

// endHeap orders requests by when they end (container/heap).
type endHeap[W occupant[W]] []W

func (h endHeap[W]) Len() int           { return len(h) }
func (h endHeap[W]) Less(i, j int) bool { return h[i].asked().Until.Before(h[j].asked().Until) }
func (h endHeap[W]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].self().where, h[j].self().where = int32(i), int32(j)
}

// Push appends a request.
func (h *endHeap[W]) Push(x any) {
	w := x.(W)
	w.self().where = int32(len(*h))
	*h = append(*h, w)
}

// Pop removes the last request.
func (h *endHeap[W]) Pop() any {
	var none W
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = none
	*h = (*h)[:last]
	w.self().where = -1
	return w
}
