package index

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// benchKey puts a number in hex at the end of a key.
func benchKey(b []byte, n int) {
	if len(b) < 8 {
		return
	}
	const hex = "0123456789ABCDEF"
	for i := len(b) - 1; i >= len(b)-8; i-- {
		b[i] = hex[n&15]
		n >>= 4
	}
}

func benchIndex(b *testing.B, opts *Options) *Index {
	x, err := Open(vfs.OS, filepath.Join(b.TempDir(), "index"), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = x.Close() })
	recoverAt(b, x, State{}, true, 0, 0)
	return x
}

// BenchmarkPut indexes messages with a unique key and, by the name, a key and a tag. Slots of the
// default size do not fit a cache; the small ones show the rest of the work.
func BenchmarkPut(b *testing.B) {
	topic, uniq, keys, tag := []byte("TopicTest"), []byte("C0A80001000012345678ABCDEF010000"), []byte("order-00000000"), []byte("TagA")
	for _, slots := range []int{1 << 12, defaultSlots} {
		for _, kinds := range []struct {
			name      string
			keys, tag []byte
		}{{"unique", nil, nil}, {"unique+key", keys, nil}, {"unique+key+tag", keys, tag}} {
			b.Run(fmt.Sprintf("slots=%d/keys=%s", slots, kinds.name), func(b *testing.B) {
				x := benchIndex(b, &Options{Slots: slots})
				off := message.PhyOffset(0)
				n, k := 0, Keys{}
				b.ReportAllocs()
				for b.Loop() {
					n++
					benchKey(uniq, n)
					benchKey(kinds.keys, n)
					off += 1200
					x.Prepare(&k, topic, uniq, kinds.keys, kinds.tag)
					if err := x.Put(&k, off, 1_700_000_000_000+int64(n)); err != nil {
						b.Fatal(err)
					}
					if n%64 == 0 { // as the dispatcher
						x.Settle()
					}
				}
			})
		}
	}
}

// BenchmarkFloor makes the stores of a message with a unique key, a key and a tag that the format demands, and nothing else:
// hashes are a multiplication, no reader is thought of. What Put costs above it is hashing, order and pages made ahead.
func BenchmarkFloor(b *testing.B) {
	x := benchIndex(b, nil)
	if err := putMessage(x, []byte("T"), []byte("k"), nil, nil, 0, 1_700_000_000_000); err != nil {
		b.Fatal(err)
	}
	data, n := x.writer.bytes, int32(1)
	hashes := func(i int32) [3]int32 {
		return [3]int32{keyHash(i * 1_640_531_527), keyHash(i*1_640_531_527 + 1<<20), 42}
	}
	for i := int32(0); b.Loop(); i++ {
		if n+3 >= x.entries {
			n = 1
		}
		for _, hash := range hashes(i + 8) { // as far ahead as the dispatcher
			at := x.slotAt(hash)
			vfs.Prefetch(data[at : at+slotSize])
		}
		for _, hash := range hashes(i) {
			slot := data[x.slotAt(hash):]
			e := entry{hash: hash, phy: int64(i), diff: 1, prev: int32(binary.BigEndian.Uint32(slot))}
			e.encode(data[x.entryAt(n):])
			binary.BigEndian.PutUint32(slot, uint32(n))
			n++
		}
		encodeEnd(data, int64(i), int64(i), n, n)
	}
}

func BenchmarkQuery(b *testing.B) {
	x := benchIndex(b, nil)
	uniq := []byte("C0A80001000012345678ABCDEF010000")
	const messages = 1 << 20
	for n := range messages {
		benchKey(uniq, n)
		if err := putMessage(x, []byte("TopicTest"), uniq, nil, nil, message.PhyOffset(n*1200), 1_700_000_000_000+int64(n)); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		n += 7919
		benchKey(uniq, n%messages)
		res, err := x.Query("TopicTest", string(uniq), 32, 0, math.MaxInt64)
		if err != nil || len(res.Offsets) == 0 {
			b.Fatal(res, err)
		}
	}
}

// BenchmarkRecover opens a full file after a crash some seconds behind its last State.
func BenchmarkRecover(b *testing.B) {
	for _, entries := range []int{1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			x := benchIndex(b, nil)
			uniq := []byte("C0A80001000012345678ABCDEF010000")
			put := func(from, to int) {
				for n := from; n < to; n++ {
					benchKey(uniq, n)
					if err := putMessage(x, []byte("TopicTest"), uniq, nil, nil, message.PhyOffset(n*1200), 1_700_000_000_000+int64(n)); err != nil {
						b.Fatal(err)
					}
				}
			}
			put(0, entries)
			st, err := x.Sync()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer()
				put(entries, entries+200_000)
				if err := x.Close(); err != nil {
					b.Fatal(err)
				}
				if x, err = Open(vfs.OS, x.dir, nil); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				recoverAt(b, x, st, false, 0, math.MaxInt64)
			}
		})
	}
}
