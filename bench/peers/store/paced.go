package store

import (
	"cmp"
	"fmt"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/engine"
)

// Paced measures puts of one writer at a steady rate, each from when it was due: a put that is held up delays those
// behind it, and all of them count.
func Paced(c Config, rate int) (measure.Result, error) {
	s, err := engine.Open(c.Dir, c.options())
	if err != nil {
		return measure.Result{}, err
	}
	defer s.Close()
	source := bench.NewSource(0, c.Queues, c.BodySize)
	interval := time.Second / time.Duration(rate)
	if _, err := putPaced(s, source, interval, c.Warmup); err != nil {
		return measure.Result{}, err
	}
	scan := c.startScan(s)
	cpu, begin := bench.SelfCPU(), time.Now()
	latency, err := putPaced(s, source, interval, c.Measure)
	readRate, scanErr := scan.stop()
	if err := cmp.Or(err, scanErr); err != nil {
		return measure.Result{}, err
	}
	r := measure.Result{Messages: int64(latency.Count()), Seconds: time.Since(begin).Seconds(), ReadRate: readRate}
	r.PutRate = float64(r.Messages) / r.Seconds
	r.SetCPU(bench.SelfCPU()-cpu, 0)
	r.SetLatency(latency)
	if c.Retain > 0 && s.MinPhyOffset() == 0 {
		return r, fmt.Errorf("nothing was deleted of a log of %d bytes", s.MaxPhyOffset())
	}
	return r, nil
}

// doze is how long the writer sleeps at least when no put is due. One that looks at the clock all the time needs a processor for
// itself, and then measures how often it is taken away.
const doze = 100 * time.Microsecond

// putPaced puts what is due, and sleeps in the system when nothing is: the runtime's timers are late by a millisecond.
func putPaced(s *engine.Store, source *bench.Source, interval, d time.Duration) (*bench.Latency, error) {
	latency := &bench.Latency{}
	begin := time.Now()
	for due := time.Duration(0); due < d; due += interval {
		for time.Since(begin) < due {
			syscall.Nanosleep(&syscall.Timespec{Nsec: doze.Nanoseconds()}, nil) //nolint:errcheck // it is only sooner
		}
		if r := s.Put(source.Next()); r.Status != engine.PutOK {
			return nil, fmt.Errorf("put: %v: %w", r.Status, r.Err)
		}
		latency.Record(time.Since(begin) - due)
	}
	return latency, nil
}
