package ha

import (
	"errors"
	"io"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// Log is what replication needs of a store. engine.Store is one.
type Log interface {
	MinPhyOffset() message.PhyOffset
	MaxPhyOffset() message.PhyOffset
	// ConfirmOffset is how far the log may be copied and acknowledged: what
	// is as durable as the store promises.
	ConfirmOffset() message.PhyOffset
	// ReadRaw returns bytes of one file from at, most of them at most and none
	// beyond ConfirmOffset; they are borrowed until release is called, which
	// is nil when there are none.
	ReadRaw(at message.PhyOffset, most int) (raw []byte, release func(), err error)
	// AppendRaw adds whole records at the end of the log. An empty log
	// begins where they do.
	AppendRaw(at message.PhyOffset, raw []byte) error
	// Receive adds up to n bytes of r, of one file, behind begun, those of the
	// record at the log's end that have come before. take is told what has come,
	// begun included, and returns how much of it is whole records, which is
	// added; the rest is forgotten. It returns how many bytes came from r. What
	// comes from r begins, and is to end, at a multiple of 512.
	Receive(at message.PhyOffset, begun []byte, r io.Reader, n int, take func(landed []byte) (whole int, err error)) (got int, err error)
	// Truncate makes the end of a record that of the log, durably: what it
	// had behind never comes back. Of use with epochs only, as Confirm.
	Truncate(end message.PhyOffset) error
	// Confirm lets readers see the log up to an offset. It must not block.
	Confirm(upTo message.PhyOffset)
	// Flush makes all of the log durable.
	Flush() error
}

// Waiter is told when the put that it waits for is replicated (nil), or why it
// is not known to be. It must not block.
type Waiter = interface{ Replicated(error) }

// timeoutError is one that a caller can tell by its Timeout method, as those of
// package net.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string { return e.text }

// Timeout tells that it is one.
func (e *timeoutError) Timeout() bool { return true }

// What becomes of a put that waits for slaves. In all cases but the last it is
// stored.
var (
	// ErrSlaveTimeout says that the slaves there are did not have it in time.
	// It has the method Timeout.
	ErrSlaveTimeout error = &timeoutError{"ha: too few slaves had the message in time"}
	// ErrSlaveNotAvailable says that too few slaves are there to have it.
	ErrSlaveNotAvailable = errors.New("ha: too few slaves are connected and not far behind")
	// ErrNotEnoughReplicas says that a put is to be refused, as fewer slaves
	// are there than a put must have at least.
	ErrNotEnoughReplicas = errors.New("ha: fewer replicas are in sync than minInSyncReplicas asks for")
	// ErrClosed is told to those who wait when the master closes.
	ErrClosed = errors.New("ha: closed")
)

// MasterOptions are the settings of a Master. The zero value is RocketMQ's
// default. The names in brackets are RocketMQ's properties.
type MasterOptions struct {
	// Group is the name of cluster and broker, which a slave that says who it
	// is must have too.
	Group string
	// FileSize of the log's files in bytes [mappedFileSizeCommitLog]. Zero is 1 GiB.
	FileSize int64
	// Sync makes puts wait for slaves [brokerRole=SYNC_MASTER].
	Sync bool
	// InSyncReplicas is how many brokers, the master included, must have a
	// put [inSyncReplicas]. Zero is 1: no slave is waited for.
	InSyncReplicas int
	// MinInSyncReplicas is how many must be there at least for a put to be
	// taken [minInSyncReplicas]. Zero is 1.
	MinInSyncReplicas int
	// AutoInSyncReplicas waits for those that are there, if they are fewer
	// than InSyncReplicas [enableAutoInSyncReplicas].
	AutoInSyncReplicas bool
	// MaxGapNotInSync is how many bytes a slave that counts may be behind
	// [haMaxGapNotInSync]. Zero is 256 MiB.
	MaxGapNotInSync int64
	// SlaveTimeout bounds how long a put waits [slaveTimeout]. Zero is 3 s.
	SlaveTimeout time.Duration
	// BatchSize bounds a frame in bytes [haTransferBatchSize]. Zero is 32 KiB. A
	// slave of ours takes 256 times as much.
	BatchSize int
	// FlowControl bounds the bytes that each slave is sent in a second
	// [haFlowControlEnable, maxHaTransferByteInSecond]. Zero bytes is 100 MiB.
	FlowControl    bool
	BytesPerSecond int64
	// HeartbeatInterval after which an idle connection is written to
	// [haSendHeartbeatInterval]. Zero is 5 s.
	HeartbeatInterval time.Duration
	// HousekeepingInterval after which a silent slave is taken for dead
	// [haHousekeepingInterval]. Zero is 20 s.
	HousekeepingInterval time.Duration
	// Reign makes the master speak the protocol with epochs, under the last of
	// those it has. Nil is the classic protocol. What follows is of use with it only.
	Reign *Reign
	// Epochs keeps them.
	Epochs *EpochFile
	// AllAckInSyncStateSet acknowledges and shows nothing before all members of
	// the in-sync set have it [allAckInSyncStateSet]. Else puts wait as
	// without epochs.
	AllAckInSyncStateSet bool
	// MaxTimeNotCaughtUp after which a slave that never has all of the log
	// leaves the in-sync set [haMaxTimeSlaveNotCatchup]. Zero is 15 s.
	MaxTimeNotCaughtUp time.Duration
	// Rule decides on a set of members proposed in place of that with setEpoch,
	// and returns the one that holds, with its epoch, or an error if
	// that is not known: then it is asked again. It is called from a goroutine
	// of its own. Nil lets the master decide itself.
	Rule func(members []int64, setEpoch int32) ([]int64, int32, error)

	// OnEvent is told of connections that come and go. It must not block.
	OnEvent func(Event)
	// Now is the clock. Nil is time.Now.
	Now func() time.Time
}

// SlaveOptions are the settings of a Slave. The zero value is RocketMQ's default.
type SlaveOptions struct {
	// Group is the name of cluster and broker.
	Group string
	// BrokerID is the slave's [brokerId]. Zero keeps it from saying who it is.
	BrokerID int64
	// LastFileOnly lets an empty slave begin with the master's last file, as
	// Java's, not with the first [syncFromLastFile]. Java's masters always
	// begin with the last.
	LastFileOnly bool
	// FileSize of the log's files in bytes [mappedFileSizeCommitLog]. Zero is 1 GiB.
	FileSize int64
	// HeartbeatInterval after which an idle connection is written to
	// [haSendHeartbeatInterval]. Zero is 5 s.
	HeartbeatInterval time.Duration
	// HousekeepingInterval after which a silent master is taken for dead
	// [haHousekeepingInterval]. Zero is 20 s.
	HousekeepingInterval time.Duration
	// RetryInterval between attempts to connect. Zero is 5 s.
	RetryInterval time.Duration
	// Epochs keeps the epochs of the log, and makes the slave speak the protocol
	// with epochs. Nil is the classic protocol.
	Epochs *EpochFile
	// Learner keeps the slave out of the in-sync set [asyncLearner].
	Learner bool
	// OnEvent is told of connections that come and go. It must not block.
	OnEvent func(Event)
	// Now is the clock. Nil is time.Now.
	Now func() time.Time
}

// Event tells of a connection.
type Event struct {
	Addr      string // the peer's
	BrokerID  int64  // of a slave that has said who it is, else 0
	Connected bool   // else it is gone
	Err       error  // why it is gone, or could not be made
	// Truncated is how many bytes a slave's log had that its master's does not,
	// and lost.
	Truncated message.PhyOffset
}

const (
	defaultFileSize     = 1 << 30
	defaultBatch        = 32 << 10
	defaultGap          = 256 << 20
	defaultBytes        = 100 << 20
	defaultSlaveTimeout = 3 * time.Second
	defaultHeartbeat    = 5 * time.Second
	defaultHousekeeping = 20 * time.Second
	defaultRetry        = 5 * time.Second
	defaultCatchUp      = 15 * time.Second
)

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// EnsureDefaults fills the fields that are zero.
func (o *MasterOptions) EnsureDefaults() {
	setDefault(&o.FileSize, defaultFileSize)
	setDefault(&o.InSyncReplicas, 1)
	setDefault(&o.MinInSyncReplicas, 1)
	setDefault(&o.MaxGapNotInSync, defaultGap)
	setDefault(&o.SlaveTimeout, defaultSlaveTimeout)
	setDefault(&o.BatchSize, defaultBatch)
	setDefault(&o.BytesPerSecond, defaultBytes)
	setDefault(&o.HeartbeatInterval, defaultHeartbeat)
	setDefault(&o.HousekeepingInterval, defaultHousekeeping)
	setDefault(&o.MaxTimeNotCaughtUp, defaultCatchUp)
	if o.Rule == nil {
		o.Rule = func(members []int64, setEpoch int32) ([]int64, int32, error) { return members, setEpoch + 1, nil }
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// EnsureDefaults fills the fields that are zero.
func (o *SlaveOptions) EnsureDefaults() {
	setDefault(&o.FileSize, defaultFileSize)
	setDefault(&o.HeartbeatInterval, defaultHeartbeat)
	setDefault(&o.HousekeepingInterval, defaultHousekeeping)
	setDefault(&o.RetryInterval, defaultRetry)
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}
