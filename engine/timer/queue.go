package timer

import (
	"errors"

	"github.com/rocketlog/rocketlog/message"
)

// Queue is what a timer needs of a store: the queue of the timer topic, which it reads, and the log, which it puts to.
// All methods are called from the timer's goroutines, except that Put may complete from any.
type Queue interface {
	// MinOffset and MaxOffset bound the timer topic's queue.
	MinOffset() message.QueueOffset
	MaxOffset() message.QueueOffset
	// MinPhyOffset and MaxPhyOffset bound the commit log.
	MinPhyOffset() message.PhyOffset
	MaxPhyOffset() message.PhyOffset
	// Records shows visit some messages of the queue in order, from an offset on, until it returns false. The record is
	// valid during the call only. It returns the offset at which to go on: that of the message which visit refused, else
	// the one after the last. Messages that are no longer in the log are passed over.
	Records(from message.QueueOffset, visit func(message.Record) bool) (next message.QueueOffset, err error)
	// Record shows visit the message at a place of the commit log, during the call only. The error wraps [ErrGone] when
	// there is none any more.
	Record(at message.PhyOffset, visit func(message.Record)) error
	// Put stores a message as it is, whatever delay it asks for, and tells done. The message may be used again when Put
	// returns; done is called before or after that.
	Put(m *message.Message, done Completion)
	// Flush makes all that was put durable.
	Flush() error
}

// Completion is told the outcome of a Put.
type Completion interface{ PutDone(Outcome) }

// Outcome is that of a Put.
type Outcome struct {
	End message.PhyOffset // of the record, when Err is nil
	Err error             // nil: stored; one that wraps [ErrRefused]: never to be; else to be tried again
}

// Errors by which a timer decides.
var (
	// ErrGone says that there is no message at a place.
	ErrGone = errors.New("timer: the message is gone")
	// ErrRefused says that the store will never take a message.
	ErrRefused = errors.New("timer: the message is refused")
)
