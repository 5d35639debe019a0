package consumequeue

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

const goldenFileSize = 4000

// openGolden opens the queues of an unpacked store as after a clean stop.
func openGolden(t *testing.T, root string, logEnd int64) *Set {
	t.Helper()
	s, err := Open(vfs.OS, filepath.Join(root, "consumequeue"), &Options{FileSize: goldenFileSize})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Recover(0, 0, message.PhyOffset(logEnd), true); err != nil {
		t.Fatal(err)
	}
	return s
}

// manifest returns the manifest of a store in which every queue has its entries:
// it names them only where they do not follow from the messages.
func manifest(t *testing.T, store string) *golden.StoreManifest {
	m := golden.Manifest(t, store)
	entries := map[string][][4]int64{}
	for _, msg := range m.Messages {
		if msg.CqTagsCode != nil {
			key := fmt.Sprintf("%s/%d", msg.Topic, msg.QueueID)
			entries[key] = append(entries[key], [4]int64{msg.QueueOffset, msg.Offset, int64(msg.Size), *msg.CqTagsCode})
		}
	}
	for topic, ids := range m.ConsumeQueues {
		for id, q := range ids {
			if q.EntriesNOffsetSizeTagsCode == nil {
				q.EntriesNOffsetSizeTagsCode = entries[topic+"/"+id]
				ids[id] = q
			}
		}
	}
	return m
}

// TestGoldenQueues holds every queue that Java wrote against its manifest.
func TestGoldenQueues(t *testing.T) {
	for _, store := range golden.Stores() {
		t.Run(store, func(t *testing.T) {
			m := manifest(t, store)
			root := golden.Store(t, store)
			s := openGolden(t, root, m.CommitLog.End)
			if got, want := len(s.Topics()), len(m.ConsumeQueues); got != want {
				t.Errorf("%d topics, want %d", got, want)
			}
			var units int
			var maxPhy int64
			for topic, ids := range m.ConsumeQueues {
				for id, want := range ids {
					n, _ := strconv.Atoi(id)
					q := s.QueueBytes([]byte(topic), int32(n))
					if q == nil {
						t.Errorf("%s/%s is missing", topic, id)
						continue
					}
					for _, e := range want.EntriesNOffsetSizeTagsCode {
						maxPhy = max(maxPhy, e[1]+e[2])
					}
					units += checkGoldenQueue(t, q, want)
				}
			}
			if got := int64(s.MaxPhy()); got != maxPhy {
				t.Errorf("MaxPhy %d, want %d", got, maxPhy)
			}
			if units == 0 {
				t.Error("the store has no units: the test shows nothing")
			}
			if err := s.Check(); err != nil {
				t.Error(err)
			}
			if len(s.Stray()) > 0 {
				t.Errorf("stray: %v", s.Stray())
			}
			for topic, ids := range m.BrokerFacts.Queues {
				for id, want := range ids {
					n, _ := strconv.Atoi(id)
					q := s.Queue(topic, int32(n))
					if q == nil {
						if want.MaxOffset != 0 && m.BatchConsumeQueues == nil {
							t.Errorf("%s/%s is missing", topic, id)
						}
						continue
					}
					if int64(q.MinOffset()) != want.MinOffset || int64(q.MaxOffset()) < want.MaxOffset { // the broker went on for a while
						t.Errorf("%v: %d..%d, want %d..%d", q.Key(), q.MinOffset(), q.MaxOffset(), want.MinOffset, want.MaxOffset)
					}
				}
			}
			checkSameFiles(t, filepath.Join(root, "consumequeue"), golden.Store(t, store))
		})
	}
}

func checkGoldenQueue(t *testing.T, q *ConsumeQueue, want golden.ConsumeQueue) (units int) {
	t.Helper()
	if want.FileSize != goldenFileSize {
		t.Fatalf("manifest: files of %d bytes", want.FileSize)
	}
	if int64(q.MinOffset()) != want.FirstEntry || int64(q.MaxOffset()) != want.NextOffset {
		t.Errorf("%v: %d..%d, want %d..%d", q.Key(), q.MinOffset(), q.MaxOffset(), want.FirstEntry, want.NextOffset)
	}
	got := readAll(t, q)
	if len(got) != len(want.EntriesNOffsetSizeTagsCode) {
		t.Fatalf("%v: %d units, want %d", q.Key(), len(got), len(want.EntriesNOffsetSizeTagsCode))
	}
	for i, e := range want.EntriesNOffsetSizeTagsCode {
		u := Unit{message.PhyOffset(e[1]), int32(e[2]), e[3]}
		if got[i] != u || int64(q.MinOffset())+int64(i) != e[0] {
			t.Fatalf("%v: unit %d is %+v, want %+v", q.Key(), e[0], got[i], u)
		}
	}
	return len(got)
}

// readAll reads a queue from its minimum to its end.
func readAll(t testing.TB, q *ConsumeQueue) []Unit {
	t.Helper()
	var all []Unit
	buf := make([]Unit, 32)
	for off := q.MinOffset(); off < q.MaxOffset(); {
		n, err := q.Read(off, buf)
		if err != nil || n == 0 {
			t.Fatalf("%v: read at %d of %d: %d units, %v", q.Key(), off, q.MaxOffset(), n, err)
		}
		all = append(all, buf[:n]...)
		off += message.QueueOffset(n)
	}
	return all
}

// checkSameFiles proves that the queue files below dir are those of the store.
func checkSameFiles(t *testing.T, dir, store string) {
	t.Helper()
	want := filepath.Join(store, "consumequeue")
	files := 0
	err := filepath.WalkDir(want, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(want, path)
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, rel))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", rel)
		}
		files++
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("%d files compared, %v", files, err)
	}
}

// TestGoldenRewrite appends every unit that Java wrote to a new set: the files
// have the same bytes.
func TestGoldenRewrite(t *testing.T) {
	for _, store := range golden.Stores() {
		t.Run(store, func(t *testing.T) {
			m := manifest(t, store)
			dir := filepath.Join(t.TempDir(), "consumequeue")
			s := openSet(t, vfs.OS, dir, &Options{FileSize: goldenFileSize})
			for topic, ids := range m.ConsumeQueues {
				for id, want := range ids {
					n, _ := strconv.Atoi(id)
					q, err := s.QueueOrCreate(topic, int32(n))
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range want.EntriesNOffsetSizeTagsCode {
						u := Unit{message.PhyOffset(e[1]), int32(e[2]), e[3]}
						if err := q.Append(message.QueueOffset(e[0]), u); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			checkSameFiles(t, dir, golden.Store(t, store))
		})
	}
}

// openSet opens and recovers a set that is new, or was stopped cleanly.
func openSet(tb testing.TB, fs vfs.FS, dir string, opts *Options) *Set {
	tb.Helper()
	s, err := Open(fs, dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	if err := s.Recover(math.MaxInt64, 0, math.MaxInt64, true); err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestGoldenOffsetByTime asks what the running Java broker was asked.
func TestGoldenOffsetByTime(t *testing.T) {
	for _, store := range golden.Stores() {
		t.Run(store, func(t *testing.T) {
			m := manifest(t, store)
			s := openGolden(t, golden.Store(t, store), m.CommitLog.End)
			times := map[message.PhyOffset]int64{}
			for _, msg := range m.Messages {
				times[message.PhyOffset(msg.Offset)] = msg.StoreTimestamp
			}
			storeTime := func(u Unit) (int64, bool) {
				ms, ok := times[u.Offset]
				return ms, ok
			}
			for _, tq := range m.BrokerFacts.TimestampQueries {
				q := s.Queue(tq.Topic, tq.QueueID)
				if q == nil {
					t.Errorf("%s/%d is missing", tq.Topic, tq.QueueID)
					continue
				}
				for _, row := range tq.Rows {
					for b, want := range map[Boundary]int64{Lower: row[1], Upper: row[2]} {
						got, err := q.OffsetByTime(row[0], b, storeTime)
						if err != nil || int64(got) != want {
							t.Errorf("%v: time %d boundary %d: offset %d, %v; want %d", q.Key(), row[0], b, got, err, want)
						}
					}
				}
			}
			if store == golden.Clean && len(m.BrokerFacts.TimestampQueries) == 0 {
				t.Error("no queries: the test shows nothing")
			}
		})
	}
}

// TestTornStores recovers the queues of every damaged store. Whatever was done
// to it, each queue is there with a beginning of its entries, or is reported.
func TestTornStores(t *testing.T) {
	m := manifest(t, golden.Crashed)
	reported := 0
	for _, v := range golden.TornVariants(t) {
		opts := Options{FileSize: goldenFileSize, Workers: 1}
		damaged := map[Key]bool{}
		opts.OnDamage = func(e *CorruptError) { damaged[e.Key] = true }
		s, err := Open(vfs.OS, filepath.Join(golden.TornStore(t, v), "consumequeue"), &opts)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if err := s.Recover(message.PhyOffset(m.CommitLog.End), 0, message.PhyOffset(m.CommitLog.End), false); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		reported += len(damaged)
		var found []*CorruptError // by reads
		for topic, ids := range m.ConsumeQueues {
			for id, want := range ids {
				n, _ := strconv.Atoi(id)
				q := s.Queue(topic, int32(n))
				if q == nil {
					continue // deleted, or damaged and dropped
				}
				units, err := readUntil(q)
				for i, u := range units {
					e := want.EntriesNOffsetSizeTagsCode[int(q.MinOffset())+i]
					if want := (Unit{message.PhyOffset(e[1]), int32(e[2]), e[3]}); u != want {
						t.Errorf("%s: %v: unit %d is %+v, want %+v", v.Name, q.Key(), e[0], u, want)
					}
				}
				var damage *CorruptError
				if err != nil && !errors.As(err, &damage) {
					t.Errorf("%s: %v", v.Name, err)
				} else if err != nil {
					found = append(found, damage)
				}
			}
		}
		var damage *CorruptError
		switch err := s.Check(); {
		case len(found) == 0 && err != nil:
			t.Errorf("%s: %v", v.Name, err)
		case len(found) > 0 && (!errors.As(err, &damage) || *damage != *found[0]):
			t.Errorf("%s: check says %v, reads say %v", v.Name, err, found[0])
		}
		reported += len(found)
		s.Close()
	}
	if reported < 2 {
		t.Error("no damage was reported: the test shows nothing")
	}
}

// readUntil reads a queue up to its first fault.
func readUntil(q *ConsumeQueue) (all []Unit, err error) {
	buf := make([]Unit, 32)
	for off := q.MinOffset(); off < q.MaxOffset(); {
		n, err := q.Read(off, buf)
		if err != nil {
			return all, err
		}
		all = append(all, buf[:n]...)
		off += message.QueueOffset(n)
	}
	return all, nil
}
