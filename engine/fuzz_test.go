package engine

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/internal/fuzzcheck"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Any bytes as checkpoint or waymark: what is read is written again as it was.
func FuzzCheckpoint(f *testing.F) {
	for _, name := range []string{golden.Clean, golden.Crashed} {
		if b, err := os.ReadFile(golden.Store(f, name) + "/" + checkpointName); err == nil {
			f.Add(b)
		}
	}
	w := waymark{queues: 1 << 40, queueUnits: 12, clean: true, seal: commitlog.Seal{End: 1 << 41, Hash: 7}}
	f.Add(w.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzcheck.Bounded(t, len(b), func() {
			c := decodeCheckpoint(b)
			if again := decodeCheckpoint(c.encode()); again != c {
				t.Errorf("checkpoint %+v is read again as %+v", c, again)
			}
			w, err := decodeWaymark(b)
			if err != nil {
				return
			}
			if again, err := decodeWaymark(w.encode()); err != nil || again != w {
				t.Errorf("waymark %+v is read again as %+v, %v", w, again, err)
			}
		})
	})
}

// Any bytes as a file of the log: the store opens, or says what is wrong; what it
// serves of it are records that lie in it, and a scrub comes to its end.
func FuzzLogFile(f *testing.F) {
	const size = 16 << 10
	clean, err := os.ReadFile(golden.Store(f, golden.Clean) + "/commitlog/" + mappedfile.FileName(0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(clean[:2000], true)
	f.Add(clean[:1500], false)
	f.Add(append(bytes.Clone(clean[:1000]), clean[1001:2000]...), false)
	f.Add([]byte{0, 0, 0, 8, 0xCB, 0xD4, 0x31, 0x94}, true)
	f.Fuzz(func(t *testing.T, b []byte, killed bool) {
		disk := vfs.NewCrashFS(1)
		defer disk.Discard()
		opts := small()
		opts.FS, opts.CommitLogFileSize, opts.ScrubBytesPerSecond, opts.PreheatMax = disk, size, -1, -1
		content := make([]byte, size)
		copy(content, b)
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(vfs.MakeDirs(disk, "/store/commitlog", 0o755))
		write := func(name string, b []byte) {
			h, err := disk.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
			must(err)
			_, err = h.WriteAt(b, 0)
			must(errors.Join(err, h.Close()))
		}
		write("/store/commitlog/"+mappedfile.FileName(0), content)
		if killed {
			write("/store/"+abortName, []byte{'1'})
		}
		s, err := Open("/store", &opts)
		if err != nil {
			return
		}
		defer s.Close()
		for _, topic := range s.Topics() {
			for _, id := range s.QueueIDs(topic) {
				ref, err := s.RecordAtQueue(topic, id, s.MinOffset(topic, id))
				if err == nil && !bytes.Contains(content, ref.Record()) {
					t.Errorf("%s/%d: a record that is not in the log", topic, id)
				}
				ref.Release()
			}
		}
		if _, err := s.Scrub(-1); err != nil {
			t.Errorf("scrub: %v", err)
		}
		if _, err := s.QueryByKey("GT_one", "k", 10, 0, 1<<60); err != nil {
			t.Errorf("query: %v", err)
		}
		var l = logReader{store: s, pace: func(int) error { return nil }}
		defer l.close()
		if at, err := l.behind(0, 0, message.PhyOffset(size)); err != nil || at <= 0 {
			t.Errorf("behind the first byte: %d, %v", at, err)
		}
	})
}
