package fuzzcheck

import (
	"runtime/metrics"
	"testing"
)

const (
	// perByte is what a decoder may allocate for each byte of its input: JSON's
	// "[[[" makes a slice of each.
	perByte = 1 << 10
	// slack is what the runtime and the test itself may take meanwhile.
	slack = 4 << 20
)

// Bounded calls decode and fails the test if it allocated more than an input of
// size bytes can call for.
func Bounded(t testing.TB, size int, decode func()) {
	t.Helper()
	before := allocated()
	decode()
	if took := allocated() - before; took > uint64(slack+perByte*size) {
		t.Fatalf("%d bytes of input made it allocate %d", size, took)
	}
}

// allocated is how much was ever allocated, in bytes.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
