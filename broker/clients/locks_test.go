package clients

import (
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// owns tells whether a client gets or has the queue.
func owns(t *testing.T, table *Locks, client string, q protocol.MessageQueue) bool {
	t.Helper()
	owned, err := table.Lock("g", client, []protocol.MessageQueue{q})
	if err != nil {
		t.Fatal(err)
	}
	return len(owned) == 1
}

// A queue is never two clients' at once, and one that is silent loses it.
func TestLockExpiry(t *testing.T) {
	c := newClock()
	f, _ := statetest.File(t, "queueLocks.json")
	table := NewLocks(f, c.now, func() {})
	q := protocol.MessageQueue{Topic: "t"}
	if !owns(t, table, "one", q) || !table.AnyHeld("g") {
		t.Fatal("a free queue is not locked")
	}
	c.pass(lockLife - time.Second)
	if owns(t, table, "two", q) {
		t.Fatal("locked twice")
	}
	if !owns(t, table, "one", q) {
		t.Fatal("the owner cannot prolong")
	}
	c.pass(lockLife - time.Second)
	if owns(t, table, "two", q) {
		t.Fatal("locked twice after it was prolonged")
	}
	c.pass(time.Second)
	if table.AnyHeld("g") {
		t.Error("an expired lock counts")
	}
	if !owns(t, table, "two", q) {
		t.Fatal("an expired lock is not taken over")
	}
	if err := table.Unlock("g", "one", []protocol.MessageQueue{q}); err != nil || !table.AnyHeld("g") {
		t.Errorf("unlocked by one who is not the owner: %v", err)
	}
	c.pass(lockLife)
	table.Expire()
	if len(table.mu.groups) != 0 {
		t.Error("expired locks are kept")
	}
}

// A crash of the broker gives nobody a queue whose owner may go on consuming: locks outlive it, with what was prolonged, and
// what was unlocked is free.
func TestLocksSurviveCrash(t *testing.T) {
	c := newClock()
	f, fsys := statetest.File(t, "queueLocks.json")
	var table *Locks
	crash := func(seed uint64) {
		fsys = fsys.Crash(seed)
		table = NewLocks(state.NewFile(fsys, f.Name()), c.now, func() {})
		if err := table.Load(); err != nil {
			t.Fatal(err)
		}
	}
	q, other := protocol.MessageQueue{Topic: "t"}, protocol.MessageQueue{Topic: "t", QueueID: 1}
	crash(1)
	if !owns(t, table, "one", q) || !owns(t, table, "one", other) {
		t.Fatal("a free queue is not locked")
	}
	crash(2)
	if owns(t, table, "two", q) || !owns(t, table, "one", q) {
		t.Fatal("a crash makes a queue another's")
	}
	c.pass(20 * time.Second)
	if !owns(t, table, "one", q) {
		t.Fatal("the owner cannot prolong")
	}
	if err := table.Persist(); err != nil {
		t.Fatal(err)
	}
	crash(3)
	c.pass(lockLife - time.Second)
	if owns(t, table, "two", q) {
		t.Fatal("a crash forgets that a lock was prolonged")
	}
	if !owns(t, table, "two", other) {
		t.Fatal("what nobody prolongs is held for longer by a crash")
	}
	if err := table.Unlock("g", "one", []protocol.MessageQueue{q}); err != nil {
		t.Fatal(err)
	}
	crash(4)
	if !owns(t, table, "two", q) || owns(t, table, "one", other) {
		t.Fatal("what is unlocked is not free after a crash")
	}
	c.pass(-2 * lockLife)
	crash(5)
	if !owns(t, table, "one", q) {
		t.Fatal("a lock holds as long as the clock was set back")
	}
}
