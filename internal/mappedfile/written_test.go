package mappedfile

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// Zeros keep away from pages that the committer may be writing, and from what
// it has passed.
func TestZerosKeepAway(t *testing.T) {
	const ff = 0xff
	tests := []struct {
		name              string
		passed, wrote     int64
		from, n           int64
		zeroFrom, zeroEnd int64
	}{
		{"nothing written", 0, 0, 0, 3 * pageSize, 0, 3 * pageSize},
		{"writer in the first page", 0, 100, 0, 3 * pageSize, pageSize, 3 * pageSize},
		{"writer at a page's end", 0, pageSize, 0, 3 * pageSize, pageSize, 3 * pageSize},
		{"committer ahead of what was asked", pageSize + 1, 10, 0, 3 * pageSize, 2 * pageSize, 3 * pageSize},
		{"writer beyond it all", 0, 4 * pageSize, 0, 3 * pageSize, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := openQueue(t, t.TempDir(), Options{RingSize: 1 << 10})
			if err := q.Roll(); err != nil {
				t.Fatal(err)
			}
			f := q.tail
			if _, err := f.file.WriteAt(bytes.Repeat([]byte{ff}, testFileSize), 0); err != nil {
				t.Fatal(err)
			}
			var w writtenAhead
			w.pass(tt.passed)
			if err := w.zero(f, tt.from, tt.n, func() int64 { return tt.wrote }); err != nil {
				t.Fatal(err)
			}
			for at, b := range f.data {
				zeroed := int64(at) >= tt.zeroFrom && int64(at) < tt.zeroEnd
				if zeroed != (b == 0) {
					t.Fatalf("byte %d is %#x; zeros belong to [%d, %d)", at, b, tt.zeroFrom, tt.zeroEnd)
				}
			}
		})
	}
}

// The committer waits for zeros that are being written where it is to write,
// and for no others.
func TestCommitterWaitsForZeros(t *testing.T) {
	var w writtenAhead
	w.upTo.Store(100)
	w.mu.Lock() // zeros are on their way to [100, …)
	w.pass(100)
	passed := make(chan struct{})
	go func() {
		w.pass(101)
		close(passed)
	}()
	for range 1000 {
		runtime.Gosched()
		select {
		case <-passed:
			t.Fatal("the committer passed zeros being written")
		default:
		}
	}
	w.mu.Unlock()
	<-passed
	if got := w.upTo.Load(); got != 101 {
		t.Fatalf("zeros may begin at %d, below what the committer passed", got)
	}
}

// What is committed while zeros are written ahead of it stays as it was, with
// a committer that follows the writer as closely as it can.
func TestZeroAheadUnderLoad(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	q := openQueue(t, t.TempDir(), Options{RingSize: 8 << 10, ZeroAhead: true, PreheatMax: 16 << 10})
	var commitMu sync.Mutex
	commit := func() {
		commitMu.Lock()
		defer commitMu.Unlock()
		if _, err := q.Commit(); err != nil {
			t.Error(err)
		}
		if _, err := q.Flush(); err != nil {
			t.Error(err)
		}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				commit()
			}
		}
	}()
	type record struct {
		at int64
		n  int
		b  byte
	}
	var records []record
	for range 3000 {
		r := record{n: 1 + rng.IntN(2000), b: byte(1 + rng.IntN(255))}
		p := bytes.Repeat([]byte{r.b}, r.n)
		for q.Wrote()+int64(2*len(p))-q.Committed() > 8<<10 {
			commit()
		}
		r.at = write(t, q, p)
		records = append(records, r)
	}
	close(stop)
	<-done
	commit()
	for _, r := range records {
		if got := read(t, q, r.at, r.n); !bytes.Equal(got, bytes.Repeat([]byte{r.b}, r.n)) {
			t.Fatalf("record of %d bytes at %d is damaged (seed %d)", r.n, r.at, seed)
		}
	}
	end := q.Wrote()
	if f := q.FileAt(end); f != nil {
		for i, b := range f.data[end-f.start:] {
			if b != 0 {
				t.Fatalf("byte %d behind the end is %#x (seed %d)", i, b, seed)
			}
		}
	}
}
