package index

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// putN puts messages first to first+n-1, each at a hundred times its number, with three entries.
func putN(x *Index, first, n int) error {
	for i := first; i < first+n; i++ {
		if err := putOne(x, i); err != nil {
			return err
		}
	}
	return nil
}

// putMessage puts one message by itself, of which nothing was prepared ahead.
func putMessage(x *Index, topic, uniqKey, keys, tag []byte, off message.PhyOffset, storeTime int64) error {
	var k Keys
	x.Prepare(&k, topic, uniqKey, keys, tag)
	defer x.Settle()
	return x.Put(&k, off, storeTime)
}

func putOne(x *Index, i int) error {
	return putMessage(x, []byte("T"), fmt.Appendf(nil, "U%d", i), fmt.Appendf(nil, "K%d", i), []byte("tag"),
		message.PhyOffset(i*100), 1_700_000_000_000+int64(i)*1000)
}

func query(tb testing.TB, x *Index, key string) []message.PhyOffset {
	tb.Helper()
	res, err := x.Query("T", key, 1<<20, 0, math.MaxInt64)
	if err != nil {
		tb.Fatal(err)
	}
	return res.Offsets
}

// checkComplete checks that messages first to first+n-1 are there, each once.
func checkComplete(t *testing.T, x *Index, first, n int) {
	t.Helper()
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	for i := first; i < first+n; i++ {
		want := []message.PhyOffset{message.PhyOffset(i * 100)}
		for _, key := range []string{fmt.Sprint("U", i), fmt.Sprint("K", i)} {
			if got := query(t, x, key); !slices.Equal(got, want) {
				t.Fatalf("%s: %v, want %v", key, got, want)
			}
		}
	}
	got := slices.Clone(query(t, x, TagKeyPrefix+"tag"))
	if len(got) != n || !slices.IsSortedFunc(got, func(a, b message.PhyOffset) int { return int(b - a) }) {
		t.Fatalf("%d messages with the tag, want %d: %v", len(got), n, got)
	}
}

// fresh opens an index on an empty folder.
func fresh(tb testing.TB, fsys vfs.FS, opts *Options) *Index {
	tb.Helper()
	x := openAt(tb, fsys, filepath.Join(tb.TempDir(), "index"), opts)
	recoverAt(tb, x, State{}, true, 0, 0)
	return x
}

func TestOptions(t *testing.T) {
	for _, opts := range []Options{{Slots: -1}, {Entries: 1}, {Entries: math.MaxInt32}, {Slots: math.MaxInt}, {Slots: 1 << 29, Entries: 100}} {
		if _, err := Open(vfs.NewCrashFS(1), "/index", &opts); err == nil {
			t.Errorf("%+v is taken", opts)
		}
	}
	x, err := Open(vfs.NewCrashFS(1), "/index", nil)
	if err != nil || x.fileSize() != 420_000_040 || x.maxMapped != 8 {
		t.Fatalf("default file of %d bytes, error %v", x.fileSize(), err)
	}
}

func TestNamesGrow(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 21, 42, int(862*time.Millisecond), time.Local)
	x := fresh(t, vfs.NewCrashFS(1), &Options{Slots: 10, Entries: 2, Now: func() time.Time { return now }})
	if err := putOne(x, 0); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	if err := putOne(x, 1); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if err := putOne(x, 2); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range x.list() {
		got = append(got, f.name)
	}
	want := []string{"20261121032142862", "20261121032142863", "20261121032142864", "20261121032142865", "20261121032142866",
		"20261121032142867", "20261121042142862", "20261121042142863", "20261121042142864"}
	if !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestNameTakenIsPassedOver(t *testing.T) {
	crash := vfs.NewCrashFS(1)
	now := time.Date(2026, 11, 21, 3, 21, 42, 0, time.Local)
	x := fresh(t, crash, &Options{Slots: 10, Entries: 50, Now: func() time.Time { return now }})
	other, err := crash.OpenFile(filepath.Join(x.dir, "20261121032142000"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(other.Close(), putOne(x, 0)); err != nil {
		t.Fatal(err)
	}
	if name := x.list()[0].name; name != "20261121032142001" {
		t.Fatalf("file is called %s", name)
	}
}

func TestStrangeNamesAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"readme", "2026112103214286", "202611210321428620", "+2026112103214286", "2026112103214286x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "20261121032142862"), 0o755); err != nil {
		t.Fatal(err)
	}
	x := openAt(t, vfs.OS, dir, &Options{Slots: 10, Entries: 50})
	recoverAt(t, x, State{}, false, 0, 0)
	if len(x.list()) != 0 || len(x.Dropped()) != 0 {
		t.Fatalf("%d files, dropped %v", len(x.list()), x.Dropped())
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 6 {
		t.Fatalf("%d entries are left", len(entries))
	}
}

func TestDeleteExpired(t *testing.T) {
	x := fresh(t, vfs.OS, &Options{Slots: 10, Entries: 31, MaxMapped: 2}) // ten messages a file
	if err := putN(x, 0, 55); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ min, gone, left int }{{900, 0, 6}, {901, 1, 5}, {2500, 1, 4}, {3901, 2, 2}, {99999, 1, 1}, {99999, 0, 1}} {
		gone, err := x.DeleteExpired(message.PhyOffset(step.min))
		if err != nil || gone != step.gone || len(x.list()) != step.left {
			t.Fatalf("below %d: %d gone, %d left, error %v", step.min, gone, len(x.list()), err)
		}
	}
	checkComplete(t, x, 50, 5)
	if entries, _ := os.ReadDir(x.dir); len(entries) != 1 {
		t.Fatalf("%d files", len(entries))
	}
}

// TestReadersKeepTheirFile deletes and closes while a file is read.
func TestReadersKeepTheirFile(t *testing.T) {
	x := fresh(t, vfs.OS, &Options{Slots: 10, Entries: 31, MaxMapped: 1})
	if err := putN(x, 0, 55); err != nil {
		t.Fatal(err)
	}
	first, second := x.list()[0], x.list()[1]
	b, err := x.acquire(first)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := x.DeleteExpired(1000); n != 1 || err != nil {
		t.Fatalf("%d gone, error %v", n, err)
	}
	if got := decodeHeader(b); got.endPhy != 900 || first.mapping == nil {
		t.Fatalf("the file read is %+v", got)
	}
	if err := x.release(first); err != nil || first.mapping != nil {
		t.Fatalf("still mapped, error %v", err)
	}
	if b, err := x.acquire(first); b != nil || err != nil {
		t.Fatalf("a removed file was mapped, error %v", err)
	}
	if _, err := x.acquire(second); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- x.Close() }()
	for open := true; open; { // until Close waits
		x.mu.Lock()
		open = !x.mu.closed
		x.mu.Unlock()
	}
	if res, err := x.Query("T", "K15", 10, 0, math.MaxInt64); err != nil || len(res.Offsets) != 0 {
		t.Fatalf("a query of a closed index: %v, error %v", res, err)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed under a reader, error %v", err)
	default:
	}
	if err := errors.Join(x.release(second), <-closed); err != nil {
		t.Fatal(err)
	}
}

// TestConcurrent puts while others query, sync and delete.
func TestConcurrent(t *testing.T) {
	x := fresh(t, vfs.OS, &Options{Slots: 50, Entries: 301, MaxMapped: 2})
	const n = 3000
	var put, deleted atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for last := int64(0); last < n; {
				last = put.Load()
				if last == 0 {
					continue
				}
				for _, i := range []int64{last - 1, max(last-150, 0)} {
					want := message.PhyOffset(i * 100)
					res, err := x.Query("T", fmt.Sprint("K", i), 10, 0, math.MaxInt64)
					gone := len(res.Offsets) == 0 && int64(want) < deleted.Load()
					if err != nil || !gone && !slices.Equal(res.Offsets, []message.PhyOffset{want}) {
						t.Errorf("K%d: %v, error %v", i, res.Offsets, err)
						return
					}
				}
			}
		})
	}
	wg.Go(func() {
		for put.Load() < n {
			st, err := x.Sync()
			if err != nil {
				t.Error(err)
				return
			}
			if st.Durable > message.PhyOffset(put.Load()*100) {
				t.Errorf("state is ahead: %+v", st)
			}
			deleted.Store(int64(st.Durable) - 50_000)
			if _, err := x.DeleteExpired(st.Durable - 50_000); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range n {
		if err := putOne(x, i); err != nil {
			t.Fatal(err)
		}
		put.Store(int64(i + 1))
	}
	wg.Wait()
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestState(t *testing.T) {
	for _, st := range []State{{}, {Durable: 5}, {File: "20261121032142862", Count: 7, Used: 3, Durable: 1 << 40, EndTime: 99, SealedTime: 98}} {
		b := st.Append([]byte("x"))[1:]
		got, err := ParseState(b)
		if err != nil || got != st || len(b) != StateSize {
			t.Fatalf("%+v came back as %+v, error %v", st, got, err)
		}
		for at := range b {
			b[at] ^= 1
			if got, err := ParseState(b); !errors.Is(err, ErrState) {
				t.Fatalf("byte %d changed: %+v, error %v", at, got, err)
			}
			b[at] ^= 1
		}
		if _, err := ParseState(b[1:]); !errors.Is(err, ErrState) {
			t.Fatalf("error %v", err)
		}
	}
	for _, st := range []State{{Count: -1}, {Used: -1}, {Durable: -1}, {File: "x"}} {
		if _, err := ParseState(st.Append(nil)); !errors.Is(err, ErrState) {
			t.Fatalf("%+v: error %v", st, err)
		}
	}
}

func TestPutAllocatesNothing(t *testing.T) {
	x := fresh(t, vfs.OS, &Options{Slots: 1000, Entries: 1 << 20})
	topic, uniq, keys, tag := []byte("TopicTest"), []byte("C0A80001000012345678ABCDEF010000"), []byte("order-1 order-2"), []byte("TagA")
	off, k := message.PhyOffset(0), Keys{}
	if n := testing.AllocsPerRun(1000, func() {
		off += 1000
		x.Prepare(&k, topic, uniq, keys, tag)
		if err := x.Put(&k, off, 1_700_000_000_000); err != nil {
			t.Fatal(err)
		}
		x.Settle()
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// TestSyncSkipsWhatIsDurable counts the calls that reach the disk.
func TestSyncSkipsWhatIsDurable(t *testing.T) {
	fault := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	x := fresh(t, fault, &Options{Slots: 10, Entries: 31})
	syncs := func() int { return fault.Count(vfs.OpSyncData) }
	for _, step := range []struct{ put, want int }{{0, 0}, {5, 1}, {0, 0}, {20, 3}, {1, 1}, {0, 0}} {
		if err := putN(x, int(x.writer.last)/100+1, step.put); err != nil {
			t.Fatal(err)
		}
		before := syncs()
		if _, err := x.Sync(); err != nil {
			t.Fatal(err)
		}
		if got := syncs() - before; got != step.want {
			t.Fatalf("%d syncs after %d messages, want %d", got, step.put, step.want)
		}
	}
	// A State never counts an entry of a message being put, whose slot may not name it yet.
	f, before := x.writer.active, syncs()
	count := f.count.Load()
	f.put(x.writer.bytes, []keyPlace{{77, f.slotAt(77)}}, x.writer.last, 1_700_000_100_000)
	if st, err := x.Sync(); err != nil || st.Count != count {
		t.Fatalf("state %+v, error %v", st, err)
	}
	f.finish(x.writer.bytes, ends{phy: x.writer.last, time: 1_700_000_100_000})
	for range 2 {
		if st, err := x.Sync(); err != nil || st.Count != count+1 {
			t.Fatalf("state %+v, error %v", st, err)
		}
	}
	if got := syncs() - before; got != 1 {
		t.Fatalf("%d syncs, want 1", got)
	}
}

func TestSlotIsRemainder(t *testing.T) {
	for _, slots := range []int32{1, 2, 3, 7, 1 << 12, defaultSlots, 1<<29 - 1, math.MaxInt32} {
		l := makeLayout(slots, 2)
		hashes := []int32{0, 1, slots - 1, slots, math.MaxInt32 - 1, math.MaxInt32}
		for range 1000 {
			hash := rand.Int32()
			hashes = append(hashes, hash, hash/slots*slots, max(hash/slots*slots-1, 0))
		}
		for _, hash := range hashes {
			if got, want := l.slotAt(hash), headerSize+int(hash%slots)*slotSize; got != want {
				t.Fatalf("hash %d of %d slots is at %d, want %d", hash, slots, got, want)
			}
		}
	}
}

// TestSettle puts messages as the engine does: found at once, and in a State once they are settled, or
// where the file is full.
func TestSettle(t *testing.T) {
	x := fresh(t, vfs.NewCrashFS(1), &Options{Slots: 10, Entries: 21})
	var k Keys
	put := func(i int) {
		t.Helper()
		x.Prepare(&k, []byte("T"), fmt.Appendf(nil, "U%d", i), nil, []byte("tag"))
		if err := x.Put(&k, message.PhyOffset(i*100), 1_700_000_000_000+int64(i)*1000); err != nil {
			t.Fatal(err)
		}
	}
	check := func(found, files int, count int32, durable message.PhyOffset) {
		t.Helper()
		if got := query(t, x, TagKeyPrefix+"tag"); len(got) != found {
			t.Fatalf("found %v, want %d messages", got, found)
		}
		synced, err := x.Sync()
		if err != nil {
			t.Fatal(err)
		}
		if st := x.Mark(); st != synced || st.Count != count || st.Durable != durable || len(x.list()) != files {
			t.Fatalf("%d files, marked %+v, synced %+v, want %d files, count %d, durable %d", len(x.list()), st, synced, files, count, durable)
		}
	}
	put(0)
	x.Settle()
	check(1, 1, 3, 0)
	for i := range 6 {
		put(i + 1)
	}
	check(7, 1, 3, 0)
	x.Settle()
	x.Settle()
	check(7, 1, 15, 600)
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // the file holds three more
		put(i + 7)
	}
	check(11, 2, 1, 600)
	if first := x.list()[0]; first.settled.Load() != 21 || first.endPhy.Load() != 900 {
		t.Fatalf("the full file is settled up to %d, %+v", first.settled.Load(), first.header())
	}
	if err := x.Truncate(1000); err != nil { // settles
		t.Fatal(err)
	}
	check(10, 1, 21, 1000)
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestCrashWhilePutting takes States and loses power while the dispatcher goes on.
func TestCrashWhilePutting(t *testing.T) {
	const n, rounds = 1500, 9
	for round := range uint64(rounds) {
		opts := &Options{Slots: 300_000, Entries: []int{200, 1200, 9000}[round%3]}
		crash := vfs.NewCrashFS(round)
		x := openAt(t, crash, "/index", opts)
		recoverAt(t, x, State{}, true, 0, 0)
		var put atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range n {
				if err := putOne(x, i); err != nil {
					t.Error(err)
				}
				put.Store(int64(i + 1))
			}
		})
		var kept State
		for stop := int64(round * n / rounds); put.Load() <= stop; {
			st, err := x.Sync()
			if err != nil {
				t.Fatal(err)
			}
			kept = st
		}
		after := crash.Crash(round)
		wg.Wait()
		y := openAt(t, after, "/index", opts)
		from := recoverAt(t, y, kept, false, kept.SealedTime, n*100)
		if err := putN(y, int(from)/100, n-int(from)/100); err != nil {
			t.Fatal(err)
		}
		if got := query(t, y, TagKeyPrefix+"tag"); len(got) != n {
			t.Fatalf("round %d: %d messages with the tag from %d on, state %+v, dropped %v", round, len(got), from, kept, y.Dropped())
		}
		if err := y.Check(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		crash.Discard()
		after.Discard()
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	x := fresh(t, vfs.OS, &Options{Slots: 10, Entries: 31, MaxMapped: 1})
	if err := putN(x, 0, 55); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, f := range x.list() { // leave one mapped
		if _, err := x.acquire(f); err != nil {
			t.Fatal(err)
		}
		if err := x.release(f); err != nil {
			t.Fatal(err)
		}
	}
	gone := x.list()[0].path
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	var path *fs.PathError
	if _, err := x.Query("T", "K1", 10, 0, math.MaxInt64); !errors.As(err, &path) || path.Path != gone {
		t.Fatalf("error %v", err)
	}
}

// TestNamesAreNotUsedAgain begins a file after the one of the State was dropped, by a clock set back.
func TestNamesAreNotUsedAgain(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 21, 42, 0, time.Local)
	opts := &Options{Slots: 10, Entries: 31, Now: func() time.Time { return now }}
	dir := filepath.Join(t.TempDir(), "index")
	x := openAt(t, vfs.OS, dir, opts)
	recoverAt(t, x, State{}, true, 0, 0)
	if err := putN(x, 0, 5); err != nil {
		t.Fatal(err)
	}
	st, err := x.Sync()
	if err = errors.Join(err, x.Close(), os.Truncate(filepath.Join(dir, st.File), 100)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	x = openAt(t, vfs.OS, dir, opts)
	if from := recoverAt(t, x, st, false, 0, 500); from != 0 || len(x.Dropped()) != 1 {
		t.Fatalf("from %d, dropped %v", from, x.Dropped())
	}
	if err := putN(x, 0, 5); err != nil {
		t.Fatal(err)
	}
	if name := x.list()[0].name; name <= st.File {
		t.Fatalf("%s after %s", name, st.File)
	}
	checkComplete(t, x, 0, 5)
}
