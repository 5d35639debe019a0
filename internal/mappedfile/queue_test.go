package mappedfile

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

const testFileSize = 32 << 10

func openQueue(tb testing.TB, dir string, opts Options) *Queue {
	tb.Helper()
	opts.FileSize = testFileSize
	q, err := Open(vfs.OS, dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { q.Close() })
	return q
}

// write appends p, skipping to the next file where it does not fit.
func write(tb testing.TB, q *Queue, p []byte) int64 {
	tb.Helper()
	if q.Remaining() < int64(len(p)) {
		if q.Remaining() > 0 {
			q.Skip(0)
		}
		if err := q.Roll(); err != nil {
			tb.Fatal(err)
		}
	}
	at := q.Wrote()
	dst, err := q.Reserve(len(p))
	if errors.Is(err, ErrFull) {
		if _, err := q.Commit(); err != nil {
			tb.Fatal(err)
		}
		dst, err = q.Reserve(len(p))
	}
	if err != nil {
		tb.Fatal(err)
	}
	copy(dst, p)
	q.Advance(len(p))
	return at
}

// receive is write where the bytes come from a reader, some of them before the others, and more of them than are taken.
func receive(tb testing.TB, q *Queue, p []byte, rng *rand.Rand) int64 {
	tb.Helper()
	more := rng.IntN(1000)
	if q.Remaining() < int64(len(p)+more) {
		if q.Remaining() > 0 {
			q.Skip(0)
		}
		if err := q.Roll(); err != nil {
			tb.Fatal(err)
		}
	}
	at := q.Wrote()
	begun := rng.IntN(len(p))
	r := bytes.NewReader(append(bytes.Clone(p[begun:]), make([]byte, more)...))
	for n := r.Len(); ; {
		got, err := q.Receive(p[:begun], r, n, func(landed []byte) (int, error) {
			if !bytes.Equal(landed[:len(p)], p) || len(landed) != len(p)+more {
				tb.Fatalf("%d bytes landed that are not those sent", len(landed))
			}
			return len(p), nil
		})
		if errors.Is(err, ErrFull) {
			if _, err := q.Commit(); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		if err != nil || got != n {
			tb.Fatalf("received %d of %d: %v", got, n, err)
		}
		return at
	}
}

func read(tb testing.TB, q *Queue, at int64, n int) []byte {
	tb.Helper()
	ref, ok, err := q.Read(at)
	if err != nil || !ok {
		tb.Fatalf("read at %d: %v, %v", at, ok, err)
	}
	defer ref.Release()
	return bytes.Clone(ref.Bytes()[:n])
}

// Random appends, commits, flushes, truncations and restarts agree with a map
// of what was written where.
func TestQueueAgainstModel(t *testing.T) {
	for _, ringSize := range []int{0, 10_000} {
		for range 10 {
			seed := rand.Uint64()
			zeroAhead := rand.IntN(2) == 0
			testModel(t, seed, ringSize, zeroAhead)
			if t.Failed() {
				t.Fatalf("seed %d, ring %d, zero ahead %t", seed, ringSize, zeroAhead)
			}
		}
	}
}

func testModel(t *testing.T, seed uint64, ringSize int, zeroAhead bool) {
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	opts := Options{RingSize: ringSize, ZeroAhead: zeroAhead, MaxMapped: 2, PreheatMax: 8 << 10}
	q := openQueue(t, dir, opts)
	model := map[int64][]byte{}
	var order []int64
	for range 300 {
		switch rng.IntN(20) {
		case 0:
			if _, err := q.Commit(); err != nil {
				t.Fatal(err)
			}
			if _, err := q.Flush(); err != nil {
				t.Fatal(err)
			}
			if q.Flushed() != q.Wrote() {
				t.Errorf("flushed to %d of %d", q.Flushed(), q.Wrote())
			}
		case 1: // cut at a random write
			if len(order) == 0 {
				continue
			}
			i := rng.IntN(len(order))
			cut := order[i]
			if err := q.TruncateTo(cut, cut, true); err != nil {
				t.Fatal(err)
			}
			for _, at := range order[i:] {
				delete(model, at)
			}
			order = order[:i]
		case 2: // restart
			if _, err := q.Commit(); err != nil {
				t.Fatal(err)
			}
			end := q.Wrote()
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = openQueue(t, dir, opts)
			if err := q.TruncateTo(end, end, false); err != nil {
				t.Fatal(err)
			}
		default:
			p := make([]byte, 1+rng.IntN(4000))
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			put := write
			if rng.IntN(3) == 0 {
				put = func(tb testing.TB, q *Queue, p []byte) int64 { return receive(tb, q, p, rng) }
			}
			at := put(t, q, p)
			model[at] = p
			order = append(order, at)
		}
		if q.Flushed() > q.Committed() || q.Committed() > q.Wrote() {
			t.Fatalf("positions: flushed %d, committed %d, wrote %d", q.Flushed(), q.Committed(), q.Wrote())
		}
	}
	if _, err := q.Commit(); err != nil {
		t.Fatal(err)
	}
	for at, p := range model {
		if got := read(t, q, at, len(p)); !bytes.Equal(got, p) {
			t.Fatalf("seed %d, ring %d: bytes at %d differ", seed, ringSize, at)
		}
	}
	if _, ok, err := q.Read(q.Committed()); ok || err != nil {
		t.Errorf("bytes behind the end: %v, %v", ok, err)
	}
	if n := q.Mapped(); n > opts.MaxMapped+2 {
		t.Errorf("%d files are mapped, the bound is %d", n, opts.MaxMapped)
	}
}

// Readers that hold and release files while others are mapped, evicted and
// deleted never see other bytes.
func TestReadersDuringEvictionAndRemoval(t *testing.T) {
	q := openQueue(t, t.TempDir(), Options{MaxMapped: 1})
	const files = 20
	for i := range files {
		write(t, q, bytes.Repeat([]byte{byte(i + 1)}, testFileSize))
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	for r := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(uint64(r), 0))
			for !stop.Load() {
				i := rng.Int64N(files)
				ref, ok, err := q.Read(i*testFileSize + rng.Int64N(testFileSize))
				if err != nil {
					t.Error(err)
					return
				}
				if !ok {
					continue // deleted
				}
				for _, b := range ref.Bytes() {
					if b != byte(i+1) {
						t.Errorf("file %d shows %d", i, b)
						break
					}
				}
				ref.Release()
			}
		}()
	}
	for i := range int64(files - 1) {
		for range 50 {
			if ref, ok, _ := q.Read((files - 1) * testFileSize); ok {
				ref.Release()
			}
		}
		if _, err := q.RemoveBefore((i+1)*testFileSize, 1); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	if got := len(q.Files()); got != 1 {
		t.Errorf("%d files are left", got)
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, size int) {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(FileName(0), testFileSize)
	put(FileName(testFileSize), 100)
	_, err := Open(vfs.OS, dir, Options{FileSize: testFileSize})
	var size *SizeError
	if !errors.As(err, &size) || size.Size != 100 {
		t.Errorf("a short file: %v", err)
	}
	put(FileName(testFileSize), 0)
	q, err := Open(vfs.OS, dir, Options{FileSize: testFileSize})
	if err != nil {
		t.Fatalf("a last file of no length: %v", err)
	}
	if n := len(q.Files()); n != 1 {
		t.Errorf("%d files", n)
	}
	q.Close()
	put("notes.txt", 3)
	if _, err := Open(vfs.OS, dir, Options{FileSize: testFileSize}); err == nil {
		t.Error("a stray file is accepted")
	}
}

// A file that lies in the middle of a hole is found by offset, the hole is not.
func TestHole(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, dir, Options{})
	for range 3 {
		write(t, q, make([]byte, testFileSize))
	}
	q.Close()
	if err := os.Remove(filepath.Join(dir, FileName(testFileSize))); err != nil {
		t.Fatal(err)
	}
	q = openQueue(t, dir, Options{})
	for i, want := range []bool{true, false, true} {
		ref, ok, err := q.Read(int64(i) * testFileSize)
		if ok != want || err != nil {
			t.Errorf("file %d: %v, %v", i, ok, err)
		}
		ref.Release()
	}
}

func TestPreparedFileIsDeletedOnClose(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, dir, Options{})
	write(t, q, make([]byte, testFileSize*3/4))
	q.Prepare()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are left: %v", len(entries), err)
	}
}

// A truncation that ends in the midst leaves a log that begins where it began.
func TestTruncateRemovesNewestFirst(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpRemove, vfs.OpSyncDir} {
		disk := vfs.NewCrashFS(1)
		fs := vfs.NewFaultFS(disk, nil)
		opts := Options{FileSize: 4096, PreheatMax: -1}
		q, err := Open(fs, "/log", opts)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := q.Roll(); err != nil {
				t.Fatal(err)
			}
			q.Skip(0)
		}
		if err := q.alloc.drop(); err != nil {
			t.Fatal(err)
		}
		fs.SetRules(vfs.Rule{Op: op, Nth: 2, On: true, Err: syscall.EIO})
		if err := q.TruncateTo(0, 0, false); !errors.Is(err, syscall.EIO) {
			t.Errorf("the second %v fails: %v", op, err)
		}
		fs.SetRules()
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if q, err = Open(fs, "/log", opts); err != nil {
			t.Fatal(err)
		}
		if files := len(q.Files()); q.MinOffset() != 0 || files < 1 || files > 2 {
			t.Errorf("after the second %v failed the log begins at %d, with %d files", op, q.MinOffset(), files)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
