package engine

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// ErrClosed is the cause of a put that was refused since the store is closed.
var ErrClosed = errors.New("engine: the store is closed")

// Store is an open store directory (Java: DefaultMessageStore).
type Store struct {
	dir  string
	opts Options
	fs   vfs.FS
	lock io.Closer

	log    *commitlog.CommitLog
	queues *consumequeue.Set
	index  *index.Index // nil when disabled

	damaged damagedQueues // found at open
	reindex bool          // the index is to be built from the log's begin
	seqs    sequences
	// fanning is held by puts that count in light queues: a topic is deleted
	// between them.
	fanning  sync.RWMutex
	dispatch *dispatcher
	// replicator is never nil.
	replicator atomic.Pointer[Replicator]
	// reput is the offset up to which records are dispatched, written by the
	// dispatcher.
	reput atomic.Int64
	// limit is how far readers may see the log; see Confirm.
	limit    atomic.Int64
	holdBack holdBack
	// recount asks the dispatcher to sum up the ends of all queues anew.
	recount atomic.Bool
	// progress is reput with what was true at that moment.
	progress struct {
		sync.Mutex
		reput message.PhyOffset
		time  int64 // store time of the last record dispatched
		units int64 // sum of the ends of all queues
	}

	// Why puts are refused; nil is not refused.
	diskFull atomic.Pointer[string]
	stalled  atomic.Pointer[error]
	closed   atomic.Bool

	checkpoints struct {
		sync.Mutex
		java  Checkpoint        // as it was last written, or found at open
		ours  waymark           // likewise
		kept  waymark           // what was written before it by this process, and is kept beside it; zero: not known
		last  message.PhyOffset // reput at the last one
		at    time.Time
		ready chan struct{} // asks for one before its time
		due   atomic.Bool   // one is due though nothing was dispatched
	}
	damage       chan damage // what readers found
	scrubbing    sync.Mutex  // one round at a time
	marks        marker
	metrics      counters
	memoryWindow message.PhyOffset // bytes at the log's end taken to be in memory
	pages        *coldPages
	closing      chan struct{}
	running      sync.WaitGroup
}

// Open opens the store in dir, which is made if absent, and recovers what the
// last run left: see doc.go for what is promised. It starts the background
// work; Close ends it.
func Open(dir string, opts *Options) (*Store, error) {
	s, err := newStore(dir, opts)
	if err != nil {
		return nil, err
	}
	return s.open()
}

// open is Open for a store that was made.
func (s *Store) open() (_ *Store, err error) {
	dir := s.dir
	if err := vfs.MakeDirs(s.fs, dir, 0o755); err != nil {
		return nil, err
	}
	s.lock, err = s.fs.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("the store in %s is in use: %w", dir, err)
	}
	if err := s.openFiles(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := vfs.Guarded(s.recover); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	s.marks.cache = cacheHash(s.fs.CacheID(dir))
	if err := s.markRunning(); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	s.start()
	return s, nil
}

func newStore(dir string, opts *Options) (*Store, error) {
	s := &Store{dir: dir, closing: make(chan struct{})}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.EnsureDefaults()
	if err := s.opts.Validate(); err != nil {
		return nil, err
	}
	if s.opts.CommitLogDir == "" {
		s.opts.CommitLogDir = filepath.Join(dir, "commitlog")
	}
	s.fs = s.opts.FS
	s.seqs.byKey = map[consumequeue.Key]*commitlog.Sequence{}
	s.checkpoints.at = time.Now()
	s.checkpoints.ready = make(chan struct{}, 1)
	s.memoryWindow = message.PhyOffset(vfs.PhysicalMemory() / 100 * uint64(s.opts.AccessMemoryRatio))
	s.marks.due = make(chan struct{}, 1)
	s.damage = make(chan damage, 16)
	s.dispatch = &dispatcher{store: s, wake: make(chan struct{}, 1)}
	s.limit.Store(math.MaxInt64)
	s.holdBack.patience = holdBackPatience
	s.holdBack.stuckAt.Store(-1)
	s.SetReplicator(nil)
	return s, nil
}

// openFiles opens log, queues and index without believing anything of them.
func (s *Store) openFiles() error {
	var err error
	s.log, err = commitlog.Open(s.fs, s.opts.CommitLogDir, s.logOptions())
	if err != nil {
		return err
	}
	s.queues, err = consumequeue.Open(s.fs, filepath.Join(s.dir, "consumequeue"), &consumequeue.Options{
		FileSize: int(s.opts.ConsumeQueueFileSize), OpenFiles: s.opts.MaxOpenQueueFiles,
		OnDamage: s.damaged.add, InLog: s.inLog,
	})
	if err != nil || s.opts.IndexDisabled {
		return err
	}
	s.index, err = index.Open(s.fs, filepath.Join(s.dir, "index"), s.indexOptions())
	return err
}

func (s *Store) indexOptions() *index.Options {
	return &index.Options{Slots: s.opts.IndexSlots, Entries: s.opts.IndexEntries, Now: s.opts.Now}
}

func (s *Store) logOptions() *commitlog.Options {
	o := &s.opts
	return &commitlog.Options{
		FileSize: o.CommitLogFileSize, SyncFlush: o.FlushDiskType == SyncFlush, SyncTimeout: o.SyncFlushTimeout,
		TransientPool: o.TransientPool, TransientPoolBytes: o.TransientPoolBytes, FlushInterval: o.FlushInterval, FlushLeastPages: o.FlushLeastPages,
		FlushThoroughInterval: o.FlushThoroughInterval, CommitInterval: o.CommitInterval,
		MaxMessageSize: o.MaxMessageSize, PreheatMax: o.PreheatMax, Now: o.Now,
		OnFailure: func(err error) { o.Listener.SyncFailed(err) },
		OnDurable: func() {
			if o.FlushDiskType == SyncFlush {
				s.grew()
			}
		},
		OnAppend: s.grew,
	}
}

// start runs the background work.
func (s *Store) start() {
	s.pages = newColdPages(s.log, s.opts.ColdBytesPerSecond, s.opts.Now)
	s.log.Start()
	if s.opts.ScrubBytesPerSecond > 0 {
		s.running.Add(1)
		go s.runScrub()
	}
	s.running.Add(4)
	go s.dispatch.run()
	go s.runCheckpoint()
	go s.runMark()
	go s.runClean()
}

// Close dispatches what is in the log, brings everything to disk and gives the
// directory up. Puts must have ended.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	close(s.closing)
	s.running.Wait()
	var err error
	clean := s.log.Failure() == nil
	if clean {
		s.recount.Store(true)
		if err = s.log.Flush(); err == nil {
			err = s.dispatch.dispatchTo(s.log.ConfirmOffset(), s.arrived)
		}
		if err == nil {
			err = s.checkpoint(true)
		}
		clean = err == nil
	}
	err = errors.Join(err, s.closeFiles(func() error {
		if !clean {
			return nil
		}
		return s.markStopped()
	}))
	return err
}

// closeFiles gives up all files, does last, and then the lock.
func (s *Store) closeFiles(last ...func() error) error {
	var errs []error
	s.dispatch.close()
	if s.queues != nil {
		errs = append(errs, s.queues.Close())
	}
	if s.index != nil {
		errs = append(errs, s.index.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	for _, do := range last {
		if errors.Join(errs...) == nil {
			errs = append(errs, do())
		}
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// refusal returns why puts are refused now, or nil.
func (s *Store) refusal() error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.opts.Following {
		return errFollowing
	}
	if cause := s.diskFull.Load(); cause != nil {
		return errors.New(*cause)
	}
	if cause := s.stalled.Load(); cause != nil {
		return fmt.Errorf("consume queues or index cannot be written: %w", *cause)
	}
	return nil
}

// Writable returns nil, or why puts are refused now.
func (s *Store) Writable() error {
	if err := s.refusal(); err != nil {
		return err
	}
	return s.log.Failure()
}

// arrived tells the listener of a message.
func (s *Store) arrived(a *Arrival) { s.opts.Listener.Arrived(*a) }

// Dir returns the store's directory.
func (s *Store) Dir() string { return s.dir }

// MinPhyOffset returns the first byte kept of the log.
func (s *Store) MinPhyOffset() message.PhyOffset { return s.log.MinOffset() }

// MaxPhyOffset returns the end of the log.
func (s *Store) MaxPhyOffset() message.PhyOffset { return s.log.MaxOffset() }

// FlushedOffset returns the offset below which the log is on disk.
func (s *Store) FlushedOffset() message.PhyOffset { return s.log.FlushedOffset() }

// ConfirmOffset returns the offset up to which the log is as durable as it
// promises, and may be copied.
func (s *Store) ConfirmOffset() message.PhyOffset { return s.log.ConfirmOffset() }

// ReputOffset returns the offset up to which records are dispatched.
func (s *Store) ReputOffset() message.PhyOffset { return message.PhyOffset(s.reput.Load()) }

// Flush makes everything put so far durable.
func (s *Store) Flush() error { return s.log.Flush() }
