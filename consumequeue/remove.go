package consumequeue

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// droppedSuffix marks the folder of a queue that is being removed. Neither we
// nor Java take such a name for a queue.
const droppedSuffix = ".dropped"

func isDropped(name string) bool { return strings.HasSuffix(name, droppedSuffix) }

// DropQueue removes a queue and its files, so that it can be built anew. It is
// gone at once and for good even after a power loss, never in parts.
func (s *Set) DropQueue(key Key) error {
	defer s.alone()()
	return s.dropQueue(key)
}

func (s *Set) dropQueue(key Key) error {
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	if q := s.Queue(key.Topic, key.QueueID); q != nil {
		defer s.remove(q)
		for _, f := range q.retire() {
			s.handles.drop(f)
		}
	}
	return s.removeFolder(key)
}

// removeFolder removes the folder of a queue: first its name, which is one
// change for the file system, then the files.
func (s *Set) removeFolder(key Key) error {
	topic := filepath.Join(s.dir, key.Topic)
	dir := filepath.Join(topic, strconv.Itoa(int(key.QueueID)))
	dropped := dir + droppedSuffix
	if err := s.fs.RemoveAll(dropped); err != nil { // of an attempt that failed
		return err
	}
	switch err := s.fs.Rename(dir, dropped); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if err := s.fs.SyncDir(topic); err != nil {
		return err
	}
	return s.fs.RemoveAll(dropped)
}

// DeleteTopic removes all queues of a topic and their files.
func (s *Set) DeleteTopic(topic string) error {
	defer s.alone()()
	if !validTopic(topic) {
		return ErrBadTopic
	}
	for _, q := range s.TopicQueues(topic) {
		if err := s.dropQueue(q.key); err != nil {
			return q.wrap(err)
		}
	}
	dir := filepath.Join(s.dir, topic)
	entries, err := s.fs.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return ignoreNotExist(err) // what is not ours stays
	}
	if err := vfs.RemoveIfThere(s.fs, dir); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}
