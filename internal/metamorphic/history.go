package metamorphic

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Stats count what was done.
type Stats struct {
	Histories, Runs, Ops, Messages, Opens int
	Crashes, Kills                        int // of which the outcome was proved
	Second                                int // of these, during or after a recovery from another
	mu                                    sync.Mutex
	Points                                map[string]int // crashes and kills within an operation, by the call of the file system
}

// at counts a crash before a call.
func (s *Stats) at(op vfs.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Points == nil {
		s.Points = map[string]int{}
	}
	s.Points[op.String()]++
}

// Add adds what another has counted.
func (s *Stats) Add(o *Stats) {
	s.Histories += o.Histories
	s.Runs += o.Runs
	s.Ops += o.Ops
	s.Messages += o.Messages
	s.Opens += o.Opens
	s.Crashes += o.Crashes
	s.Kills += o.Kills
	s.Second += o.Second
	for op, n := range o.Points {
		if s.Points == nil {
			s.Points = map[string]int{}
		}
		s.Points[op] += n
	}
}

// String tells the counts in a line or two.
func (s *Stats) String() string {
	text := fmt.Sprintf("%d histories in %d runs: %d operations, %d messages, %d opens, %d power losses, %d kills, of both %d during or after another recovery",
		s.Histories, s.Runs, s.Ops, s.Messages, s.Opens, s.Crashes, s.Kills, s.Second)
	var points []string
	for _, op := range slices.Sorted(maps.Keys(s.Points)) {
		points = append(points, fmt.Sprintf("%s %d", op, s.Points[op]))
	}
	if len(points) > 0 {
		text += "\ncrash points: " + strings.Join(points, ", ")
	}
	return text
}

// runAll runs a history under its option sets and proves that the answers do
// not depend on them.
func runAll(h History, crashes bool, stats *Stats) error {
	stats.Histories++
	var first []answer
	for i, set := range optionSets(h.Seed, crashes) {
		answers, err := runOne(h, set, crashes, stats)
		if err != nil {
			return fmt.Errorf("%w\noptions: %v", err, set)
		}
		if i == 0 {
			first = answers
		}
		if !h.calm {
			continue
		}
		for n, a := range answers {
			if a != first[n] {
				return fmt.Errorf("operation %v answers %q, under the first option set %q\noptions: %v", h.Ops[n], a, first[n], set)
			}
		}
	}
	return nil
}

// optionSets draws the option sets of a history: one of each mode, or for the
// crash campaign, where one history holds many crashes, one.
func optionSets(seed uint64, crashes bool) (sets []OptionSet) {
	rng := rand.New(rand.NewPCG(seed, 2))
	if crashes {
		return []OptionSet{newOptionSet(rng, pick(rng, async, sync_, sync_, pool))}
	}
	for m := range modes {
		sets = append(sets, newOptionSet(rng, m))
	}
	return sets
}

// runOne runs a history under one option set, from a new store to the proof of
// the whole of it at the end.
func runOne(h History, set OptionSet, crashes bool, stats *Stats) (answers []answer, err error) {
	stats.Runs++
	w := newWorld(set, h.Queues, stats, vfs.NewCrashFS(h.Seed))
	w.calm = h.calm
	w.points.on, w.points.seed = crashes, h.Seed
	defer w.abandon()
	if err := w.open(); err != nil {
		return nil, err
	}
	for _, op := range h.Ops {
		a, err := w.do(op)
		if err == nil {
			err = w.lookAt(0)
		}
		if err != nil {
			return nil, fmt.Errorf("operation %v: %w", op, err)
		}
		answers = append(answers, a)
	}
	return answers, w.finish()
}

// finish proves the store as a whole, running and stopped.
func (w *world) finish() error {
	w.points.begin(Op{Number: -1})
	if err := w.readable(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	v := w.view()
	if err := v.agree(w.log, max(w.min, v.MinPhyOffset())); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	if err := errors.Join(w.close(), w.failure.get()); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return w.lookAt(0)
}

// shrink takes operations away from a history that failed with err, as long as
// it still does, and returns what is left with how it fails. It gives up after
// a number of tries, as goroutines may not interleave the same way twice.
func shrink(h History, err error, tries int, fails func(History) error) (History, error) {
	for n := max(1, len(h.Ops)/2); tries > 0; n = max(1, n/2) {
		shorter := false
		for at := 0; at < len(h.Ops) && tries > 0; tries-- {
			part := h
			part.Ops = slices.Delete(slices.Clone(h.Ops), at, min(at+n, len(h.Ops)))
			if e := fails(part); e != nil {
				h, err, shorter = part, e, true
			} else {
				at += n
			}
		}
		if n == 1 && !shorter {
			break
		}
	}
	return h, err
}
