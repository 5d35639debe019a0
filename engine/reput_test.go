package engine

import "testing"

// TestNotifyAfterTheEnd wakes a dispatcher that ended with a wake-up not taken, as the log's commit does while the store
// closes: it must not wait for it.
func TestNotifyAfterTheEnd(t *testing.T) {
	d := dispatcher{wake: make(chan struct{}, 1)}
	for range 2 {
		d.parked.Store(true)
		d.notify()
	}
}
