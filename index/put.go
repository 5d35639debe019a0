package index

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// TagKeyPrefix makes a key for Query out of a tag.
const TagKeyPrefix = "T#"

// Put indexes one message: its unique key, each of its keys, which a space separates, and its tag, in
// the order of Java's IndexService.buildIndex (5.5.0; before it, tags were not indexed). Messages come
// in the order of the log; what is indexed already is left alone. It is to be called for messages
// without any of the three as well, as that moves the State on.
//
// An error means that a file could not be begun, for want of space as a rule. The same message may
// be put again, whenever; or the next one, and this one has no further entries.
func (x *Index) Put(topic, uniqKey, keys, tag []byte, off message.PhyOffset, storeTime int64) error {
	w := &x.writer
	x.complete.Store(int64(off))
	if int64(off) < w.last || len(uniqKey)+len(keys)+len(tag) == 0 {
		return nil
	}
	if int64(off) != w.last {
		w.last, w.lastKeys = int64(off), 0
	}
	x.hashKeys(topic, uniqKey, keys, tag)
	for _, hash := range w.hashes[min(w.lastKeys, len(w.hashes)):] {
		if w.active == nil || w.active.full() {
			if err := x.makeRoom(int64(off), storeTime); err != nil {
				return err
			}
		}
		w.active.put(w.bytes, hash, int64(off), storeTime)
		w.lastKeys++
	}
	if w.active != nil {
		w.active.finish(w.bytes, int64(off), storeTime)
	}
	return nil
}

// hashKeys takes the hashes of a message's keys in order. The slots of all of them come from memory
// together, as they are hit at random.
func (x *Index) hashKeys(topic, uniqKey, keys, tag []byte) {
	x.writer.hashes = x.writer.hashes[:0]
	var prefix message.Hasher
	prefix.Write(topic)
	prefix.WriteString("#")
	x.hashKey(prefix, uniqKey)
	for len(keys) > 0 {
		end := bytes.IndexByte(keys, message.KeySeparator)
		if end < 0 {
			end = len(keys)
		}
		x.hashKey(prefix, keys[:end])
		keys = keys[min(end+1, len(keys)):]
	}
	prefix.WriteString(TagKeyPrefix)
	x.hashKey(prefix, tag)
}

// hashKey takes the hash of one key, unless it is empty. What is given by h stays the caller's.
func (x *Index) hashKey(h message.Hasher, key []byte) {
	if len(key) == 0 {
		return
	}
	h.Write(key)
	w := &x.writer
	hash := keyHash(h.Sum())
	w.hashes = append(w.hashes, hash)
	if w.active != nil {
		slot := w.active.slotAt(hash)
		vfs.Prefetch(w.bytes[slot : slot+slotSize])
	}
}

// put writes an entry and then, for the readers, its slot and the count (invariant 1).
func (f *file) put(b []byte, hash int32, off, storeTime int64) {
	count := f.count.Load()
	slot := f.slotAt(hash)
	prev := loadSlot(b, slot)
	if prev <= 0 || prev >= count {
		prev = 0
		f.used.Store(f.used.Load() + 1)
	}
	e := entry{hash: hash, phy: off, diff: diffSeconds(storeTime, f.begin.Load()), prev: prev}
	e.encode(b[f.entryAt(count):])
	if count == 1 {
		// Java computes the first difference against the end of the file before.
		f.begin.Store(storeTime)
		f.beginPhy.Store(off)
		f.finish(b, off, storeTime) // no entry reaches the disk in a file without its begin
	}
	f.count.Store(count + 1)
	storeSlot(b, slot, count)
}

// finish brings the end and the header up to the entries of a message.
func (f *file) finish(b []byte, off, storeTime int64) {
	f.endPhy.Store(off)
	f.end.Store(storeTime)
	h := f.header()
	h.encode(b)
	f.settled.Store(h.count)
}

// makeRoom sees to an active file with room.
func (x *Index) makeRoom(off, storeTime int64) error {
	if files := x.list(); x.writer.active == nil && len(files) > 0 {
		// Recover may have found the disk too full to open the last file for writing.
		if last := files[len(files)-1]; !last.full() {
			return x.openForWriting(last)
		}
	}
	return x.roll(off, storeTime)
}

// roll ends the active file and begins the next one, in the middle of a message perhaps. It changes
// nothing when it fails.
func (x *Index) roll(off, storeTime int64) error {
	w := &x.writer
	h := header{count: 1}
	if w.active != nil && w.lastKeys > 0 && off == w.last {
		w.active.finish(w.bytes, off, storeTime)
	}
	if files := x.list(); len(files) > 0 {
		// As Java: a new file starts out with the end of the one before.
		last := files[len(files)-1]
		h.beginTime, h.endTime = last.end.Load(), last.end.Load()
		h.beginPhy, h.endPhy = last.endPhy.Load(), last.endPhy.Load()
	}
	f := newFile(x.layout, x.dir, x.nextName(), h)
	for err := f.create(x.fs); err != nil; err = f.create(x.fs) {
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("next index file: %w", err)
		}
		f = newFile(x.layout, x.dir, nameAfter(f.name), h)
	}
	h.encode(f.mapping.Bytes())
	w.newest = f.name

	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.dirDirty = true
	f.refs, f.dirty = 1, true
	x.setListLocked(append(slices.Clip(x.list()), f))
	old := w.active
	w.active, w.bytes = f, f.mapping.Bytes()
	if old != nil {
		return x.releaseLocked(old)
	}
	return nil
}
