package consumequeue

import (
	"fmt"
	"math"
	"runtime"

	"github.com/rocketlog/rocketlog/message"
)

// DefaultFileSize is Java's: 300,000 units.
const DefaultFileSize = 300_000 * unitSize

// Options are the settings of a Set. The zero value is right for a store with
// Java's defaults.
type Options struct {
	// FileSize is the length of a queue file in bytes, rounded up to whole
	// units; 0 means DefaultFileSize. It must be that of the files already
	// there. RocketMQ: mappedFileSizeConsumeQueue.
	FileSize int

	// OpenFiles bounds the descriptors held open; 0 means 1024. More readers at
	// one moment than this still get theirs.
	OpenFiles int

	// TailBytes bounds the memory of the units not yet written to files, over
	// all queues; 0 means 32 MiB. A queue buffers at most 1024 units (20
	// KiB), fewer when there are many queues, never less than 8.
	TailBytes int

	// SyncFiles is up to how many files and folders Sync makes durable one by
	// one; beyond it the whole file system is synced by one call. 0 means 16.
	SyncFiles int

	// Workers is how many goroutines list and recover queues; 0 means twice the
	// processors, at most 8.
	Workers int

	// ReadOnly keeps the set from changing anything: Recover only finds the
	// ends, Append is refused.
	ReadOnly bool

	// OnDamage is called by Open and Recover for a queue whose files are
	// damaged beyond what a crash may do, by several goroutines at once. The
	// queue is then dropped, files and all, and the caller rebuilds it from the
	// commit log. nil: Open and Recover return the damage as their error and
	// change nothing.
	OnDamage func(*CorruptError)

	// InLog says whether the commit log holds the record of a unit, as its
	// queue and offset say. Recover asks it after a crash for the last unit of
	// some queues (about 3 of 100): those that lie across two sectors, of which
	// one alone may have been written. nil: such units are believed.
	InLog func(Key, message.QueueOffset, Unit) bool
}

func (o *Options) withDefaults() (Options, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	setDefault(&opts.FileSize, DefaultFileSize)
	setDefault(&opts.OpenFiles, 1024)
	setDefault(&opts.TailBytes, 32<<20)
	setDefault(&opts.SyncFiles, 16)
	setDefault(&opts.Workers, min(8, 2*runtime.GOMAXPROCS(0)))
	opts.FileSize = (opts.FileSize + unitSize - 1) / unitSize * unitSize
	for _, f := range []struct {
		name  string
		value int
	}{
		{"FileSize", opts.FileSize}, {"OpenFiles", opts.OpenFiles}, {"TailBytes", opts.TailBytes},
		{"SyncFiles", opts.SyncFiles}, {"Workers", opts.Workers},
	} {
		if f.value < 1 {
			return opts, fmt.Errorf("consumequeue: option %s is %d", f.name, f.value)
		}
	}
	if opts.FileSize > math.MaxInt32 {
		return opts, fmt.Errorf("consumequeue: option FileSize is %d, more than Java can map", opts.FileSize)
	}
	return opts, nil
}

func setDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}
