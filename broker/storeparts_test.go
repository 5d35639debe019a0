package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// storeKinds are all kinds of files of a store that a broker reads, and for each a byte that nothing else has to agree with by
// chance.
var storeKinds = []struct {
	pattern string
	at      int64
	place   int64  // where the problem is told to be, in bytes from the file's start or as the problem counts
	named   string // what the problem is told of, if not the file
	lost    bool   // told, and left alone: nobody else has it
	untold  string // why nothing can be told
}{
	{pattern: `commitlog/0{20}`, at: 90, place: 0, lost: true},
	{pattern: `consumequeue/T/0/0{20}`, at: 7, named: "T/0"},
	{pattern: `consumequeue/%LMQ%light/0/0{20}`, at: 7, named: "%LMQ%light/0"},
	{pattern: `index/\d{17}`, at: 40 + 4*100 + 20 + 7, place: 40 + 4*100 + 20},
	{pattern: `checkpoint`, at: 40, place: 40},
	{pattern: `waymark`, at: 30},
	{pattern: `waymark\.bak`, at: 30},
	{pattern: `mark`, at: 30},
	{pattern: `lock`, untold: "nobody reads what is in it"},
	{pattern: `timerwheel`, at: -1, place: -1}, // of the slot of a message
	{pattern: `timerlog/0{20}`, at: 52 + 30, place: 52 + 30},
	{pattern: `config/timercheck`, at: 14, place: 8},
	{pattern: `timerprogress`, at: 3},
	{pattern: `delayprogress`, at: 5},
	{pattern: `epochFileCheckpoint`, at: 0, lost: true},
	{pattern: `epochFileCheckpoint\.bak`, untold: "it is read when the file itself is gone, and then checked"},
	{pattern: `config/autoSwitchRole\.json(\.bak)?`, lost: true},
	{pattern: `config/(topics|topicQueueMapping|subscriptionGroup|consumerOffset|lmqConsumerOffset|consumerFilter)\.json(\.bak)?`},
	{pattern: `config/(queueLocks|delayOffset|consumerOrderInfo|messageRequestMode)\.json(\.bak)?`},
	{pattern: `config/timermetrics(\.bak)?`},
	{pattern: `config/topicQueueMapping\.json\.damaged`, untold: "what was damaged is set aside for people"},
}

// otherKinds are what Java's broker leaves in a store and nothing here reads.
var otherKinds = regexp.MustCompile(`^(rocksdbstore/.*|batchconsumequeue/.*|compaction/.*|consumequeue_ext/.*|config/transactionMetrics(\.bak)?|abort(\.bak)?)$`)

// storeFiles are the files below a folder, and the entry of storeKinds of each.
func storeFiles(t *testing.T, dir string, others *regexp.Regexp) map[string]int {
	t.Helper()
	kinds := map[string]int{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		for i, k := range storeKinds {
			if regexp.MustCompile("^" + k.pattern + "$").MatchString(filepath.ToSlash(rel)) {
				kinds[rel] = i
			}
		}
		_, known := kinds[rel]
		switch ours := regexp.MustCompile(`^(commitlog|consumequeue|index|timerlog)/`); {
		case known || others != nil && others.MatchString(rel):
		case ours.MatchString(rel): // another of a kind that is known
		default:
			t.Errorf("%s is of no kind that is known: say in storeKinds how a flipped bit in it is found", rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return kinds
}

// fullStore is one with a file of each kind, stopped in order; timers are due in an hour.
func fullStore(t *testing.T) *Options {
	t.Helper()
	o := testOptions(t.TempDir())
	o.MappedFileSizeTimerLog = 1040
	o.EnableLmq, o.EnableMultiDispatch, o.MessageDelayLevel = true, true, "1s 1h"
	if err := os.MkdirAll(filepath.Join(o.StorePathRootDir, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := func(name string) state.File {
		return state.NewFile(vfs.OS, filepath.Join(o.StorePathRootDir, "config", name))
	}
	epochs := ha.NewEpochFile(vfs.OS, o.StorePathRootDir)
	old := config("consumerOffset.json") // that of before light queues were switched on
	mappings, role1 := config("topicQueueMapping.json"), config("autoSwitchRole.json")
	for n := range 3 { // the last leaves a backup
		if n == 1 {
			err := os.WriteFile(mappings.Name(), []byte("{}"), 0o644)
			if _, damaged, _ := mappings.Verify(); err != nil || !damaged {
				t.Fatal("the file is not damaged", err)
			}
		}
		if err := errors.Join(epochs.Save(ha.Epochs{{Epoch: 1}}), role1.Write(&role{Epoch: 1, MasterBrokerID: 1}),
			old.Write(&metadata.OffsetsFile{}), mappings.Write(&metadata.StaticTopicsFile{})); err != nil {
			t.Fatal(err)
		}
	}
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	for i := range 5 {
		s.put("T", 0, fmt.Sprint("m", i), message.PropertyKeys, fmt.Sprint("key", i), message.PropertyMultiDispatch, message.LMQPrefix+"light")
	}
	s.put("T", 0, "delayed", message.PropertyDelayLevel, "1")
	for range 3 {
		s.put("U", 0, "timer", message.PropertyTimerDelaySeconds, "3600")
	}
	s.put("U", 0, "timer", message.PropertyTimerDelayMilliseconds, "1")
	s.await("taken in, and what is due delivered", func() bool {
		m := b.timers.timer.Load().Metrics()
		return m.Pending == 3 && b.store.MaxOffset("U", 0) == 1 && b.store.MaxOffset("T", 0) == 6
	})
	for n := range 2 {
		_, errLock := b.locks.Lock(fmt.Sprint("g", n), "client", []protocol.MessageQueue{{Topic: "T"}})
		if err := errors.Join(b.topics.State().Save(), b.groups.State().Save(), b.offsets.State().Save(), b.popper.orders.saver.Save(), errLock,
			b.assigner.saver.Save(), b.filters.Persist(), b.schedule.Rewrite(), b.timers.file.Write(&timerMetrics{})); err != nil {
			t.Fatal(err)
		}
	}
	s.client.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

// copyStore copies the files of a store, holes as holes: a wheel has 38 MB of them.
func copyStore(t *testing.T, from string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(from, path)
		to := filepath.Join(dir, rel)
		if err = errors.Join(err, relErr); err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(to, 0o755))
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := os.Create(to)
		if err != nil {
			return err
		}
		at := int64(0)
		for piece := range slices.Chunk(b, 64<<10) {
			if bytes.Count(piece, []byte{0}) < len(piece) {
				if _, err := f.WriteAt(piece, at); err != nil {
					return err
				}
			}
			at += int64(len(piece))
		}
		return errors.Join(f.Truncate(at), f.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// A flipped bit in each kind of file of a store is found, placed, and mended where something else has what was there; what is
// replaced is kept. A file that is of no known kind fails the test.
func TestCheckFindsEachFlippedBit(t *testing.T) {
	o := fullStore(t)
	parts := func(dir string) []engine.Part { return StoreParts(&o.StoreOptions, vfs.OS, dir) }
	opts, err := o.Engine()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := engine.Check(o.StorePathRootDir, opts, nil, parts(o.StorePathRootDir)...); err != nil || r.Found > 0 {
		t.Fatalf("before: %v, %+v", err, r)
	}
	files := storeFiles(t, o.StorePathRootDir, nil)
	seen := map[int]bool{}
	for name, kind := range files {
		seen[kind] = true
		k := storeKinds[kind]
		if k.untold != "" || testing.Short() && strings.HasPrefix(k.pattern, "config/(") && !strings.Contains(name, "topics.json") {
			continue // state files are all alike
		}
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			dir := copyStore(t, o.StorePathRootDir)
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if k.at < 0 {
				for k.at = 0; b[k.at+6] == 0; k.at += 32 { // up to a slot that is used
				}
				k.place = k.at
				k.at += 6
			}
			b[k.at] ^= 4
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			before, after, err := engine.Repair(dir, opts, func(r *engine.Report, steps []engine.RepairStep) bool {
				if len(steps) == 0 {
					t.Error("no step is named")
				}
				return true
			}, nil, parts(dir)...)
			if err != nil {
				t.Fatal(err)
			}
			want := path
			if k.named != "" {
				want = k.named
			}
			if before.Found == 0 {
				t.Fatal("nothing is found")
			}
			if p := before.Problems[0]; before.Found != 1 || p.File != want || p.Offset != k.place {
				t.Errorf("want %s at %d, found %v", want, k.place, before.Problems)
			}
			if k.lost {
				if after != nil {
					t.Error("something was done")
				}
				return
			}
			if after == nil || after.Found > 0 {
				t.Fatalf("afterwards: %+v", after)
			}
			kept, err := filepath.Glob(filepath.Join(dir, "repair-*", name))
			if err != nil || len(kept) != 1 {
				t.Fatalf("%v is kept, %v", kept, err)
			}
			if was, err := os.ReadFile(kept[0]); err != nil || string(was) != string(b) {
				t.Errorf("kept is another, %v", err)
			}
			again := *o
			again.StorePathRootDir = dir
			s := startWith(t, &again)
			s.await("the timers wait", func() bool { return s.timers.timer.Load().Metrics().Pending == 3 })
			if n := s.store.MaxOffset("T", 0); n != 6 {
				t.Errorf("%d messages", n)
			}
		})
	}
	for i, k := range storeKinds {
		if !seen[i] {
			t.Errorf("the store has no %s", k.pattern)
		}
	}
}

// In Java's stores all files are of kinds that are known, and nothing is wrong with them.
func TestGoldenStoresPassTheCheck(t *testing.T) {
	names := golden.Stores()
	if testing.Short() {
		names = []string{golden.Crashed, golden.Ext}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			dir := golden.Store(t, name)
			storeFiles(t, dir, otherKinds)
			o := testOptions(dir)
			o.MappedFileSizeCommitLog, o.MappedFileSizeConsumeQueue, o.MappedFileSizeTimerLog = 1<<20, 4000, 1040
			opts, err := o.Engine()
			if err != nil {
				t.Fatal(err)
			}
			if r, err := engine.Check(dir, opts, nil, StoreParts(&o.StoreOptions, vfs.OS, dir)...); err != nil || r.Found > 0 {
				t.Errorf("%v, %v", err, r.Problems)
			}
		})
	}
}
