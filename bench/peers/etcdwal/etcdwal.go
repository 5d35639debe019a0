// Package etcdwal measures etcd's write-ahead log as many writers use it: each hands its entry to one
// goroutine, which takes all that wait, saves them with one sync and answers, as etcd's own raft loop
// does with the entries of a Ready.
//
// Concurrency: Run starts the writers and the saver and returns when all have ended.
package etcdwal

import (
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// Config is the workload.
type Config struct {
	Dir             string
	Writers         int
	EntrySize       int
	Warmup, Measure time.Duration
}

type request struct {
	data []byte
	done chan<- error
}

// Run measures.
func Run(c Config) (measure.Result, error) {
	w, err := wal.Create(zap.NewNop(), c.Dir, nil)
	if err != nil {
		return measure.Result{}, err
	}
	defer w.Close()
	queue := make(chan request, c.Writers)
	var saver sync.WaitGroup
	saver.Go(func() { runSaver(w, queue) })
	if _, _, err := write(queue, c, c.Warmup); err != nil {
		return measure.Result{}, err
	}
	cpu, begin := bench.SelfCPU(), time.Now()
	messages, latency, err := write(queue, c, c.Measure)
	if err != nil {
		return measure.Result{}, err
	}
	r := measure.Result{Messages: messages, Seconds: time.Since(begin).Seconds()}
	r.Rate = float64(messages) / r.Seconds
	r.SetCPU(bench.SelfCPU()-cpu, 0)
	r.SetLatency(latency)
	close(queue)
	saver.Wait()
	return r, nil
}

// write lets all writers put one entry after the other for so long.
func write(queue chan<- request, c Config, d time.Duration) (int64, *bench.Latency, error) {
	latencies := make([]bench.Latency, c.Writers)
	errs := make([]error, c.Writers)
	var writers sync.WaitGroup
	deadline := time.Now().Add(d)
	for i := range c.Writers {
		writers.Go(func() {
			data, done := make([]byte, c.EntrySize), make(chan error, 1)
			for last := time.Now(); last.Before(deadline) && errs[i] == nil; {
				queue <- request{data, done}
				errs[i] = <-done
				now := time.Now()
				latencies[i].Record(now.Sub(last))
				last = now
			}
		})
	}
	writers.Wait()
	for i := range latencies[1:] {
		latencies[0].Add(&latencies[i+1])
	}
	for _, err := range errs {
		if err != nil {
			return 0, nil, err
		}
	}
	return int64(latencies[0].Count()), &latencies[0], nil
}

func runSaver(w *wal.WAL, queue <-chan request) {
	var entries []raftpb.Entry
	var waiting []chan<- error
	index := uint64(0)
	for first := range queue {
		entries, waiting = entries[:0], waiting[:0]
		for r := first; ; {
			index++
			entries = append(entries, raftpb.Entry{Term: 1, Index: index, Data: r.data})
			waiting = append(waiting, r.done)
			select {
			case next, ok := <-queue:
				if ok {
					r = next
					continue
				}
			default:
			}
			break
		}
		err := w.Save(raftpb.HardState{}, entries)
		for _, done := range waiting {
			done <- err
		}
	}
}
