package schedule

import (
	"fmt"
	"maps"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// OffsetsFile is the shape of delayOffset.json.
type OffsetsFile struct {
	DataVersion protocol.DataVersion `json:"dataVersion"`
	OffsetTable map[int32]int64      `json:"offsetTable"`
}

// Load reads how far the levels are delivered, and brings it within what the store has.
func (s *Scheduler) Load() error {
	file, err := state.Load[OffsetsFile](s.file)
	if file != nil {
		s.mu.version = file.DataVersion
		maps.Copy(s.mu.offsets, file.OffsetTable)
	}
	stale, progressErr := s.loadProgress()
	if progressErr != nil {
		s.log.Warn("progress of delayed messages cannot be read; some may be delivered again", "error", progressErr)
	}
	for level := range s.mu.offsets {
		if level < 1 || int(level) > len(s.levels) {
			continue // a level of other times: Java keeps it too
		}
		first, last := s.bounds(level)
		s.mu.offsets[level] = min(max(s.mu.offsets[level], first), last)
	}
	if stale {
		if err := s.progress.replace(s.levelOffsets()); err != nil {
			return fmt.Errorf("progress of delayed messages that a power loss took cannot be replaced: %w", err)
		}
	}
	return err
}

// loadProgress goes on from where the last process was. It is true when that is lost, and the file still speaks of it.
func (s *Scheduler) loadProgress() (stale bool, err error) {
	if s.progress == nil {
		return false, nil
	}
	offsets, stale, err := s.progress.read()
	for i, offset := range offsets {
		if level := int32(i) + 1; offset > s.mu.offsets[level] {
			s.mu.offsets[level] = offset
		}
	}
	return stale, err
}

// noteProgress says how far the levels are, to the next process.
func (s *Scheduler) noteProgress() {
	if s.progress == nil {
		return
	}
	if err := s.progress.write(s.levelOffsets()); err != nil {
		s.log.Warn("progress of delayed messages cannot be written; after a crash some may be delivered again", "error", err)
	}
}

// levelOffsets are how far the levels from 1 on are delivered.
func (s *Scheduler) levelOffsets() []int64 {
	offsets := make([]int64, len(s.levels))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range offsets {
		offsets[i] = s.mu.offsets[int32(i)+1]
	}
	return offsets
}

// offset returns how far the level is delivered.
func (s *Scheduler) offset(level int32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.offsets[level]
}

func (s *Scheduler) setOffset(level int32, offset int64) {
	s.mu.Lock()
	s.mu.offsets[level] = offset
	arm := !s.mu.dirty
	s.mu.dirty = true
	s.mu.version.Next(0, s.now().UnixMilli())
	s.mu.Unlock()
	if arm {
		s.armed()
	}
}

// State is the file.
func (s *Scheduler) State() state.File { return s.file }

// Snapshot is the file's content.
func (s *Scheduler) Snapshot() *OffsetsFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &OffsetsFile{DataVersion: s.mu.version, OffsetTable: maps.Clone(s.mu.offsets)}
}

// Rewrite writes the file whether anything changed or not.
func (s *Scheduler) Rewrite() error {
	s.mu.Lock()
	s.mu.dirty = true
	s.mu.Unlock()
	return s.Persist()
}

// Persist makes the offsets durable, after the messages that they say are delivered.
func (s *Scheduler) Persist() error {
	s.mu.Lock()
	dirty := s.mu.dirty
	s.mu.dirty = false
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	file := s.Snapshot() // before the flush, which must cover it
	err := s.store.Flush()
	if err == nil {
		err = s.file.Write(file)
	}
	if err != nil {
		s.mu.Lock()
		s.mu.dirty = true
		s.mu.Unlock()
	}
	return err
}

// Advance moves the levels to where a slave has delivered them, as far as the queues go.
func (s *Scheduler) Advance(offsets map[int32]int64) {
	for level, offset := range offsets {
		if level < 1 || int(level) > len(s.levels) {
			continue
		}
		if _, last := s.bounds(level); min(offset, last) > s.offset(level) {
			s.setOffset(level, min(offset, last))
		}
	}
}

// TakeOver makes the master's progress the slave's, which delivers nothing itself.
func (s *Scheduler) TakeOver(file *OffsetsFile) {
	s.mu.Lock()
	changed := !maps.Equal(s.mu.offsets, file.OffsetTable)
	if changed {
		s.mu.offsets, s.mu.version, s.mu.dirty = maps.Clone(file.OffsetTable), file.DataVersion, true
		if s.mu.offsets == nil {
			s.mu.offsets = map[int32]int64{}
		}
	}
	s.mu.Unlock()
	if changed {
		s.armed()
	}
}
