package index

import (
	"encoding/binary"
	"errors"
	"os"
)

// rewrite puts bytes of a file right that nobody else writes: entries below the
// count, slots between two puts, a header. The goroutine that puts calls it.
func (x *Index) rewrite(f *file, at int64, b []byte) (err error) {
	x.mu.Lock()
	removed := f.removed || x.mu.closed
	x.mu.Unlock()
	if removed {
		return nil
	}
	h, err := x.fs.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = h.WriteAt(b, at)
	if err == nil {
		err = h.SyncData()
	}
	return errors.Join(err, h.Close())
}

// rewriteHeader writes the header as it is in memory.
func (x *Index) rewriteHeader(f *file) error {
	h := f.header()
	h.count = f.settled.Load()
	var b [headerSize]byte
	h.encode(b[:])
	return x.rewrite(f, 0, b[:])
}

// newestOf returns the newest entry of a slot, of which head is the newest below
// count.
func (x *Index) newestOf(f *file, slot, head, count int32) (int32, error) {
	b, err := x.acquire(f)
	if b == nil {
		return head, err
	}
	for number := f.count.Load() - 1; number >= count; number-- {
		if e := decodeEntry(b[f.entryAt(number):]); e.hash >= 0 && e.hash%f.slots == slot {
			head = number
			break
		}
	}
	return head, errors.Join(err, x.release(f))
}

func encodeSlot(number int32) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(number))
}

func bigEndian32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
