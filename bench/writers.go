package bench

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// Writers put messages into a store, each one after the other, as fast as they are answered.
type Writers struct {
	put     func(*message.Message) error
	settle  func() // returns when the work of all puts is done
	sources []*Source
}

// Figures are what one run of writers measured.
type Figures struct {
	Messages int64
	// Put is the time until the last put was answered, Dispatched until queues and index had it too.
	Put, Dispatched time.Duration
	// CPU and Mallocs are the whole process's, until all was dispatched.
	CPU     time.Duration
	Mallocs uint64
	Latency Latency
}

// Rate returns messages/s until all was dispatched.
func (f *Figures) Rate() float64 { return float64(f.Messages) / f.Dispatched.Seconds() }

// NewWriters returns n writers that spread their messages over so many queues.
func NewWriters(store *engine.Store, n, queues, bodySize int) *Writers {
	put := func(m *message.Message) error {
		if r := store.Put(m); r.Status != engine.PutOK {
			return fmt.Errorf("put: %v: %w", r.Status, r.Err)
		}
		return nil
	}
	return newWriters(put, func() { AwaitDispatch(store) }, n, queues, bodySize)
}

// newWriters returns writers to anything that takes messages.
func newWriters(put func(*message.Message) error, settle func(), n, queues, bodySize int) *Writers {
	w := &Writers{put: put, settle: settle}
	for i := range n {
		w.sources = append(w.sources, NewSource(i, queues, bodySize))
	}
	return w
}

// Run lets all writers put until d has passed or each has put its share of so many messages, then waits
// for the dispatch. Either bound may be 0: none.
func (w *Writers) Run(d time.Duration, messages int64) (*Figures, error) {
	share := messages / int64(len(w.sources))
	latencies := make([]Latency, len(w.sources))
	errs := make([]error, len(w.sources))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begin := SelfCPU(), time.Now()
	var running sync.WaitGroup
	for i, source := range w.sources {
		running.Go(func() { errs[i] = w.run(source, begin, d, share, &latencies[i]) })
	}
	running.Wait()
	f := &Figures{Put: time.Since(begin)}
	w.settle()
	f.Dispatched, f.CPU = time.Since(begin), SelfCPU()-cpu
	runtime.ReadMemStats(&after)
	f.Mallocs = after.Mallocs - before.Mallocs
	for i := range latencies {
		f.Latency.Add(&latencies[i])
	}
	f.Messages = int64(f.Latency.Count())
	for _, err := range errs {
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// run is one writer. A put's latency ends where the next one's begins, so one clock reading does.
func (w *Writers) run(source *Source, begin time.Time, d time.Duration, messages int64, l *Latency) error {
	for last := time.Since(begin); (messages == 0 || l.Count() < uint64(messages)) && (d == 0 || last < d); {
		if err := w.put(source.Next()); err != nil {
			return err
		}
		now := time.Since(begin)
		l.Record(now - last)
		last = now
	}
	return nil
}

// AwaitDispatch returns when queues and index hold all that may be dispatched.
func AwaitDispatch(store *engine.Store) {
	for store.ReputOffset() < store.ConfirmOffset() {
		time.Sleep(100 * time.Microsecond)
	}
}

// MakeQueues makes a store whose queues have a message each, so that their folders and files are there:
// making them costs the file system more than a hundred puts, once in the life of a queue, and is done in
// the background.
func MakeQueues(dir string, opts *engine.Options, queues int) error {
	store, err := engine.Open(dir, opts)
	if err != nil {
		return err
	}
	_, err = NewWriters(store, 1, queues, 100).Run(0, int64(queues))
	return errors.Join(err, store.Close())
}
