package consumequeue

import (
	"errors"
	"fmt"

	"github.com/rocketlog/rocketlog/message"
)

// Causes that callers decide by.
var (
	// ErrClosed says that the set is closed.
	ErrClosed = errors.New("consume queues are closed")
	// ErrGone says that the queue was dropped or its topic deleted while the
	// caller still held it.
	ErrGone = errors.New("consume queue was deleted")
	// ErrNotRecovered says that a queue found by Open was used before Recover.
	ErrNotRecovered = errors.New("consume queue is not recovered yet")
	// ErrReadOnly says that a set opened for reading was asked to write.
	ErrReadOnly = errors.New("consume queues are open for reading only")
	// ErrBadTopic says that a topic cannot be the name of a folder.
	ErrBadTopic = errors.New("topic cannot name a folder")
)

// GapError says that a unit was appended beyond the end of its queue: units
// between are missing.
type GapError struct {
	Key  Key
	Want message.QueueOffset // end of the queue
	Have message.QueueOffset // offset of the unit
}

// Error implements error.
func (e *GapError) Error() string {
	return fmt.Sprintf("consume queue %v: unit for offset %d, but the queue ends at %d", e.Key, e.Have, e.Want)
}

// RangeError says that a read started outside the queue.
type RangeError struct {
	Key      Key
	Offset   message.QueueOffset
	Min, Max message.QueueOffset
}

// Error implements error.
func (e *RangeError) Error() string {
	return fmt.Sprintf("consume queue %v: offset %d lies outside %d..%d", e.Key, e.Offset, e.Min, e.Max)
}

// CorruptError names a place in a queue's files that cannot be as it is.
type CorruptError struct {
	Key    Key
	File   string // path
	Offset int64  // byte in the file
	Reason string
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: byte %d: %s", e.File, e.Offset, e.Reason)
}

// OrderError says that a unit was appended whose record does not lie behind
// that of the unit before it.
type OrderError struct {
	Key    Key
	Offset message.QueueOffset
	Unit   Unit
	After  message.PhyOffset // end of the record before
}

// Error implements error.
func (e *OrderError) Error() string {
	return fmt.Sprintf("consume queue %v: unit %d has record %d of %d bytes, but the one before ends at %d",
		e.Key, e.Offset, e.Unit.Offset, e.Unit.Size, e.After)
}

// SyncError is the sync that failed. The kernel may have dropped what it could
// not write, so that no later sync can promise anything about it: the set
// stays with this error until it is opened and recovered again.
type SyncError struct{ Err error }

// Error implements error.
func (e *SyncError) Error() string { return "consume queues: sync: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SyncError) Unwrap() error { return e.Err }

func (q *ConsumeQueue) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("consume queue %v: %w", q.key, err)
}
