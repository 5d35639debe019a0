package engine

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Confirm lets readers see the log up to an offset, as far as it is durable,
// in a store that is ConfirmedOnly; else they always see all of it. What they
// have seen they keep, if upTo is less than before.
func (s *Store) Confirm(upTo message.PhyOffset) {
	if !s.opts.ConfirmedOnly {
		return
	}
	s.limit.Store(int64(upTo))
	s.dispatch.notify()
}

// dispatchable is how far records may be dispatched, if one ends there.
func (s *Store) dispatchable() message.PhyOffset {
	return min(s.log.ConfirmOffset(), message.PhyOffset(s.limit.Load()))
}

// ConfirmedOffset returns how far readers may see the log.
func (s *Store) ConfirmedOffset() message.PhyOffset { return s.dispatchable() }

// confirmedAt is what a checkpoint tells of the confirm offset, which Java keeps
// in this mode only.
func (s *Store) confirmedAt(reput message.PhyOffset) message.PhyOffset {
	if !s.opts.ConfirmedOnly {
		return 0
	}
	return max(reput, min(message.PhyOffset(s.limit.Load()), s.log.FlushedOffset()))
}

// Truncate makes end, the end of a record, that of a slave's log, of its queues
// and its index: what lies behind is not in its master's. It is durable when it
// returns; after a crash before that, the log may be whole again. It is for the
// goroutine that calls AppendRaw and Receive.
func (s *Store) Truncate(end message.PhyOffset) error {
	switch now := s.log.MaxOffset(); {
	case !s.opts.Following:
		return errors.New("only the store of a slave can be truncated")
	case end == now:
		return nil
	case end > now || end < s.log.MinOffset():
		return fmt.Errorf("the log is from %d to %d and cannot be truncated to %d", s.log.MinOffset(), now, end)
	}
	// Under SyncFlush nothing can be read before it is on disk.
	if err := s.log.Flush(); err != nil {
		return err
	}
	if err := s.checkEnd(end); err != nil {
		return err
	}
	if err := s.truncate(end); err != nil {
		return fmt.Errorf("truncate to %d: %w", end, err)
	}
	return s.checkpoint(false)
}

// checkEnd tells whether a record begins at an offset, so that one ends there.
func (s *Store) checkEnd(end message.PhyOffset) error {
	if end == s.log.MinOffset() {
		return nil
	}
	ref, ok, err := s.log.Read(end)
	if err == nil && !ok {
		err = errors.New("it is not there")
	}
	if err != nil {
		return fmt.Errorf("the log cannot be read at %d: %w", end, err)
	}
	defer ref.Release()
	return vfs.Guarded(func() error {
		r, err := message.ParseRecord(ref.Bytes())
		if errors.Is(err, message.ErrBlank) || err == nil && r.PhyOffset() == end {
			return nil
		}
		return fmt.Errorf("no record of the log ends at %d: it has nothing in common with the master's that ends there", end)
	})
}

// truncate cuts queues, index and log while nobody makes a checkpoint or a mark.
func (s *Store) truncate(end message.PhyOffset) error {
	s.checkpoints.Lock()
	defer s.checkpoints.Unlock()
	s.marks.busy.Lock()
	defer s.marks.busy.Unlock()
	return s.onDispatcher(func() error {
		if err := s.takeBackClaims(end); err != nil {
			return err
		}
		if err := s.queues.Truncate(end); err != nil {
			return err
		}
		if s.index != nil {
			if err := s.index.Truncate(end); err != nil {
				return err
			}
		}
		d := s.dispatch
		at := min(d.it.Offset(), end)
		d.it.Close()
		if err := s.log.Cut(end); err != nil {
			return err
		}
		d.it = s.log.Iterate(at, at, commitlog.Dispatched)
		d.asked = at
		d.indexFrom, d.lastTime = min(d.indexFrom, end), 0
		d.nextMark, d.nextCheckpoint = int64(at)+s.opts.MarkBytes, int64(at)+s.opts.CheckpointBytes
		if s.opts.ConfirmedOnly {
			s.limit.Store(min(s.limit.Load(), int64(end)))
		}
		s.checkpoints.last = min(s.checkpoints.last, at)
		s.recount.Store(true)
		d.publish(at)
		return nil
	})
}

// takeBackClaims leaves no file that says of anything behind end that it is
// there or on disk: after a crash, Java's rules find out.
func (s *Store) takeBackClaims(end message.PhyOffset) error {
	if s.marks.cache != 0 {
		if err := s.writeMark(make([]byte, waymarkSize)); err != nil {
			return err
		}
	}
	known := min(end, s.checkpoints.last)
	if err := s.writeJavaCheckpoint(Checkpoint{LogicsPhysicalOffset: known, ConfirmPhyOffset: min(end, s.confirmedAt(known))}); err != nil {
		return err
	}
	s.checkpoints.ours, s.checkpoints.kept = waymark{}, waymark{}
	path := filepath.Join(s.dir, waymarkName)
	for _, name := range []string{path + vfs.BackupSuffix, path} {
		if err := vfs.RemoveIfThere(s.fs, name); err != nil {
			return err
		}
	}
	return s.fs.SyncDir(s.dir)
}
