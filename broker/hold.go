package broker

import (
	"container/heap"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
)

// Held requests end late, so that fewer of them come, and on a grid of times, so that those of one cell end together and many
// holds do not mean many wake-ups. Java's end up to five seconds late, as it looks at them that often; here it is a third of the
// patience, and no more than those five seconds: what its consumers allow for.
const (
	holdLate    = 3 // a part of the patience
	holdLateMax = 5 * time.Second
	holdCells   = 5 // of the time by which a hold may be late
	holdGrain   = 100 * time.Millisecond
)

// endOfHold is when a request ends that may wait until a time.
func endOfHold(now, until time.Time) time.Time {
	late := max(min(until.Sub(now)/holdLate, holdLateMax), holdGrain)
	return until.Add(late).Truncate(max((late / holdCells).Truncate(holdGrain), holdGrain))
}

// A hold is a request that waits for messages behind offset in one queue. Its fields belong to the table while it is in there.
type hold struct {
	topic    string
	queue    int32
	offset   int64              // of the first message not yet looked at
	filter   *filter.Expression // nil: any message will do
	owner    any                // whose close ends the hold
	waiter   waiter
	deadline // where is -1 when the hold is not in the table

	inQueue, inOwner holdLinks
}

// holdLinks are the neighbours of a hold in one of its lists.
type holdLinks struct{ prev, next *hold }

// pushHold puts h in front of a list, whose head it returns. links tells of which list it is.
func pushHold(head, h *hold, links func(*hold) *holdLinks) *hold {
	*links(h) = holdLinks{next: head}
	if head != nil {
		links(head).prev = h
	}
	return h
}

// removeHold takes h out of a list, whose head it returns.
func removeHold(head, h *hold, links func(*hold) *holdLinks) *hold {
	l := *links(h)
	*links(h) = holdLinks{}
	if l.next != nil {
		links(l.next).prev = l.prev
	}
	if l.prev == nil {
		return l.next
	}
	links(l.prev).next = l.next
	return head
}

func queueLinks(h *hold) *holdLinks { return &h.inQueue }
func ownerLinks(h *hold) *holdLinks { return &h.inOwner }

// A waiter is told of the end of its hold, once: either that it has something to read or its time is over (resume), or
// that its owner is gone (free). The goroutine that calls resume may be kept for as long as a read takes; where it writes, the
// answer is handed to the system by it and not by another, which would have to be woken.
type waiter interface {
	resume(writes bool)
	free()
}

// replyWaiting answers a request that has waited: see waiter. A consumer that is gone does not care.
func replyWaiting(conn *remoting.Conn, ticket remoting.Ticket, resp *remoting.Command, writes bool) {
	if writes {
		conn.ReplyHere(ticket, resp) //nolint:errcheck
	} else {
		conn.ReplyTo(ticket, resp) //nolint:errcheck
	}
}

type holdKey struct {
	topic string
	queue int32
}

// holdTable keeps the requests that wait for a message (Java's PullRequestHoldService). The dispatch of a message wakes
// those that wait for it; nothing is polled.
type holdTable struct {
	limit int
	now   func() time.Time
	count atomic.Int64 // as many as are held

	// present counts the holds by a hash of their queue. It lets the dispatch pass by without the lock where nobody waits.
	present [presentSlots]atomic.Int32
	seed    maphash.Seed

	mu struct {
		sync.Mutex
		closed bool
		queues map[holdKey]*hold // the heads of lists
		owners map[any]*hold
		byEnd  deadlineHeap[*hold]
	}
	expiry chan struct{} // the first end may have come nearer

	ready struct {
		sync.Mutex
		cond   sync.Cond
		list   []*hold
		closed bool
	}
	done sync.WaitGroup
}

// presentSlots is large against the queues that consumers wait at in most brokers.
const presentSlots = 1 << 12

// slot is the counter of the queue's holds, and of others' with the same hash.
func (t *holdTable) slot(topic string, queue int32) *atomic.Int32 {
	return &t.present[(maphash.String(t.seed, topic)+uint64(queue)*0x9e3779b97f4a7c15)>>32%presentSlots]
}

// wakers is the number of goroutines that answer woken requests.
const wakers = 2

func newHoldTable(limit int, now func() time.Time) *holdTable {
	t := &holdTable{limit: limit, now: now, seed: maphash.MakeSeed(), expiry: make(chan struct{}, 1)}
	t.mu.queues = map[holdKey]*hold{}
	t.mu.owners = map[any]*hold{}
	t.ready.cond.L = &t.ready
	t.done.Add(1 + wakers)
	go t.runExpire()
	for range wakers {
		go t.runWake()
	}
	return t
}

// hold takes the request in, unless the table is full or closed. When it returns true, the waiter is not the caller's any
// more.
func (t *holdTable) hold(h *hold) bool {
	h.until = endOfHold(t.now(), h.until)
	t.mu.Lock()
	if t.mu.closed || len(t.mu.byEnd) >= t.limit {
		t.mu.Unlock()
		return false
	}
	key := holdKey{h.topic, h.queue}
	t.mu.queues[key] = pushHold(t.mu.queues[key], h, queueLinks)
	t.mu.owners[h.owner] = pushHold(t.mu.owners[h.owner], h, ownerLinks)
	heap.Push(&t.mu.byEnd, h)
	t.slot(h.topic, h.queue).Add(1)
	first := h.where == 0
	t.count.Store(int64(len(t.mu.byEnd)))
	t.mu.Unlock()
	if first {
		select {
		case t.expiry <- struct{}{}:
		default:
		}
	}
	return true
}

// arrived wakes the requests that wait for this message. It is called by the dispatch for every message, in the order of
// the queue, and takes no time while nothing is held. A single waiter is answered on the spot: that costs the dispatch a
// few microseconds and saves the consumer the way over another goroutine. Where many wait the wakers answer them, so that
// the dispatch goes on.
func (t *holdTable) arrived(topic string, queue int32, offset, tagsCode int64, record message.Record) {
	if t.count.Load() == 0 || t.slot(topic, queue).Load() == 0 {
		return
	}
	t.mu.Lock()
	var woken []*hold
	var first [1]*hold
	for h, next := t.mu.queues[holdKey{topic, queue}], (*hold)(nil); h != nil; h = next {
		next = h.inQueue.next
		switch {
		case h.offset > offset:
		case h.filter == nil || h.filter.MatchTags(tagsCode) && h.filter.MatchRecord(record):
			t.removeLocked(h)
			if woken == nil {
				woken = first[:0]
			}
			woken = append(woken, h)
		case h.offset == offset:
			h.offset++ // the message is not wanted, and was the next one: the hold goes on behind it
		}
	}
	t.mu.Unlock()
	if len(woken) == 1 {
		woken[0].waiter.resume(false)
		return
	}
	t.enqueue(woken)
}

// recheck wakes the request if it is still held and the queue has grown beyond what it has seen. Its owner calls it after
// hold, with the end of the queue as it is then: a message that came between the read and the hold woke nobody.
func (t *holdTable) recheck(h *hold, maxOffset int64) {
	t.mu.Lock()
	if h.where < 0 || maxOffset <= h.offset {
		t.mu.Unlock()
		return
	}
	t.removeLocked(h)
	t.mu.Unlock()
	t.enqueue([]*hold{h})
}

// nudge wakes all that wait at the queue, as what they wait for has changed.
func (t *holdTable) nudge(topic string, queue int32) {
	t.mu.Lock()
	var woken []*hold
	for h := t.mu.queues[holdKey{topic, queue}]; h != nil; h = t.mu.queues[holdKey{topic, queue}] {
		woken = append(woken, h)
		t.removeLocked(h)
	}
	t.mu.Unlock()
	t.enqueue(woken)
}

// drop ends all holds of an owner that is gone.
func (t *holdTable) drop(owner any) {
	t.mu.Lock()
	var gone []*hold
	for h := t.mu.owners[owner]; h != nil; h = t.mu.owners[owner] {
		gone = append(gone, h)
		t.removeLocked(h)
	}
	t.mu.Unlock()
	for _, h := range gone {
		h.waiter.free()
	}
}

// len returns the number of requests held.
func (t *holdTable) len() int { return int(t.count.Load()) }

func (t *holdTable) removeLocked(h *hold) {
	key := holdKey{h.topic, h.queue}
	if head := removeHold(t.mu.queues[key], h, queueLinks); head != nil {
		t.mu.queues[key] = head
	} else {
		delete(t.mu.queues, key)
	}
	if head := removeHold(t.mu.owners[h.owner], h, ownerLinks); head != nil {
		t.mu.owners[h.owner] = head
	} else {
		delete(t.mu.owners, h.owner)
	}
	heap.Remove(&t.mu.byEnd, h.where)
	t.slot(h.topic, h.queue).Add(-1)
	t.count.Store(int64(len(t.mu.byEnd)))
}

func (t *holdTable) enqueue(list []*hold) {
	if len(list) == 0 {
		return
	}
	t.ready.Lock()
	t.ready.list = append(t.ready.list, list...)
	t.ready.Unlock()
	if len(list) == 1 {
		t.ready.cond.Signal()
	} else {
		t.ready.cond.Broadcast()
	}
}

// runWake answers woken requests, in the order in which they woke.
func (t *holdTable) runWake() {
	defer t.done.Done()
	t.ready.Lock()
	for {
		for len(t.ready.list) == 0 && !t.ready.closed {
			t.ready.cond.Wait()
		}
		if len(t.ready.list) == 0 {
			t.ready.Unlock()
			return
		}
		h := t.ready.list[0]
		t.ready.list[0] = nil
		t.ready.list = t.ready.list[1:]
		t.ready.Unlock()
		h.waiter.resume(true)
		t.ready.Lock()
	}
}

// runExpire wakes the requests whose time is over. It sleeps until the first end.
func (t *holdTable) runExpire() {
	defer t.done.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, open := t.expire()
		if !open {
			return
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-t.expiry:
		}
	}
}

// expire wakes what is due, and returns the time until the next end.
func (t *holdTable) expire() (next time.Duration, open bool) {
	now := t.now()
	t.mu.Lock()
	var due []*hold
	for len(t.mu.byEnd) > 0 && !now.Before(t.mu.byEnd[0].until) {
		h := t.mu.byEnd[0]
		t.removeLocked(h)
		due = append(due, h)
	}
	next = time.Hour
	if len(t.mu.byEnd) > 0 {
		next = t.mu.byEnd[0].until.Sub(now)
	}
	open = !t.mu.closed
	t.mu.Unlock()
	t.enqueue(due)
	return next, open
}

// close ends all holds as if their time were over, answers them, and stops the goroutines.
func (t *holdTable) close() {
	t.mu.Lock()
	t.mu.closed = true
	var rest []*hold
	for len(t.mu.byEnd) > 0 {
		h := t.mu.byEnd[0]
		t.removeLocked(h)
		rest = append(rest, h)
	}
	t.mu.Unlock()
	t.enqueue(rest)
	select {
	case t.expiry <- struct{}{}:
	default:
	}
	t.ready.Lock()
	t.ready.closed = true
	t.ready.Unlock()
	t.ready.cond.Broadcast()
	t.done.Wait()
}
