package bench

import (
	"fmt"
	"os"
	"testing"

	"github.com/rocketlog/rocketlog/engine"
)

// bodySize is the size of a body in all studies: 1 KiB.
const bodySize = 1024

// openStore opens an empty store that ends with the test.
func openStore(tb testing.TB, opts *engine.Options) *engine.Store {
	tb.Helper()
	return openStoreIn(tb, tb.TempDir(), opts)
}

func openStoreIn(tb testing.TB, dir string, opts *engine.Options) *engine.Store {
	tb.Helper()
	s, err := engine.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// BenchmarkPut measures puts until they are dispatched to queues and index. ns/op is the time a message
// at full load, not its latency, which the percentiles are.
func BenchmarkPut(b *testing.B) {
	for _, flush := range []string{"async", "sync"} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("flush=%s/writers=%d/queues=4", flush, writers), func(b *testing.B) {
				benchmarkPut(b, b.TempDir(), putOptions(flush, false), writers, 4)
			})
		}
	}
	for _, queues := range []int{1, 10_000, 100_000} {
		parent, dir := b, "" // made once for all rounds: a file system may be slow to make again what was just deleted
		b.Run(fmt.Sprintf("flush=async/writers=1/queues=%d", queues), func(b *testing.B) {
			opts := putOptions("async", false)
			if dir == "" {
				dir = parent.TempDir()
				if queues > QueuesPerTopic {
					if err := MakeQueues(dir, opts, queues); err != nil {
						b.Fatal(err)
					}
				}
			}
			benchmarkPut(b, dir, opts, 1, queues)
		})
	}
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("flush=async/writers=%d/queues=4/pool=true", writers), func(b *testing.B) {
			benchmarkPut(b, b.TempDir(), putOptions("async", true), writers, 4)
		})
		b.Run(fmt.Sprintf("flush=async/writers=%d/queues=4/preheat=false", writers), func(b *testing.B) {
			benchmarkPut(b, b.TempDir(), &engine.Options{PreheatMax: -1}, writers, 4)
		})
	}
	b.Run("flush=async/writers=1/queues=4/index=false", func(b *testing.B) {
		benchmarkPut(b, b.TempDir(), &engine.Options{IndexDisabled: true}, 1, 4)
	})
}

func putOptions(flush string, pool bool) *engine.Options {
	o := &engine.Options{TransientPool: pool}
	if flush == "sync" {
		o.FlushDiskType = engine.SyncFlush
	}
	return o
}

func benchmarkPut(b *testing.B, dir string, opts *engine.Options, writers, queues int) {
	warmup := 1000
	if opts.FlushDiskType == engine.AsyncFlush {
		warmup = 20_000 + 2*queues
	}
	benchmarkWriters(b, NewWriters(openStoreIn(b, dir, opts), writers, queues, bodySize), warmup)
	reportHeld(b)
}

// benchmarkWriters lets writers write warmup messages and measures b.N more.
func benchmarkWriters(b *testing.B, w *Writers, warmup int) {
	writers := len(w.sources)
	if _, err := w.Run(0, int64(warmup+10*writers)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(w.sources[0].Next().RecordSize()))
	b.ResetTimer()
	f, err := w.Run(0, int64(max(b.N, writers)))
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(f.Rate(), "msgs/s")
	b.ReportMetric(float64(f.CPU)/float64(f.Messages), "cpu-ns/op")
	reportLatency(b, &f.Latency)
}

// reportHeld tells what the process holds: memory that belongs to no file, and open files. It is silent where the system
// does not tell.
func reportHeld(b *testing.B) {
	u, err := ProcessUsage(os.Getpid())
	if err != nil {
		return
	}
	b.ReportMetric(float64(u.Anonymous)/(1<<20), "anon-MiB")
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		b.ReportMetric(float64(len(open)), "open-files")
	}
}

// reportCPU returns a func that adds the CPU time an op of what was done in between.
func reportCPU(b *testing.B) func() {
	begin := SelfCPU()
	return func() { b.ReportMetric(float64(SelfCPU()-begin)/float64(b.N), "cpu-ns/op") }
}

func reportLatency(b *testing.B, l *Latency) {
	for _, q := range []struct {
		share float64
		unit  string
	}{{0.5, "p50-ns"}, {0.99, "p99-ns"}, {0.999, "p999-ns"}} {
		b.ReportMetric(float64(l.Quantile(q.share)), q.unit)
	}
}

// TestPutAllocatesNothing is the budget of the whole path: put, dispatch, index.
func TestPutAllocatesNothing(t *testing.T) {
	for _, test := range []struct {
		flush            string
		warmup, messages int64
	}{{"async", 20_000, 50_000}, {"sync", 500, 2000}} {
		t.Run(test.flush, func(t *testing.T) {
			w := NewWriters(openStore(t, putOptions(test.flush, false)), 1, 4, bodySize)
			if _, err := w.Run(0, test.warmup); err != nil {
				t.Fatal(err)
			}
			f, err := w.Run(0, test.messages)
			if err != nil {
				t.Fatal(err)
			}
			// Background work (flush, checkpoint, the measuring itself) may allocate a little in that time.
			if f.Mallocs > 500 {
				t.Errorf("%d allocations for %d messages, want none", f.Mallocs, test.messages)
			}
			if f.Messages != test.messages || f.Dispatched <= 0 {
				t.Errorf("put %d messages in %v", f.Messages, f.Dispatched)
			}
		})
	}
}
