package engine

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// coldStore opens a store whose log of so many files is on disk only. Bodies tell where they are.
func coldStore(t *testing.T, files int) (s *Store, fs *vfs.ColdFS, bodies [][]byte) {
	const fileSize = 4 * coldChunkSize
	dir := t.TempDir()
	fs = vfs.NewColdFS(vfs.OS)
	opts := small()
	opts.CommitLogFileSize, opts.FS, opts.ConsumeQueueFileSize, opts.ScrubBytesPerSecond = fileSize, fs, 20*1000, -1
	s = open(t, dir, opts)
	for len(s.log.Files()) < files || s.log.MaxOffset() < message.PhyOffset(files*fileSize-coldChunkSize) {
		body := bytes.Repeat([]byte{byte(len(bodies)), byte(len(bodies) >> 8)}, 4000)
		if r := s.Put(newMessage("Cold", 0, "key1", body)); r.Status != PutOK {
			t.Fatalf("%v: %v", r.Status, r.Err)
		}
		bodies = append(bodies, body)
	}
	dispatched(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, opts)
	for i := range files {
		fs.Chill(filepath.Join(dir, "commitlog", mappedfile.FileName(int64(i*fileSize))))
	}
	return s, fs, bodies
}

func resident(fs *vfs.ColdFS, s *Store) (bytes int) {
	for _, f := range s.log.Files() {
		bytes += fs.ResidentBytes(f.Path)
	}
	return bytes
}

// A get that is HotOnly never touches what is not in memory; what LoadCold brings in it then finds.
func TestColdGet(t *testing.T) {
	s, fs, bodies := coldStore(t, 2)
	req := GetRequest{Topic: "Cold", MaxMsgs: 32, HotOnly: true}
	var res GetResult
	defer res.Release()
	loads := 0
	for next := 0; next < len(bodies); {
		req.Offset = message.QueueOffset(next)
		s.Get(&req, &res)
		if res.Cold && res.Count == 0 {
			if res.NextOffset != req.Offset || res.Status != NoMatchedMessage {
				t.Fatalf("cold get at %d: %v, next %d", req.Offset, res.Status, res.NextOffset)
			}
			before := fs.Loaded()
			n, err := s.LoadCold(&req)
			if err != nil || n == 0 || n < fs.Loaded()-before-2*4096 || n > coldChunksPerLoad*coldChunkSize+2*coldChunkSize {
				t.Fatalf("loaded %d bytes, the file system %d: %v", n, fs.Loaded()-before, err)
			}
			loads++
			continue
		}
		if res.Status != Found {
			t.Fatalf("get at %d: %v, cold %v", next, res.Status, res.Cold)
		}
		for _, segment := range res.Segments {
			for len(segment) > 0 {
				r, err := message.ParseRecord(segment)
				if err != nil || !bytes.Equal(r.Body(), bodies[next]) {
					t.Fatalf("message %d: %v, or another body", next, err)
				}
				segment = segment[len(r):]
				next++
			}
		}
		if int(res.NextOffset) != next {
			t.Fatalf("next %d after message %d", res.NextOffset, next)
		}
	}
	total := int(s.log.MaxOffset())
	if loads < total/coldChunkSize/coldChunksPerLoad || loads > total/coldChunkSize+1 {
		t.Errorf("%d loads for %d bytes", loads, total)
	}
	// A second scan finds all in memory, and so does one that is not HotOnly from the begin.
	before := fs.Loaded()
	for req.Offset = 0; req.Offset < message.QueueOffset(len(bodies)); req.Offset = res.NextOffset {
		if s.Get(&req, &res); res.Status != Found {
			t.Fatalf("second scan at %d: %v, cold %v", req.Offset, res.Status, res.Cold)
		}
	}
	if fs.Loaded() != before {
		t.Error("the second scan loaded something")
	}
}

// What a scan leaves behind stays within its bound, though the system reads ahead of it; what was in memory before it stays.
func TestColdScanLeavesTheCacheAlone(t *testing.T) {
	for _, ahead := range []int{0, 1, 2} {
		t.Run(fmt.Sprintf("%d chunks ahead", ahead), func(t *testing.T) { testColdScan(t, ahead) })
	}
}

func testColdScan(t *testing.T, ahead int) {
	s, fs, bodies := coldStore(t, 8)
	fs.ReadAhead = ahead * coldChunkSize
	const most = 16 // a file is a region, of four chunks
	s.pages.max = most
	// Somebody has the second chunk of the second file in memory.
	hot, size := s.log.Files()[1].Start+coldChunkSize, coldChunkSize
	if err := s.log.Load(hot, size); err != nil {
		t.Fatal(err)
	}
	req := GetRequest{Topic: "Cold", MaxMsgs: 8, HotOnly: true}
	var res GetResult
	defer res.Release()
	for req.Offset = 0; req.Offset < message.QueueOffset(len(bodies)); req.Offset = res.NextOffset {
		if s.Get(&req, &res); !res.Cold || res.Count > 0 {
			continue
		}
		if _, err := s.LoadCold(&req); err != nil {
			t.Fatal(err)
		}
		if bound := (most+1)*coldChunkSize + 2*4096; resident(fs, s) > bound {
			t.Fatalf("at %d %d bytes are in memory, want %d at most", req.Offset, resident(fs, s), bound)
		}
	}
	if !s.log.Resident(hot, size) {
		t.Error("what was in memory before the scan is gone")
	}
	m := s.Metrics()
	if m.ColdParts > most || m.ColdLoads != m.ColdDropped+int64(m.ColdParts) || m.ColdDropped == 0 {
		t.Errorf("metrics %+v", m)
	}
	// Each byte but those of the hot chunk was counted, whoever read it.
	if want := int64(s.log.MaxOffset()) - coldChunkSize; m.ColdBytes < want-coldChunkSize || m.ColdBytes > want {
		t.Errorf("%d bytes were loaded of %d", m.ColdBytes, want)
	}
}

// Reads at single places neither expect to be read ahead of nor are given more than they ask for.
func TestColdSingleReads(t *testing.T) {
	s, _, _ := coldStore(t, 4)
	for _, f := range s.log.Files() {
		if n, err := s.LoadColdAt(message.PhyOffset(f.Start + 2*coldChunkSize)); err != nil || n != coldChunkSize {
			t.Fatalf("loaded %d bytes: %v", n, err)
		}
	}
	if got := s.pages.chunks; got != len(s.log.Files()) {
		t.Errorf("%d chunks are accounted for, %d were read", got, len(s.log.Files()))
	}
}

// What this process has appended is taken to be in memory without asking.
func TestTailIsHot(t *testing.T) {
	s, fs, bodies := coldStore(t, 2)
	if r := s.Put(newMessage("Cold", 0, "key2", []byte("new"))); r.Status != PutOK {
		t.Fatal(r.Err)
	}
	dispatched(t, s)
	req := GetRequest{Topic: "Cold", Offset: message.QueueOffset(len(bodies)), MaxMsgs: 32, HotOnly: true}
	var res GetResult
	defer res.Release()
	if s.Get(&req, &res); res.Status != Found || res.Count != 1 || res.Cold {
		t.Errorf("%v, %d messages, cold %v", res.Status, res.Count, res.Cold)
	}
	if fs.Loaded() != 0 {
		t.Errorf("%d bytes loaded", fs.Loaded())
	}
}
