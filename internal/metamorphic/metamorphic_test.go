package metamorphic

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// A store that does what its users were not told, or the other way round, fails
// its history: the model can say no.
func TestLiesAreFound(t *testing.T) {
	last := func(w *world) *sent { return &w.log[len(w.log)-1] }
	lies := []struct {
		name string
		tell func(*world)
		op   Op // that finds it out
		want string
	}{
		{"another body", func(w *world) { last(w).size-- }, Op{Kind: Restart}, "body"},
		{"another message", func(w *world) { last(w).id++ }, Op{Kind: Get, N: 32}, "not U"},
		{"another key", func(w *world) { last(w).key++ }, Op{Kind: Query, Key: 3}, "finds"},
		{"another time", func(w *world) { last(w).time++ }, Op{Kind: Restart}, "time"},
		{"another place", func(w *world) { last(w).phy -= 4; last(w).record += 4 }, Op{Kind: Restart}, "lies at"},
		{"one more", func(w *world) { w.log = w.log[:len(w.log)-1] }, Op{Kind: Restart, Rand: 1}, "check finds 3"},
		{"one less", func(w *world) { m := *last(w); m.offset++; m.phy = m.end(); w.log = append(w.log, m) }, Op{Kind: Get, N: 32}, "promised"},
		{"twice the same offset", func(w *world) { last(w).offset-- }, Op{Kind: Advance}, "offset"},
		{"durable", func(w *world) { w.power = w.end() + 1 }, Op{Kind: Crash}, "promised"},
		{"survives a kill", func(w *world) { w.kill = w.end() + 1 }, Op{Kind: Kill}, "promised"},
		{"an error", func(w *world) { w.refused(errors.New("broken")) }, Op{Kind: Advance}, "broken"},
		{"the truth", func(w *world) {}, Op{Kind: Crash}, ""},
	}
	synctest.Test(t, func(t *testing.T) {
		set := lieSet()
		for _, lie := range lies {
			w := newWorld(set, 1, &Stats{}, vfs.NewCrashFS(1))
			if err := w.open(); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if _, err := w.do(Op{Number: i, Kind: Put, Key: i, Size: 100}); err != nil {
					t.Fatal(err)
				}
			}
			if err := settle(w.store.Load()); err != nil {
				t.Fatal(err)
			}
			lie.tell(w)
			_, err := w.do(lie.op)
			if err == nil {
				err = w.finish()
			}
			if found := err != nil; found != (lie.want != "") || found && !strings.Contains(err.Error(), lie.want) {
				t.Errorf("%s: %v, want %q", lie.name, err, lie.want)
			}
			w.abandon()
		}
	})
}

// lieSet is a store that does nothing by itself for a while.
func lieSet() OptionSet {
	set := newOptionSet(rand.New(rand.NewPCG(1, 1)), async)
	set.opts.IndexDisabled, set.opts.MaxLogBytes, set.opts.CheckpointBytes = false, 0, 1<<40
	set.opts.FlushInterval, set.opts.FlushQueueThoroughInterval = 1<<50, 1<<50
	return set
}

// A history that fails is left with the operations that matter.
func TestShrink(t *testing.T) {
	h := newHistory(7, false)
	for len(h.Ops) < 30 {
		h.Ops = append(h.Ops, Op{Number: len(h.Ops)})
	}
	runs := 0
	needs := func(part History) error {
		runs++
		has := func(n int) bool { return slices.ContainsFunc(part.Ops, func(o Op) bool { return o.Number == n }) }
		if has(3) && has(17) && has(25) {
			return errors.New("it fails")
		}
		return nil
	}
	part, err := shrink(h, errors.New("as at first"), 500, needs)
	var left []int
	for _, op := range part.Ops {
		left = append(left, op.Number)
	}
	if !slices.Equal(left, []int{3, 17, 25}) || err == nil || err.Error() != "it fails" {
		t.Errorf("left are %v: %v", left, err)
	}
	if again := h.only(left); !slices.Equal(again.Ops, part.Ops) {
		t.Errorf("the numbers name %v", again.Ops)
	}
	runs = 0
	if _, err := shrink(h, errors.New("as at first"), 10, func(History) error { runs++; return nil }); err == nil || runs != 10 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

// A seed names one history; histories use every operation.
func TestHistories(t *testing.T) {
	seen := map[Kind]int{}
	for seed := range uint64(50) {
		h := newHistory(seed, seed%2 == 0)
		if again := newHistory(seed, seed%2 == 0); !slices.Equal(h.Ops, again.Ops) {
			t.Fatalf("seed %d draws two histories", seed)
		}
		for _, op := range h.Ops {
			seen[op.Kind]++
			if op.String() == "" {
				t.Errorf("%+v has no text", op)
			}
		}
	}
	for k := range kinds {
		if seen[k] == 0 {
			t.Errorf("no history has a %v", k)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, numbers := range [][]int{nil, {0}, {3, 1, 4}} {
		got, err := ParseNumbers(JoinNumbers(numbers))
		if err != nil || !slices.Equal(got, numbers) {
			t.Errorf("%v becomes %v, %v", numbers, got, err)
		}
	}
	if _, err := ParseNumbers("1,x"); err == nil {
		t.Error("x is a number")
	}
}
