// Package store drives the engine as the Java harness drives Java's store: put, fill, open, read, query,
// and put at a steady pace while something else goes on.
//
// Concurrency: all of it runs on the caller's goroutine, but for the writers that Put starts and awaits, and
// the reader that goes beside writers and ends with them.
package store

import (
	"cmp"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// cleanInterval is how often a store looks for what it need not keep: more often than by default, so that
// a short run has it a few times.
const cleanInterval = 200 * time.Millisecond

// Config is a workload.
type Config struct {
	Dir             string
	SyncFlush       bool
	TransientPool   bool
	WithoutIndex    bool
	Writers, Queues int
	BodySize        int
	// FileSize is that of the log's files, and Retain how much of the log is kept; 0 is the default.
	FileSize, Retain int64
	// Scan has a reader read all from the beginning while the writers are measured.
	Scan bool
	// Messages bounds what Put puts while it measures, half of it before; Bytes is what Fill fills.
	Messages, Bytes int64
	Warmup, Measure time.Duration
}

func (c *Config) options() *engine.Options {
	o := &engine.Options{
		TransientPool: c.TransientPool, IndexDisabled: c.WithoutIndex, CommitLogFileSize: c.FileSize, MaxLogBytes: c.Retain,
	}
	if c.Retain > 0 {
		o.CleanInterval = cleanInterval
	}
	if c.SyncFlush {
		o.FlushDiskType = engine.SyncFlush
	}
	return o
}

// Put measures puts, until all is dispatched, after a warm-up. The files of many queues are there by then, as they
// are in Java's store: its dispatch makes a queue's file before it goes on, ours lets that be done in the background.
func Put(c Config) (measure.Result, error) {
	if c.Queues > bench.QueuesPerTopic {
		if err := bench.MakeQueues(c.Dir, c.options(), c.Queues); err != nil {
			return measure.Result{}, err
		}
	}
	s, err := engine.Open(c.Dir, c.options())
	if err != nil {
		return measure.Result{}, err
	}
	defer s.Close()
	w := bench.NewWriters(s, c.Writers, c.Queues, c.BodySize)
	if _, err := w.Run(c.Warmup, c.Messages/2); err != nil {
		return measure.Result{}, err
	}
	scan := c.startScan(s)
	f, err := w.Run(c.Measure, c.Messages)
	readRate, scanErr := scan.stop()
	if err := cmp.Or(err, scanErr); err != nil {
		return measure.Result{}, err
	}
	r := measure.Result{
		Messages: f.Messages, Seconds: f.Dispatched.Seconds(), Rate: f.Rate(), ReadRate: readRate,
		PutRate: float64(f.Messages) / f.Put.Seconds(),
		Allocs:  float64(f.Mallocs) / float64(f.Messages),
	}
	r.SetCPU(f.CPU, 0)
	r.SetLatency(&f.Latency)
	usage, err := bench.ProcessUsage(os.Getpid())
	if err != nil {
		return r, err
	}
	r.Anonymous = float64(usage.Anonymous) / (1 << 20)
	files, err := os.ReadDir("/proc/self/fd")
	r.Files = float64(len(files))
	return r, err
}

// Fill puts so many bytes. Unless the store is to be closed, the caller
// prints the result and then kills the process with [Die].
func Fill(c Config, closed bool) (r measure.Result, err error) {
	s, err := engine.Open(c.Dir, c.options())
	if err != nil {
		return r, err
	}
	if closed {
		defer func() { err = cmp.Or(err, s.Close()) }()
	}
	w := bench.NewWriters(s, c.Writers, c.Queues, c.BodySize)
	for s.MaxPhyOffset() < message.PhyOffset(c.Bytes) {
		f, err := w.Run(0, 1000*int64(c.Writers))
		if err != nil {
			return r, err
		}
		r.Messages += f.Messages
	}
	r.Bytes = int64(s.MaxPhyOffset())
	return r, nil
}

// Die kills this process as kill -9 does: nothing is closed.
func Die() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// Open measures opening what Fill left, until all is dispatched, and counts the messages.
func Open(c Config) (measure.Result, error) {
	begin := time.Now()
	s, err := engine.Open(c.Dir, c.options())
	if err != nil {
		return measure.Result{}, err
	}
	defer s.Close()
	bench.AwaitDispatch(s)
	r := measure.Result{Seconds: time.Since(begin).Seconds(), Bytes: int64(s.MaxPhyOffset())}
	for q := range c.Queues {
		r.Messages += int64(s.MaxOffset(bench.Topic(q/bench.QueuesPerTopic), int32(q%bench.QueuesPerTopic)))
	}
	if r.Messages == 0 {
		return r, fmt.Errorf("no message in %d bytes of log", r.Bytes)
	}
	return r, nil
}
