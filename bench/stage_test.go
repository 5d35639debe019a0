package bench

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// BenchmarkEncode makes records, the checksum of the body included, and nothing else. It has no percentiles: reading a
// clock takes as long.
func BenchmarkEncode(b *testing.B) {
	for _, body := range []int{100, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("body=%d", body), func(b *testing.B) {
			source := NewSource(0, 4, body)
			record := make([]byte, source.Next().RecordSize())
			b.ReportAllocs()
			b.SetBytes(int64(len(record)))
			report := reportCPU(b)
			for b.Loop() {
				m := source.Next()
				message.EncodeRecord(record, m, message.BodyCRC(m.Body))
			}
			report()
		})
	}
}

// openLog opens an empty log, without queues or index.
func openLog(b *testing.B, opts commitlog.Options, fs vfs.FS) *commitlog.CommitLog {
	b.Helper()
	log, err := commitlog.Open(fs, b.TempDir(), &opts)
	if err != nil {
		b.Fatal(err)
	}
	if err := log.Truncate(log.MaxOffset(), log.MaxOffset(), false); err != nil {
		b.Fatal(err)
	}
	log.Start()
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	return log
}

// logKept bounds the log of a long run.
const logKept = 4 << 30

// appendTo returns a put that appends to a log alone, and then does what makes it durable.
func appendTo(log *commitlog.CommitLog, durable func(commitlog.Result) error) func(*message.Message) error {
	var sequences [QueuesPerTopic]commitlog.Sequence
	return func(m *message.Message) error {
		res, err := log.Append(m, &sequences[m.QueueID])
		if err == nil {
			err = durable(res)
		}
		if err == nil && res.End-log.MinOffset() > logKept {
			_, err = log.RemoveBefore(res.End-logKept/2, 10)
		}
		return err
	}
}

// BenchmarkAppend appends to a log, and waits for no disk.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		for _, body := range []int{100, 1 << 10, 16 << 10} {
			b.Run(fmt.Sprintf("writers=%d/body=%d", writers, body), func(b *testing.B) {
				put := appendTo(openLog(b, commitlog.Options{}, vfs.OS), func(commitlog.Result) error { return nil })
				benchmarkWriters(b, newWriters(put, func() {}, writers, 4, body), 20_000)
			})
		}
	}
}

// syncCounter counts how often data is synced. With instant no sync is done: what is left is what gathering those who
// wait costs by itself.
type syncCounter struct {
	vfs.FS
	syncs   atomic.Int64
	instant bool
}

func (c *syncCounter) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &countedFile{f, c}, nil
}

type countedFile struct {
	vfs.File
	counter *syncCounter
}

// SyncData is what a group commit makes its records durable with.
func (f *countedFile) SyncData() error {
	f.counter.syncs.Add(1)
	if f.counter.instant {
		return nil
	}
	return f.File.SyncData()
}

// BenchmarkGroupCommit appends to a log and waits until that is durable, on the disk and on one that takes no time.
func BenchmarkGroupCommit(b *testing.B) {
	for _, device := range []string{"disk", "instant"} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("device=%s/writers=%d", device, writers), func(b *testing.B) {
				fs := &syncCounter{FS: vfs.OS, instant: device == "instant"}
				log := openLog(b, commitlog.Options{SyncFlush: true}, fs)
				put := appendTo(log, func(r commitlog.Result) error { return log.Sync(r.End) })
				syncs := int64(0) // of the last run
				w := newWriters(put, func() { syncs = fs.syncs.Swap(0) }, writers, 4, bodySize)
				benchmarkWriters(b, w, 1000)
				b.ReportMetric(float64(max(b.N, writers))/float64(max(syncs, 1)), "puts/sync")
			})
		}
	}
}

// dispatchBatch is how many messages are put before they are dispatched: 60 MiB, which stay in the page cache.
const dispatchBatch = 50_000

// BenchmarkDispatch moves messages from the log to queues and index. They are put while the dispatcher is held in the
// call that tells of an arrival; what is measured is from when it is let go.
func BenchmarkDispatch(b *testing.B) {
	for _, queues := range []int{1, 4, 10_000} {
		for _, index := range []bool{true, false} {
			b.Run(fmt.Sprintf("queues=%d/index=%v", queues, index), func(b *testing.B) {
				benchmarkDispatch(b, &engine.Options{IndexDisabled: !index}, queues)
			})
		}
	}
}

func benchmarkDispatch(b *testing.B, opts *engine.Options, queues int) {
	batches := make(chan int) // sizes: the dispatcher is held until it is told the next one
	left, last := 0, time.Time{}
	var latency Latency
	opts.Listener = &engine.EventListener{Arrived: func(engine.Arrival) {
		if left--; left < 0 {
			left = <-batches - 1
			last = time.Now()
			return
		}
		now := time.Now()
		latency.Record(now.Sub(last))
		last = now
	}}
	dir := b.TempDir()
	if err := MakeQueues(dir, &engine.Options{IndexDisabled: opts.IndexDisabled}, queues); err != nil {
		b.Fatal(err)
	}
	store := openStoreIn(b, dir, opts)
	b.Cleanup(func() { close(batches) }) // before the store waits for its dispatcher
	w := NewWriters(store, 1, queues, bodySize)
	w.settle = func() {}
	cpu := time.Duration(0)
	dispatch := func(n int) {
		b.StopTimer()
		if _, err := w.Run(0, int64(n)); err != nil {
			b.Fatal(err)
		}
		begin := SelfCPU()
		b.StartTimer()
		batches <- n
		AwaitDispatch(store)
		cpu += SelfCPU() - begin
	}
	dispatch(max(dispatchBatch, 10*queues)) // warms up
	latency, cpu = Latency{}, 0
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += dispatchBatch {
		dispatch(min(dispatchBatch, b.N-done))
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
	reportLatency(b, &latency)
}
