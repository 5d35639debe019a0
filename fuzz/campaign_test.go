package fuzz

import (
	"flag"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/metamorphic"
)

var (
	timeFlag  = flag.Duration("time", 0, "how long a campaign runs")
	countFlag = flag.Int("count", 0, "how many histories, or kills, it runs")
	seedFlag  = flag.Uint64("seed", 0, "seed of the first history; alone it runs that one")
	keepFlag  = flag.String("keep", "", "numbers of the operations of the history to run, split by commas")
	workFlag  = flag.String("work", "", "what a process of a campaign is to do")
)

// campaign runs what the flags ask for, by default so many histories.
func campaign(t *testing.T, crashes bool, histories int) {
	t.Helper()
	c := metamorphic.Campaign{Crashes: crashes, Count: *countFlag, Time: *timeFlag, Seed: *seedFlag}
	var err error
	if c.Keep, err = metamorphic.ParseNumbers(*keepFlag); err != nil {
		t.Fatal(err)
	}
	if c.Count == 0 && c.Time == 0 && c.Seed == 0 {
		c.Count = histories
		if testing.Short() {
			c.Count = max(1, histories/5)
		}
	}
	began := time.Now()
	stats, err := metamorphic.Run(t.Context(), c, "-test.run=^TestWork$", "-test.timeout=0", "-work")
	t.Logf("%v: %v", time.Since(began).Round(time.Millisecond), stats)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if stats.Histories == 0 {
		t.Error("no history was run")
	}
}

// TestWork is what the processes of a campaign run.
func TestWork(t *testing.T) {
	if *workFlag == "" {
		t.Skip("run by the campaigns")
	}
	metamorphic.Work(t, *workFlag)
}

// Random histories agree with the model, under every option set.
func TestMeta(t *testing.T) { campaign(t, false, 100) }

// Whenever the power fails or the process ends, recovery included, what was
// promised is there.
func TestCrash(t *testing.T) { campaign(t, true, 10) }
