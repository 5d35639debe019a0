// Package writers is the loop that measures what is not ours: writers that put one entry after the
// other, each when its last is answered, and [Group], which makes one save of all entries that wait.
//
// Concurrency: Run starts the writers and returns when all have ended. A Group's saver runs until Close.
package writers

import (
	"runtime"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// Config is the workload.
type Config struct {
	Writers         int
	EntrySize       int
	Warmup, Measure time.Duration
}

// Run measures writers after a warm-up. It asks writer for each one's put.
func Run(c Config, writer func(id int) (put func() error)) (measure.Result, error) {
	puts := make([]func() error, c.Writers)
	for i := range puts {
		puts[i] = writer(i)
	}
	if _, err := write(puts, c.Warmup); err != nil {
		return measure.Result{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begin := bench.SelfCPU(), time.Now()
	latency, err := write(puts, c.Measure)
	if err != nil {
		return measure.Result{}, err
	}
	r := measure.Result{Messages: int64(latency.Count()), Seconds: time.Since(begin).Seconds()}
	r.Rate = float64(r.Messages) / r.Seconds
	r.SetCPU(bench.SelfCPU()-cpu, 0)
	r.SetLatency(latency)
	runtime.ReadMemStats(&after)
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(max(r.Messages, 1))
	return r, nil
}

// write lets all writers put for so long.
func write(puts []func() error, d time.Duration) (*bench.Latency, error) {
	latencies := make([]bench.Latency, len(puts))
	errs := make([]error, len(puts))
	var running sync.WaitGroup
	begin := time.Now()
	for i, put := range puts {
		running.Go(func() {
			for last := time.Since(begin); last < d && errs[i] == nil; {
				errs[i] = put()
				now := time.Since(begin)
				latencies[i].Record(now - last)
				last = now
			}
		})
	}
	running.Wait()
	for i := range latencies[1:] {
		latencies[0].Add(&latencies[i+1])
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return &latencies[0], nil
}

// Group saves the entries of many writers together: one goroutine takes all that wait, saves them and
// answers, as etcd's own raft loop does with the entries of a Ready.
type Group struct {
	queue chan request
	saver sync.WaitGroup
}

type request struct {
	data []byte
	done chan<- error
}

// NewGroup starts the saver.
func NewGroup(c Config, save func(entries [][]byte) error) *Group {
	g := &Group{queue: make(chan request, c.Writers)}
	g.saver.Go(func() { g.run(save) })
	return g
}

// Writer returns the put of one writer, for Run.
func (g *Group) Writer(entrySize int) func() error {
	r := make(chan error, 1)
	entry := request{Entry(entrySize), r}
	return func() error {
		g.queue <- entry
		return <-r
	}
}

// Close ends the saver, when the writers have.
func (g *Group) Close() {
	close(g.queue)
	g.saver.Wait()
}

func (g *Group) run(save func([][]byte) error) {
	var entries [][]byte
	var waiting []chan<- error
	for first := range g.queue {
		entries, waiting = entries[:0], waiting[:0]
		for r, more := first, true; more; {
			entries, waiting = append(entries, r.data), append(waiting, r.done)
			select {
			case r, more = <-g.queue:
			default:
				more = false
			}
		}
		err := save(entries)
		for _, done := range waiting {
			done <- err
		}
	}
}

// Entry returns what every side writes: bytes like our messages' bodies.
func Entry(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}
