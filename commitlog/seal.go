package commitlog

import (
	"runtime/debug"

	"github.com/cespare/xxhash/v2"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Seal names a prefix of the log that is on disk, by its end and a hash of its
// last bytes. A log that still has the seal's bytes at that place is the same
// log up to there, since a log only grows.
type Seal struct {
	End  message.PhyOffset
	Hash uint64
}

// sealBytes is how many bytes before the end are hashed, fewer at a file's
// start.
const sealBytes = 16 << 10

// Seal returns the seal of the flushed prefix.
func (l *CommitLog) Seal() (Seal, error) { return l.SealAt(l.FlushedOffset()) }

// SealAt returns the seal of the prefix that ends at end, the end of a record
// that can be read.
func (l *CommitLog) SealAt(end message.PhyOffset) (Seal, error) {
	hash, _, err := l.hashBefore(end)
	return Seal{End: end, Hash: hash}, err
}

// Holds tells whether the log has the prefix that s names.
func (l *CommitLog) Holds(s Seal) bool {
	if s.End < l.MinOffset() || s.End > l.MaxOffset() {
		return false
	}
	hash, ok, err := l.hashBefore(s.End)
	return err == nil && ok && hash == s.Hash
}

func (l *CommitLog) hashBefore(end message.PhyOffset) (hash uint64, ok bool, err error) {
	if end <= l.MinOffset() {
		return xxhash.Sum64(nil), true, nil
	}
	start := l.NextFile(end-1) - message.PhyOffset(l.FileSize())
	from := max(start, end-sealBytes)
	ref, ok, err := l.Read(from)
	if err != nil || !ok {
		return 0, false, err
	}
	defer ref.Release()
	if int64(len(ref.Bytes())) < int64(end-from) {
		return 0, false, nil
	}
	hash, err = sum(ref.Bytes()[:end-from])
	return hash, err == nil, err
}

func sum(mapped []byte) (hash uint64, err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	return xxhash.Sum64(mapped), nil
}
