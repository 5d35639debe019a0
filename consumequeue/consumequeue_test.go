package consumequeue

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

const testDir = "consumequeue"

// mustQueue returns a queue, made if needed.
func mustQueue(tb testing.TB, s *Set, topic string, id int32) *ConsumeQueue {
	tb.Helper()
	q, err := s.QueueOrCreate(topic, id)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// appendUnits appends the units [from, to) with records of 100 bytes, of which
// that of offset n begins at 1000 n.
func appendUnits(tb testing.TB, q *ConsumeQueue, from, to message.QueueOffset) {
	tb.Helper()
	for off := from; off < to; off++ {
		if err := q.Append(off, testUnit(off)); err != nil {
			tb.Fatalf("append %d: %v", off, err)
		}
	}
}

func testUnit(off message.QueueOffset) Unit {
	return Unit{message.PhyOffset(1000 * off), 100, int64(off) * 7919}
}

// checkUnits proves that q has exactly the units [from, to) of appendUnits.
func checkUnits(tb testing.TB, q *ConsumeQueue, from, to message.QueueOffset) {
	tb.Helper()
	if q.MinOffset() != from || q.MaxOffset() != to {
		tb.Fatalf("queue is %d..%d, want %d..%d", q.MinOffset(), q.MaxOffset(), from, to)
	}
	for i, u := range readAll(tb, q) {
		if want := testUnit(from + message.QueueOffset(i)); u != want {
			tb.Fatalf("unit %d is %+v, want %+v", from+message.QueueOffset(i), u, want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	s := openSet(t, vfs.NewCrashFS(1), testDir, &Options{FileSize: 400})
	q := mustQueue(t, s, "T", 0)
	appendUnits(t, q, 0, 3)
	u := testUnit(3)
	for _, tt := range []struct {
		name string
		off  message.QueueOffset
		u    Unit
		want string
	}{
		{"gap", 4, u, "unit for offset 4, but the queue ends at 3"},
		{"order", 3, Unit{2099, 100, 0}, "but the one before ends at 2100"},
		{"size 0", 3, Unit{3000, 0, 0}, "record 3000 of 0 bytes is none"},
		{"negative size", 3, Unit{3000, -1, 0}, "is none"},
		{"negative record", 3, Unit{-1, 100, 0}, "is none"},
		{"record beyond all", 3, Unit{math.MaxInt64, 100, 0}, "is none"},
		{"placeholder", 3, Unit{0, placeholderSize, 0}, "is none"},
		{"negative offset", -1, u, "is none"},
		{"offset beyond all", math.MaxInt64, u, "is none"},
	} {
		err := q.Append(tt.off, tt.u)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := q.Append(1, Unit{5000, 100, 0}); err != nil {
		t.Errorf("a unit that is there: %v", err)
	}
	appendUnits(t, q, 3, 50)
	checkUnits(t, q, 0, 50)
}

func TestFirstOffset(t *testing.T) {
	const perFile = 20
	for _, first := range []message.QueueOffset{0, 1, perFile - 1, perFile, perFile + 7, 1000 * perFile, 1e9 + 1} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			fs := vfs.NewCrashFS(1)
			s := openSet(t, fs, testDir, &Options{FileSize: perFile * unitSize})
			q := mustQueue(t, s, "T", 3)
			appendUnits(t, q, first, first+2*perFile)
			checkUnits(t, q, first, first+2*perFile)
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openSet(t, fs, testDir, &Options{FileSize: perFile * unitSize})
			q = s.Queue("T", 3)
			checkUnits(t, q, first, first+2*perFile)
			// What is before the first unit are Java's placeholders.
			for off := first - first%perFile; off < first; off++ {
				if u, err := q.unitAt(int64(off)); err != nil || u != (Unit{0, 0x7fffffff, 0}) {
					t.Fatalf("unit %d is %+v, %v", off, u, err)
				}
			}
		})
	}
}

func TestReadStopsAtFileEnd(t *testing.T) {
	s := openSet(t, vfs.NewCrashFS(1), testDir, &Options{FileSize: 10 * unitSize})
	q := mustQueue(t, s, "T", 0)
	appendUnits(t, q, 0, 37)
	for _, written := range []bool{false, true} {
		if written {
			if err := s.WriteOut(); err != nil {
				t.Fatal(err)
			}
		}
		for from, want := range map[message.QueueOffset]int{0: 10, 3: 7, 9: 1, 10: 10, 30: 7, 36: 1, 37: 0} {
			dst := make([]Unit, 100)
			n, err := q.Read(from, dst)
			if err != nil || n != want {
				t.Errorf("written %v: read %d units at %d, %v; want %d", written, n, from, err, want)
			}
			if n > 0 && dst[n-1] != testUnit(from+message.QueueOffset(n)-1) {
				t.Errorf("written %v: read at %d ends with %+v", written, from, dst[n-1])
			}
		}
	}
	if n, err := q.Read(5, nil); n != 0 || err != nil {
		t.Errorf("read of nothing: %d, %v", n, err)
	}
}

func TestLookup(t *testing.T) {
	s := openSet(t, vfs.NewCrashFS(1), testDir, nil)
	keys := []Key{{"A", 3}, {"A", 0}, {"A", 1}, {"A", math.MaxInt32}, {"B", 0}, {"%RETRY%g", 0}, {"A", 500}}
	for _, k := range keys {
		if q := mustQueue(t, s, k.Topic, k.QueueID); q.Key() != k {
			t.Fatalf("made %v for %v", q.Key(), k)
		}
	}
	for _, k := range keys {
		q := s.Queue(k.Topic, k.QueueID)
		if q == nil || q.Key() != k || s.QueueBytes([]byte(k.Topic), k.QueueID) != q || mustQueue(t, s, k.Topic, k.QueueID) != q {
			t.Errorf("%v is not found, or not always the same", k)
		}
	}
	for _, k := range []Key{{"A", 2}, {"A", -1}, {"C", 0}, {"", 0}, {"A", 501}} {
		if s.Queue(k.Topic, k.QueueID) != nil || s.QueueBytes([]byte(k.Topic), k.QueueID) != nil {
			t.Errorf("%v is found", k)
		}
	}
	if got := s.Topics(); !slices.Equal(got, []string{"%RETRY%g", "A", "B"}) {
		t.Errorf("topics %q", got)
	}
	var ids []int32
	for _, q := range s.TopicQueues("A") {
		ids = append(ids, q.Key().QueueID)
	}
	if !slices.Equal(ids, []int32{0, 1, 3, 500, math.MaxInt32}) || len(s.Queues()) != len(keys) {
		t.Errorf("queues of A: %v, in all %d", ids, len(s.Queues()))
	}
	for _, k := range []Key{{"", 0}, {".", 0}, {"..", 0}, {"a/b", 0}, {"a\x00", 0}, {strings.Repeat("x", 256), 0}, {"A", -1}} {
		if _, err := s.QueueOrCreate(k.Topic, k.QueueID); !errors.Is(err, ErrBadTopic) {
			t.Errorf("%q: %v", k, err)
		}
	}
}

// TestDeletedTopic deletes a topic whose queues are still held and looked up.
func TestDeletedTopic(t *testing.T) {
	fs := vfs.NewCrashFS(1)
	s := openSet(t, fs, testDir, &Options{FileSize: 400})
	old := mustQueue(t, s, "T", 0)
	other := mustQueue(t, s, "U", 0)
	appendUnits(t, old, 0, 30)
	appendUnits(t, other, 0, 30)
	if s.QueueBytes([]byte("T"), 0) != old {
		t.Fatal("not found")
	}
	if err := s.Sync(0); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteTopic("T"); err != nil {
		t.Fatal(err)
	}
	if s.QueueBytes([]byte("T"), 0) != nil || s.Queue("T", 0) != nil || slices.Contains(s.Topics(), "T") {
		t.Error("the queue is still found")
	}
	if err := old.Append(30, testUnit(30)); !errors.Is(err, ErrGone) {
		t.Errorf("append to a deleted queue: %v", err)
	}
	if _, err := old.Read(0, make([]Unit, 1)); !errors.Is(err, ErrGone) {
		t.Errorf("read of a deleted queue: %v", err)
	}
	if err := s.Sync(0); err != nil {
		t.Errorf("sync: %v", err)
	}
	again := mustQueue(t, s, "T", 0)
	appendUnits(t, again, 0, 5)
	checkUnits(t, s.QueueBytes([]byte("T"), 0), 0, 5)
	checkUnits(t, other, 0, 30)
	if err := s.DeleteTopic("never was"); err != nil {
		t.Errorf("delete of a topic without queues: %v", err)
	}
	if err := s.DeleteTopic("../x"); !errors.Is(err, ErrBadTopic) {
		t.Errorf("delete of a path: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSet(t, fs, testDir, &Options{FileSize: 400})
	checkUnits(t, s.Queue("T", 0), 0, 5)
}

func TestClosed(t *testing.T) {
	fs := vfs.NewCrashFS(1)
	s := openSet(t, fs, testDir, nil)
	q := mustQueue(t, s, "T", 0)
	appendUnits(t, q, 0, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := q.Append(10, testUnit(10)); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := q.Read(0, make([]Unit, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := s.QueueOrCreate("U", 0); !errors.Is(err, ErrClosed) {
		t.Errorf("create: %v", err)
	}
	if err := s.Sync(0); !errors.Is(err, ErrClosed) { // what could not be written must not be claimed
		t.Errorf("sync: %v", err)
	}
	if err := s.WriteOut(); !errors.Is(err, ErrClosed) {
		t.Errorf("write: %v", err)
	}

	s, err := Open(fs, testDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Queue("T", 0).Append(0, testUnit(0)); !errors.Is(err, ErrNotRecovered) {
		t.Errorf("append before Recover: %v", err)
	}
	if _, err := s.QueueOrCreate("U", 0); !errors.Is(err, ErrNotRecovered) {
		t.Errorf("create before Recover: %v", err)
	}
}

func TestMinAndDelete(t *testing.T) {
	const perFile = 10
	s := openSet(t, vfs.NewCrashFS(1), testDir, &Options{FileSize: perFile * unitSize})
	q := mustQueue(t, s, "T", 0)
	idle := mustQueue(t, s, "T", 1)
	appendUnits(t, q, 0, 45)
	appendUnits(t, idle, 3, 12)
	if err := s.WriteOut(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		logMin    message.PhyOffset
		min, idle message.QueueOffset
		files     int
	}{
		{-1, 0, 3, 0},
		{0, 0, 3, 0},
		{3000, 3, 3, 0},
		{3001, 4, 4, 0},
		{9999, 10, 10, 0}, // all of the first file has expired, nothing of the second
		{10_001, 11, 11, 2},
		{12_000, 12, 12, 0},
		{11_000, 12, 12, 0}, // never back
		{35_000, 35, 12, 2},
		{1_000_000, 45, 12, 1},
	} {
		n, err := s.DeleteExpired(tt.logMin)
		if err != nil || n != tt.files || q.MinOffset() != tt.min || idle.MinOffset() != tt.idle {
			t.Errorf("log from %d: min %d and %d, %d files, %v; want %+v", tt.logMin, q.MinOffset(), idle.MinOffset(), n, err, tt)
		}
	}
	checkUnits(t, q, 45, 45)
	appendUnits(t, q, 45, 50)
	checkUnits(t, q, 45, 50)
	var outside *RangeError
	if _, err := q.Read(44, make([]Unit, 1)); !errors.As(err, &outside) || outside.Min != 45 {
		t.Errorf("read of an expired unit: %v", err)
	}
	if _, err := s.DeleteExpired(1_000_001); err != nil {
		t.Error(err)
	}
	checkUnits(t, q, 50, 50)
}

func TestOffsetByTime(t *testing.T) {
	s := openSet(t, vfs.NewCrashFS(1), testDir, &Options{FileSize: 60})
	q := mustQueue(t, s, "T", 0)
	// Times by offset; 0 is not known, as the log has dropped the record.
	times := []int64{0, 0, 10, 10, 10, 10, 20, 20, 30, 40, 40}
	appendUnits(t, q, 0, message.QueueOffset(len(times)))
	storeTime := func(u Unit) (int64, bool) {
		ms := times[u.Offset/1000]
		return ms, ms > 0
	}
	for _, tt := range []struct {
		t            int64
		lower, upper message.QueueOffset
	}{
		{-5, 2, 1}, {9, 2, 1}, {10, 2, 5}, {11, 6, 5}, {20, 6, 7}, {25, 8, 7}, {30, 8, 8}, {31, 9, 8}, {40, 9, 10}, {41, 11, 10},
	} {
		for b, want := range map[Boundary]message.QueueOffset{Lower: tt.lower, Upper: tt.upper} {
			if got, err := q.OffsetByTime(tt.t, b, storeTime); got != want || err != nil {
				t.Errorf("time %d, boundary %d: %d, %v; want %d", tt.t, b, got, err, want)
			}
		}
	}
	if err := s.CorrectMinOffset(3000); err != nil {
		t.Fatal(err)
	}
	for _, b := range []Boundary{Lower, Upper} {
		if got, _ := q.OffsetByTime(1, b, storeTime); got != 3 {
			t.Errorf("before all, boundary %d: %d, want the minimum", b, got)
		}
	}
	empty := mustQueue(t, s, "T", 1)
	if got, err := empty.OffsetByTime(5, Lower, storeTime); got != 0 || err != nil {
		t.Errorf("empty queue: %d, %v", got, err)
	}
}

// TestReadersAndDispatcher lets everything run at once that may. A reader that
// sees an end reads every unit below it, whatever is written, synced, deleted
// or closed meanwhile.
func TestReadersAndDispatcher(t *testing.T) {
	const queues, units = 4, 6000
	s := openSet(t, vfs.OS, t.TempDir(), &Options{FileSize: 100 * unitSize, OpenFiles: 2})
	var all []*ConsumeQueue
	for i := range int32(queues) {
		all = append(all, mustQueue(t, s, "T", i))
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	background := func(run func()) {
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					run()
					runtime.Gosched()
				}
			}
		})
	}
	for i := range 3 {
		var dst [40]Unit
		n := i
		background(func() {
			n++
			q := all[n%queues]
			end := q.MaxOffset()
			from := max(q.MinOffset(), end-message.QueueOffset(n%350))
			got, err := q.Read(from, dst[:])
			var outside *RangeError
			if errors.As(err, &outside) && from < q.MinOffset() {
				return // deleted meanwhile
			}
			if err != nil || got == 0 && from < end {
				t.Errorf("read at %d of %d: %d, %v", from, end, got, err)
			}
			for i, u := range dst[:got] {
				if u != testUnit(from+message.QueueOffset(i)) {
					t.Errorf("unit %d is %+v", from+message.QueueOffset(i), u)
				}
			}
		})
	}
	background(func() {
		if err := s.WriteOut(); err != nil {
			t.Error(err)
		}
		if err := s.Sync(1); err != nil {
			t.Error(err)
		}
	})
	background(func() {
		logMin := 1000 * (all[0].MaxOffset() - 1000)
		if _, err := s.DeleteExpired(message.PhyOffset(logMin)); err != nil {
			t.Error(err)
		}
		if _, err := s.QueueOrCreate("U", int32(logMin&7)); err != nil {
			t.Error(err)
		}
	})
	for off := range message.QueueOffset(units) {
		for i := range all {
			q := s.QueueBytes([]byte("T"), int32(i))
			if err := q.Append(off, testUnit(off)); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	others.Wait()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestCloseUnderReaders closes a set that is being read.
func TestCloseUnderReaders(t *testing.T) {
	s := openSet(t, vfs.OS, t.TempDir(), &Options{FileSize: 100 * unitSize, OpenFiles: 2})
	q := mustQueue(t, s, "T", 0)
	appendUnits(t, q, 0, 1000)
	if err := s.WriteOut(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	reading := make(chan struct{}, 3)
	for i := range 3 {
		readers.Go(func() {
			var dst [10]Unit
			for n := i; ; n += 37 {
				_, err := q.Read(message.QueueOffset(n%1000), dst[:])
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n == i {
					reading <- struct{}{}
				}
			}
		})
	}
	for range 3 {
		<-reading
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	readers.Wait()
	if n := s.OpenFiles(); n != 0 {
		t.Errorf("%d files are open after Close", n)
	}
}

func TestNoAllocations(t *testing.T) {
	if invariants.Enabled {
		t.Skip("the race detector allocates")
	}
	s := openSet(t, vfs.OS, t.TempDir(), nil)
	q := mustQueue(t, s, "TopicTest", 1)
	appendUnits(t, q, 0, 1000)
	topic, off := []byte("TopicTest"), message.QueueOffset(1000)
	if n := testing.AllocsPerRun(2000, func() {
		if err := s.QueueBytes(topic, 1).Append(off, testUnit(off)); err != nil {
			t.Fatal(err)
		}
		off++
	}); n != 0 {
		t.Errorf("a dispatch allocates %v times", n)
	}
	var dst [32]Unit
	for name, from := range map[string]message.QueueOffset{"files": 0, "tail": off - 32} {
		if n := testing.AllocsPerRun(200, func() {
			if n, err := q.Read(from, dst[:]); n != 32 || err != nil {
				t.Fatal(n, err)
			}
		}); n != 0 {
			t.Errorf("a read from %s allocates %v times", name, n)
		}
	}
}

// heapPerQueue makes queues with some units each and returns the set and what a
// queue costs on the heap.
func heapPerQueue(t *testing.T, count, units int, opts *Options) (*Set, float64) {
	t.Helper()
	s := openSet(t, vfs.NewCrashFS(1), testDir, opts)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range count {
		appendUnits(t, mustQueue(t, s, fmt.Sprintf("Topic%d", i/8), int32(i%8)), 0, message.QueueOffset(units))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := len(s.Queues()); n != count {
		t.Errorf("%d queues", n)
	}
	return s, float64(after.HeapAlloc-before.HeapAlloc) / float64(count)
}

// TestManyQueues bounds what a hundred thousand queues cost, most of which have
// few units, and what ten thousand cost whose tails are full: 40 MiB.
func TestManyQueues(t *testing.T) {
	many, busy := 100_000, 10_000
	if testing.Short() || invariants.Enabled {
		many, busy = 5000, 1000
	}
	s, cost := heapPerQueue(t, many, 6, nil)
	t.Logf("%.0f bytes for a queue of 6 units", cost)
	if cost > 700 {
		t.Errorf("a queue costs %.0f bytes", cost)
	}
	for i := range many {
		if q := s.Queue(fmt.Sprintf("Topic%d", i/8), int32(i%8)); q == nil || q.MaxOffset() != 6 {
			t.Fatalf("queue %d: %v", i, q)
		}
	}
	s, cost = heapPerQueue(t, busy, blockUnits, &Options{OpenFiles: 100})
	t.Logf("%.0f bytes for a queue with a full tail", cost)
	if cost > 4<<10 {
		t.Errorf("a queue with a full tail costs %.0f bytes", cost)
	}
	for _, q := range s.Queues() {
		if cap(q.tail) != blockSize {
			t.Fatalf("a tail of %d bytes: the test shows nothing", cap(q.tail))
		}
	}
}

// TestIdleQueues takes the tails from queues that nobody appends to.
func TestIdleQueues(t *testing.T) {
	s, _ := heapPerQueue(t, 1000, 20, &Options{OpenFiles: 100})
	for range 2 { // the second finds nothing new
		if err := s.WriteOut(); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range s.Queues() {
		if q.tail != nil {
			t.Fatalf("%v keeps its tail while idle", q.Key())
		}
	}
	if n := s.OpenFiles(); n != 100 {
		t.Errorf("%d files are open", n)
	}
	for range 2 { // the second finds that all are durable
		if err := s.Sync(0); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.active.queues); n != 0 {
		t.Errorf("%d idle queues are visited by every sync", n)
	}
	appendUnits(t, s.Queue("Topic3", 3), 20, 300)
	checkUnits(t, s.Queue("Topic3", 3), 0, 300)
}

// TestTailShrinksWithQueues divides the memory for tails among the queues.
func TestTailShrinksWithQueues(t *testing.T) {
	s := openSet(t, vfs.NewCrashFS(1), testDir, &Options{TailBytes: 100 * 20 * unitSize})
	q := mustQueue(t, s, "T", 0)
	appendUnits(t, q, 0, 3000)
	if cap(q.tail) != tailUnitsMax*unitSize {
		t.Errorf("the tail of a single queue has %d bytes", cap(q.tail))
	}
	for id := range int32(99) {
		mustQueue(t, s, "T", id+1)
	}
	other := s.Queue("T", 5)
	appendUnits(t, q, 3000, 6000)
	appendUnits(t, other, 0, 1000)
	if cap(q.tail) != 20*unitSize || cap(other.tail) != 20*unitSize {
		t.Errorf("the tails have %d and %d bytes", cap(q.tail), cap(other.tail))
	}
	checkUnits(t, q, 0, 6000)
	checkUnits(t, other, 0, 1000)
}

func TestOptions(t *testing.T) {
	for name, opts := range map[string]*Options{
		"FileSize": {FileSize: -1}, "OpenFiles": {OpenFiles: -1}, "TailBytes": {TailBytes: -1},
		"SyncFiles": {SyncFiles: -1}, "Workers": {Workers: -1},
	} {
		if _, err := Open(vfs.NewCrashFS(1), testDir, opts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(vfs.NewCrashFS(1), testDir, &Options{FileSize: math.MaxInt32}); err == nil {
		t.Error("a file that Java cannot map is allowed")
	}
	s, err := Open(vfs.NewCrashFS(1), testDir, &Options{FileSize: 4001}) // rounded up as Java does
	if err != nil || s.fileSize != 4020 {
		t.Errorf("%v, %v", s.fileSize, err)
	}
}
