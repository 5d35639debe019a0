// Package limits measures what the machine's file system allows at best: one writer that appends
// records and makes each durable before the next, with nothing else around it.
//
// Invariant 1: files are made as their name says and synced before the clock starts.
package limits

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// Config is the workload.
type Config struct {
	Dir        string
	File       string // grown (by the writes), allocated (fallocate) or written (with zeros)
	RecordSize int
	Measure    time.Duration
}

const fileSize = 64 << 20

// WriteSync measures a loop of write and fdatasync.
func WriteSync(c Config) (measure.Result, error) {
	f, err := os.Create(filepath.Join(c.Dir, "limit"))
	if err != nil {
		return measure.Result{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := prepare(f, c.File); err != nil {
		return measure.Result{}, err
	}
	record := make([]byte, c.RecordSize)
	var latency bench.Latency
	cpu, begin := bench.SelfCPU(), time.Now()
	offset := int64(0)
	for last := begin; last.Sub(begin) < c.Measure; {
		if _, err := f.WriteAt(record, offset%(fileSize-int64(c.RecordSize))); err != nil {
			return measure.Result{}, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return measure.Result{}, err
		}
		offset += int64(len(record))
		now := time.Now()
		latency.Record(now.Sub(last))
		last = now
	}
	r := measure.Result{Messages: int64(latency.Count()), Seconds: time.Since(begin).Seconds()}
	r.Rate = float64(r.Messages) / r.Seconds
	r.SetCPU(bench.SelfCPU()-cpu, 0)
	r.SetLatency(&latency)
	return r, nil
}

func prepare(f *os.File, kind string) error {
	switch kind {
	case "grown":
		return nil
	case "allocated":
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, fileSize); err != nil {
			return err
		}
	case "written":
		zeros := make([]byte, 1<<20)
		for offset := int64(0); offset < fileSize; offset += int64(len(zeros)) {
			if _, err := f.WriteAt(zeros, offset); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("file is grown, allocated or written, not %q", kind)
	}
	return f.Sync()
}
