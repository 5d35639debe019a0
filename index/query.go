package index

import (
	"errors"
	"runtime/debug"
	"slices"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Result is the answer to a query.
type Result struct {
	// Offsets are the messages found, newest first.
	Offsets []message.PhyOffset
	// LastUpdateTime and LastUpdatePhy are of the newest message indexed at all.
	LastUpdateTime int64
	LastUpdatePhy  message.PhyOffset
}

// Query finds at most max messages of topic whose unique key or one of whose keys is key, or has the
// hash of it, stored between begin and end, inclusive, in Unix milliseconds. Times are compared by
// whole seconds, as Java's IndexService.queryOffset does, so up to a second before begin is missed at
// the edge and up to a second after end comes along.
func (x *Index) Query(topic, key string, max int, begin, end int64) (Result, error) {
	var res Result
	files := x.list()
	if len(files) == 0 {
		return res, nil
	}
	newest := files[len(files)-1]
	res.LastUpdateTime = newest.end.Load()
	res.LastUpdatePhy = message.PhyOffset(newest.endPhy.Load())
	var h message.Hasher
	h.WriteString(topic)
	h.WriteString("#")
	h.WriteString(key)
	hash := keyHash(h.Sum())
	for _, f := range slices.Backward(files) {
		if len(res.Offsets) >= max {
			break
		}
		fileBegin, fileEnd := f.begin.Load(), f.end.Load()
		if begin <= fileEnd && end >= fileBegin {
			if err := x.queryFile(f, hash, max, begin, end, &res); err != nil {
				return res, err
			}
		}
		if fileBegin < begin {
			break
		}
	}
	return res, nil
}

func (x *Index) queryFile(f *file, hash int32, max int, begin, end int64, res *Result) error {
	b, err := x.acquire(f)
	if b == nil {
		return err
	}
	err = errors.Join(err, f.findGuarded(b, hash, max, begin, end, res))
	return errors.Join(err, x.release(f))
}

// findGuarded is find where a page that cannot be had is an error.
func (f *file) findGuarded(b []byte, hash int32, max int, begin, end int64, res *Result) (err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	f.find(b, hash, max, begin, end, res)
	return nil
}

// find follows the chain of a hash. As each entry must name a lower one, bytes that are damaged end
// the chain and never make a ring of it.
func (f *file) find(b []byte, hash int32, max int, begin, end int64, res *Result) {
	number := loadSlot(b, f.slotAt(hash))
	fileBegin := f.begin.Load()
	for below := f.count.Load(); number > 0 && number < below && len(res.Offsets) < max; {
		e := decodeEntry(b[f.entryAt(number):])
		if e.diff < 0 {
			return
		}
		stored := fileBegin + int64(e.diff)*1000
		if e.hash == hash && stored >= begin && stored <= end {
			res.add(message.PhyOffset(e.phy))
		}
		if stored < begin {
			return
		}
		below, number = number, e.prev
	}
}

// add appends an offset unless it is the one before: a message whose keys have one hash, and one that
// Java indexed again after a crash, count once.
func (r *Result) add(off message.PhyOffset) {
	if n := len(r.Offsets); n == 0 || r.Offsets[n-1] != off {
		r.Offsets = append(r.Offsets, off)
	}
}
