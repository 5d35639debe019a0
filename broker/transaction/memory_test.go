package transaction

import (
	"runtime"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

// One transaction that stays pending has the ledger remember all that come behind it: two bits of each.
func TestMemoryOfALedger(t *testing.T) {
	const halfs, batch = 2_000_000, 1000
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	l := NewLedger(0, 0)
	l.Surveyed()
	list := make([]message.QueueOffset, batch)
	for first := 1; first < halfs; first += batch {
		for i := range list {
			list[i] = message.QueueOffset(first + i)
		}
		l.ReadOp(message.QueueOffset(first/batch), list, halfs+batch)
		l.Advance()
	}
	if half, _ := l.Progress(); half != 0 {
		t.Fatalf("progress to %d over a pending half message", half)
	}
	if held := heap() - before; held > halfs/2 { // four bits, as slices grow by more than is asked
		t.Errorf("%d bytes for %d half messages", held, halfs)
	}
	runtime.KeepAlive(l)
}
