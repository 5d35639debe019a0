package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// modes are the ways in which bytes reach the files.
func modes() map[string]Options {
	return map[string]Options{
		"mapped": {FileSize: 64 << 10, MaxMessageSize: 16 << 10},
		"sync":   {FileSize: 64 << 10, MaxMessageSize: 16 << 10, SyncFlush: true},
		"pool":   {FileSize: 64 << 10, MaxMessageSize: 16 << 10, TransientPool: true, TransientPoolBytes: 1, CommitInterval: time.Millisecond},
	}
}

func openAt(tb testing.TB, dir string, opts Options) *CommitLog {
	tb.Helper()
	l, err := Open(vfs.OS, dir, &opts)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func noop(message.PhyOffset, message.Record) error { return nil }

// appended is what a test remembers of an append.
type appended struct {
	res  Result
	body []byte
}

// fill appends n messages of random sizes, some of them as batches.
func fill(tb testing.TB, l *CommitLog, rng *rand.Rand, seq *Sequence, n int) (all []appended) {
	tb.Helper()
	for len(all) < n {
		m := sample(0)
		if rng.IntN(4) > 0 {
			m.Body = randomBody(rng)
			res, err := l.Append(m, seq)
			if err != nil {
				tb.Fatal(err)
			}
			all = append(all, appended{res, m.Body})
			continue
		}
		items := make([]message.BatchItem, 1+rng.IntN(5))
		offsets := make([]message.PhyOffset, len(items))
		for i := range items {
			items[i] = message.BatchItem{Flag: int32(i), Body: randomBody(rng)[:], Properties: m.Properties}
		}
		res, err := l.AppendBatch(m, items, seq, offsets)
		if err != nil {
			tb.Fatal(err)
		}
		for i := range items {
			r := res
			r.PhyOffset, r.QueueOffset = offsets[i], res.QueueOffset+message.QueueOffset(i)
			all = append(all, appended{r, items[i].Body})
		}
	}
	return all
}

func randomBody(rng *rand.Rand) []byte {
	b := make([]byte, 1+rng.IntN(3000))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// verify compares the log from its begin with what was appended.
func verify(tb testing.TB, l *CommitLog, want []appended) {
	tb.Helper()
	it := l.Iterate(l.MinOffset(), l.CommittedOffset(), Own)
	defer it.Close()
	for i, w := range want {
		r, ok := it.Next()
		if !ok {
			tb.Fatalf("record %d of %d is missing: %v", i, len(want), it.Err())
		}
		if r.PhyOffset() != w.res.PhyOffset || r.QueueOffset() != w.res.QueueOffset ||
			r.StoreTimestamp() != w.res.StoreTimestamp || !bytes.Equal(r.Body(), w.body) {
			tb.Fatalf("record %d is %d/%d, want %+v", i, r.PhyOffset(), r.QueueOffset(), w.res)
		}
	}
	if r, ok := it.Next(); ok {
		tb.Fatalf("an extra record at %d", r.PhyOffset())
	}
	if it.Err() != nil {
		tb.Fatal(it.Err())
	}
}

func TestAppendReadReopen(t *testing.T) {
	for name, opts := range modes() {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			l := openAt(t, dir, opts)
			if err := l.Truncate(0, 0, false); err != nil {
				t.Fatal(err)
			}
			l.Start()
			var seq Sequence
			want := fill(t, l, rng, &seq, 300)
			if got := seq.Next(); int(got) != len(want) {
				t.Fatalf("the sequence is at %d after %d messages", got, len(want))
			}
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			verify(t, l, want)
			seal, err := l.Seal()
			if err != nil || !l.Holds(seal) {
				t.Fatalf("seal %+v does not hold: %v", seal, err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}

			l = openAt(t, dir, opts)
			defer l.Close()
			if !l.Holds(seal) {
				t.Fatal("the seal does not hold after opening again")
			}
			rec, err := l.Recover(0, Own, true, noop)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Records != len(want) || rec.End != want[len(want)-1].res.End {
				t.Fatalf("recovered %+v, want %d records to %d", rec, len(want), want[len(want)-1].res.End)
			}
			l.Start()
			want = append(want, fill(t, l, rng, &seq, 100)...)
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			verify(t, l, want)
		})
	}
}

// Every file but the last ends with a blank of at least 8 bytes, and no record
// crosses a file.
func TestFilesEndWithBlanks(t *testing.T) {
	for name, opts := range modes() {
		t.Run(name, func(t *testing.T) {
			l := openAt(t, t.TempDir(), opts)
			defer l.Close()
			if err := l.Truncate(0, 0, false); err != nil {
				t.Fatal(err)
			}
			l.Start()
			m := sample(0)
			overhead := m.RecordSize()
			var seq Sequence
			// The rest of the file after the first record: a record that leaves
			// exactly the smallest blank, and one that would leave a byte less.
			for _, leave := range []int{message.BlankSizeMin, message.BlankSizeMin - 1} {
				start := l.MaxOffset()
				for rest := int(l.FileSize() - int64(start)%l.FileSize()); rest > 20_000; rest = int(l.FileSize() - int64(l.MaxOffset())%l.FileSize()) {
					m.Body = make([]byte, 10_000)
					if _, err := l.Append(m, &seq); err != nil {
						t.Fatal(err)
					}
				}
				rest := int(l.FileSize() - int64(l.MaxOffset())%l.FileSize())
				m.Body = make([]byte, rest-overhead-leave)
				res, err := l.Append(m, &seq)
				if err != nil {
					t.Fatal(err)
				}
				fits := leave >= message.BlankSizeMin
				if same := int64(res.PhyOffset)/l.FileSize() == int64(start)/l.FileSize(); same != fits {
					t.Errorf("a record that leaves %d bytes went to %d", leave, res.PhyOffset)
				}
				if fits {
					m.Body = []byte("next")
					if _, err := l.Append(m, &seq); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			for _, f := range l.Files()[:len(l.Files())-1] {
				rec, err := l.Scan(f.Start, f.End, Own, noop)
				if err != nil || rec.Stopped != nil {
					t.Fatalf("%s: %v, %v", f.Path, rec.Stopped, err)
				}
				ref, ok, err := l.Read(rec.End)
				if !ok || err != nil {
					t.Fatal(ok, err)
				}
				if got, want := message.BlankSize(ref.Bytes()), int(f.End-rec.End); got != want {
					t.Errorf("%s: blank of %d bytes, want %d", f.Path, got, want)
				}
				ref.Release()
			}
		})
	}
}

func TestSyncCoversEveryWaiter(t *testing.T) {
	l := openEmpty(t, Options{SyncFlush: true, FileSize: 1 << 20})
	var wg sync.WaitGroup
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var seq Sequence
			m := sample(100)
			for range 50 {
				res, err := l.Append(m, &seq)
				if err == nil {
					err = l.Sync(res.End)
				}
				if err != nil {
					t.Error(err)
				} else if l.FlushedOffset() < res.End {
					t.Errorf("told durable at %d, flushed is %d", res.End, l.FlushedOffset())
				}
			}
		}()
	}
	wg.Wait()
}

// A record that may be damaged ends the log, wherever the damage is, and what
// lies behind it cannot come back.
func TestRecoverCutsAtDamage(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 2))
		dir := t.TempDir()
		opts := modes()["mapped"]
		l := openAt(t, dir, opts)
		if err := l.Truncate(0, 0, false); err != nil {
			t.Fatal(err)
		}
		var seq Sequence
		all := fill(t, l, rng, &seq, 60)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		hit := rng.IntN(len(all))
		r := all[hit].res
		// Lose a whole sector of the record to zeros, as a torn page does.
		end := int64(r.PhyOffset) + int64(recordSize(all, hit))
		at := int64(r.PhyOffset) + rng.Int64N(end-int64(r.PhyOffset))
		at -= at % sector
		name := filepath.Join(dir, fmt.Sprintf("%020d", at/l.FileSize()*l.FileSize()))
		zeroRange(t, name, at%l.FileSize(), sector)

		l = openAt(t, dir, opts)
		rec, err := l.Recover(0, Own, true, noop)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Records > hit {
			t.Fatalf("seed %d: %d records recovered though %d is damaged at %d", seed, rec.Records, hit, at)
		}
		// The damage hits records that begin before the sector as well.
		for i := rec.Records; i < hit; i++ {
			if int64(all[i].res.PhyOffset)+int64(recordSize(all, i)) <= at {
				t.Fatalf("seed %d: record %d is whole but lost", seed, i)
			}
		}
		rec2, err := l.Scan(0, l.MaxOffset()+message.PhyOffset(opts.FileSize), Java, noop)
		if err != nil || rec2.Records != rec.Records {
			t.Fatalf("seed %d: %d records are left after the cut to %d: %v", seed, rec2.Records, rec.Records, err)
		}
		var corrupt *CorruptError
		if rec.Stopped != nil && !errors.As(rec.Stopped, &corrupt) {
			t.Fatalf("seed %d: stopped by %v", seed, rec.Stopped)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func recordSize(all []appended, i int) int {
	m := sample(0)
	m.Body = all[i].body
	return m.RecordSize()
}

func zeroRange(tb testing.TB, name string, at int64, n int) {
	tb.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, n), at); err != nil {
		tb.Fatal(err)
	}
}

func TestTornText(t *testing.T) {
	m := sample(100)
	m.Properties = message.Properties("A\x01with\x00zero inside\x02B\x011\x02")
	b := make([]byte, m.RecordSize())
	message.EncodeRecord(b, m, message.BodyCRC(m.Body))
	whole, err := message.ParseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if tornText(whole, 3) {
		t.Error("a zero within a property is taken for a loss")
	}
	for cut := len(b) - len(m.Properties); cut < len(b); cut++ {
		torn := bytes.Clone(b)
		clear(torn[cut:])
		if !tornText(torn, 3) {
			t.Errorf("zeros from %d of %d are not seen", cut, len(b))
		}
	}
}

func TestRemoveBeforeKeepsReadersSafe(t *testing.T) {
	l := openEmpty(t, modes()["mapped"])
	rng := rand.New(rand.NewPCG(1, 3))
	var seq Sequence
	all := fill(t, l, rng, &seq, 300)
	ref, ok, err := l.Read(0)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer ref.Release()
	last := all[len(all)-1].res
	n, err := l.RemoveBefore(last.PhyOffset, 100)
	if err != nil || n == 0 {
		t.Fatalf("removed %d: %v", n, err)
	}
	if _, ok, _ := l.Read(0); ok {
		t.Error("a deleted file can be read")
	}
	r, err := message.ParseRecord(ref.Bytes())
	if err != nil || !bytes.Equal(r.Body(), all[0].body) {
		t.Errorf("held bytes changed: %v", err)
	}
	if got := l.MinOffset(); int64(got) != int64(n)*l.FileSize() {
		t.Errorf("minimum is %d after %d files", got, n)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	l := openEmpty(t, Options{FileSize: 16 << 20})
	m := sample(1024)
	var seq Sequence
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := l.Append(m, &seq); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per append", n)
	}
}

func TestTooLarge(t *testing.T) {
	l := openEmpty(t, Options{FileSize: 4096})
	var seq Sequence
	if _, err := l.Append(sample(4096), &seq); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record larger than a file: %v", err)
	}
	if seq.Next() != 0 {
		t.Error("a refused record took an offset")
	}
}
