package sim

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

var (
	runs = flag.Int("sim.runs", 300, "seeds that the simulator runs")
	seed = flag.Uint64("sim.seed", 0, "the one seed to run, if it is not 0")
)

// run runs a seed in a bubble, in which all that runs beside it can be waited for.
func run(t *testing.T, seed uint64, broken Broken) (s Settings, counts Counts, err error) {
	synctest.Test(t, func(*testing.T) { s, counts, err = Run(seed, broken, synctest.Wait) })
	return s, counts, err
}

// seeds runs seeds from first on, as many at a time as there are processors.
// What one returns is called by one goroutine at a time.
func seeds(first uint64, n int, one func(seed uint64) func()) {
	var next atomic.Uint64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= uint64(n) {
					return
				}
				note := one(first + i)
				mu.Lock()
				note()
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// all runs as many seeds as were asked for and sums up what happened, or the one seed asked for, and then
// says false.
func all[S, C any](t *testing.T, run func(*testing.T, uint64, Broken) (S, C, error), add func(*C, C)) (total C, many bool) {
	if *seed != 0 {
		s, counts, err := run(t, *seed, Sound)
		t.Logf("seed %d: %+v: %+v", *seed, s, counts)
		if err != nil {
			t.Fatal(err)
		}
		return total, false
	}
	seeds(1, *runs, func(seed uint64) func() {
		s, counts, err := run(t, seed, Sound)
		return func() {
			add(&total, counts)
			if err != nil {
				t.Errorf("seed %d (again with -sim.seed=%d), %+v: %v", seed, seed, s, err)
			}
		}
	})
	t.Logf("%d runs: %+v", *runs, total)
	return total, true
}

// reached checks that what the simulator is there for happened often enough.
func reached(t *testing.T, counts map[string]int) {
	t.Helper()
	for name, n := range counts {
		if n < *runs/20 {
			t.Errorf("only %d %s: the simulator does not get there", n, name)
		}
	}
}

func TestReplication(t *testing.T) {
	total, many := all(t, run, (*Counts).add)
	if !many {
		return
	}
	reached(t, map[string]int{
		"acknowledged puts": total.Acknowledged, "late puts": total.Late, "copied bytes": total.Copied, "refusals": total.Refusals,
		"master crashes": total.MasterCrashes, "slave crashes": total.SlaveCrashes, "cut connections": total.Cuts,
	})
}

// TestMistakesAreFound shows that the invariants are worth something.
func TestMistakesAreFound(t *testing.T) {
	const most = 2000
	for name, broken := range map[string]Broken{
		"trusts any log": TrustsAnyLog, "reports before the sync": ReportsBeforeSync, "keeps no identity": KeepsNoIdentity,
		"skips truncation": SkipsTruncation, "confirms its own": ConfirmsItsOwn, "elects anyone": ElectsAnyone,
	} {
		var found error
		tried := uint64(0)
		for ; tried < most && found == nil; tried++ {
			var err error
			if broken >= SkipsTruncation {
				_, _, err = runSwitching(t, 1000+tried, broken)
			} else {
				_, _, err = run(t, 1000+tried, broken)
			}
			if err != nil {
				found = fmt.Errorf("seed %d: %w", 1000+tried, err)
			}
		}
		if found == nil {
			t.Errorf("%s: not found in %d runs", name, most)
		} else {
			t.Logf("%s: found in run %d: %v", name, tried, found)
		}
	}
}

func runSwitching(t *testing.T, seed uint64, broken Broken) (s SwitchSettings, counts SwitchCounts, err error) {
	synctest.Test(t, func(*testing.T) { s, counts, err = RunSwitching(seed, broken, synctest.Wait) })
	return s, counts, err
}

// TestSwitchReplication is TestReplication with epochs: masters come and go.
func TestSwitchReplication(t *testing.T) {
	total, many := all(t, runSwitching, (*SwitchCounts).add)
	if !many {
		return
	}
	reached(t, map[string]int{
		"acknowledged puts": total.Acknowledged, "late puts": total.Late, "copied bytes": total.Copied, "truncations": total.Truncations,
		"elections": total.Elections, "decisions": total.Decisions, "crashes": total.Crashes, "cut connections": total.Cuts,
	})
}

// TestSeedsThatFound runs the seeds that found something.
func TestSeedsThatFound(t *testing.T) {
	for seed, what := range map[uint64]string{
		99385: "a restarted slave without the blank at its log's end, which its master had confirmed",
	} {
		if _, _, err := runSwitching(t, seed, Sound); err != nil {
			t.Errorf("seed %d, %s: %v", seed, what, err)
		}
	}
}

// TestSeedReplays: a seed that finds something must find it again.
func TestSeedReplays(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		_, first, err1 := run(t, seed, Sound)
		_, again, err2 := run(t, seed, Sound)
		if first != again || fmt.Sprint(err1) != fmt.Sprint(err2) {
			t.Errorf("seed %d: %+v (%v), and then %+v (%v)", seed, first, err1, again, err2)
		}
		_, one, err1 := runSwitching(t, seed, Sound)
		_, two, err2 := runSwitching(t, seed, Sound)
		if one != two || fmt.Sprint(err1) != fmt.Sprint(err2) {
			t.Errorf("seed %d with epochs: %+v (%v), and then %+v (%v)", seed, one, err1, two, err2)
		}
	}
}
