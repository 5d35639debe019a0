package index

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"

	"github.com/rocketlog/rocketlog/message"
)

// State tells what of an index is on disk for certain. Sync returns it; the engine keeps it in a file
// that Java ignores, and gives it to Recover.
type State struct {
	// File is the last file, empty when there was none.
	File string
	// Count is the number of the next entry of File: all entries below it are on disk.
	Count int32
	// Used is the number of slots of File in use, at least; 0 when not known. It only saves work.
	Used int32
	// Durable: every message below this offset is indexed, on disk.
	Durable message.PhyOffset
	// EndTime is the store time of the last entry's message, in Unix milliseconds.
	EndTime int64
	// SealedTime is the store time at which the newest full file ends, all of which is on disk, in Unix
	// milliseconds: what a checkpoint may tell Java as indexMsgTimestamp. 0 when there is none.
	SealedTime int64
}

// IsZero tells whether nothing is known.
func (s State) IsZero() bool { return s == State{} }

// The bytes of a State, big-endian:
//
//	 0 ┌─────────────────────────────────┬────────────┬───────────────┬───────────────┐
//	   │ file name, zeros when none 17 B │ zeros  3 B │ count     i32 │ used      i32 │
//	28 ├─────────────────────────────────┼────────────┴───────────────┴───────────────┘
//	   │ durable                     i64 │
//	36 ├─────────────────────────────────┼────────────────────────────┬───────────────┐
//	   │ end time, ms                i64 │ sealed time, ms        i64 │ CRC-32    u32 │
//	   └─────────────────────────────────┴────────────────────────────┴───────────────┘
//
// The CRC-32 is that of all before it.
const (
	posStateCount   = 20
	posStateUsed    = 24
	posStateDurable = 28
	posStateEndTime = 36
	posStateSealed  = 44
	posStateCRC     = 52

	// StateSize is the number of bytes of an encoded State.
	StateSize = 56
)

var _ = [1]struct{}{}[StateSize-posStateCRC-4]

// ErrState says that bytes are no State.
var ErrState = errors.New("index: bytes are no state")

// Append appends the State's bytes.
func (s State) Append(dst []byte) []byte {
	var b [StateSize]byte
	copy(b[:nameLen], s.File)
	binary.BigEndian.PutUint32(b[posStateCount:], uint32(s.Count))
	binary.BigEndian.PutUint32(b[posStateUsed:], uint32(s.Used))
	binary.BigEndian.PutUint64(b[posStateDurable:], uint64(s.Durable))
	binary.BigEndian.PutUint64(b[posStateEndTime:], uint64(s.EndTime))
	binary.BigEndian.PutUint64(b[posStateSealed:], uint64(s.SealedTime))
	binary.BigEndian.PutUint32(b[posStateCRC:], crc32.ChecksumIEEE(b[:posStateCRC]))
	return append(dst, b[:]...)
}

// ParseState reads what Append wrote. The error is [ErrState].
func ParseState(b []byte) (State, error) {
	if len(b) != StateSize || crc32.ChecksumIEEE(b[:posStateCRC]) != binary.BigEndian.Uint32(b[posStateCRC:]) {
		return State{}, ErrState
	}
	s := State{
		File:    strings.TrimRight(string(b[:nameLen]), "\x00"),
		Count:   int32(binary.BigEndian.Uint32(b[posStateCount:])),
		Used:    int32(binary.BigEndian.Uint32(b[posStateUsed:])),
		Durable: message.PhyOffset(binary.BigEndian.Uint64(b[posStateDurable:])),
		EndTime: int64(binary.BigEndian.Uint64(b[posStateEndTime:])),

		SealedTime: int64(binary.BigEndian.Uint64(b[posStateSealed:])),
	}
	if s.Count < 0 || s.Used < 0 || s.Durable < 0 || s.File != "" && !isName(s.File) {
		return State{}, ErrState
	}
	return s, nil
}

// Sync makes durable what was put before it was called, while Put goes on, and returns the State that
// this makes true. After an error no State can be trusted any more, and every further Sync fails.
func (x *Index) Sync() (State, error) {
	s := &x.syncing
	s.Lock()
	defer s.Unlock()
	if s.err != nil {
		return State{}, s.err
	}
	st, dirty, dir, err := x.beginSync()
	if err != nil {
		return State{}, err
	}
	for _, d := range dirty {
		if s.err == nil {
			s.err = d.file.handle.SyncData()
		}
	}
	if dir && s.err == nil {
		s.err = x.fs.SyncDir(x.dir)
	}
	if err := x.endSync(dirty, s.err == nil); err != nil {
		return State{}, err
	}
	if s.err != nil {
		return State{}, s.err
	}
	return st, nil
}

// Mark returns what a Sync would make true, without syncing: it holds for one who
// knows that nothing was lost of what was written.
func (x *Index) Mark() State {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.markLocked(message.PhyOffset(x.complete.Load()))
}

// markLocked needs the offset to be read before the counts. It counts whole messages only: behind the
// settled count a slot may not name its entry yet.
func (x *Index) markLocked(complete message.PhyOffset) State {
	st := State{Durable: complete}
	files := x.list()
	for i, f := range files {
		count := f.settled.Load()
		if count >= f.entries {
			st.SealedTime = f.end.Load()
		}
		if i == len(files)-1 {
			st.File, st.Count = f.name, count
			st.Used, st.EndTime = f.used.Load(), f.end.Load()
		}
	}
	return st
}

// dirtyFile is a file that a sync is to write.
type dirtyFile struct {
	file   *file
	count  int32 // what the sync will cover
	sealed bool  // no longer written when the sync began
}

// beginSync takes down what a sync will have made durable, and holds the files it needs.
func (x *Index) beginSync() (st State, dirty []dirtyFile, dir bool, err error) {
	// The order of reading makes the State safe while Put goes on: the entries counted are those of
	// the complete messages and perhaps more; the slots in use are those of the entries and perhaps more.
	complete := message.PhyOffset(x.complete.Load())
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.mu.closed {
		return State{}, nil, false, ErrClosed
	}
	st = x.markLocked(complete)
	for _, f := range x.list() {
		count := f.settled.Load()
		if !f.dirty || count == f.synced {
			continue
		}
		if f.mapping == nil { // taken in by Recover
			if err := f.open(x.fs, false); err != nil {
				for _, d := range dirty {
					err = errors.Join(err, x.releaseLocked(d.file))
				}
				return State{}, nil, false, err
			}
		}
		f.refs++
		dirty = append(dirty, dirtyFile{f, count, f != x.writer.active})
	}
	dir, x.mu.dirDirty = x.mu.dirDirty, false
	return st, dirty, dir, nil
}

// endSync gives the files back.
func (x *Index) endSync(dirty []dirtyFile, ok bool) (err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, d := range dirty {
		if ok {
			d.file.synced = d.count
			d.file.dirty = d.file.dirty && !d.sealed
		}
		err = errors.Join(err, x.releaseLocked(d.file))
	}
	return err
}
