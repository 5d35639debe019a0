package consumequeue

import (
	"os"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// readCounter counts the calls that read files.
type readCounter struct {
	vfs.FS
	reads int
}

func (c *readCounter) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	return &countedReads{f, c}, err
}

type countedReads struct {
	vfs.File
	counter *readCounter
}

func (f *countedReads) ReadAt(b []byte, off int64) (int, error) {
	f.counter.reads++
	return f.File.ReadAt(b, off)
}

// aheadQueue returns a queue whose units are in files, 200 in each.
func aheadQueue(t *testing.T, units message.QueueOffset) (*Set, *ConsumeQueue, *readCounter) {
	fs := &readCounter{FS: vfs.NewCrashFS(1)}
	s := openSet(t, fs, testDir, &Options{FileSize: 200 * unitSize})
	q := mustQueue(t, s, "T", 0)
	appendUnits(t, q, 0, units)
	if err := s.WriteOut(); err != nil {
		t.Fatal(err)
	}
	fs.reads = 0
	return s, q, fs
}

func readInOrder(t *testing.T, q *ConsumeQueue, from, to message.QueueOffset, batch int) {
	t.Helper()
	units := make([]Unit, batch)
	for from < to {
		n, err := q.Read(from, units)
		if err != nil || n == 0 {
			t.Fatalf("read at %d: %d units, %v", from, n, err)
		}
		for _, u := range units[:n] {
			if u != testUnit(from) {
				t.Fatalf("unit %d is %+v", from, u)
			}
			from++
		}
	}
}

// Who reads on costs a call for each block, not for each batch.
func TestReadAhead(t *testing.T) {
	for _, batch := range []int{1, 7, 32, 128} {
		_, q, fs := aheadQueue(t, 1000)
		readInOrder(t, q, 0, 1000, batch)
		if most := 5 * 2; fs.reads > most { // of 200 units a file
			t.Errorf("batches of %d: %d reads of files, want %d at most", batch, fs.reads, most)
		}
	}
}

// What was read ahead of a past that was cut, or of bytes that were put right, is not read again.
func TestReadAheadForgets(t *testing.T) {
	s, q, _ := aheadQueue(t, 150)
	readInOrder(t, q, 0, 10, 10)
	other := func(off message.QueueOffset) Unit {
		u := testUnit(off)
		u.TagsCode++
		return u
	}
	units := make([]Unit, 1)
	expect := func(off message.QueueOffset, want Unit) {
		t.Helper()
		if n, err := q.Read(off, units); n != 1 || err != nil || units[0] != want {
			t.Fatalf("unit %d: %d read, %v: %+v, want %+v", off, n, err, units[0], want)
		}
	}
	expect(50, testUnit(50))
	if err := q.Rewrite(50, other(50)); err != nil {
		t.Fatal(err)
	}
	expect(50, other(50))
	expect(70, testUnit(70))
	if err := s.Truncate(testUnit(60).end()); err != nil {
		t.Fatal(err)
	}
	for off := message.QueueOffset(61); off < 150; off++ {
		if err := q.Append(off, other(off)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WriteOut(); err != nil {
		t.Fatal(err)
	}
	expect(60, testUnit(60))
	expect(70, other(70))
}

// Of a file that was cut by another hand the units that are there are read.
func TestReadAheadOfCutFile(t *testing.T) {
	_, q, fs := aheadQueue(t, 150)
	f, err := fs.OpenFile(q.path(q.files[0]), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(40 * unitSize); err != nil {
		t.Fatal(err)
	}
	readInOrder(t, q, 0, 40, 8)
	if n, err := q.Read(40, make([]Unit, 8)); n != 0 || err == nil {
		t.Errorf("%d units of what was cut, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
