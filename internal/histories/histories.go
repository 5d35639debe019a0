package histories

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	timeFlag = flag.Duration("histories.time", 0, "how long each test of random histories runs")
	seedFlag = flag.Uint64("histories.seed", 0, "seed of the only history to run")
)

// Each runs the first count histories, a third of them when tests are to be short, and then random ones for as long as the
// flags ask for; or the one that they ask for. It ends with the first that fails.
func Each(t *testing.T, count uint64, history func(t *testing.T, seed uint64)) {
	t.Helper()
	run := func(seed uint64) bool {
		return t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { history(t, seed) })
	}
	if *seedFlag != 0 {
		run(*seedFlag)
		return
	}
	if testing.Short() {
		count = (count + 2) / 3
	}
	began := time.Now()
	for n := uint64(0); n < count || time.Since(began) < *timeFlag; n++ {
		seed := n
		if n >= count {
			seed = rand.Uint64()
		}
		if !run(seed) {
			return
		}
	}
}
