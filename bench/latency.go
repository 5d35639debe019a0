package bench

import (
	"math"
	"math/bits"
	"time"
)

const (
	// latencyStepBits gives each power of two 64 linear steps, so a bucket is under 2 % wide.
	latencyStepBits = 6
	latencySteps    = 1 << latencyStepBits
	latencyBuckets  = (64 - latencyStepBits) * latencySteps
)

// Latency counts latencies in buckets of under 2 % width. The zero value is ready.
type Latency struct {
	counts [latencyBuckets]uint64
	total  uint64
	max    time.Duration
}

// Record counts one latency.
func (l *Latency) Record(d time.Duration) {
	d = max(d, 0)
	l.counts[latencyBucket(uint64(d))]++
	l.total++
	l.max = max(l.max, d)
}

// Add counts what other counted.
func (l *Latency) Add(other *Latency) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.total += other.total
	l.max = max(l.max, other.max)
}

// Count returns how many latencies were counted, Max the longest.
func (l *Latency) Count() uint64      { return l.total }
func (l *Latency) Max() time.Duration { return l.max }

// Quantile returns the latency that the given share (0 to 1) of all stays at or below, as the lower
// edge of its bucket.
func (l *Latency) Quantile(share float64) time.Duration {
	rank := max(uint64(math.Ceil(float64(l.total)*share)), 1)
	seen := uint64(0)
	for i, n := range l.counts {
		if seen += n; seen >= rank {
			return time.Duration(latencyLower(i))
		}
	}
	return 0
}

func latencyBucket(v uint64) int {
	if v < latencySteps {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - latencyStepBits
	return (shift+1)*latencySteps + int(v>>shift) - latencySteps
}

func latencyLower(bucket int) uint64 {
	if bucket < latencySteps {
		return uint64(bucket)
	}
	return uint64(bucket%latencySteps+latencySteps) << (bucket/latencySteps - 1)
}
