package state_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

func put(tb testing.TB, fs vfs.FS, name, content string) {
	tb.Helper()
	if err := vfs.WriteFileAtomic(fs, name, []byte(content)); err != nil {
		tb.Fatal(err)
	}
}

// someState is the content of a state file.
type someState struct {
	Offset int64 `json:"offset"`
}

func TestStateFileFallsBackToItsBackup(t *testing.T) {
	good := `{"dataVersion":{"counter":3},"offset":5,"table":{"t@g":{0:5}}}`
	for _, c := range []struct {
		name, main, backup string
		found, complaint   bool
	}{
		{"nothing", "-", "-", false, false},
		{"only the file", good, "-", true, false},
		{"both", good, good, true, false},
		{"only the backup, as while Java writes", "-", good, true, false},
		{"an empty file", "", good, true, false},
		{"a torn file", good[:20], good, true, true},
		{"a torn file and no backup", good[:20], "-", false, true},
		{"both torn", good[:20], good[:30], false, true},
		{"zeros", string(make([]byte, 100)), good, true, true},
	} {
		f, fs := statetest.File(t, "consumerOffset.json")
		if c.main != "-" {
			put(t, fs, f.Name(), c.main)
		}
		if c.backup != "-" {
			put(t, fs, f.Name()+".bak", c.backup)
		}
		v, err := state.Load[someState](f)
		if (v != nil) != c.found || (err != nil) != c.complaint {
			t.Errorf("%s: found %t, complaint %v", c.name, v != nil, err)
		}
		if err != nil && !strings.Contains(err.Error(), f.Name()) {
			t.Errorf("%s: complaint %v does not name the file", c.name, err)
		}
		if v != nil && v.Offset != 5 {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

// After a power loss at any moment the file has what was saved last, or what was being saved.
func TestStateFileSurvivesPowerLoss(t *testing.T) {
	const rounds = 60
	for seed := range uint64(20) {
		f, fs := statetest.File(t, "delayOffset.json")
		for n := int64(1); n <= rounds; n++ {
			if err := f.Write(&someState{Offset: n}); err != nil {
				t.Fatal(err)
			}
			crashed := fs.Crash(seed*rounds + uint64(n))
			v, err := state.Load[someState](state.NewFile(crashed, f.Name()))
			if err != nil || v == nil || v.Offset != n {
				t.Fatalf("seed %d: after save %d the file has %+v (%v)", seed, n, v, err)
			}
		}
	}
}

// A save under way when the power goes leaves the old state or the new one: every operation of it is tried as the last.
func TestStateFileSurvivesPowerLossWhileSaved(t *testing.T) {
	for last := 1; ; last++ {
		f, crash := statetest.File(t, "delayOffset.json")
		for n := int64(1); n <= 2; n++ {
			if err := f.Write(&someState{Offset: n}); err != nil {
				t.Fatal(err)
			}
		}
		faults := vfs.NewFaultFS(crash, time.Sleep)
		faults.SetRules(vfs.Rule{Op: vfs.OpAny, Nth: last, On: true, Err: errors.New("power loss")})
		err := state.NewFile(faults, f.Name()).Write(&someState{Offset: 3})
		for seed := range uint64(30) {
			v, complaint := state.Load[someState](state.NewFile(crash.Crash(seed), f.Name()))
			if v == nil || v.Offset != 2 && v.Offset != 3 {
				t.Fatalf("operation %d, seed %d: the file has %+v (%v)", last, seed, v, complaint)
			}
			if err == nil && v.Offset != 3 {
				t.Fatalf("operation %d, seed %d: saved, and the file has %+v", last, seed, v)
			}
		}
		if err == nil {
			if last < 4 {
				t.Fatalf("a save of %d operations", last-1)
			}
			return
		}
	}
}

// Those who ask for a save while one is under way share the next one, and each finds its own change saved.
func TestSaverSharesWrites(t *testing.T) {
	f, fs := statetest.File(t, "delayOffset.json")
	var last atomic.Int64
	var writes atomic.Int64
	s := state.NewSaver(f, func() any {
		writes.Add(1)
		return &someState{Offset: last.Load()}
	})
	const savers, rounds = 8, 50
	var wg sync.WaitGroup
	for range savers {
		wg.Go(func() {
			for range rounds {
				mine := last.Add(1)
				if err := s.Save(); err != nil {
					t.Error(err)
				}
				v, err := state.Load[someState](f)
				if err != nil || v.Offset < mine {
					t.Errorf("saved %d, and the file has %v (%v)", mine, v, err)
				}
			}
		})
	}
	wg.Wait()
	if n := writes.Load(); n > savers*rounds {
		t.Errorf("%d writes for %d saves", n, savers*rounds)
	}
	s.File = state.NewFile(fs, "/nowhere/file")
	if err := s.Save(); err == nil {
		t.Error("a save that fails reports nothing")
	}
}

// After a write the saver rests as long as the write took, so that more changes share the next one; a change that comes
// later does not wait.
func TestSaverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := statetest.File(t, "delayOffset.json")
		writes := 0
		s := state.NewSaver(f, func() any {
			writes++
			time.Sleep(20 * time.Millisecond) // a large table
			return &someState{}
		})
		save := func() time.Duration {
			began := time.Now()
			if err := s.Save(); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		var wg sync.WaitGroup
		for range 200 { // one each millisecond
			wg.Go(func() {
				if took := save(); took > 65*time.Millisecond {
					t.Errorf("a change waited %v", took)
				}
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if writes < 4 || writes > 7 {
			t.Errorf("%d writes of 20 ms for changes of 200 ms", writes)
		}
		time.Sleep(time.Second)
		if took := save(); took != 20*time.Millisecond {
			t.Errorf("a change at rest took %v", took)
		}
	})
}
