package vfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// recordSize is a message of 1 KiB with its header and properties.
const recordSize = 1229

// syncMethod is one way to make an appended range durable.
type syncMethod struct {
	name string
	do   func(f File, m Mapping, data []byte, off int) error
}

var syncMethods = []syncMethod{
	{"pwrite+fdatasync", func(f File, _ Mapping, data []byte, off int) error {
		if _, err := f.WriteAt(data, int64(off)); err != nil {
			return err
		}
		return f.SyncData()
	}},
	{"map+msync", func(_ File, m Mapping, data []byte, off int) error {
		copy(m.Bytes()[off:], data)
		return m.Sync(off, len(data))
	}},
	{"map+fdatasync", func(f File, m Mapping, data []byte, off int) error {
		copy(m.Bytes()[off:], data)
		return f.SyncData()
	}},
	{"map+range+fdatasync", func(f File, m Mapping, data []byte, off int) error {
		copy(m.Bytes()[off:], data)
		if err := f.SyncRange(int64(off), int64(len(data))); err != nil {
			return err
		}
		return f.SyncData()
	}},
}

// appendMethods leave the bytes in the page cache: what a sync costs comes on top.
var appendMethods = []syncMethod{
	{"pwrite", func(f File, _ Mapping, data []byte, off int) error {
		_, err := f.WriteAt(data, int64(off))
		return err
	}},
	{"map", func(_ File, m Mapping, data []byte, off int) error {
		copy(m.Bytes()[off:], data)
		return nil
	}},
}

// eachAppend runs a benchmark for the kinds of files and of groups that a log
// meets. extents=unwritten is a file fresh from fallocate: its first writing
// converts extents, which is metadata that each sync has to journal.
// extents=written has been zeroed and synced before, as recycled files are.
func eachAppend(b *testing.B, run func(b *testing.B, written bool, group int)) {
	for _, extents := range []string{"unwritten", "written"} {
		for _, group := range []int{1, 64} {
			b.Run(fmt.Sprintf("extents=%s/group=%d", extents, group), func(b *testing.B) {
				run(b, extents == "written", group)
			})
		}
	}
}

// BenchmarkSync appends groups of records to preallocated files and makes each
// group durable. The methods take turns, each on a file of its own, so that
// they share what else the machine does; the figure of each is its median.
func BenchmarkSync(b *testing.B) {
	eachAppend(b, func(b *testing.B, written bool, group int) {
		var logs []*benchLog
		for _, method := range syncMethods {
			logs = append(logs, newBenchLog(b, method, written, group))
		}
		for b.Loop() {
			for _, l := range logs {
				l.append(b)
			}
			first := logs[0]
			copy(logs, logs[1:])
			logs[len(logs)-1] = first
		}
		for _, l := range logs {
			slices.Sort(l.took)
			b.ReportMetric(float64(l.took[len(l.took)/2].Nanoseconds())/1e3, l.name+"-us")
		}
	})
}

// BenchmarkAppend is the same without the syncs.
func BenchmarkAppend(b *testing.B) {
	eachAppend(b, func(b *testing.B, written bool, group int) {
		for _, method := range appendMethods {
			b.Run("method="+method.name, func(b *testing.B) {
				l := newBenchLog(b, method, written, group)
				b.ReportAllocs()
				b.SetBytes(int64(len(l.data)))
				for b.Loop() {
					l.append(b)
				}
			})
		}
	})
}

// benchLog is a file that a benchmark appends to.
type benchLog struct {
	syncMethod
	f    File
	m    Mapping
	data []byte // one group
	off  int
	took []time.Duration
}

func newBenchLog(b *testing.B, method syncMethod, written bool, group int) *benchLog {
	size := 1 << 30 // so long that no run comes around to extents that it has written
	if written {
		size = 64 << 20
	}
	l := &benchLog{syncMethod: method, data: make([]byte, group*recordSize), took: make([]time.Duration, 0, 1<<20)}
	l.f, l.m = benchFile(b, size)
	if written {
		if err := WriteZeros(l.f, 0, int64(size)); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.f.Sync(); err != nil {
		b.Fatal(err)
	}
	for i := range l.data {
		l.data[i] = byte(i)
	}
	return l
}

func (l *benchLog) append(b *testing.B) {
	if l.off+len(l.data) > len(l.m.Bytes()) {
		l.off = 0
	}
	start := time.Now()
	if err := l.do(l.f, l.m, l.data, l.off); err != nil {
		b.Fatal(err)
	}
	if len(l.took) < cap(l.took) {
		l.took = append(l.took, time.Since(start))
	}
	l.off += len(l.data)
}

func benchFile(b *testing.B, size int) (File, Mapping) {
	f, err := OS.OpenFile(filepath.Join(b.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	if err := f.Allocate(0, int64(size)); err != nil {
		b.Fatal(err)
	}
	m, err := f.Map(0, size, true)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Unmap() })
	return f, m
}

// BenchmarkPreheat makes the pages of a new file present and writable: by one
// call, by touching each, or not at all, so that the writer meets the faults.
// ns/page counts the preheating alone, write-ns/page the first store after it.
func BenchmarkPreheat(b *testing.B) {
	const size = 64 << 20
	for _, method := range []struct {
		name string
		do   func(m Mapping) error
	}{
		{"none", func(Mapping) error { return nil }},
		{"populate", func(m Mapping) error { return m.Preheat(0, size) }},
		{"touch", func(m Mapping) error { touch(m.Bytes(), true); return nil }},
		{"hugepage+populate", func(m Mapping) error {
			if err := m.Advise(0, size, HugePage); err != nil {
				return err
			}
			return m.Preheat(0, size)
		}},
	} {
		b.Run("method="+method.name, func(b *testing.B) { benchmarkPreheat(b, size, method.do) })
	}
}

func benchmarkPreheat(b *testing.B, size int, preheat func(Mapping) error) {
	var heat, write time.Duration
	for b.Loop() {
		f, m := benchFile(b, size)
		start := time.Now()
		if err := preheat(m); err != nil {
			b.Fatal(err)
		}
		heat += time.Since(start)
		start = time.Now()
		for i := 0; i < size; i += pageSize {
			m.Bytes()[i] = 1
		}
		write += time.Since(start)
		if err := m.Unmap(); err != nil {
			b.Fatal(err)
		}
		if err := f.Truncate(0); err != nil { // nothing of it need reach the disk
			b.Fatal(err)
		}
	}
	pages := float64(b.N) * float64(size/pageSize)
	b.ReportMetric(float64(heat.Nanoseconds())/pages, "ns/page")
	b.ReportMetric(float64(write.Nanoseconds())/pages, "write-ns/page")
}

// BenchmarkCrash is a power loss and the reading of what is left, on files of
// which a quarter is not synced.
func BenchmarkCrash(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			c := NewCrashFS(1)
			f, err := c.OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o644)
			if err != nil {
				b.Fatal(err)
			}
			if err := f.Allocate(0, int64(size)); err != nil {
				b.Fatal(err)
			}
			m, err := f.Map(0, size, true)
			if err != nil {
				b.Fatal(err)
			}
			for i := range m.Bytes() {
				m.Bytes()[i] = byte(i)
			}
			if err := c.SyncAll("/"); err != nil {
				b.Fatal(err)
			}
			clear(m.Bytes()[size/4*3:])
			b.ReportAllocs()
			seed := uint64(0)
			for b.Loop() {
				seed++
				if _, err := ReadFile(c.Crash(seed), "/f"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
