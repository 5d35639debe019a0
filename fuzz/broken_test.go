//go:build broken

package fuzz

import (
	"context"
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/internal/metamorphic"
)

var breakFlag = flag.Int("break", 0, "how to break the engine in this process")

// TestBrokenWork is TestWork with a broken engine.
func TestBrokenWork(t *testing.T) {
	if *workFlag == "" {
		t.Skip("run by TestBroken")
	}
	invariants.Break(invariants.Breakage(*breakFlag))
	metamorphic.Work(t, *workFlag)
}

// caughtWithin is how long a campaign may take to notice that an engine is broken.
const caughtWithin = time.Minute

// An engine that is broken is caught: a campaign that passes means something.
func TestBroken(t *testing.T) {
	for _, b := range []invariants.Breakage{invariants.AckBeforeSync, invariants.DispatchBeforeDurable, invariants.TrustLengths} {
		t.Run(b.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caughtWithin)
			defer cancel()
			began := time.Now()
			stats, err := metamorphic.Run(ctx, metamorphic.Campaign{Crashes: true, Seed: *seedFlag, Time: caughtWithin},
				"-test.run=^TestBrokenWork$", "-test.timeout=0", "-break", string('0'+rune(b)), "-work")
			var found *metamorphic.Failure
			if !errors.As(err, &found) {
				t.Fatalf("not caught in %v: %v, %v", time.Since(began), stats, err)
			}
			t.Logf("caught after %v: %v", time.Since(began).Round(time.Millisecond), found)
		})
	}
}
