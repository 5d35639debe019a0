package consumequeue

import (
	"errors"
	"math"
	"os"
	"path"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// FuzzQueueFile recovers a queue whose file holds any bytes and uses what was
// found: it ends in units that pass Check, or in a *CorruptError.
func FuzzQueueFile(f *testing.F) {
	unit := func(n message.QueueOffset) []byte {
		b := make([]byte, unitSize)
		putUnit(b, testUnit(n))
		return b
	}
	var good, late []byte
	for n := range message.QueueOffset(150) {
		good = append(good, unit(n)...)
	}
	for range 30 {
		late = append(late, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
	}
	torn := append(append([]byte(nil), good[:100*unitSize]...), make([]byte, 10)...)
	f.Add(good, int64(150_000), true)
	f.Add(good, int64(77_000), false)
	f.Add(append(late, unit(30)...), int64(150_000), false)
	f.Add(append(torn, good[101*unitSize:]...), int64(150_000), false)
	f.Add([]byte(nil), int64(0), false)
	f.Fuzz(func(t *testing.T, content []byte, durable int64, trusted bool) {
		opts := Options{FileSize: 200 * unitSize, Workers: 1}
		fs := vfs.NewCrashFS(1)
		name := path.Join(testDir, "T/0/00000000000000000000")
		if err := fs.MkdirAll(path.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		h, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		content = content[:min(len(content), opts.FileSize)]
		if _, err := h.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.Truncate(int64(opts.FileSize)), h.Close()); err != nil {
			t.Fatal(err)
		}
		s, err := Open(fs, testDir, &opts)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		err = s.Recover(message.PhyOffset(durable), 0, message.PhyOffset(durable), trusted)
		var damage *CorruptError
		if errors.As(err, &damage) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		useQueue(t, s, durable)
	})
}

// useQueue goes through a queue of which nothing is known but that its units
// below the end could be read at recovery.
func useQueue(t *testing.T, s *Set, durable int64) {
	q := s.Queue("T", 0)
	low, high := q.MinOffset(), q.MaxOffset()
	if low > high || int64(s.MaxPhy()) > max(durable, 0) {
		t.Fatalf("queue %d..%d, records up to %d of %d", low, high, s.MaxPhy(), durable)
	}
	buf := make([]Unit, 64)
	for off := low; off < high; {
		n, err := q.Read(off, buf)
		var damage *CorruptError
		if errors.As(err, &damage) {
			n = 1 // go on behind it
		} else if err != nil || n == 0 {
			t.Fatalf("read at %d: %d, %v", off, n, err)
		}
		off += message.QueueOffset(n)
	}
	if _, err := q.OffsetByTime(durable/2, Upper, func(u Unit) (int64, bool) { return int64(u.Offset), true }); err != nil {
		t.Fatal(err)
	}
	whole := s.Check() == nil
	end := max(int64(s.MaxPhy()), 1)
	if end > math.MaxInt64/2 {
		return
	}
	for i := range message.PhyOffset(3) {
		if err := q.Append(q.MaxOffset(), Unit{message.PhyOffset(end) + 100*i, 100, 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Sync(0), s.CorrectMinOffset(message.PhyOffset(end))); err != nil {
		t.Fatal(err)
	}
	if err := s.Truncate(message.PhyOffset(uint64(durable) % uint64(end+300))); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); whole && err != nil {
		t.Fatal(err)
	}
}
