package clients

import (
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// lockLife is how long a queue stays a client's without word of it. Clients renew every 20 s and stop consuming 30 s
// after the last success, so that at this point none believes itself the owner (Java's RebalanceLockManager).
const lockLife = 60 * time.Second

// Locks says which client of a group may consume a queue in order. It is kept in config/queueLocks.json, which Java does
// not have: its broker forgets the locks when it ends, and gives a queue to whoever asks first, while the owner, who has
// noticed nothing, goes on for up to 30 s. Then messages are consumed out of order.
type Locks struct {
	now   func() time.Time
	saver *state.Saver
	armed func() // called without lock when a clean table gets dirty

	mu struct {
		sync.Mutex
		groups map[string]map[protocol.MessageQueue]queueLock
		dirty  bool
	}
}

type queueLock struct {
	client string
	until  time.Time
}

// LocksFile is the shape of queueLocks.json.
type LocksFile struct {
	LockTable map[string][]savedLock `json:"lockTable"` // by group
}

type savedLock struct {
	Queue  protocol.MessageQueue `json:"queue"`
	Client string                `json:"clientId"`
	Until  int64                 `json:"until"` // ms
}

// NewLocks returns a table without what the file has. armed is called without lock when a clean table gets dirty.
func NewLocks(file state.File, now func() time.Time, armed func()) *Locks {
	t := &Locks{now: now, armed: armed}
	t.mu.groups = map[string]map[protocol.MessageQueue]queueLock{}
	t.saver = state.NewSaver(file, func() any { return t.snapshot() })
	return t
}

// Load reads the locks that hold.
func (t *Locks) Load() error {
	file, err := state.Load[LocksFile](t.saver.File)
	if file == nil {
		return err
	}
	now := t.now()
	for group, locks := range file.LockTable {
		for _, l := range locks {
			// One that holds for longer than any can is of a clock that was set back.
			if until := time.UnixMilli(l.Until); now.Before(until) && !until.After(now.Add(lockLife)) {
				t.heldLocked(group)[l.Queue] = queueLock{l.Client, until}
			}
		}
	}
	return err
}

func (t *Locks) snapshot() *LocksFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	file := &LocksFile{LockTable: map[string][]savedLock{}}
	for group, held := range t.mu.groups {
		for q, l := range held {
			file.LockTable[group] = append(file.LockTable[group], savedLock{q, l.client, l.until.UnixMilli()})
		}
	}
	return file
}

// Persist makes what changed so far durable, if anything did since the last time.
func (t *Locks) Persist() error { return t.saver.SaveDirty(&t.mu, &t.mu.dirty) }

// heldLocked returns the group's locks.
func (t *Locks) heldLocked(group string) map[protocol.MessageQueue]queueLock {
	held := t.mu.groups[group]
	if held == nil {
		held = map[protocol.MessageQueue]queueLock{}
		t.mu.groups[group] = held
	}
	return held
}

// changed has a change made durable: at once if it is of an owner.
func (t *Locks) changed(ofOwner bool) error {
	if ofOwner {
		return t.saver.Save()
	}
	t.mu.Lock()
	arm := !t.mu.dirty
	t.mu.dirty = true
	t.mu.Unlock()
	if arm {
		t.armed()
	}
	return nil
}

// Lock gives or prolongs the client as many of the queues as are free or its own, and returns those. They are the client's
// also when the error says that a crash would forget it.
func (t *Locks) Lock(group, client string, queues []protocol.MessageQueue) ([]protocol.MessageQueue, error) {
	owned, changed := t.take(group, client, queues)
	if len(owned) == 0 {
		return owned, nil
	}
	return owned, t.changed(changed)
}

// take is lock in memory. It tells whether a queue has another owner now.
func (t *Locks) take(group, client string, queues []protocol.MessageQueue) (owned []protocol.MessageQueue, changed bool) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.heldLocked(group)
	owned = make([]protocol.MessageQueue, 0, len(queues))
	for _, q := range queues {
		l, ok := held[q]
		if ok && l.client != client && now.Before(l.until) {
			continue
		}
		changed = changed || l.client != client
		held[q] = queueLock{client: client, until: now.Add(lockLife)}
		owned = append(owned, q)
	}
	return owned, changed
}

// Unlock gives up those of the queues that are the client's.
func (t *Locks) Unlock(group, client string, queues []protocol.MessageQueue) error {
	if !t.drop(group, client, queues) {
		return nil
	}
	return t.changed(true)
}

// drop is unlock in memory. It tells whether there was something to give up.
func (t *Locks) drop(group, client string, queues []protocol.MessageQueue) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.mu.groups[group]
	for _, q := range queues {
		if l, ok := held[q]; ok && l.client == client {
			delete(held, q)
			changed = true
		}
	}
	if len(held) == 0 {
		delete(t.mu.groups, group)
	}
	return changed
}

// AnyHeld reports whether some queue is locked for the group: it consumes in order.
func (t *Locks) AnyHeld(group string) bool {
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

// Expire forgets the locks that nobody prolonged, so that the table does not grow with clients that are gone.
func (t *Locks) Expire() {
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
