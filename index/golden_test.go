package index

import (
	"bytes"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// goldenOptions are those of the brokers that wrote the golden stores.
func goldenOptions() *Options { return &Options{Slots: 100, Entries: 400} }

// put dispatches messages as the engine does.
func put(tb testing.TB, x *Index, messages []golden.Message, from message.PhyOffset) {
	tb.Helper()
	for _, m := range messages {
		if message.PhyOffset(m.Offset) < from {
			continue
		}
		if message.SysFlag(m.SysFlag).Transaction() == message.TransactionRollback {
			continue
		}
		text := func(s *string) []byte {
			if s == nil {
				return nil
			}
			return []byte(*s)
		}
		if err := putMessage(x, []byte(m.Topic), text(m.UniqKey), text(m.Keys), text(m.Tags), message.PhyOffset(m.Offset), m.StoreTimestamp); err != nil {
			tb.Fatal(err)
		}
	}
}

// dump reads an index back in the form of the manifest.
func dump(tb testing.TB, x *Index) []golden.IndexFile {
	tb.Helper()
	var all []golden.IndexFile
	for _, f := range x.list() {
		b, err := x.acquire(f)
		if err != nil {
			tb.Fatal(err)
		}
		h := decodeHeader(b)
		out := golden.IndexFile{File: f.name, Size: f.fileSize(), BeginTimestamp: h.beginTime, EndTimestamp: h.endTime,
			BeginPhyOffset: h.beginPhy, EndPhyOffset: h.endPhy, HashSlotCount: h.used, IndexCount: h.count}
		for slot := range f.slots {
			if number := loadSlot(b, headerSize+int(slot)*slotSize); number != 0 {
				out.Slots = append(out.Slots, [2]int32{slot, number})
			}
		}
		for number := int32(1); number < h.count; number++ {
			e := decodeEntry(b[f.entryAt(number):])
			out.Items = append(out.Items, [5]int64{int64(number), int64(e.hash), e.phy, int64(e.diff), int64(e.prev)})
		}
		all = append(all, out)
		if err := x.release(f); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

func compareIndex(t *testing.T, got, want []golden.IndexFile, names bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d files, want %d", len(got), len(want))
	}
	for i := range want {
		g, w := got[i], want[i]
		if !slices.Equal(g.Items, w.Items) {
			t.Fatalf("file %d has entries\n%v, want\n%v", i, g.Items, w.Items)
		}
		if !slices.Equal(g.Slots, w.Slots) {
			t.Fatalf("file %d has slots\n%v, want\n%v", i, g.Slots, w.Slots)
		}
		g.Items, g.Slots, w.Items, w.Slots = nil, nil, nil, nil
		if !names {
			g.File = w.File
		}
		if g.File != w.File || g.BeginTimestamp != w.BeginTimestamp || g.EndTimestamp != w.EndTimestamp ||
			g.BeginPhyOffset != w.BeginPhyOffset || g.EndPhyOffset != w.EndPhyOffset ||
			g.HashSlotCount != w.HashSlotCount || g.IndexCount != w.IndexCount || g.Size != w.Size {
			t.Fatalf("file %d is %+v, want %+v", i, g, w)
		}
	}
}

// openAt opens an index and lets it take in what is there.
func openAt(tb testing.TB, fs vfs.FS, dir string, opts *Options) *Index {
	tb.Helper()
	x, err := Open(fs, dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = x.Close() })
	return x
}

func recoverAt(tb testing.TB, x *Index, st State, clean bool, javaTime int64, end message.PhyOffset) message.PhyOffset {
	tb.Helper()
	from, err := x.Recover(st, clean, javaTime, end)
	if err != nil {
		tb.Fatal(err)
	}
	return from
}

// TestGoldenReplay puts the messages of each store and compares the files with Java's, byte for byte.
func TestGoldenReplay(t *testing.T) {
	for _, store := range golden.Stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			m := golden.Manifest(t, store)
			root := golden.Store(t, store)
			dir := t.TempDir()
			opts := goldenOptions()
			opts.Now = clockOf(t, m.Index)
			x := openAt(t, vfs.OS, dir, opts)
			if from := recoverAt(t, x, State{}, false, 0, 0); from != 0 {
				t.Fatalf("an empty index begins at %d", from)
			}
			put(t, x, m.Messages, 0)
			compareIndex(t, dump(t, x), m.Index, true)
			if err := x.Check(); err != nil {
				t.Fatal(err)
			}
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			for _, f := range m.Index {
				got, err := os.ReadFile(filepath.Join(dir, f.File))
				if err != nil {
					t.Fatal(err)
				}
				want, err := os.ReadFile(filepath.Join(root, "index", f.File))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s differs", f.File)
				}
			}
		})
	}
}

// clockOf tells the times at which Java began its files.
func clockOf(t *testing.T, files []golden.IndexFile) func() time.Time {
	n := 0
	return func() time.Time {
		name := files[min(n, len(files)-1)].File
		n++
		at, err := time.ParseInLocation(nameLayout, name[:14]+"."+name[14:], time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
}

// TestGoldenOpen opens Java's own files after a clean stop.
func TestGoldenOpen(t *testing.T) {
	for _, store := range golden.Stores() {
		if store == golden.Crashed {
			continue
		}
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			m := golden.Manifest(t, store)
			dir := filepath.Join(golden.Store(t, store), "index")
			x := openAt(t, vfs.OS, dir, goldenOptions())
			end := message.PhyOffset(m.CommitLog.End)
			if from := recoverAt(t, x, State{}, true, 0, end); from != end {
				t.Fatalf("dispatch begins at %d, the log ends at %d", from, end)
			}
			compareIndex(t, dump(t, x), m.Index, true)
			if err := x.Check(); err != nil {
				t.Fatal(err)
			}
			compareQueries(t, x, m)
			put(t, x, m.Messages, 0) // all known: nothing changes
			compareIndex(t, dump(t, x), m.Index, true)
		})
	}
}

// compareQueries asks what the Java broker was asked.
func compareQueries(t *testing.T, x *Index, m *golden.StoreManifest) {
	t.Helper()
	for _, q := range m.BrokerFacts.KeyQueries {
		num := q.MaxNum
		if num == 0 {
			num = 64
		}
		if q.Unique != nil && *q.Unique {
			num = 32
		}
		res, err := x.Query(q.Topic, q.Key, num, 0, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(res.Offsets)
		slices.Sort(got)
		var want []message.PhyOffset
		for _, off := range q.Offsets {
			want = append(want, message.PhyOffset(off))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s#%s: %v, want %v", q.Topic, q.Key, got, want)
		}
		if last := m.Index[len(m.Index)-1]; res.LastUpdateTime != last.EndTimestamp || int64(res.LastUpdatePhy) != last.EndPhyOffset {
			t.Errorf("%s#%s: last update %d at %d", q.Topic, q.Key, res.LastUpdateTime, res.LastUpdatePhy)
		}
	}
}

// everyKey returns the offsets, ascending, that each topic#key of the messages should give, without
// regard to colliding hashes.
func everyKey(messages []golden.Message, end int64) map[[2]string][]message.PhyOffset {
	all := make(map[[2]string][]message.PhyOffset)
	for _, m := range messages {
		if m.Offset >= end {
			break
		}
		var keys []string
		if m.UniqKey != nil {
			keys = append(keys, *m.UniqKey)
		}
		if m.Keys != nil {
			for key := range bytes.SplitSeq([]byte(*m.Keys), []byte{' '}) {
				if len(key) > 0 {
					keys = append(keys, string(key))
				}
			}
		}
		if m.Tags != nil {
			keys = append(keys, TagKeyPrefix+*m.Tags)
		}
		for _, key := range keys {
			at := [2]string{m.Topic, key}
			if offs := all[at]; len(offs) == 0 || offs[len(offs)-1] != message.PhyOffset(m.Offset) {
				all[at] = append(all[at], message.PhyOffset(m.Offset))
			}
		}
	}
	return all
}

// TestGoldenCrashed takes over a store from a killed Java broker, whose index is then the one that
// Java itself arrives at, and complete.
func TestGoldenCrashed(t *testing.T) {
	m := golden.Manifest(t, golden.Crashed)
	dir := filepath.Join(golden.Store(t, golden.Crashed), "index")
	x := openAt(t, vfs.OS, dir, goldenOptions())
	end := message.PhyOffset(m.CommitLog.End)
	from := recoverAt(t, x, State{}, false, m.Checkpoint.IndexMsgTimestamp, end)
	kept := m.Index[len(m.Index)-2]
	if from != message.PhyOffset(kept.EndPhyOffset) || len(x.Dropped()) != 0 {
		t.Fatalf("dispatch begins at %d, dropped %v; the last file flushed ends at %d", from, x.Dropped(), kept.EndPhyOffset)
	}
	put(t, x, m.Messages, from)
	compareIndex(t, dump(t, x), m.Index, false)
	if names := m.RecoveredByJavaStore.AfterStartAndDispatch.IndexFiles; len(names) != len(x.list()) {
		t.Fatalf("%d files, Java has %d", len(x.list()), len(names))
	}
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	for key, want := range everyKey(m.Messages, m.CommitLog.End) {
		res, err := x.Query(key[0], key[1], 1<<20, 0, math.MaxInt64)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(res.Offsets)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%v: %v, want %v", key, got, want)
		}
	}
}

// TestGoldenTorn takes over each damaged store: the index may be behind, and is then complete after
// the dispatch, up to the end that Java found.
func TestGoldenTorn(t *testing.T) {
	m := golden.Manifest(t, golden.Crashed)
	seen := make(map[string]bool)
	for _, v := range golden.TornVariants(t) {
		if !v.RecoveredByJavaStore.LoadReturned {
			continue
		}
		// Variants that differ neither in the index nor in the log's end tell nothing new here.
		end := v.RecoveredByJavaStore.AfterStartAndDispatch.MaxPhyOffset
		key := strconv.FormatInt(end, 10)
		touches := slices.ContainsFunc(v.Patches, func(p golden.Patch) bool {
			return filepath.Dir(p.File) == "index" || p.Path == "index"
		})
		if end == 0 || seen[key] && !touches {
			continue
		}
		seen[key] = true
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(golden.TornStore(t, v), "index")
			x := openAt(t, vfs.OS, dir, goldenOptions())
			from := recoverAt(t, x, State{}, false, m.Checkpoint.IndexMsgTimestamp, message.PhyOffset(end))
			messages := slices.DeleteFunc(slices.Clone(m.Messages), func(m golden.Message) bool { return m.Offset >= end })
			put(t, x, messages, from)
			if err := x.Check(); err != nil {
				t.Fatal(err)
			}
			got := 0
			for _, f := range dump(t, x) {
				got += len(f.Items)
			}
			want := 0
			for _, f := range m.Index {
				want += len(slices.DeleteFunc(slices.Clone(f.Items), func(e [5]int64) bool { return e[2] >= end }))
			}
			if got != want {
				t.Fatalf("%d entries, want %d", got, want)
			}
		})
	}
	if len(seen) < 3 {
		t.Fatalf("only %v", slices.Collect(maps.Keys(seen)))
	}
}
