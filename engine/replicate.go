package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/rocketlog/rocketlog/message"
)

// Replicator copies the log to slaves. A put waits for it, as for the disk.
type Replicator interface {
	// Appended tells that more of the log may be copied: ConfirmOffset has
	// grown. It must not block.
	Appended()
	// Admit is asked before a put whose sender wants it safe: does it have to
	// wait for slaves, or is it refused since too few are there?
	Admit() (wait bool, err error)
	// NotifyReplicated tells w when enough slaves have the log up to end, or
	// why they have not, perhaps before it returns. An error with a method
	// Timeout that is true says that they may yet.
	NotifyReplicated(end message.PhyOffset, w ReplicaWaiter)
}

// ReplicaWaiter is told what becomes of a put in the slaves. It must not block.
type ReplicaWaiter = interface{ Replicated(error) }

// noReplicator is there until SetReplicator.
type noReplicator struct{}

func (noReplicator) Appended()                                             {}
func (noReplicator) Admit() (bool, error)                                  { return false, nil }
func (noReplicator) NotifyReplicated(_ message.PhyOffset, w ReplicaWaiter) { w.Replicated(nil) }

// errFollowing refuses the puts of a slave.
var errFollowing = errors.New("the store is a slave's: messages come from its master only")

// SetReplicator has puts wait for r from now on. It must be set before the
// first put; nil is none.
func (s *Store) SetReplicator(r Replicator) {
	if r == nil {
		r = noReplicator{}
	}
	s.replicator.Store(&r)
}

func (s *Store) replicas() Replicator { return *s.replicator.Load() }

// grew tells those who follow the log that ConfirmOffset has grown.
func (s *Store) grew() {
	s.dispatch.notify()
	s.replicas().Appended()
}

// ReadRaw returns bytes of the log from at, of one file, most of them at most
// and none beyond ConfirmOffset. They are borrowed until release is called,
// which is nil when there are none.
func (s *Store) ReadRaw(at message.PhyOffset, most int) (raw []byte, release func(), err error) {
	limit := s.log.ConfirmOffset()
	if at >= limit || most <= 0 {
		return nil, nil, nil
	}
	ref, ok, err := s.log.Read(at)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, fmt.Errorf("the log has nothing at offset %d: it begins at %d", at, s.log.MinOffset())
	}
	raw = ref.Bytes()
	raw = raw[:min(int64(len(raw)), int64(most), int64(limit-at))]
	return raw, ref.Release, nil
}

// AppendRaw adds whole records at the end of a slave's log, as they are in its
// master's. An empty log begins where they do, at the start of a file. They are
// dispatched like those that are put.
func (s *Store) AppendRaw(at message.PhyOffset, raw []byte) error {
	if err := s.follows(at); err != nil {
		return err
	}
	return s.log.AppendRaw(at, raw)
}

// Receive adds to a slave's log what r has of its master's, cut at any byte: up to n bytes behind begun, those of the record at
// the log's end that have come before. take is told what has come, begun included, and returns how much of it is whole
// records, which is added. It returns how many bytes came from r. What comes from r begins, and is to end, at a multiple of
// 512. Else it is as AppendRaw.
func (s *Store) Receive(at message.PhyOffset, begun []byte, r io.Reader, n int, take func(landed []byte) (whole int, err error)) (got int, err error) {
	if err := s.follows(at); err != nil {
		return 0, err
	}
	return s.log.Receive(at, begun, r, n, take)
}

// follows tells why bytes of a master's log cannot be added at an offset; an empty log is made to begin there.
func (s *Store) follows(at message.PhyOffset) error {
	if !s.opts.Following {
		return errors.New("raw bytes are for the store of a slave")
	}
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.log.Failure(); err != nil {
		return err
	}
	if at > 0 && s.log.MaxOffset() == 0 {
		if int64(at)%s.opts.CommitLogFileSize != 0 {
			return fmt.Errorf("a log cannot begin at offset %d, which is no file's start", at)
		}
		if err := s.log.Reset(at); err != nil {
			return err
		}
	}
	return nil
}
