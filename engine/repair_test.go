package engine

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
)

// A stopped store with damaged queues and index: a repair says what it would do
// and does nothing, then does it and keeps what was there. The topic that was
// deleted stays deleted.
func TestRepair(t *testing.T) {
	dir := t.TempDir()
	opts := small()
	s := open(t, dir, opts)
	all := put(t, s, rand.New(rand.NewPCG(5, 5)), 300)
	for _, m := range put(t, s, rand.New(rand.NewPCG(6, 6)), 20) {
		all = append(all, m)
	}
	if res := s.Put(newMessage("gone", 0, "k", []byte("x"))); res.Status != PutOK {
		t.Fatal(res.Err)
	}
	dispatched(t, s)
	must(t, s.DeleteTopic("gone"))
	must(t, s.Close())

	cutQueue := filepath.Join(dir, "consumequeue/T0/1/00000000000000000000")
	must(t, os.Truncate(cutQueue, 50))
	flip(t, filepath.Join(dir, "consumequeue/T1/2/00000000000000000000"), 41)
	indexes, err := filepath.Glob(filepath.Join(dir, "index", "*"))
	must(t, err)
	flip(t, indexes[0], 40+4*50+20*9+2)
	must(t, os.Remove(indexes[2]))
	wasQueue, err := os.ReadFile(cutQueue)
	must(t, err)

	told := 0
	repair := func(apply bool) *Report {
		t.Helper()
		before, after, err := Repair(dir, &opts, func(r *Report, steps []RepairStep) bool {
			told = len(steps)
			if r.Found == 0 {
				t.Errorf("nothing found: %+v", r)
			}
			return apply
		}, nil)
		must(t, err)
		if before.Found == 0 || apply != (after != nil) {
			t.Errorf("before %+v, after %+v", before, after)
		}
		return after
	}
	repair(false)
	if kept, err := filepath.Glob(filepath.Join(dir, repairPrefix+"*")); err != nil || len(kept) > 0 || told != 3 {
		t.Errorf("%d steps, kept %v, %v", told, kept, err)
	}
	if after := repair(true); after.Found > 0 {
		t.Errorf("after the repair: %+v", after)
	}
	kept, err := filepath.Glob(filepath.Join(dir, repairPrefix+"*", "consumequeue/T0/1/*"))
	must(t, err)
	if len(kept) == 0 {
		t.Fatal("nothing is kept")
	}
	if b, err := os.ReadFile(kept[0]); err != nil || string(b) != string(wasQueue) {
		t.Errorf("kept are %d bytes of %d, %v", len(b), len(wasQueue), err)
	}
	s = open(t, dir, opts)
	verify(t, s, all)
	if q := s.queues.Queue("gone", 0); q != nil {
		t.Error("the deleted topic is there again")
	}
}

// Damage in the midst of the log is named and left, and the check goes on behind.
func TestRepairLeavesTheLog(t *testing.T) {
	dir := t.TempDir()
	opts := small()
	s := open(t, dir, opts)
	all := put(t, s, rand.New(rand.NewPCG(5, 5)), 300)
	must(t, s.Close())
	path := filepath.Join(dir, "commitlog", mappedfile.FileName(0))
	flip(t, path, int64(all[7].res.PhyOffset)+2)
	flip(t, filepath.Join(dir, "consumequeue/T1/2/00000000000000000000"), 41)
	_, after, err := Repair(dir, &opts, func(r *Report, steps []RepairStep) bool {
		if r.Records != len(all)-1 || len(steps) != 2 || !strings.Contains(steps[1].Text, path) {
			t.Errorf("%d records, steps %v", r.Records, steps)
		}
		return true
	}, nil)
	must(t, err)
	if after.Found != 1 || after.Problems[0].File != path || after.Problems[0].Offset != int64(all[7].res.PhyOffset) {
		t.Errorf("after: %+v", after)
	}
}

// Checkpoints that are damaged, or claim what is not there, are written again.
func TestRepairOfCheckpoints(t *testing.T) {
	for name, at := range map[string]int64{checkpointName: 40, waymarkName: 30} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opts := small()
			s := open(t, dir, opts)
			all := put(t, s, rand.New(rand.NewPCG(5, 5)), 300)
			must(t, s.Close())
			flip(t, filepath.Join(dir, name), at)
			_, after, err := Repair(dir, &opts, func(r *Report, steps []RepairStep) bool {
				if r.Found != 1 || len(steps) != 1 || r.Problems[0].File != filepath.Join(dir, name) {
					t.Errorf("%d problems, steps %v", r.Found, steps)
				}
				return true
			}, nil)
			must(t, err)
			if after.Found > 0 {
				t.Errorf("after the repair: %+v", after)
			}
			if kept, err := filepath.Glob(filepath.Join(dir, repairPrefix+"*", name)); err != nil || len(kept) != 1 {
				t.Errorf("%v is kept, %v", kept, err)
			}
			verify(t, open(t, dir, opts), all)
		})
	}
}
