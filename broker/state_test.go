package broker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// memoryFile is a state file in a file system of its own.
func memoryFile(tb testing.TB, name string) (stateFile, *vfs.CrashFS) {
	tb.Helper()
	fs := vfs.NewCrashFS(1)
	if err := fs.MkdirAll("/store/config", 0o755); err != nil {
		tb.Fatal(err)
	}
	for _, dir := range []string{"/store", "/"} {
		if err := fs.SyncDir(dir); err != nil {
			tb.Fatal(err)
		}
	}
	return newStateFile(fs, "/store/config/"+name), fs
}

func put(tb testing.TB, fs vfs.FS, name, content string) {
	tb.Helper()
	if err := vfs.WriteFileAtomic(fs, name, []byte(content)); err != nil {
		tb.Fatal(err)
	}
}

func TestStateFileFallsBackToItsBackup(t *testing.T) {
	good := `{"dataVersion":{"counter":3},"offsetTable":{"t@g":{0:5}}}`
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
		f, fs := memoryFile(t, "consumerOffset.json")
		if c.main != "-" {
			put(t, fs, f.Name(), c.main)
		}
		if c.backup != "-" {
			put(t, fs, f.Name()+".bak", c.backup)
		}
		v, err := loadState[offsetsFile](f)
		if (v != nil) != c.found || (err != nil) != c.complaint {
			t.Errorf("%s: found %t, complaint %v", c.name, v != nil, err)
		}
		if err != nil && !strings.Contains(err.Error(), f.Name()) {
			t.Errorf("%s: complaint %v does not name the file", c.name, err)
		}
		if v != nil && v.OffsetTable["t@g"][0] != 5 {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

// After a power loss at any moment the file has what was saved last, or what was being saved.
func TestStateFileSurvivesPowerLoss(t *testing.T) {
	const rounds = 60
	for seed := range uint64(20) {
		f, fs := memoryFile(t, "delayOffset.json")
		for n := int64(1); n <= rounds; n++ {
			if err := f.write(&delayOffsetsFile{OffsetTable: map[int32]int64{1: n}}); err != nil {
				t.Fatal(err)
			}
			crashed := fs.Crash(seed*rounds + uint64(n))
			v, err := loadState[delayOffsetsFile](newStateFile(crashed, f.Name()))
			if err != nil || v == nil || v.OffsetTable[1] != n {
				t.Fatalf("seed %d: after save %d the file has %+v (%v)", seed, n, v, err)
			}
		}
	}
}

// A save under way when the power goes leaves the old state or the new one: every operation of it is tried as the last.
func TestStateFileSurvivesPowerLossWhileSaved(t *testing.T) {
	for last := 1; ; last++ {
		f, crash := memoryFile(t, "delayOffset.json")
		for n := int64(1); n <= 2; n++ {
			if err := f.write(&delayOffsetsFile{OffsetTable: map[int32]int64{1: n}}); err != nil {
				t.Fatal(err)
			}
		}
		faults := vfs.NewFaultFS(crash, time.Sleep)
		faults.SetRules(vfs.Rule{Op: vfs.OpAny, Nth: last, On: true, Err: errors.New("power loss")})
		err := newStateFile(faults, f.Name()).write(&delayOffsetsFile{OffsetTable: map[int32]int64{1: 3}})
		for seed := range uint64(30) {
			v, complaint := loadState[delayOffsetsFile](newStateFile(crash.Crash(seed), f.Name()))
			if v == nil || v.OffsetTable[1] != 2 && v.OffsetTable[1] != 3 {
				t.Fatalf("operation %d, seed %d: the file has %+v (%v)", last, seed, v, complaint)
			}
			if err == nil && v.OffsetTable[1] != 3 {
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

// A broker that finds its state damaged goes on by the backup, and there are two generations again before it serves: the damaged
// file does not become one of them.
func TestDamagedStateIsNotMadeTheBackup(t *testing.T) {
	var log logText
	o := testOptions(t.TempDir())
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	b, err := Open(o)
	if err == nil {
		err = errors.Join(b.topics.update([]*protocol.TopicConfig{newTopicConfig("first", 2)}, 1), b.topics.update([]*protocol.TopicConfig{newTopicConfig("second", 2)}, 2))
		err = errors.Join(err, b.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(o.StorePathRootDir, "config", "topics.json")
	backup, err := os.ReadFile(name + ".bak")
	if err == nil {
		err = os.Truncate(name, 100)
	}
	if err != nil || !strings.Contains(string(backup), "first") {
		t.Fatalf("the backup: %s, %v", backup, err)
	}
	damaged, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	log.take()
	s := startWith(t, o)
	if got := log.take(); !strings.Contains(got, name) || !strings.Contains(got, "damaged") || !strings.Contains(got, "mended=true") {
		t.Errorf("said %q", got)
	}
	if s.topics.get("first") == nil {
		t.Error("the backup was not read")
	}
	for generation, want := range map[string][]byte{name + ".bak": backup, name + ".damaged": damaged} {
		if got, err := os.ReadFile(generation); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %s, %v", generation, got, err)
		}
	}
	again := newTopicTable(newStateFile(vfs.OS, name), o, 0)
	if err := again.load(); err != nil || again.get("first") == nil {
		t.Errorf("written anew: %v", err)
	}
}

// Those who ask for a save while one is under way share the next one, and each finds its own change saved.
func TestSaverSharesWrites(t *testing.T) {
	f, fs := memoryFile(t, "delayOffset.json")
	var state atomic.Int64
	var writes atomic.Int64
	s := newSaver(f, func() any {
		writes.Add(1)
		return &delayOffsetsFile{OffsetTable: map[int32]int64{1: state.Load()}}
	})
	const savers, rounds = 8, 50
	var wg sync.WaitGroup
	for range savers {
		wg.Go(func() {
			for range rounds {
				mine := state.Add(1)
				if err := s.save(); err != nil {
					t.Error(err)
				}
				v, err := loadState[delayOffsetsFile](f)
				if err != nil || v.OffsetTable[1] < mine {
					t.Errorf("saved %d, and the file has %v (%v)", mine, v, err)
				}
			}
		})
	}
	wg.Wait()
	if n := writes.Load(); n > savers*rounds {
		t.Errorf("%d writes for %d saves", n, savers*rounds)
	}
	s.file = newStateFile(fs, "/nowhere/file")
	if err := s.save(); err == nil {
		t.Error("a save that fails reports nothing")
	}
}

// After a write the saver rests as long as the write took, so that more changes share the next one; a change that comes
// later does not wait.
func TestSaverRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := memoryFile(t, "delayOffset.json")
		writes := 0
		s := newSaver(f, func() any {
			writes++
			time.Sleep(20 * time.Millisecond) // a large table
			return &delayOffsetsFile{}
		})
		save := func() time.Duration {
			began := time.Now()
			if err := s.save(); err != nil {
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

// Java's state files load, and what is saved again means the same.
func TestGoldenStateFiles(t *testing.T) {
	root := golden.Store(t, golden.Clean)
	open := func(name string) stateFile { return newStateFile(vfs.OS, filepath.Join(root, "config", name)) }
	again := newStateFile(vfs.OS, filepath.Join(t.TempDir(), "again.json"))
	o := testOptions(root)

	topics := newTopicTable(open("topics.json"), o, 0)
	groups := newGroupTable(open("subscriptionGroup.json"), testOptions(""), 0)
	offsets := newOffsetTable(open("consumerOffset.json"), o, func() int64 { return 0 })
	delays := newScheduler(open("delayOffset.json"), []time.Duration{}, time.Now, o.Logger)
	delays.store = emptyStore{}
	for _, load := range []func() error{topics.load, groups.load, offsets.load, delays.load} {
		if err := load(); err != nil {
			t.Fatal(err)
		}
	}
	if len(topics.list()) < 20 || groups.get("GC_all") == nil || len(offsets.topicsOf("GC_all")) == 0 || delays.snapshot().OffsetTable[1] == 0 {
		t.Errorf("the files are not what they were: %d topics, %d groups", len(topics.list()), len(groups.names()))
	}
	for name, snapshot := range map[string]any{
		"topics.json": topics.snapshot(), "subscriptionGroup.json": groups.snapshot(),
		"consumerOffset.json": offsets.snapshot(), "delayOffset.json": delays.snapshot(),
	} {
		if err := again.write(snapshot); err != nil {
			t.Fatal(err)
		}
		want, got := plainJSON(t, open(name)), plainJSON(t, again)
		if name == "topics.json" {
			addMissing(want["topicConfigTable"].(map[string]any), got["topicConfigTable"].(map[string]any))
		}
		if name == "subscriptionGroup.json" {
			addMissing(want["subscriptionGroupTable"].(map[string]any), got["subscriptionGroupTable"].(map[string]any))
		}
		if name == "consumerOffset.json" {
			delete(want, "groupTopicMap")
			delete(got, "groupTopicMap")
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s: saved again it differs\n%s", name, firstDifference(want, got, name))
		}
	}
}

// addMissing takes over what a new broker adds to Java's tables: the system topics and groups of its own name.
func addMissing(want, got map[string]any) {
	for name, v := range got {
		if _, ok := want[name]; !ok {
			want[name] = v
		}
	}
}

func plainJSON(tb testing.TB, f stateFile) map[string]any {
	tb.Helper()
	data, err := f.Read()
	if err != nil {
		tb.Fatal(err)
	}
	var v map[string]any
	if err := protocol.UnmarshalJSON(data, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func firstDifference(want, got any, path string) string {
	w, okW := want.(map[string]any)
	g, okG := got.(map[string]any)
	if !okW || !okG {
		if reflect.DeepEqual(want, got) {
			return ""
		}
		return fmt.Sprintf("%s: want %v, got %v", path, want, got)
	}
	for k, v := range w {
		if d := firstDifference(v, g[k], path+"/"+k); d != "" {
			return d
		}
	}
	for k, v := range g {
		if _, ok := w[k]; !ok {
			return fmt.Sprintf("%s/%s: %v is not wanted", path, k, v)
		}
	}
	return ""
}
