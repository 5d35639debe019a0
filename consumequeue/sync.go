package consumequeue

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// alone returns when nobody else visits, syncs, cuts or removes queues, and what
// ends that.
func (s *Set) alone() (end func()) {
	s.syncing.Lock()
	s.walking.Lock()
	return func() {
		s.walking.Unlock()
		s.syncing.Unlock()
	}
}

// WriteOut writes buffered units to their files, so that they survive the end
// of the process. After an error what could not be written stays buffered.
func (s *Set) WriteOut() error {
	if s.closed.Load() {
		return ErrClosed
	}
	return s.writeOut()
}

func (s *Set) writeOut() error {
	s.walking.Lock()
	defer s.walking.Unlock()
	queues := s.takeActive()
	err := writeOutAll(queues)
	s.keepActive(queues)
	return err
}

// writeOutAll goes on after an error: a full disk may still have room in the
// pages that other files have already.
func writeOutAll(queues []*ConsumeQueue) (err error) {
	for _, q := range queues {
		if e := q.writeOut(); e != nil && err == nil {
			err = q.wrap(e)
		}
	}
	return err
}

// takeActive takes the queues with something to write or to sync; keepActive
// gives back those that still have, or were appended to lately. One that a sync
// has made durable since is left out by the next walk.
func (s *Set) takeActive() []*ConsumeQueue {
	s.active.Lock()
	defer s.active.Unlock()
	queues := s.active.queues
	s.active.queues = nil
	return queues
}

func (s *Set) keepActive(queues []*ConsumeQueue) {
	keep := queues[:0]
	for _, q := range queues {
		if q.settle() {
			keep = append(keep, q)
		}
	}
	clear(queues[len(keep):])
	s.active.Lock()
	defer s.active.Unlock()
	s.active.queues = append(keep, s.active.queues...)
}

// settle takes the tail's memory from a queue that was idle for a round, and
// says whether the queue has to be visited again.
func (q *ConsumeQueue) settle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	max := q.max.Load()
	idle := max == q.walked
	q.walked = max
	if idle && len(q.tail) == 0 {
		q.tail = nil
	}
	q.listed = q.state == queueOpen && (q.tail != nil || q.synced < q.written || q.recut)
	return q.listed
}

// target is what a sync makes durable of one queue.
type target struct {
	q       *ConsumeQueue
	files   []*file
	written int64
	cuts    uint64
}

// Sync makes durable all units that were appended before the call: those of
// queues with at least leastPages pages of 4 KiB not yet durable, or a full
// file; with 0 those of all queues, which alone allows a claim about the whole
// set. Units of other queues stay buffered.
//
// An error of writing leaves all as it was, for the next call. An error of
// syncing is a *SyncError and final: see there.
func (s *Set) Sync(leastPages int) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	switch {
	case s.opts.ReadOnly:
		return ErrReadOnly
	case s.closed.Load():
		return ErrClosed
	case s.syncErr != nil:
		return s.syncErr
	}
	targets, err := s.targets(leastPages)
	if err == nil {
		err = s.syncTargets(targets, leastPages == 0)
	}
	if err == nil && leastPages == 0 {
		s.covered = true
		err = s.unmark()
	}
	return err
}

func dueQueues(queues []*ConsumeQueue, leastPages int) []*ConsumeQueue {
	if leastPages == 0 {
		return queues
	}
	var due []*ConsumeQueue
	for _, q := range queues {
		if q.due(int64(leastPages)) {
			due = append(due, q)
		}
	}
	return due
}

// due is Java's DefaultMappedFile.isAbleToFlush, buffered units included.
func (q *ConsumeQueue) due(leastPages int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	end, per := q.max.Load(), q.set.unitsPerFile
	return end/per > q.synced/per || end*unitSize/pageSize-q.synced*unitSize/pageSize >= leastPages
}

// targets writes out the queues that are due and lists what of them is not durable.
func (s *Set) targets(leastPages int) ([]target, error) {
	s.walking.Lock()
	defer s.walking.Unlock()
	active := s.takeActive()
	defer s.keepActive(active)
	due := dueQueues(active, leastPages)
	if err := writeOutAll(due); err != nil {
		return nil, err
	}
	targets := make([]target, 0, len(due))
	for _, q := range due {
		targets = append(targets, q.target())
	}
	return targets, nil
}

// syncTargets makes them durable, with the folders on the way to them, or all folders.
func (s *Set) syncTargets(targets []target, all bool) error {
	dirs := s.takeDirs(targets, all)
	count := len(dirs)
	for _, t := range targets {
		count += len(t.files)
	}
	if all && !s.covered {
		count = math.MaxInt // of an earlier process nobody knows the files
	}
	if err := s.makeDurable(targets, dirs, count); err != nil {
		for dir := range dirs {
			s.markDirs(dir)
		}
		return err
	}
	for _, t := range targets {
		t.done()
	}
	return nil
}

// takeDirs takes the folders whose names have to become durable, all or those
// on the way to some queues.
func (s *Set) takeDirs(targets []target, all bool) map[string]struct{} {
	s.dirs.Lock()
	defer s.dirs.Unlock()
	dirs := map[string]struct{}{}
	if all {
		dirs, s.dirs.unsynced = s.dirs.unsynced, dirs
		return dirs
	}
	for _, t := range targets {
		for _, dir := range t.q.dirs() {
			if _, ok := s.dirs.unsynced[dir]; ok {
				delete(s.dirs.unsynced, dir)
				dirs[dir] = struct{}{}
			}
		}
	}
	return dirs
}

// target lists what of q is not durable.
func (q *ConsumeQueue) target() target {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := target{q: q, written: q.written, cuts: q.cuts}
	from := q.synced
	if q.recut {
		from = min(from, q.written-1)
	}
	for at := from - from%q.set.unitsPerFile; from < q.written && at < q.written; at += q.set.unitsPerFile {
		if f := q.fileOf(at); f != nil {
			t.files = append(t.files, f)
		}
	}
	return t
}

func (t target) done() {
	q := t.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cuts == t.cuts {
		q.synced = max(q.synced, t.written)
		q.recut = false
	}
}

// makeDurable syncs files and folders one by one, or the file system by one
// call when they are many: ten thousand syncs are as many commits of its
// journal, the one call is one.
func (s *Set) makeDurable(targets []target, dirs map[string]struct{}, count int) error {
	if count > s.opts.SyncFiles {
		return s.syncFailed(s.fs.SyncAll(s.dir))
	}
	for _, t := range targets {
		for _, f := range t.files {
			if err := s.syncFile(t.q, f); err != nil {
				return err
			}
		}
	}
	for dir := range dirs {
		if err := s.syncFailed(ignoreNotExist(s.fs.SyncDir(dir))); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) syncFile(q *ConsumeQueue, f *file) error {
	h, err := q.acquire(f)
	if err != nil {
		if f.gone.Load() {
			return nil // removed meanwhile: there is nothing left to claim
		}
		return q.wrap(err)
	}
	defer s.handles.release(f)
	return s.syncFailed(h.SyncData())
}

// syncFailed makes the error of a sync final. Not to have got a descriptor is
// no failed sync.
func (s *Set) syncFailed(err error) error {
	var pe *fs.PathError
	if err == nil || errors.As(err, &pe) && pe.Op == "open" {
		return err
	}
	s.syncErr = &SyncError{err}
	return s.syncErr
}

// markerName is a file that is there while the queues have been cut and the cut
// may not be durable. It tells the next process that a file may be short, as
// Recover cuts by way of a short file, and that its first Sync(0) has to cover
// the cuts. Java takes no notice of a file beside the topics, and no topic has
// a dot.
const markerName = ".cutting"

func (s *Set) markerPath() string { return filepath.Join(s.dir, markerName) }

// setMark makes the marker durable, before the first change that it tells of.
// Called with syncing held.
func (s *Set) setMark() error {
	if s.marked {
		return nil
	}
	h, err := s.fs.OpenFile(s.markerPath(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	if err := h.Close(); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return err
	}
	s.marked = true
	return nil
}

// unmark removes the marker once all cuts are durable.
func (s *Set) unmark() error {
	if !s.marked {
		return nil
	}
	if err := vfs.RemoveIfThere(s.fs, s.markerPath()); err != nil {
		return err
	}
	s.marked = false
	return nil
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
