package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/engine"
)

// perGet is how many messages a client asks for at once.
const perGet = 32

// reader gets the messages of all queues, in turns, so that it goes through the log from its beginning to its end.
type reader struct {
	store    *engine.Store
	requests []engine.GetRequest
	turn     int
	loads    bool // what is on disk only
	result   engine.GetResult
	messages int64
}

func newReader(s *engine.Store, queues int) *reader {
	r := &reader{store: s}
	for q := range queues {
		topic, id := bench.Topic(q/bench.QueuesPerTopic), int32(q%bench.QueuesPerTopic)
		r.requests = append(r.requests, engine.GetRequest{Topic: topic, QueueID: id, MaxMsgs: perGet, Offset: s.MinOffset(topic, id)})
	}
	return r
}

// get gets from the queue whose turn it is. What was deleted under the reader it passes over; more is false when
// that queue has no more.
func (r *reader) get() (more bool, err error) {
	req := &r.requests[r.turn]
	r.turn = (r.turn + 1) % len(r.requests)
	req.HotOnly = r.loads
	r.store.Get(req, &r.result)
	if r.result.Cold && r.result.Count == 0 {
		r.load(req)
	}
	r.result.Release()
	if r.result.Err != nil {
		return false, r.result.Err
	}
	switch r.result.Status {
	case engine.Found, engine.OffsetTooSmall, engine.MessageWasRemoving:
	default:
		return false, nil
	}
	req.Offset = r.result.NextOffset
	r.messages += int64(r.result.Count)
	return true, nil
}

// load gets what is on disk only, as the broker does: by a call of its own, which unlike a page fault leaves the processor to
// other goroutines.
func (r *reader) load(req *engine.GetRequest) {
	next := *req
	next.Offset = r.result.NextOffset
	r.store.LoadCold(&next) //nolint:errcheck // the read says what is wrong
	req.HotOnly = false
	r.store.Get(req, &r.result)
}

// pass reads all there is.
func (r *reader) pass() error {
	for ended := 0; ended < len(r.requests); {
		more, err := r.get()
		if err != nil {
			return err
		}
		if ended++; more {
			ended = 0
		}
	}
	return nil
}

func (r *reader) rewind() {
	for i := range r.requests {
		r.requests[i].Offset = 0
	}
}

// Read measures reading what Fill left: once, where the pages are to be cold, or after a pass over it, again and
// again.
func Read(c Config, once bool) (measure.Result, error) {
	s, err := engine.Open(c.Dir, c.options())
	if err != nil {
		return measure.Result{}, err
	}
	defer s.Close()
	r := newReader(s, c.Queues)
	if !once {
		if err := r.pass(); err != nil {
			return measure.Result{}, err
		}
		r.rewind()
	}
	r.messages = 0
	return measured(func() (int64, error) {
		for begin := time.Now(); ; r.rewind() {
			if err := r.pass(); err != nil || once || time.Since(begin) > c.Measure {
				return r.messages, err
			}
		}
	})
}

// Query measures looking up keys at random, and the messages found, in a store that Fill filled with so many.
func Query(c Config) (measure.Result, error) {
	s, err := engine.Open(c.Dir, c.options())
	if err != nil {
		return measure.Result{}, err
	}
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2))
	end := time.Now().Add(time.Hour).UnixMilli()
	digits := []byte("order-0000")
	query := func(d time.Duration) (queries int64, err error) {
		for begin := time.Now(); time.Since(begin) < d; queries++ {
			n := strconv.AppendInt(digits[len(digits):], random.Int64N(c.Messages)|1<<48, 16)
			key := string(digits) + string(n[1:])
			found, err := s.QueryByKey(bench.Topic(0), key, perGet, 0, end)
			if err == nil && len(found.Offsets) == 0 {
				err = fmt.Errorf("nothing found of key %s", key)
			}
			if err != nil {
				return queries, err
			}
			for _, off := range found.Offsets {
				ref, err := s.RecordAt(off)
				if err != nil {
					return queries, err
				}
				ref.Release()
			}
		}
		return queries, nil
	}
	if _, err := query(c.Warmup); err != nil {
		return measure.Result{}, err
	}
	return measured(func() (int64, error) { return query(c.Measure) })
}

// measured measures do, which returns how many messages it handled.
func measured(do func() (int64, error)) (measure.Result, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begin := bench.SelfCPU(), time.Now()
	n, err := do()
	r := measure.Result{Messages: n, Seconds: time.Since(begin).Seconds()}
	runtime.ReadMemStats(&after)
	r.SetCPU(bench.SelfCPU()-cpu, 0)
	r.Rate = float64(n) / r.Seconds
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(max(n, 1))
	r.AllocBytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(max(n, 1))
	return r, err
}

// scan is a reader that goes beside the writers.
type scan struct {
	ended chan struct{}
	stops atomic.Bool
	begin time.Time
	rate  float64
	err   error
}

// startScan starts it if there is to be one.
func (c *Config) startScan(s *engine.Store) *scan {
	if !c.Scan {
		return nil
	}
	sc := &scan{ended: make(chan struct{}), begin: time.Now()}
	r := newReader(s, c.Queues)
	r.loads = true
	go func() {
		defer close(sc.ended)
		for sc.err == nil && !sc.stops.Load() {
			var more bool
			if more, sc.err = r.get(); !more {
				time.Sleep(100 * time.Microsecond) // it has caught up
			}
		}
		sc.rate = float64(r.messages) / time.Since(sc.begin).Seconds()
	}()
	return sc
}

// stop returns how many messages a second were read.
func (sc *scan) stop() (float64, error) {
	if sc == nil {
		return 0, nil
	}
	sc.stops.Store(true)
	<-sc.ended
	return sc.rate, sc.err
}
