package vfs

import (
	"fmt"
	"os"
	"path/filepath"
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
	// Only bytes, no journal: what fdatasync costs besides writing the pages.
	{"pwrite", func(f File, _ Mapping, data []byte, off int) error {
		_, err := f.WriteAt(data, int64(off))
		return err
	}},
	{"map", func(_ File, m Mapping, data []byte, off int) error {
		copy(m.Bytes()[off:], data)
		return nil
	}},
}

// BenchmarkSync appends groups of records to a preallocated file and makes each
// group durable. extents=unwritten is a file fresh from fallocate: its first
// writing converts extents, which is metadata that each sync has to journal.
// extents=written has been zeroed and synced before, as recycled files are.
func BenchmarkSync(b *testing.B) {
	for _, extents := range []string{"unwritten", "written"} {
		for _, group := range []int{1, 64} {
			for _, method := range syncMethods {
				b.Run(fmt.Sprintf("extents=%s/group=%d/method=%s", extents, group, method.name), func(b *testing.B) {
					benchmarkSync(b, extents == "written", group, method)
				})
			}
		}
	}
}

func benchmarkSync(b *testing.B, written bool, group int, method syncMethod) {
	size := 1 << 30 // so long that no run comes around to extents that it has written
	if written {
		size = 128 << 20
	}
	f, m := benchFile(b, size)
	if written {
		if err := writeZeros(f, 0, int64(size)); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, group*recordSize)
	for i := range data {
		data[i] = byte(i)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	off := 0
	for b.Loop() {
		if off+len(data) > size {
			off = 0
		}
		if err := method.do(f, m, data, off); err != nil {
			b.Fatal(err)
		}
		off += len(data)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*group), "ns/record")
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
