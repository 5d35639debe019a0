package engine

import (
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// Arrival is a message that was dispatched: it can be read from its queue.
type Arrival struct {
	Topic       string
	QueueID     int32
	QueueOffset message.QueueOffset
	TagsCode    int64
	StoreTime   int64          // ms
	Record      message.Record // borrowed: valid during the call only
}

// RecoveryInfo says what opening a store found and did.
type RecoveryInfo struct {
	Clean      bool // the last run ended with Close
	From, End  message.PhyOffset
	Records    int   // read from From to End
	Stopped    error // why the log ends at End, nil at its last file's end
	Dispatched int   // records dispatched again
	Rebuilt    []string
	Took       time.Duration
}

// EventListener is told what happens in a store. Every field may be nil.
// Arrived is called from the dispatcher for each message and must not block;
// the others are rare.
type EventListener struct {
	// Arrived tells of each message that can now be read.
	Arrived func(Arrival)
	// Recovered tells once what Open found.
	Recovered func(RecoveryInfo)
	// DiskFull tells that puts are refused for want of space, or no longer.
	DiskFull func(full bool, cause string)
	// SyncFailed tells that the log accepts nothing any more.
	SyncFailed func(error)
	// DispatchStalled tells that queues or index cannot be written, nil that
	// they can again. Dispatch tries on meanwhile.
	DispatchStalled func(error)
	// Background tells of an error in flushing queues, checkpointing or
	// cleaning that will be tried again.
	Background func(task string, err error)
	// Deleted tells how many files of the log expired, and why.
	Deleted func(files int, minOffset message.PhyOffset, cause string)
	// QueueRebuilt tells that a damaged queue was built again from the log.
	QueueRebuilt func(topic string, queueID int32, cause error)
	// ScrubFound tells of a damaged place, mended or not. One round tells of
	// some and counts all.
	ScrubFound func(ScrubFault)
	// Scrubbed tells that a round over the store came to its end.
	Scrubbed func(ScrubInfo)
}

// EnsureDefaults makes every callback callable.
func (l *EventListener) EnsureDefaults() {
	if l.Arrived == nil {
		l.Arrived = func(Arrival) {}
	}
	if l.Recovered == nil {
		l.Recovered = func(RecoveryInfo) {}
	}
	if l.DiskFull == nil {
		l.DiskFull = func(bool, string) {}
	}
	if l.SyncFailed == nil {
		l.SyncFailed = func(error) {}
	}
	if l.DispatchStalled == nil {
		l.DispatchStalled = func(error) {}
	}
	if l.Background == nil {
		l.Background = func(string, error) {}
	}
	if l.Deleted == nil {
		l.Deleted = func(int, message.PhyOffset, string) {}
	}
	if l.QueueRebuilt == nil {
		l.QueueRebuilt = func(string, int32, error) {}
	}
	if l.ScrubFound == nil {
		l.ScrubFound = func(ScrubFault) {}
	}
	if l.Scrubbed == nil {
		l.Scrubbed = func(ScrubInfo) {}
	}
}
