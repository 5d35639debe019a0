package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// cutting takes the end of a file away under a store, and gives it back.
type cutting struct {
	t    *testing.T
	path string
	was  []byte
}

func cut(t *testing.T, path string, size int64) *cutting {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	was, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Truncate(path, size))
	return &cutting{t, path, was}
}

func (c *cutting) undo() {
	c.t.Helper()
	f, err := os.OpenFile(c.path, os.O_WRONLY, 0)
	must(c.t, err)
	defer f.Close()
	_, err = f.WriteAt(c.was, 0)
	must(c.t, err)
}

// A file of the log that is cut under the store costs the reads of what was cut
// off, and nothing else: each says so, no reader is led past a message, and when
// the bytes are there again all is as it was.
func TestLogFileCutUnderReaders(t *testing.T) {
	const left = 16 << 10
	dir := t.TempDir()
	opts := small()
	s := open(t, dir, opts)
	all := put(t, s, rand.New(rand.NewPCG(1, 1)), 300)
	verify(t, s, all) // has all files mapped that can be
	undo := cut(t, filepath.Join(dir, "commitlog", mappedfile.FileName(0)), left).undo

	lost, served := 0, 0
	for _, m := range all {
		gone := m.res.PhyOffset < message.PhyOffset(opts.CommitLogFileSize) && m.res.PhyOffset+message.PhyOffset(m.res.Size) > left
		var res GetResult
		s.Get(&GetRequest{Topic: m.topic, QueueID: m.queue, Offset: m.res.QueueOffset, MaxMsgs: 32}, &res)
		ref, err := s.RecordAt(m.res.PhyOffset)
		var fault *vfs.FaultError
		switch {
		case !gone:
			served++
			if res.Status != Found || err != nil || !bytes.Equal(ref.Record().Body(), m.body) {
				t.Errorf("message at %d: %v, %v, %v", m.res.PhyOffset, res.Status, res.Err, err)
			}
			for i, segment := range res.Segments {
				if bytes.Count(segment, []byte{0}) == len(segment) {
					t.Errorf("segment %d of the get at %d is empty", i, m.res.PhyOffset)
				}
			}
		default:
			lost++
			if res.Status != OffsetFoundNull || res.NextOffset != m.res.QueueOffset || !errors.As(res.Err, &fault) || !errors.As(err, &fault) {
				t.Errorf("message at %d: %v, next %d after %d, %v, %v", m.res.PhyOffset, res.Status, res.NextOffset, m.res.QueueOffset, res.Err, err)
			}
		}
		ref.Release()
		res.Release()
	}
	if lost == 0 || served == 0 {
		t.Errorf("%d are lost, %d are served", lost, served)
	}
	all = append(all, put(t, s, rand.New(rand.NewPCG(2, 2)), 100)...)
	dispatched(t, s)
	undo()
	verify(t, s, all)
}

// The file that is written is cut: puts are refused with the cause, and take
// place again once it is mended, with no offset left out.
func TestLogFileCutUnderWriter(t *testing.T) {
	dir := t.TempDir()
	opts := small()
	s := open(t, dir, opts)
	all := put(t, s, rand.New(rand.NewPCG(1, 1)), 10)
	verify(t, s, all)
	undo := cut(t, filepath.Join(dir, "commitlog", mappedfile.FileName(0)), 4096).undo
	var fault *vfs.FaultError
	for i := range 5 {
		if res := s.Put(newMessage("T0", 0, "k", make([]byte, 1000))); res.Status == PutOK || !errors.As(res.Err, &fault) {
			t.Errorf("put %d: %v, %v", i, res.Status, res.Err)
		}
	}
	undo()
	all = append(all, put(t, s, rand.New(rand.NewPCG(2, 2)), 100)...)
	verify(t, s, all)
}

// A cut index costs queries, and indexing waits until it is mended.
func TestIndexCut(t *testing.T) {
	dir := t.TempDir()
	opts := small()
	opts.IndexSlots, opts.IndexEntries = 1000, 10_000
	s := open(t, dir, opts)
	all := put(t, s, rand.New(rand.NewPCG(1, 1)), 200)
	verify(t, s, all)
	files, err := filepath.Glob(filepath.Join(dir, "index", "*"))
	must(t, err)
	undo := cut(t, files[0], 0).undo
	var fault *vfs.FaultError
	if _, err := s.QueryByKey(all[0].topic, all[0].key, 10, 0, 1<<60); !errors.As(err, &fault) {
		t.Errorf("query: %v", err)
	}
	if bodies, _ := consume(t, s, "T0", 0); len(bodies) == 0 {
		t.Error("nothing can be read")
	}
	var more []sent
	for i := range 3 { // the first one stalls dispatch, which says so and goes on by itself
		m := sent{topic: "T0", key: fmt.Sprintf("new%d", i), body: []byte("x")}
		if m.res = s.Put(newMessage(m.topic, 0, m.key, m.body)); m.res.Status == PutOK {
			more = append(more, m)
		}
	}
	undo()
	verify(t, s, append(all, more...))
}
