package broker

import (
	"time"

	"github.com/rocketlog/rocketlog/message"
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
	waiting[*hold]
	offset  int64 // of the first message not yet looked at
	inQueue links[*hold]
}

func queueLinks(h *hold) *links[*hold] { return &h.inQueue }

type holdKey struct {
	topic string
	queue int32
}

// holdTable keeps the requests that wait for a message (Java's PullRequestHoldService). The dispatch of a message wakes
// those that wait for it; nothing is polled.
type holdTable struct {
	waitRoom[*hold]
	queues map[holdKey]*hold // the heads of lists
}

func newHoldTable(limit int, now func() time.Time) *holdTable {
	t := &holdTable{queues: map[holdKey]*hold{}}
	t.open(limit, now, t.leaveQueue)
	return t
}

// hold takes the request in, unless the table is full or closed. When it returns true, the waiter is not the caller's any
// more.
func (t *holdTable) hold(h *hold) bool {
	h.until = endOfHold(t.now(), h.until)
	t.Lock()
	defer t.Unlock()
	if t.full() {
		return false
	}
	key := holdKey{h.topic, h.queue}
	t.queues[key] = pushWaiting(t.queues[key], h, queueLinks)
	t.present.at(h.topic, h.queue).Add(1)
	t.enter(h)
	return true
}

func (t *holdTable) leaveQueue(h *hold) {
	key := holdKey{h.topic, h.queue}
	if head := removeWaiting(t.queues[key], h, queueLinks); head != nil {
		t.queues[key] = head
	} else {
		delete(t.queues, key)
	}
	t.present.at(h.topic, h.queue).Add(-1)
	t.leave(h)
}

// arrived wakes the requests that wait for this message. It is called by the dispatch for every message, in the order of
// the queue, and takes no time while nothing is held. A single waiter is answered on the spot: that costs the dispatch a
// few microseconds and saves the consumer the way over another goroutine. Where many wait the wakers answer them, so that
// the dispatch goes on.
func (t *holdTable) arrived(topic string, queue int32, offset, tagsCode int64, record message.Record) {
	if t.count.Load() == 0 || t.present.at(topic, queue).Load() == 0 {
		return
	}
	t.Lock()
	var woken []*hold
	var first [1]*hold
	for h, next := t.queues[holdKey{topic, queue}], (*hold)(nil); h != nil; h = next {
		next = h.inQueue.next
		switch {
		case h.offset > offset:
		case h.wants(tagsCode, record):
			t.leaveQueue(h)
			if woken == nil {
				woken = first[:0]
			}
			woken = append(woken, h)
		case h.offset == offset:
			h.offset++ // the message is not wanted, and was the next one: the hold goes on behind it
		}
	}
	t.Unlock()
	if len(woken) == 1 {
		woken[0].waiter.resume(false)
		return
	}
	t.wake(woken...)
}

// recheck wakes the request if it is still held and the queue has grown beyond what it has seen. Its owner calls it after
// hold, with the end of the queue as it is then: a message that came between the read and the hold woke nobody.
func (t *holdTable) recheck(h *hold, maxOffset int64) {
	t.Lock()
	if !h.inside() || maxOffset <= h.offset {
		t.Unlock()
		return
	}
	t.leaveQueue(h)
	t.Unlock()
	t.wake(h)
}

// nudge wakes all that wait at the queue, as what they wait for has changed.
func (t *holdTable) nudge(topic string, queue int32) {
	t.Lock()
	var woken []*hold
	for h := t.queues[holdKey{topic, queue}]; h != nil; h = t.queues[holdKey{topic, queue}] {
		woken = append(woken, h)
		t.leaveQueue(h)
	}
	t.Unlock()
	t.wake(woken...)
}
