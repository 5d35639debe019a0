package commitlog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Options tunes a CommitLog. The zero value is RocketMQ's default. The names
// in brackets are RocketMQ's properties.
type Options struct {
	// FileSize of each file in bytes [mappedFileSizeCommitLog]. Zero is 1 GiB.
	FileSize int64
	// SyncFlush lets appends be awaited until they are on disk
	// [flushDiskType=SYNC_FLUSH].
	SyncFlush bool
	// TransientPool keeps appended bytes off the page cache until the next
	// commit [transientStorePoolEnable]. They do not survive a kill of the
	// process before that. It has no effect with SyncFlush, which commits
	// before each sync anyway.
	TransientPool bool
	// TransientPoolBytes bounds the pool. Zero is 64 MiB.
	TransientPoolBytes int
	// FlushInterval between asynchronous flushes [flushIntervalCommitLog].
	// Zero is 500 ms.
	FlushInterval time.Duration
	// FlushLeastPages of 4 KiB must be dirty for a flush
	// [flushCommitLogLeastPages]. Zero is 4.
	FlushLeastPages int
	// FlushThoroughInterval after which any dirty byte is flushed
	// [flushCommitLogThoroughInterval]. Zero is 10 s.
	FlushThoroughInterval time.Duration
	// CommitInterval between commits of the transient pool
	// [commitIntervalCommitLog]. Zero is 200 ms.
	CommitInterval time.Duration
	// SyncTimeout after which those who wait for a sync are told that it is
	// late [syncFlushTimeout]. Zero is 5 s.
	SyncTimeout time.Duration
	// MaxMessageSize bounds a body in bytes [maxMessageSize]. Zero is 4 MiB.
	MaxMessageSize int
	// MaxMapped bounds the cold files mapped for readers. Zero is 8.
	MaxMapped int
	// PreheatMax bounds how far ahead of the writer pages are made ready.
	// Zero is 64 MiB, negative is off.
	PreheatMax int64
	// ReadOnly opens the log for reading as it is.
	ReadOnly bool
	// Now gives the store time. Nil is time.Now.
	Now func() time.Time
	// OnFailure is told once when a commit or sync has failed for good.
	OnFailure func(error)
	// OnDurable is called after each advance of the flushed position, and
	// OnAppend after each append without SyncFlush. Neither may block.
	OnDurable, OnAppend func()
}

const (
	defaultFileSize      = 1 << 30
	defaultMaxMessage    = 4 << 20
	defaultPool          = 64 << 20
	syncRing             = 16 << 20
	pageSize             = 4096
	recordOverheadMax    = 64 << 10 // everything of a record but its body
	defaultFlushInterval = 500 * time.Millisecond
	defaultThorough      = 10 * time.Second
	defaultCommit        = 200 * time.Millisecond
	defaultLeastPages    = 4
	defaultSyncTimeout   = 5 * time.Second
)

// EnsureDefaults fills the fields that are zero.
func (o *Options) EnsureDefaults() {
	setDefault(&o.FileSize, defaultFileSize)
	setDefault(&o.TransientPoolBytes, defaultPool)
	setDefault(&o.FlushInterval, defaultFlushInterval)
	setDefault(&o.FlushLeastPages, defaultLeastPages)
	setDefault(&o.FlushThoroughInterval, defaultThorough)
	setDefault(&o.CommitInterval, defaultCommit)
	setDefault(&o.SyncTimeout, defaultSyncTimeout)
	setDefault(&o.MaxMessageSize, defaultMaxMessage)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnFailure == nil {
		o.OnFailure = func(error) {}
	}
	if o.OnDurable == nil {
		o.OnDurable = func() {}
	}
	if o.OnAppend == nil {
		o.OnAppend = func() {}
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("commitlog: closed")

// CommitLog is the log of all records (Java: CommitLog).
type CommitLog struct {
	fs   vfs.FS
	dir  string
	opts Options
	q    *mappedfile.Queue

	put struct {
		sync.Mutex
		room      *sync.Cond // the transient pool was committed
		storeTime int64      // of the last record; store times never decrease
		clockUses int        // appends that may still use the last reading of the clock
		clockEnds int64      // the ends in clockShare at that reading
		closed    bool
	}
	clockShare atomic.Int64          // see ShareClock: how many appends share, above 32 bits how often that was ended
	failure    atomic.Pointer[error] // why nothing is accepted any more

	commitMu sync.Mutex // one committer
	flushMu  sync.Mutex // one flusher
	group    group      // those who wait for a sync

	stop chan struct{}
	kick chan struct{} // wakes the flusher
	pool chan struct{} // wakes the committer
	done sync.WaitGroup
}

// Open opens the log in dir. It starts nothing: call Recover or Truncate to
// set its end, then Start.
func Open(fs vfs.FS, dir string, opts *Options) (*CommitLog, error) {
	l := &CommitLog{fs: fs, dir: dir}
	if opts != nil {
		l.opts = *opts
	}
	l.opts.EnsureDefaults()
	ring := 0
	switch {
	case l.opts.SyncFlush:
		ring = max(syncRing, 2*l.maxRecord())
	case l.opts.TransientPool:
		ring = max(l.opts.TransientPoolBytes, 2*l.maxRecord())
	}
	var err error
	l.q, err = mappedfile.Open(fs, dir, mappedfile.Options{
		FileSize: l.opts.FileSize, RingSize: ring, LockRing: l.opts.TransientPool,
		ZeroAhead: l.opts.SyncFlush,
		MaxMapped: l.opts.MaxMapped, PreheatMax: l.opts.PreheatMax, ReadOnly: l.opts.ReadOnly,
	})
	if err != nil {
		return nil, fmt.Errorf("commit log: %w", err)
	}
	l.put.room = sync.NewCond(&l.put)
	l.group.init(l.opts.SyncTimeout)
	l.stop = make(chan struct{})
	l.kick = make(chan struct{}, 1)
	l.pool = make(chan struct{}, 1)
	return l, nil
}

// maxRecord is the largest record or batch that is accepted.
func (l *CommitLog) maxRecord() int {
	return int(min(int64(l.opts.MaxMessageSize)+recordOverheadMax, l.opts.FileSize-message.BlankSizeMin))
}

// Start runs the flusher, and the committer of a transient pool.
func (l *CommitLog) Start() {
	l.done.Add(1)
	go l.runFlush()
	if l.opts.TransientPool && !l.opts.SyncFlush {
		l.done.Add(1)
		go l.runCommit()
	}
}

// Close flushes what was appended, unless a sync failed before, and gives up
// the files. Appends must have ended.
func (l *CommitLog) Close() error {
	l.put.Lock()
	if l.put.closed {
		l.put.Unlock()
		return nil
	}
	l.put.closed = true
	l.put.room.Broadcast()
	l.put.Unlock()
	close(l.stop)
	l.done.Wait()
	var err error
	if !l.opts.ReadOnly && l.Failure() == nil {
		err = l.Flush()
	}
	l.group.fail(ErrClosed)
	l.group.stop()
	return errors.Join(err, l.q.Close())
}

// Failure returns why the log accepts nothing any more, or nil.
func (l *CommitLog) Failure() error {
	if e := l.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// fail makes err final (invariant 4).
func (l *CommitLog) fail(err error) error {
	if l.failure.CompareAndSwap(nil, &err) {
		l.opts.OnFailure(err)
	}
	err = l.Failure()
	l.put.Lock()
	l.put.room.Broadcast()
	l.put.Unlock()
	l.group.fail(err)
	return err
}

// MinOffset returns the first byte kept.
func (l *CommitLog) MinOffset() message.PhyOffset { return message.PhyOffset(l.q.MinOffset()) }

// MaxOffset returns the offset behind the last record appended.
func (l *CommitLog) MaxOffset() message.PhyOffset { return message.PhyOffset(l.q.Wrote()) }

// CommittedOffset returns the offset below which records can be read.
func (l *CommitLog) CommittedOffset() message.PhyOffset { return message.PhyOffset(l.q.Committed()) }

// FlushedOffset returns the offset below which records are on disk.
func (l *CommitLog) FlushedOffset() message.PhyOffset { return message.PhyOffset(l.q.Flushed()) }

// ConfirmOffset returns the offset up to which records may be dispatched:
// with SyncFlush what is on disk, else what can be read.
func (l *CommitLog) ConfirmOffset() message.PhyOffset {
	if l.confirmsDurable() {
		return l.FlushedOffset()
	}
	return l.CommittedOffset()
}

// confirmsDurable tells whether nothing is confirmed before it is on disk.
func (l *CommitLog) confirmsDurable() bool {
	return l.opts.SyncFlush && !invariants.Broken(invariants.DispatchBeforeDurable)
}

// FileSize returns the size of each file in bytes.
func (l *CommitLog) FileSize() int64 { return l.q.FileSize() }

// NextFile returns the start of the file after the one that holds off.
func (l *CommitLog) NextFile(off message.PhyOffset) message.PhyOffset {
	size := message.PhyOffset(l.q.FileSize())
	return off - off%size + size
}

// Mapped returns the number of files mapped just now.
func (l *CommitLog) Mapped() int { return l.q.Mapped() }

// FileRange is one file of the log: the bytes [Start, End) of it.
type FileRange struct {
	Start, End message.PhyOffset
	Path       string
}

// Files returns the files of the log in order.
func (l *CommitLog) Files() []FileRange {
	files := l.q.Files()
	ranges := make([]FileRange, len(files))
	for i, f := range files {
		ranges[i] = FileRange{message.PhyOffset(f.Start()), message.PhyOffset(f.End()), f.Path()}
	}
	return ranges
}

// Read holds the readable bytes of one file from off to its end. It returns
// false where there are none.
func (l *CommitLog) Read(off message.PhyOffset) (mappedfile.Ref, bool, error) {
	return l.q.Read(int64(off))
}

// Resident tells whether the bytes [off, off+n) of one file are in memory.
func (l *CommitLog) Resident(off message.PhyOffset, n int) bool { return l.q.Resident(int64(off), n) }

// Load brings the bytes [off, off+n) of one file into memory and waits for them.
func (l *CommitLog) Load(off message.PhyOffset, n int) error { return l.q.Load(int64(off), n) }

// Forget drops the bytes [off, off+n) of one file from memory, as far as they are on disk.
func (l *CommitLog) Forget(off message.PhyOffset, n int) error { return l.q.Forget(int64(off), n) }

// RemoveBefore deletes whole files that end at or below off, at most limit of
// them and never the last.
func (l *CommitLog) RemoveBefore(off message.PhyOffset, limit int) (int, error) {
	return l.q.RemoveBefore(int64(off), limit)
}
