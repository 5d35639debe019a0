package engine

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// deleteBatch bounds the files deleted in one round [deleteFileBatchMax].
const deleteBatch = 10

// parseHours reads a list of hours of the day, split by ";".
func parseHours(list string) (hours [24]bool, err error) {
	for _, field := range strings.Split(list, ";") {
		field = strings.TrimSpace(field)
		if field == "" {
			continue
		}
		h, err := strconv.Atoi(field)
		if err != nil || h < 0 || h > 23 {
			return hours, fmt.Errorf("deleteWhen is %q, must be hours from 00 to 23 split by \";\"", list)
		}
		hours[h] = true
	}
	return hours, nil
}

// runClean looks at age and disk at intervals.
func (s *Store) runClean() {
	defer s.running.Done()
	tick := time.NewTicker(s.opts.CleanInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
		}
		if err := s.Clean(); err != nil {
			s.opts.Listener.Background("clean", err)
		}
	}
}

// Clean does one round of what happens at each CleanInterval: it deletes log
// files that are due, then what queues and index hold of them, and refuses or
// allows puts as the disk is full or not.
func (s *Store) Clean() error {
	percent, err := s.diskPercent()
	if err != nil {
		return err
	}
	if err := s.deleteExpired(percent); err != nil {
		return err
	}
	if percent, err = s.diskPercent(); err != nil {
		return err
	}
	s.setDiskFull(percent)
	return s.followLog()
}

// diskPercent returns how full the log's file system is, rounded up.
func (s *Store) diskPercent() (int, error) {
	u, err := s.fs.Usage(s.opts.CommitLogDir)
	if err != nil {
		return 0, err
	}
	used := u.Total - u.Free
	whole := used + u.Avail
	if whole == 0 {
		return 0, nil
	}
	return int((used*100 + whole - 1) / whole), nil
}

// setDiskFull refuses puts above the warning ratio, and allows them again only
// at or below the one where files are deleted forcibly, as Java does: else the
// two would alternate.
func (s *Store) setDiskFull(percent int) {
	full := s.diskFull.Load() != nil
	switch {
	case !full && percent > s.opts.DiskWarningRatio:
		cause := fmt.Sprintf("the disk of %s is %d%% full, above diskSpaceWarningLevelRatio=%d", s.opts.CommitLogDir, percent, s.opts.DiskWarningRatio)
		s.diskFull.Store(&cause)
		s.opts.Listener.DiskFull(true, cause)
	case full && percent <= min(s.opts.DiskCleanForciblyRatio, s.opts.DiskWarningRatio):
		s.diskFull.Store(nil)
		s.opts.Listener.DiskFull(false, fmt.Sprintf("the disk of %s is %d%% full", s.opts.CommitLogDir, percent))
	}
}

// deleteExpired deletes the oldest files of the log that are due.
func (s *Store) deleteExpired(percent int) error {
	hours, err := parseHours(s.opts.DeleteWhen)
	if err != nil {
		return err
	}
	forcibly := percent > s.opts.DiskCleanForciblyRatio && !s.opts.KeepExpiredOnFullDisk
	byAge := forcibly || percent > s.opts.DiskMaxUsedRatio || hours[s.opts.Now().Hour()]
	excess := s.log.MaxOffset() - s.log.MinOffset() - message.PhyOffset(s.opts.MaxLogBytes)
	if s.opts.MaxLogBytes == 0 {
		excess = 0
	}
	if !byAge && excess <= 0 {
		return nil
	}
	cut, cause := s.log.MinOffset(), ""
	for i, f := range s.log.Files() {
		if i >= deleteBatch {
			break
		}
		switch {
		case excess > 0:
			excess -= f.End - f.Start
			cause = fmt.Sprintf("the log is above maxLogBytes=%d", s.opts.MaxLogBytes)
		case forcibly:
			cause = fmt.Sprintf("the disk is %d%% full, above diskSpaceCleanForciblyRatio=%d", percent, s.opts.DiskCleanForciblyRatio)
		case byAge && s.expired(f.Path):
			cause = fmt.Sprintf("older than fileReservedTime=%s", s.opts.FileReservedTime)
		default:
			return s.deleteBefore(cut, cause)
		}
		cut = f.End
	}
	return s.deleteBefore(cut, cause)
}

func (s *Store) expired(path string) bool {
	info, err := s.fs.Stat(path)
	return err == nil && s.opts.Now().Sub(info.ModTime()) > s.opts.FileReservedTime
}

// deleteBefore deletes files of the log whose queue entries are on disk: without
// the log a crash could not bring them back, and their offsets would be given out
// again.
func (s *Store) deleteBefore(cut message.PhyOffset, cause string) error {
	if cut > s.claimed() {
		if err := s.checkpoint(false); err != nil {
			return err
		}
	}
	n, err := s.log.RemoveBefore(min(cut, s.claimed()), deleteBatch)
	if n > 0 {
		s.metrics.logFilesDeleted.Add(int64(n))
		s.opts.Listener.Deleted(n, s.log.MinOffset(), cause)
	}
	return err
}

// followLog corrects the queues' minimum and deletes files of queues and index
// that point to deleted files of the log only.
func (s *Store) followLog() error {
	logMin := s.log.MinOffset()
	if s.metrics.cleanedTo.Load() == int64(logMin) {
		return nil
	}
	if err := s.queues.CorrectMinOffset(logMin); err != nil {
		return err
	}
	if _, err := s.queues.DeleteExpired(logMin); err != nil {
		return err
	}
	if s.index != nil {
		if _, err := s.index.DeleteExpired(logMin); err != nil {
			return err
		}
	}
	s.metrics.cleanedTo.Store(int64(logMin))
	return nil
}
