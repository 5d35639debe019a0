package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// TagKeyPrefix makes a key for Query out of a tag.
const TagKeyPrefix = "T#"

// Keys are what the index keeps of a message's keys. They may be used again for another message.
type Keys struct{ places []keyPlace }

// keyPlace is a key of a message: its hash, and its slot, which is the same in all files.
type keyPlace struct {
	hash int32
	slot int // position
}

// Prepare takes down what Put is to index of one message: its unique key, each of its keys, which a space separates, and its
// tag, in the order of Java's IndexService.buildIndex (5.5.0; before it, tags were not indexed). It may be done some messages
// ahead: it takes the hashes, and has their slots, which are hit at random, on their way from memory.
func (x *Index) Prepare(k *Keys, topic, uniqKey, keys, tag []byte) {
	places := k.places[:0]
	w := &x.writer
	if string(topic) != string(w.topic) || w.topic == nil {
		x.setTopic(topic)
	}
	if len(uniqKey) > 0 {
		places = append(places, x.place(w.prefix, uniqKey))
	}
	for len(keys) > 0 {
		end := bytes.IndexByte(keys, message.KeySeparator)
		if end < 0 {
			end = len(keys)
		}
		if end > 0 {
			places = append(places, x.place(w.prefix, keys[:end]))
		}
		keys = keys[min(end+1, len(keys)):]
	}
	if len(tag) > 0 {
		places = append(places, x.place(w.tags, tag))
	}
	k.places = places
}

// setTopic takes the hash of what the keys of a topic begin with.
func (x *Index) setTopic(topic []byte) {
	w := &x.writer
	w.topic, w.prefix = append(w.topic[:0], topic...), message.Hasher{}
	w.prefix.Write(topic)
	w.prefix.WriteString("#")
	w.tags = w.prefix
	w.tags.WriteString(TagKeyPrefix)
}

// place returns the place of a key, of which h is the hash of what comes before.
func (x *Index) place(h message.Hasher, key []byte) keyPlace {
	h.Write(key)
	hash := keyHash(h.Sum())
	slot := x.slotAt(hash)
	if b := x.writer.bytes; slot < len(b) {
		vfs.PrefetchLine(&b[slot])
	}
	return keyPlace{hash, slot}
}

// Put indexes the message at off, whose keys are prepared. Messages come in the order of the log; what is indexed already is
// left alone. It is to be called for messages without any keys as well, as that moves the State on. Settle does the rest.
//
// An error means that a file could not be begun, for want of space as a rule. The same message may
// be put again, whenever; or the next one, and this one has no further entries.
func (x *Index) Put(k *Keys, off message.PhyOffset, storeTime int64) error {
	w := &x.writer
	w.begun = int64(off)
	if int64(off) < w.last || len(k.places) == 0 {
		return nil
	}
	if int64(off) != w.last {
		w.last, w.lastKeys = int64(off), 0
	}
	for w.lastKeys < len(k.places) {
		if w.active == nil || w.active.full() {
			if err := x.makeRoom(int64(off), storeTime); err != nil {
				return err
			}
		}
		n, fresh := w.active.put(w.bytes, k.places[w.lastKeys:], int64(off), storeTime)
		w.lastKeys += n
		w.ends.fresh += fresh
	}
	if w.active != nil {
		w.ends.to(int64(off), storeTime)
	}
	return nil
}

// Settle brings up to the messages put what is told of many together: the header, where the file ends for queries by
// time, and what States say. The entries themselves are found as soon as they are put.
func (x *Index) Settle() {
	w := &x.writer
	x.settleFile()
	if w.begun >= 0 {
		x.complete.Store(w.begun)
		w.begun = -1
	}
}

func (x *Index) settleFile() {
	w := &x.writer
	if w.ends.moved {
		w.active.finish(w.bytes, w.ends)
		w.ends = ends{}
		x.heatSlots()
	}
}

// ends is what the active file's header does not tell yet of the messages put.
type ends struct {
	moved     bool // there are any
	phy, time int64
	fresh     int32 // slots that came into use
}

func (e *ends) to(phy, time int64) { e.phy, e.time, e.moved = phy, time, true }

// keysAtOnce is how many entries are written before the readers are told of them: keys of one slot are found by comparing
// each with those before it.
const keysAtOnce = 8

// put writes entries of a message, as many as there is room for but a few at most, and then, for the
// readers, the count and their slots (invariant 1). It returns how many, and how many slots were empty before.
func (f *file) put(b []byte, keys []keyPlace, off, storeTime int64) (n int, fresh int32) {
	count := f.count.Load()
	n = min(len(keys), keysAtOnce, int(f.entries-count))
	if count == 1 {
		n = 1 // the others are counted from its time
	}
	keys = keys[:n]
	at := f.entryAt(count)
	entries := b[at : at+n*entrySize]
	if at+len(entries) > f.heated {
		f.heat(at + len(entries))
	}
	diff := diffSeconds(storeTime, f.begin.Load())
	for i := range keys {
		k := &keys[i]
		prev := f.prevOf(b, keys[:i], k.slot, count)
		if prev == 0 {
			fresh++
		}
		e := entry{hash: k.hash, phy: off, diff: diff, prev: prev}
		e.encode(entries[i*entrySize:])
	}
	if count == 1 {
		// Java computes the first difference against the end of the file before.
		f.begin.Store(storeTime)
		f.beginPhy.Store(off)
		h := f.header()
		h.encode(b) // no entry reaches the disk in a file without its begin
		f.finish(b, ends{phy: off, time: storeTime})
	}
	f.tell(b, keys, count)
	return n, fresh
}

// prevOf is the entry that the next one of a slot names: one of the same message, which the slot does not tell
// yet, or that of the slot; 0 for none. Entries below count are told.
func (f *file) prevOf(b []byte, before []keyPlace, slot int, count int32) int32 {
	for i := len(before) - 1; i >= 0; i-- {
		if before[i].slot == slot {
			return count + int32(i)
		}
	}
	prev := int32(binary.BigEndian.Uint32(b[slot:])) // nobody else writes it
	if prev <= 0 || prev >= count {
		return 0
	}
	return prev
}

// finish brings the end and the header up to the entries put.
func (f *file) finish(b []byte, e ends) {
	f.endPhy.Store(e.phy)
	f.end.Store(e.time)
	count, used := f.count.Load(), f.used.Load()+e.fresh
	f.used.Store(used)
	encodeEnd(b, e.time, e.phy, used, count)
	f.settled.Store(count)
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
		w.ends.to(off, storeTime)
	}
	x.settleFile()
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
