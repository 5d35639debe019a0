package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

const (
	checkpointName = "checkpoint"
	waymarkName    = "waymark"
	abortName      = "abort"
)

// runCheckpoint writes buffered queue entries to the page cache at intervals,
// brings dirty queues to disk, and takes a checkpoint when it is time or much
// was dispatched.
func (s *Store) runCheckpoint() {
	defer s.running.Done()
	tick := time.NewTicker(s.opts.FlushQueueInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-s.checkpoints.ready:
			if s.sinceCheckpoint() < s.opts.FlushQueueInterval && !s.checkpoints.due.Load() {
				continue // puts are fast: the next tick is soon enough
			}
		case <-tick.C:
		}
		reput, due, last := s.ReputOffset(), s.checkpoints.due.Swap(false), s.claimed()
		if (reput == last && !due) || s.log.Failure() != nil {
			continue // nothing new, or nothing that could be claimed
		}
		var err error
		if due || int64(reput-last) >= s.opts.CheckpointBytes ||
			s.sinceCheckpoint() >= s.opts.FlushQueueThoroughInterval {
			err = s.checkpoint(false)
		} else {
			err = s.queues.Sync(s.opts.FlushQueueLeastPages)
		}
		if err != nil {
			s.opts.Listener.Background("checkpoint", err)
		}
	}
}

// checkpoint brings log, queues and index to disk and writes down how far they
// are. What is claimed is taken before the syncs, so that they cover it.
func (s *Store) checkpoint(clean bool) error {
	s.checkpoints.Lock()
	defer s.checkpoints.Unlock()
	s.progress.Lock()
	reput, reputTime, units := s.progress.reput, s.progress.time, s.progress.units
	s.progress.Unlock()
	if err := s.log.Flush(); err != nil {
		return err
	}
	if err := s.queues.Sync(0); err != nil {
		return err
	}
	w := waymark{queues: reput, queueUnits: units, clean: clean}
	if s.index != nil {
		state, err := s.index.Sync()
		if err != nil {
			return err
		}
		w.index = state
	}
	seal, err := s.log.Seal()
	if err != nil {
		return err
	}
	w.seal = seal
	if err := s.writeJavaCheckpoint(Checkpoint{
		PhysicMsgTimestamp: reputTime, LogicsMsgTimestamp: reputTime, IndexMsgTimestamp: w.index.SealedTime,
		LogicsPhysicalOffset: reput, ConfirmPhyOffset: s.confirmedAt(reput),
	}); err != nil {
		return err
	}
	before := s.checkpoints.ours
	s.checkpoints.kept = waymark{}
	if err := vfs.WriteFileAtomic(s.fs, filepath.Join(s.dir, waymarkName), w.encode()); err != nil {
		return err
	}
	s.checkpoints.kept, s.checkpoints.ours = before, w
	s.checkpoints.last, s.checkpoints.at = reput, time.Now()
	s.metrics.checkpoints.Add(1)
	return nil
}

// claimed returns the offset below which the last checkpoint says that queues
// and index are on disk.
func (s *Store) claimed() message.PhyOffset {
	s.checkpoints.Lock()
	defer s.checkpoints.Unlock()
	return s.checkpoints.last
}

// sinceCheckpoint returns the time since the last checkpoint, or the open.
func (s *Store) sinceCheckpoint() time.Duration {
	s.checkpoints.Lock()
	defer s.checkpoints.Unlock()
	return time.Since(s.checkpoints.at)
}

// queueUnits sums up the ends of all queues. The waymark keeps the sum, so that
// a queue that is gone or was damaged is noticed at the next open.
func (s *Store) queueUnits() (sum int64) {
	for _, q := range s.queues.Queues() {
		sum += int64(q.MaxOffset())
	}
	return sum
}

// writeJavaCheckpoint writes Java's checkpoint as Java does: its fields lie in one
// sector. The caller holds s.checkpoints.
func (s *Store) writeJavaCheckpoint(c Checkpoint) error {
	if err := s.writeInPlace(checkpointName, c.encode(), vfs.File.Sync); err != nil {
		return err
	}
	s.checkpoints.java = c
	return nil
}

// writeInPlace writes a small file, whose fields lie in one sector, and has sync
// make it as durable as it has to be.
func (s *Store) writeInPlace(name string, content []byte, sync func(vfs.File) error) error {
	f, err := s.fs.OpenFile(filepath.Join(s.dir, name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = sync(f)
	}
	return errors.Join(err, f.Close())
}

// readCheckpoint returns Java's checkpoint, zeros if there is none.
func (s *Store) readCheckpoint() (Checkpoint, error) { return ReadCheckpoint(s.fs, s.dir) }

// ReadCheckpoint returns Java's checkpoint of the store in dir, zeros if there
// is none.
func ReadCheckpoint(fsys vfs.FS, dir string) (Checkpoint, error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(dir, checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		return Checkpoint{}, nil
	}
	return decodeCheckpoint(b), err
}

// readWaymark returns our own checkpoint. It is an aid: one that is missing or
// damaged costs time at open and nothing else.
func (s *Store) readWaymark() (waymark, bool) {
	path := filepath.Join(s.dir, waymarkName)
	for _, name := range []string{path, path + vfs.BackupSuffix} {
		b, err := vfs.ReadFile(s.fs, name)
		if err != nil {
			continue
		}
		if w, err := decodeWaymark(b); err == nil {
			return w, true
		}
	}
	return waymark{}, false
}

// markRunning makes the abort file, whose presence at open tells of an unclean
// end.
func (s *Store) markRunning() error {
	f, err := s.fs.OpenFile(filepath.Join(s.dir, abortName), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.fs.SyncDir(s.dir)
	}
	return errors.Join(err, f.Close())
}

// markStopped removes it again.
func (s *Store) markStopped() error {
	if err := s.fs.Remove(filepath.Join(s.dir, abortName)); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}

// wasStopped tells whether the last run ended with Close.
func (s *Store) wasStopped() (bool, error) {
	_, err := s.fs.Stat(filepath.Join(s.dir, abortName))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, err
}
