package longpoll

import (
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// Held pulls end late, so that fewer of them come, and on a grid of times, so that those of one cell end together and many
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

// A Pull is a pull that waits for messages from Offset on in one queue. Its fields belong to the table while it is in there.
type Pull struct {
	Request
	waiting[*Pull]
	Offset  int64 // of the first message not yet looked at
	inQueue links[*Pull]
}

func queueLinks(h *Pull) *links[*Pull] { return &h.inQueue }

type queueKey struct {
	topic string
	queue int32
}

// Pulls keeps the pulls that wait for a message (Java's PullRequestHoldService). The dispatch of a message wakes
// those that wait for it; nothing is polled.
type Pulls struct {
	room[*Pull]
	queues map[queueKey]*Pull // the heads of lists
}

// NewPulls returns a table of pulls, limit at most.
func NewPulls(limit int, now func() time.Time) *Pulls {
	t := &Pulls{queues: map[queueKey]*Pull{}}
	t.open(limit, now, t.leaveQueue)
	return t
}

// Hold takes the pull in, unless the table is full or closed. When it returns true, the waiter is not the caller's any
// more.
func (t *Pulls) Hold(h *Pull) bool {
	h.Until = endOfHold(t.now(), h.Until)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full() {
		return false
	}
	key := queueKey{h.Topic, h.Queue}
	t.queues[key] = push(t.queues[key], h, queueLinks)
	t.present.at(h.Topic, h.Queue).Add(1)
	t.enter(h)
	return true
}

func (t *Pulls) leaveQueue(h *Pull) {
	key := queueKey{h.Topic, h.Queue}
	if head := remove(t.queues[key], h, queueLinks); head != nil {
		t.queues[key] = head
	} else {
		delete(t.queues, key)
	}
	t.present.at(h.Topic, h.Queue).Add(-1)
	t.leave(h)
}

// Arrived wakes the requests that wait for this message. It is called by the dispatch for every message, in the order of
// the queue, and takes no time while nothing is held. A single waiter is answered on the spot: that costs the dispatch a
// few microseconds and saves the consumer the way over another goroutine. Where many wait the wakers answer them, so that
// the dispatch goes on.
func (t *Pulls) Arrived(topic string, queue int32, offset, tagsCode int64, record message.Record) {
	if t.count.Load() == 0 || t.present.at(topic, queue).Load() == 0 {
		return
	}
	t.mu.Lock()
	var woken []*Pull
	var first [1]*Pull
	for h, next := t.queues[queueKey{topic, queue}], (*Pull)(nil); h != nil; h = next {
		next = h.inQueue.next
		switch {
		case h.Offset > offset:
		case h.wants(tagsCode, record):
			t.leaveQueue(h)
			if woken == nil {
				woken = first[:0]
			}
			woken = append(woken, h)
		case h.Offset == offset:
			h.Offset++ // the message is not wanted, and was the next one: the hold goes on behind it
		}
	}
	t.mu.Unlock()
	if len(woken) == 1 {
		woken[0].Waiter.Resume(false)
		return
	}
	t.wake(woken...)
}

// Recheck wakes the pull if it is still held and the queue has grown beyond what it has seen. Its owner calls it after
// Hold, with the end of the queue as it is then: a message that came between the read and the hold woke nobody.
func (t *Pulls) Recheck(h *Pull, maxOffset int64) {
	t.mu.Lock()
	if !h.inside() || maxOffset <= h.Offset {
		t.mu.Unlock()
		return
	}
	t.leaveQueue(h)
	t.mu.Unlock()
	t.wake(h)
}

// Nudge wakes all that wait at the queue, as what they wait for has changed.
func (t *Pulls) Nudge(topic string, queue int32) {
	t.mu.Lock()
	var woken []*Pull
	for h := t.queues[queueKey{topic, queue}]; h != nil; h = t.queues[queueKey{topic, queue}] {
		woken = append(woken, h)
		t.leaveQueue(h)
	}
	t.mu.Unlock()
	t.wake(woken...)
}
