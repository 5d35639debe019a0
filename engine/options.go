package engine

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// FlushDiskType says when a put is acknowledged.
type FlushDiskType int

// The flush disk types.
const (
	AsyncFlush FlushDiskType = iota // in the page cache: survives a kill of the process
	SyncFlush                       // on disk: survives a power loss
)

// Options are the settings of a Store. The zero value is RocketMQ's default.
// The names in brackets are RocketMQ's properties.
type Options struct {
	// FlushDiskType says when a put is acknowledged [flushDiskType].
	FlushDiskType FlushDiskType
	// SyncFlushTimeout bounds how long a put waits for its sync
	// [syncFlushTimeout]. Zero is 5 s.
	SyncFlushTimeout time.Duration
	// CommitLogDir holds the log [storePathCommitLog]. Empty is "commitlog"
	// below the store's directory.
	CommitLogDir string
	// CommitLogFileSize in bytes [mappedFileSizeCommitLog]. Zero is 1 GiB.
	CommitLogFileSize int64
	// ConsumeQueueFileSize in bytes [mappedFileSizeConsumeQueue]. Zero is 6,000,000.
	ConsumeQueueFileSize int64
	// MaxOpenQueueFiles bounds the descriptors held for consume queues. Zero is 1024.
	MaxOpenQueueFiles int
	// IndexDisabled switches the key index off [messageIndexEnable=false].
	IndexDisabled bool
	// IndexSlots and IndexEntries size an index file [maxHashSlotNum,
	// maxIndexNum]. Zero is 5,000,000 and 20,000,000.
	IndexSlots, IndexEntries int
	// TransientPool appends to memory that is written to the page cache at
	// intervals [transientStorePoolEnable]: a kill loses the last interval.
	TransientPool bool
	// TransientPoolBytes bounds that memory, which is locked. Zero is 64 MiB.
	TransientPoolBytes int
	// FlushInterval of the log [flushIntervalCommitLog]. Zero is 500 ms.
	FlushInterval time.Duration
	// FlushLeastPages of the log [flushCommitLogLeastPages]. Zero is 4.
	FlushLeastPages int
	// FlushThoroughInterval of the log [flushCommitLogThoroughInterval]. Zero is 10 s.
	FlushThoroughInterval time.Duration
	// CommitInterval of the transient pool [commitIntervalCommitLog]. Zero is 200 ms.
	CommitInterval time.Duration
	// FlushQueueInterval of the consume queues [flushIntervalConsumeQueue]. Zero is 1 s.
	FlushQueueInterval time.Duration
	// FlushQueueLeastPages of a queue [flushConsumeQueueLeastPages]. Zero is 2.
	FlushQueueLeastPages int
	// FlushQueueThoroughInterval after which queues, index and checkpoint are
	// brought to disk [flushConsumeQueueThoroughInterval]. Zero is 60 s.
	FlushQueueThoroughInterval time.Duration
	// CheckpointBytes of dispatched log after which the same is done, but not
	// twice within FlushQueueInterval. It bounds what an open after a crash has to
	// dispatch again. Zero is 256 MiB.
	CheckpointBytes int64
	// MarkBytes of dispatched log after which a mark is made, from which an
	// open after a kill of the process goes on. Zero is 16 MiB.
	MarkBytes int64
	// DispatchBehindMax bounds how many bytes of the log may wait for their
	// dispatch: beyond it puts wait for the dispatcher, which a full writer can
	// outrun. With MarkBytes it bounds what an open after a kill of the process
	// has to dispatch again. Zero is 64 MiB, negative no bound.
	DispatchBehindMax int64
	// MaxMessageSize bounds a body in bytes [maxMessageSize]. Zero is 4 MiB.
	MaxMessageSize int
	// FileReservedTime after which a file of the log expires, by its last
	// change [fileReservedTime, in hours]. Zero is 72 h.
	FileReservedTime time.Duration
	// DeleteWhen lists the hours at which expired files are deleted, split by
	// ";" [deleteWhen]. Empty is "04".
	DeleteWhen string
	// CleanInterval between looks at age and disk [cleanResourceInterval]. Zero is 10 s.
	CleanInterval time.Duration
	// DiskMaxUsedRatio in percent above which expired files are deleted at any
	// hour [diskMaxUsedSpaceRatio]. Zero is 75.
	DiskMaxUsedRatio int
	// DiskCleanForciblyRatio in percent above which files are deleted whatever
	// their age [diskSpaceCleanForciblyRatio]. Zero is 85.
	DiskCleanForciblyRatio int
	// DiskWarningRatio in percent above which puts are refused
	// [diskSpaceWarningLevelRatio]. Zero is 90.
	DiskWarningRatio int
	// KeepExpiredOnFullDisk leaves files alone that have not expired, however
	// full the disk is [cleanFileForciblyEnable=false].
	KeepExpiredOnFullDisk bool
	// MaxLogBytes bounds the log: the oldest files go when it is larger. It
	// is not one of RocketMQ's [maxLogBytes]. Zero is unbounded.
	MaxLogBytes int64
	// AccessMemoryRatio is the percentage of the machine's memory that the
	// newest messages are taken to fit in [accessMessageInMemoryMaxRatio].
	// Zero is 40.
	AccessMemoryRatio int
	// MaxTransferBytesInMemory and MaxTransferCountInMemory bound one get of
	// new messages [maxTransferBytesOnMessageInMemory, ..Count..]. Zero is
	// 262,144 and 32.
	MaxTransferBytesInMemory, MaxTransferCountInMemory int
	// MaxTransferBytesInDisk and MaxTransferCountInDisk bound one get of old
	// messages [maxTransferBytesOnMessageInDisk, ..Count..]. Zero is 65,536 and 8.
	MaxTransferBytesInDisk, MaxTransferCountInDisk int
	// MaxFilterMessageSize bounds the bytes of queue entries that one filtered
	// get looks at [maxFilterMessageSize]. Zero is 16,000.
	MaxFilterMessageSize int
	// MaxMessagesPerQuery bounds a query by key [maxMsgsNumBatch]. Zero is 64.
	MaxMessagesPerQuery int
	// DelayLevels are the delays of SCHEDULE_TOPIC_XXXX, level 1 first
	// [messageDelayLevel]: the queue entry of such a message holds the time it
	// is due. Nil is RocketMQ's table.
	DelayLevels []time.Duration
	// LightQueues lets messages count in the light queues that they name, see
	// message.Record.LightQueues [enableLmq and enableMultiDispatch].
	LightQueues bool
	// MaxLightQueues bounds how many there may be: a message that needs one more
	// is refused [maxLmqConsumeQueueNum]. Zero is 20,000.
	MaxLightQueues int
	// Following makes the store a slave's [brokerRole=SLAVE]: puts are refused,
	// AppendRaw and Receive copy the master's log.
	Following bool
	// ConfirmedOnly dispatches, and so shows to readers, only what Confirm says
	// that no other master can take back [enableAutoSwitchHA]. How far that was is
	// kept for the next open.
	ConfirmedOnly bool
	// ScrubBytesPerSecond is how much of the store is read to be verified, in the
	// background, see Store.Scrub. It is not one of RocketMQ's
	// [scrubBytesPerSecond]. Zero is 4 MiB, negative off.
	ScrubBytesPerSecond int64
	// ScrubInterval is how long after one round the next begins [scrubInterval].
	// Zero is 24 h.
	ScrubInterval time.Duration
	// ColdBytesPerSecond is how much LoadCold reads while messages are put; it waits
	// when it has read more. It is not one of RocketMQ's [coldBytesPerSecond]. Zero
	// is 96 MiB for each processor, negative no bound.
	ColdBytesPerSecond int64
	// PreheatMax bounds the bytes ahead of the writer that are brought into
	// memory [warmMapedFileEnable is its Java kin]. Zero is 64 MiB, negative off.
	PreheatMax int64
	// Listener is told of events. Nil is nobody.
	Listener *EventListener
	// Now is the clock. Nil is time.Now.
	Now func() time.Time
	// FS is the file system. Nil is vfs.OS.
	FS vfs.FS
}

// DefaultDelayLevels are the delays of RocketMQ's 18 levels.
var DefaultDelayLevels = []time.Duration{
	1 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	1 * time.Minute, 2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute,
	6 * time.Minute, 7 * time.Minute, 8 * time.Minute, 9 * time.Minute, 10 * time.Minute,
	20 * time.Minute, 30 * time.Minute, 1 * time.Hour, 2 * time.Hour,
}

// EnsureDefaults fills the fields that are zero.
func (o *Options) EnsureDefaults() {
	setDefault(&o.SyncFlushTimeout, 5*time.Second)
	setDefault(&o.CommitLogFileSize, 1<<30)
	setDefault(&o.ConsumeQueueFileSize, 6_000_000)
	setDefault(&o.IndexSlots, 5_000_000)
	setDefault(&o.IndexEntries, 20_000_000)
	setDefault(&o.FlushQueueInterval, time.Second)
	setDefault(&o.FlushQueueLeastPages, 2)
	setDefault(&o.FlushQueueThoroughInterval, time.Minute)
	setDefault(&o.CheckpointBytes, 256<<20)
	setDefault(&o.MarkBytes, 16<<20)
	setDefault(&o.DispatchBehindMax, 64<<20)
	setDefault(&o.MaxMessageSize, 4<<20)
	setDefault(&o.FileReservedTime, 72*time.Hour)
	setDefault(&o.DeleteWhen, "04")
	setDefault(&o.CleanInterval, 10*time.Second)
	setDefault(&o.DiskMaxUsedRatio, 75)
	setDefault(&o.DiskCleanForciblyRatio, 85)
	setDefault(&o.DiskWarningRatio, 90)
	setDefault(&o.AccessMemoryRatio, 40)
	setDefault(&o.MaxTransferBytesInMemory, 256<<10)
	setDefault(&o.MaxTransferCountInMemory, 32)
	setDefault(&o.MaxTransferBytesInDisk, 64<<10)
	setDefault(&o.MaxTransferCountInDisk, 8)
	setDefault(&o.MaxFilterMessageSize, 16_000)
	setDefault(&o.MaxMessagesPerQuery, 64)
	setDefault(&o.MaxLightQueues, 20_000)
	setDefault(&o.ScrubBytesPerSecond, 4<<20)
	setDefault(&o.ScrubInterval, 24*time.Hour)
	setDefault(&o.ColdBytesPerSecond, int64(runtime.GOMAXPROCS(0))*coldBytesPerProcessor)
	if o.DelayLevels == nil {
		o.DelayLevels = DefaultDelayLevels
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Listener == nil {
		o.Listener = &EventListener{}
	}
	o.Listener.EnsureDefaults()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports every setting that cannot be.
func (o *Options) Validate() error {
	var errs []error
	positive := func(name string, n int64) {
		if n <= 0 {
			errs = append(errs, fmt.Errorf("%s is %d, must be positive", name, n))
		}
	}
	percent := func(name string, n int) {
		if n < 1 || n > 100 {
			errs = append(errs, fmt.Errorf("%s is %d, must be from 1 to 100 percent", name, n))
		}
	}
	positive("mappedFileSizeCommitLog", o.CommitLogFileSize)
	if o.CommitLogFileSize > 1<<31-1 {
		errs = append(errs, fmt.Errorf("mappedFileSizeCommitLog is %d, must be below 2 GiB", o.CommitLogFileSize))
	}
	positive("mappedFileSizeConsumeQueue", o.ConsumeQueueFileSize)
	positive("maxHashSlotNum", int64(o.IndexSlots))
	positive("maxIndexNum", int64(o.IndexEntries))
	positive("maxLmqConsumeQueueNum", int64(o.MaxLightQueues))
	positive("maxMessageSize", int64(o.MaxMessageSize))
	percent("diskMaxUsedSpaceRatio", o.DiskMaxUsedRatio)
	percent("diskSpaceCleanForciblyRatio", o.DiskCleanForciblyRatio)
	percent("diskSpaceWarningLevelRatio", o.DiskWarningRatio)
	percent("accessMessageInMemoryMaxRatio", o.AccessMemoryRatio)
	if _, err := parseHours(o.DeleteWhen); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
