package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLatencyQuantileMatchesSortedSample(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	var first, second Latency
	var sample []time.Duration
	for i := range 20_000 {
		d := time.Duration(r.Uint64() >> (24 + r.UintN(40)))
		sample = append(sample, d)
		if i%2 == 0 {
			first.Record(d)
		} else {
			second.Record(d)
		}
	}
	first.Add(&second)
	slices.Sort(sample)
	for _, share := range []float64{0.0001, 0.5, 0.99, 0.999, 1} {
		want := sample[max(int(share*float64(len(sample)))-1, 0)]
		got := first.Quantile(share)
		if got > want || float64(got) < float64(want)*0.98-1 {
			t.Errorf("seed %d: quantile %v is %v, the sorted sample has %v", seed, share, got, want)
		}
	}
	if first.Max() != sample[len(sample)-1] || first.Count() != uint64(len(sample)) {
		t.Errorf("seed %d: max %v, count %d", seed, first.Max(), first.Count())
	}
}

// The Java side of the comparison counts in the same buckets.
func TestJavaCountsInTheSameBuckets(t *testing.T) {
	source, err := os.ReadFile("peers/java/src/main/java/rocketlog/peer/Latency.java")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("STEP_BITS = %d;", latencyStepBits), "STEPS = 1 << STEP_BITS;", "new long[(64 - STEP_BITS) * STEPS];",
	} {
		if !strings.Contains(string(source), want) {
			t.Errorf("%q is not there", want)
		}
	}
}
