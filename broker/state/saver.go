package state

import (
	"sync"
	"time"
)

// A Saver writes one state file on behalf of many: callers that come while a write is under way share the next one. After
// a write it rests for as long as the write took, up to restMax, so that of a flood of changes to a large table more share
// one; who comes to a saver at rest since longer waits for nothing but the write.
type Saver struct {
	File     File
	snapshot func() any // called without the saver's lock

	mu struct {
		sync.Mutex
		running bool
		asked   uint64    // tickets given out
		done    uint64    // every ticket up to here is on disk, or its write failed with err
		rest    time.Time // until when no write begins
		err     error
	}
	cond sync.Cond
}

// restMax bounds the rest after a write.
const restMax = 100 * time.Millisecond

// NewSaver returns one that writes what snapshot gives.
func NewSaver(file File, snapshot func() any) *Saver {
	s := &Saver{File: file, snapshot: snapshot}
	s.cond.L = &s.mu
	return s
}

// SaveDirty saves if *dirty, which mu guards, and leaves it as it was when that fails.
func (s *Saver) SaveDirty(mu sync.Locker, dirty *bool) error {
	mu.Lock()
	was := *dirty
	*dirty = false
	mu.Unlock()
	if !was {
		return nil
	}
	err := s.Save()
	if err != nil {
		mu.Lock()
		*dirty = true
		mu.Unlock()
	}
	return err
}

// Save returns once what the state was when save was called is durable, or could not be made so.
func (s *Saver) Save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.asked++
	ticket := s.mu.asked
	for s.mu.done < ticket {
		if s.mu.running {
			s.cond.Wait()
			continue
		}
		s.mu.running = true
		if rest := time.Until(s.mu.rest); rest > 0 {
			s.mu.Unlock()
			time.Sleep(rest)
			s.mu.Lock()
		}
		upTo := s.mu.asked
		s.mu.Unlock()
		began := time.Now()
		err := s.File.Write(s.snapshot())
		ended := time.Now()
		s.mu.Lock()
		s.mu.running, s.mu.done, s.mu.err = false, upTo, err
		s.mu.rest = ended.Add(min(ended.Sub(began), restMax))
		s.cond.Broadcast()
	}
	return s.mu.err
}
