package index

import (
	"errors"
	"io/fs"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// OpenReadOnly takes in the files of dir as they are, in place of [Open] and [Index.Recover], and changes nothing: for
// checks and dumps of a stopped store. Only Check, Query, Files, Entries and Close may be called. A header that cannot be
// one is a [*CorruptError]. After a crash the headers may lag behind the entries.
func OpenReadOnly(fsys vfs.FS, dir string, opts *Options) (*Index, error) {
	x, err := newIndex(fsys, dir, opts)
	if err != nil {
		return nil, err
	}
	names, err := x.names()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		if err := x.load(name); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// FileInfo is what the header of an index file says.
type FileInfo struct {
	Path               string
	BeginTime, EndTime int64 // store times of the first and the last message, in Unix milliseconds
	BeginPhy, EndPhy   message.PhyOffset
	SlotsUsed          int32
	Entries            int32 // in use
}

// Entry is one key of one message.
type Entry struct {
	Number  int32 // from 1
	Hash    int32 // of topic#key
	Phy     message.PhyOffset
	Seconds int32 // of the message's store time, after the file's BeginTime
	Older   int32 // number of the next older entry of the slot, 0 for none
}

// Files lists the files, oldest first.
func (x *Index) Files() []FileInfo {
	var infos []FileInfo
	for _, f := range x.list() {
		h := f.header()
		infos = append(infos, FileInfo{
			Path: f.path, BeginTime: h.beginTime, EndTime: h.endTime,
			BeginPhy: message.PhyOffset(h.beginPhy), EndPhy: message.PhyOffset(h.endPhy), SlotsUsed: h.used, Entries: h.count - 1,
		})
	}
	return infos
}

// Entries calls fn for each entry of the i-th of Files, in the order in which they were put.
func (x *Index) Entries(i int, fn func(Entry) error) (err error) {
	f := x.list()[i]
	b, err := x.acquire(f)
	if b == nil {
		return err
	}
	defer func() { err = errors.Join(err, x.release(f)) }()
	for number := int32(1); number < f.count.Load(); number++ {
		e := decodeEntry(b[f.entryAt(number):])
		if err := fn(Entry{Number: number, Hash: e.hash, Phy: message.PhyOffset(e.phy), Seconds: e.diff, Older: e.prev}); err != nil {
			return err
		}
	}
	return nil
}
