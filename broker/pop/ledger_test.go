package pop

import (
	"slices"
	"testing"
)

// A checkpoint that came by way of the timer is due when its time and the grace are over and its acknowledgements came, however
// late that is, and keeps no other from being due.
func TestLateCheckpointsAwaitTheTimer(t *testing.T) {
	l := NewLedger(0)
	late := &Checkpoint{Key: Key{Topic: "T", Group: "g", PopTime: 1000}, InvisibleTime: 500, Offsets: []int64{0, 1}}
	gone := &Checkpoint{Key: Key{Topic: "T", Group: "g", PopTime: 1001}, InvisibleTime: 500, Offsets: []int64{2}}
	l.Add(0, late, true)
	l.Add(1, gone, true)
	const due = 1500 + lateGrace
	if _, ok := l.Awaits(due - 1); ok {
		t.Error("the timer is awaited within the grace")
	}
	if at, ok := l.NextDue(); !ok || at != due {
		t.Errorf("next is due at %d", at)
	}
	until, ok := l.Awaits(due)
	if !ok || until != late.VisibleAt() {
		t.Fatalf("the timer is awaited until %d, %v", until, ok)
	}
	l.Add(2, &Checkpoint{Key: Key{Topic: "T", Group: "g", PopTime: due - 1}, InvisibleTime: 1, Offsets: []int64{3}}, false)
	if d, ok := l.Due(due); !ok || d.Left[0] != 3 {
		t.Fatalf("due is %+v", d)
	} else {
		l.Settle(d.Checkpoint)
	}
	l.Ack(3, &Ack{Key: gone.Key, Offsets: []int64{2}})
	if d, ok := l.Due(due + 1_000_000); ok {
		t.Fatalf("due is %+v before its acknowledgements came", d)
	}
	l.Ack(4, &Ack{Key: late.Key, Offsets: []int64{0}})
	l.Brought(until)
	if d, ok := l.Due(due - 1); ok {
		t.Errorf("due is %+v within the grace", d)
	}
	d, ok := l.Due(due)
	if !ok || !slices.Equal(d.Left, []int64{1}) {
		t.Fatalf("due is %+v", d)
	}
	l.Settle(d.Checkpoint)
	if _, ok := l.Due(due + 1_000_000); ok || l.Len() != 0 || l.late.Len() != 0 || l.Committed() != 4 {
		t.Errorf("%d are open, committed is %d", l.Len(), l.Committed())
	}
}
