package broker

import (
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// lockLife is how long a queue stays a client's without word of it. Clients renew every 20 s and stop consuming 30 s
// after the last success, so that at this point none believes itself the owner (Java's RebalanceLockManager).
const lockLife = 60 * time.Second

// lockTable says which client of a group may consume a queue in order. It is memory only: after a restart clients lock
// anew.
type lockTable struct {
	now func() time.Time

	mu struct {
		sync.Mutex
		groups map[string]map[protocol.MessageQueue]queueLock
	}
}

type queueLock struct {
	client string
	until  time.Time
}

func newLockTable(now func() time.Time) *lockTable {
	t := &lockTable{now: now}
	t.mu.groups = map[string]map[protocol.MessageQueue]queueLock{}
	return t
}

// lock gives or prolongs the client as many of the queues as are free or its own, and returns those.
func (t *lockTable) lock(group, client string, queues []protocol.MessageQueue) []protocol.MessageQueue {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.mu.groups[group]
	if held == nil {
		held = map[protocol.MessageQueue]queueLock{}
		t.mu.groups[group] = held
	}
	owned := make([]protocol.MessageQueue, 0, len(queues))
	for _, q := range queues {
		if l, ok := held[q]; ok && l.client != client && now.Before(l.until) {
			continue
		}
		held[q] = queueLock{client: client, until: now.Add(lockLife)}
		owned = append(owned, q)
	}
	return owned
}

// unlock gives up those of the queues that are the client's.
func (t *lockTable) unlock(group, client string, queues []protocol.MessageQueue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.mu.groups[group]
	for _, q := range queues {
		if held[q].client == client {
			delete(held, q)
		}
	}
	if len(held) == 0 {
		delete(t.mu.groups, group)
	}
}

// anyHeld reports whether some queue is locked for the group: it consumes in order.
func (t *lockTable) anyHeld(group string) bool {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.mu.groups[group] {
		if now.Before(l.until) {
			return true
		}
	}
	return false
}

// expire forgets the locks that nobody prolonged, so that the table does not grow with clients that are gone.
func (t *lockTable) expire() {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for group, held := range t.mu.groups {
		for q, l := range held {
			if !now.Before(l.until) {
				delete(held, q)
			}
		}
		if len(held) == 0 {
			delete(t.mu.groups, group)
		}
	}
}
