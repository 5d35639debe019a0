package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rocketlog/rocketlog/engine"
)

// mode is when a put is acknowledged.
type mode uint8

const (
	async mode = iota // in the page cache
	pool              // in memory
	sync_             // on disk
	modes
)

func (m mode) String() string { return [...]string{"async", "pool", "sync"}[m] }

// OptionSet is one way to set up a store.
type OptionSet struct {
	mode   mode
	opts   engine.Options
	yields int // how often each call of the file system lets other goroutines go first
}

// String tells what is not the default of small stores.
func (o OptionSet) String() string {
	e := &o.opts
	return fmt.Sprintf("%v logFile=%d queueFile=%d index=%d/%d(off=%v) openFiles=%d flush=%v commit=%v queues=%v/%v checkpoint=%d mark=%d keep=%d preheat=%d behind=%d yields=%d",
		o.mode, e.CommitLogFileSize, e.ConsumeQueueFileSize, e.IndexSlots, e.IndexEntries, e.IndexDisabled, e.MaxOpenQueueFiles,
		e.FlushInterval, e.CommitInterval, e.FlushQueueInterval, e.FlushQueueThoroughInterval, e.CheckpointBytes, e.MarkBytes,
		e.MaxLogBytes, e.PreheatMax, e.DispatchBehindMax, o.yields)
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

// newOptionSet draws the option set of a mode. All are small, so that files roll
// and fill within a history.
func newOptionSet(rng *rand.Rand, m mode) OptionSet {
	index := pick(rng, [2]int{10, 40}, [2]int{50, 200}, [2]int{100, 1000})
	o := OptionSet{mode: m, yields: pick(rng, 0, 0, 1, 3), opts: engine.Options{
		CommitLogFileSize:          pick[int64](rng, 16<<10, 16<<10, 32<<10, 64<<10),
		ConsumeQueueFileSize:       pick[int64](rng, 200, 400, 2000, 20_000),
		MaxOpenQueueFiles:          pick(rng, 1, 4, 1024),
		IndexSlots:                 index[0],
		IndexEntries:               index[1],
		IndexDisabled:              rng.IntN(8) == 0,
		TransientPoolBytes:         pick(rng, 1, 256<<10),
		FlushInterval:              pick(rng, 20*time.Millisecond, 500*time.Millisecond, time.Hour),
		FlushLeastPages:            pick(rng, 1, 4),
		CommitInterval:             pick(rng, 20*time.Millisecond, 200*time.Millisecond),
		FlushQueueInterval:         pick(rng, 50*time.Millisecond, time.Second),
		FlushQueueLeastPages:       pick(rng, 1, 2),
		FlushQueueThoroughInterval: pick(rng, 400*time.Millisecond, time.Minute),
		CheckpointBytes:            pick[int64](rng, 8<<10, 40<<10, 1<<40),
		MarkBytes:                  pick[int64](rng, 2<<10, 10<<10, 1<<40),
		MaxMessageSize:             12 << 10,
		MaxLogBytes:                pick[int64](rng, 0, 0, 40<<10, 100<<10),
		PreheatMax:                 pick[int64](rng, -1, 8<<10, 0),
		CleanInterval:              time.Hour,
		// How full the disk is decides nothing: space that is wanting does.
		DiskMaxUsedRatio: 100, DiskCleanForciblyRatio: 100, DiskWarningRatio: 100,
	}}
	o.opts.DispatchBehindMax = pick[int64](rng, 0, 4<<10)
	o.setMode(m)
	return o
}

// setMode changes when a put is acknowledged: a store may be opened again in
// another mode.
func (o *OptionSet) setMode(m mode) {
	o.mode = m
	o.opts.FlushDiskType, o.opts.TransientPool = engine.AsyncFlush, m == pool
	if m == sync_ {
		o.opts.FlushDiskType = engine.SyncFlush
	}
}
