package timer

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"sync"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// wheel is the file of the slots (Java's TimerWheel), mapped. It is made with the first slot that is put, so that a store
// without timers has none.
//
// A bitmap beside it says which slots may hold what is not delivered, so that the next one is found without reading
// millions. Times are in precisions.
type wheel struct {
	fs    vfs.FS
	path  string
	total int64 // slots

	mu struct {
		sync.Mutex
		file    vfs.File
		mapping vfs.Mapping
		data    []byte   // nil without a file
		used    []uint64 // a bit a slot
	}
}

func openWheel(fsys vfs.FS, path string, total int64) (*wheel, error) {
	w := &wheel{fs: fsys, path: path, total: total}
	w.mu.used = make([]uint64, (total+63)/64)
	info, err := fsys.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w, nil
	case err != nil:
		return nil, err
	case info.Size() != 0 && info.Size() != w.size():
		return nil, fmt.Errorf("%s: size is %d bytes, want %d: it is not a timer wheel of this broker", path, info.Size(), w.size())
	}
	return w, w.mapFile(false)
}

func (w *wheel) size() int64 { return w.total * slotSize }

// exists tells whether there is a file.
func (w *wheel) exists() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.data != nil
}

// mapFile opens the file with all its space, as a full disk would turn into a fault otherwise.
func (w *wheel) mapFile(create bool) error {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := w.fs.OpenFile(w.path, flag, 0o644)
	if err != nil {
		return err
	}
	if err = f.Allocate(0, w.size()); err == nil {
		var m vfs.Mapping
		if m, err = f.Map(0, int(w.size()), true); err == nil {
			w.mu.file, w.mu.mapping, w.mu.data = f, m, m.Bytes()
			return nil
		}
	}
	return errors.Join(err, f.Close())
}

func (w *wheel) at(time int64) []byte {
	i := time % w.total * slotSize
	return w.mu.data[i : i+slotSize : i+slotSize]
}

// get returns the slot of a time; ok is false when it is empty.
func (w *wheel) get(time int64) (s slot, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.data == nil {
		return slot{}, false
	}
	s = decodeSlot(w.at(time))
	return s, s.time == time && time > 0
}

// put sets the slot of its time.
func (w *wheel) put(s slot) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.data == nil {
		if err := w.mapFile(true); err != nil {
			return err
		}
	}
	s.encode(w.at(s.time))
	w.mark(s.time, true)
	return nil
}

func (w *wheel) mark(time int64, used bool) {
	i := time % w.total
	if used {
		w.mu.used[i/64] |= 1 << (i % 64)
	} else {
		w.mu.used[i/64] &^= 1 << (i % 64)
	}
}

// done forgets that the slot of a time is used; its bytes stay, as Java's do.
func (w *wheel) done(time int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mark(time, false)
}

// clear empties the slots of the times from, below to.
func (w *wheel) clear(from, to int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.data == nil {
		return
	}
	for t := from; t < to && t < from+w.total; t++ {
		if b := w.at(t); decodeSlot(b).time == t {
			clear(b)
			w.mark(t, false)
		}
	}
}

// nextUsed returns the first place from one on that usedAt may find used, below end.
func (w *wheel) nextUsed(place, end int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for place < end {
		word := w.mu.used[place/64] >> (place % 64)
		if word != 0 {
			return min(place+int64(bits.TrailingZeros64(word)), end)
		}
		place += 64 - place%64
	}
	return end
}

// usedAt returns the slot at a place of the wheel, if it may hold what is not delivered.
func (w *wheel) usedAt(place int64) (s slot, used bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.data == nil || w.mu.used[place/64]&(1<<(place%64)) == 0 {
		return slot{}, false
	}
	return decodeSlot(w.at(place)), true
}

// empty empties the slot of a time, whatever it holds.
func (w *wheel) empty(time int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.data != nil {
		clear(w.at(time))
		w.mark(time, false)
	}
}

// next returns the first used time from from on, below to.
func (w *wheel) next(from, to int64) (time int64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.data == nil {
		return 0, false
	}
	to = min(to, from+w.total)
	for t := from; t < to; {
		i := t % w.total
		word := w.mu.used[i/64] >> (i % 64)
		if word == 0 {
			t += min(64-i%64, w.total-i)
			continue
		}
		if skip := int64(bits.TrailingZeros64(word)); skip > 0 {
			t += skip
			continue
		}
		if decodeSlot(w.at(t)).time == t {
			return t, true
		}
		t++ // of a later round
	}
	return 0, false
}

// each calls visit with every slot that holds its own time and one of the times from from on for one round. It keeps what
// visit returns; a slot with the time 0 is an empty one. One that holds a time that is none of its is emptied, and misplaced,
// if not nil, called with it and the time that it stands for.
func (w *wheel) each(from int64, visit func(slot) slot, misplaced func(time int64, s slot)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := int64(0); i < int64(len(w.mu.data))/slotSize; i++ {
		if i%64 == 0 && empty(w.mu.data[i*slotSize:min((i+64)*slotSize, int64(len(w.mu.data)))]) {
			i += 63 // most are
			continue
		}
		b := w.mu.data[i*slotSize : (i+1)*slotSize]
		s := decodeSlot(b)
		if s.time%w.total != i && s.time != 0 && misplaced != nil {
			clear(b)
			misplaced(from+(i-from%w.total+w.total)%w.total, s)
		}
		if s.time < from || s.time >= from+w.total || s.time%w.total != i || s.time == 0 {
			continue
		}
		changed := visit(s)
		if changed != s {
			changed.encode(b)
		}
		w.mark(i, changed.time != 0)
	}
}

// pending counts the messages of the slots from from on, as the slots count them.
func (w *wheel) pending(from int64) (num int64) {
	for t, ok := w.next(from, from+w.total); ok; t, ok = w.next(t+1, from+w.total) {
		if s, ok := w.get(t); ok {
			num += int64(s.num)
		}
	}
	return max(num, 0)
}

// sync makes the slots durable.
func (w *wheel) sync() error {
	w.mu.Lock()
	m := w.mu.mapping
	w.mu.Unlock()
	if m == nil {
		return nil
	}
	return m.Sync(0, int(w.size()))
}

func (w *wheel) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.data == nil {
		return nil
	}
	err := errors.Join(w.mu.mapping.Unmap(), w.mu.file.Close())
	w.mu.data, w.mu.mapping, w.mu.file = nil, nil, nil
	return err
}
