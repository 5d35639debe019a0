package engine

import (
	"errors"
	"hash/fnv"
	"path/filepath"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// A mark is a checkpoint without its syncs: it says how far queues and index
// are written. A kill of the process loses nothing that was written, so the next
// open dispatches from the mark on, and what it costs depends neither on the
// store's size nor on how much was not yet synced.

const (
	markName = "mark"
	// markShare bounds what marks cost: after one that took t nothing is done
	// for so many t.
	markShare = 20
)

// marker makes the marks.
type marker struct {
	cache uint64 // hash of the page cache's name, 0 when that is not known
	due   chan struct{}
	busy  sync.Mutex // of one who makes a mark, or takes it back

	mu      sync.Mutex // held while the file is written, or read by a scrub
	written []byte     // what the last mark wrote, nil while there is none of this process
}

// cacheHash shortens the name of a page cache, 0 if there is none.
func cacheHash(id string) uint64 {
	if id == "" {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// runMark makes a mark whenever enough was dispatched.
func (s *Store) runMark() {
	defer s.running.Done()
	for {
		select {
		case <-s.closing:
			return
		case <-s.marks.due:
		}
		began := time.Now()
		if err := s.mark(); err != nil {
			s.opts.Listener.Background("mark", err)
		}
		select {
		case <-s.closing:
			return
		case <-time.After(markShare * time.Since(began)):
		}
	}
}

// mark writes out what queues buffer and then how far they and the index are.
func (s *Store) mark() error {
	if s.marks.cache == 0 {
		return nil
	}
	s.marks.busy.Lock()
	defer s.marks.busy.Unlock()
	s.progress.Lock()
	w := waymark{queues: s.progress.reput, queueUnits: s.progress.units, cache: s.marks.cache}
	s.progress.Unlock()
	if s.index != nil {
		w.index = s.index.Mark()
	}
	if err := s.queues.WriteOut(); err != nil {
		return err
	}
	var err error
	if w.seal, err = s.log.SealAt(w.queues); err != nil {
		return err
	}
	return s.writeMark(w.encode())
}

// writeMark makes content that of the mark's file. What is left of one that
// was not written whole is removed: nothing needs a mark, and a later check
// could not tell it from a damage.
func (s *Store) writeMark(content []byte) error {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	err := s.writeInPlace(markName, content, func(vfs.File) error { return nil })
	if err != nil {
		s.marks.written = nil
		return errors.Join(err, vfs.RemoveIfThere(s.fs, filepath.Join(s.dir, markName)))
	}
	s.marks.written = content
	return nil
}

// readMark returns the last mark, if it holds.
func (s *Store) readMark() (waymark, bool) {
	b, err := vfs.ReadFile(s.fs, filepath.Join(s.dir, markName))
	if err != nil {
		return waymark{}, false
	}
	w, err := decodeWaymark(b)
	cache := cacheHash(s.fs.CacheID(s.dir))
	return w, err == nil && cache != 0 && w.cache == cache && s.log.Holds(w.seal)
}
