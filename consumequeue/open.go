package consumequeue

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Open lists the queues below dir, which it makes if needed, and the sizes of
// their files. Nothing can be read or appended before Recover. A file of a
// wrong size is a *CorruptError, see Options.OnDamage.
func Open(fsys vfs.FS, dir string, opts *Options) (*Set, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Set{fs: fsys, dir: dir, opts: o, fileSize: int64(o.FileSize), openFlag: os.O_RDWR}
	s.unitsPerFile = s.fileSize / unitSize
	s.handles.limit = o.OpenFiles
	s.mu.topics = map[string]*topicQueues{}
	s.dirs.unsynced = map[string]struct{}{}
	s.logMin.Store(math.MinInt64)
	s.setTailUnits()
	if o.ReadOnly {
		s.openFlag = os.O_RDONLY
	} else if err := s.makeDir(); err != nil {
		return nil, fmt.Errorf("consumequeue: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("consumequeue: %w", err)
	}
	return s, nil
}

func (s *Set) makeDir() error {
	if _, err := s.fs.Stat(s.dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.fs.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	return s.fs.SyncDir(filepath.Dir(s.dir))
}

// listing is the files of one queue's folder.
type listing struct {
	key   Key
	files []listedFile // ascending
}

type listedFile struct {
	start int64 // byte of the queue, from the name
	size  int64
}

// loadedQueue is a queue whose files wait for Recover.
type loadedQueue struct {
	q     *ConsumeQueue
	files []listedFile
}

func (s *Set) load() error {
	_, err := s.fs.Stat(s.markerPath())
	s.marked = err == nil
	s.covered = !s.marked
	if ignoreNotExist(err) != nil {
		return err
	}
	topics, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	keys, err := s.listTopics(topics)
	if err != nil {
		return err
	}
	found := make([]listing, len(keys))
	err = s.parallel(len(keys), func(i int) (err error) {
		found[i], err = s.listQueue(keys[i])
		return err
	})
	if err != nil {
		return err
	}
	if err := s.checkFileSize(found); err != nil {
		return err
	}
	for _, l := range found {
		if err := s.addListed(l); err != nil {
			return err
		}
	}
	return nil
}

// parallel calls fn for 0..n-1 from a few goroutines and returns the first
// error, after which no further call is made.
func (s *Set) parallel(n int, fn func(i int) error) error {
	var (
		next   atomic.Int64
		failed atomic.Pointer[error]
		done   sync.WaitGroup
	)
	for range min(n, s.opts.Workers) {
		done.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := fn(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	done.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// listTopics lists the queue folders of all topics, in order.
func (s *Set) listTopics(topics []os.DirEntry) ([]Key, error) {
	perTopic := make([][]Key, len(topics))
	err := s.parallel(len(topics), func(i int) (err error) {
		perTopic[i], err = s.listTopic(topics[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat(perTopic...), nil
}

func (s *Set) listTopic(topic os.DirEntry) (keys []Key, err error) {
	dir := filepath.Join(s.dir, topic.Name())
	if !topic.IsDir() {
		if topic.Name() != markerName {
			s.addStray(dir)
		}
		return nil, nil
	}
	entries, err := s.fs.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		id, ok := parseQueueID(e.Name())
		switch {
		case ok && e.IsDir():
			keys = append(keys, Key{topic.Name(), id})
		case e.IsDir() && isDropped(e.Name()) && !s.opts.ReadOnly:
			if err := s.fs.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		default:
			s.addStray(filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.QueueID, b.QueueID) })
	return keys, nil
}

func (s *Set) listQueue(key Key) (listing, error) {
	l := listing{key: key}
	dir := filepath.Join(s.dir, key.Topic, strconv.Itoa(int(key.QueueID)))
	entries, err := s.fs.ReadDir(dir)
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		start, ok := parseFileName(e.Name())
		if !ok || !e.Type().IsRegular() {
			s.addStray(filepath.Join(dir, e.Name()))
			continue
		}
		info, err := e.Info()
		if err != nil {
			return l, err
		}
		l.files = append(l.files, listedFile{start, info.Size()})
	}
	return l, nil
}

// checkFileSize tells a store of another file size, where nothing is damaged
// and nothing may be dropped, from a store with a damaged file.
func (s *Set) checkFileSize(found []listing) error {
	var other *CorruptError
	count, size := 0, int64(0)
	for _, l := range found {
		for _, f := range l.files {
			if f.size == s.fileSize || count > 0 && f.size != size {
				return nil
			}
			count, size = count+1, f.size
			other = s.fileError(l.key, f, 0, fmt.Sprintf(
				"all files have %d bytes, the option FileSize says %d", size, s.fileSize))
		}
	}
	if count < 2 || size == 0 || size%unitSize != 0 || s.marked {
		return nil
	}
	return other
}

// fileError is the error for a byte of a file that no queue has taken in yet.
func (s *Set) fileError(key Key, f listedFile, at int64, reason string) *CorruptError {
	name := append([]byte(filepath.Join(s.dir, key.String())), filepath.Separator)
	return &CorruptError{Key: key, File: string(appendFileName(name, f.start)), Offset: at, Reason: reason}
}

// addListed adds a queue, or deals with it as damaged.
func (s *Set) addListed(l listing) error {
	for _, f := range l.files {
		if reason := s.impossible(f); reason != "" {
			return s.damaged(nil, s.fileError(l.key, f, f.size, reason))
		}
	}
	s.loaded = append(s.loaded, loadedQueue{s.add(l.key.Topic, l.key.QueueID, queueLoaded), l.files})
	return nil
}

// impossible says what about a file no crash of ours explains. An empty file
// was created and not synced. A short one is explained by a cut that did not
// come to its end.
func (s *Set) impossible(f listedFile) string {
	switch {
	case f.start%s.fileSize != 0 || f.start/unitSize > maxQueueOffset:
		return fmt.Sprintf("starts at %d, which no file of %d bytes does", f.start, s.fileSize)
	case f.size == s.fileSize || f.size == 0:
		return ""
	case f.size < s.fileSize && f.size%unitSize == 0 && s.marked:
		return ""
	}
	return fmt.Sprintf("file has %d bytes, not %d", f.size, s.fileSize)
}

// damaged reports a damaged queue and drops it, or returns the damage. q is nil
// when the queue was not taken in.
func (s *Set) damaged(q *ConsumeQueue, err *CorruptError) error {
	if s.opts.OnDamage == nil {
		return err
	}
	s.opts.OnDamage(err)
	if q != nil {
		q.retire()
		s.remove(q)
	}
	if s.opts.ReadOnly {
		return nil
	}
	return s.removeFolder(err.Key)
}
