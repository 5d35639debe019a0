package vfs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	coldFileSize = 256 << 20
	coldRecords  = coldFileSize / recordSize
)

// BenchmarkColdRead reads records of a file whose pages are not in memory: in order, in runs of 32 at random places as
// consumers do that lag, or single ones as queries do; through a mapping with an advice, or by pread. brought-KiB/op is
// what a record brought into the page cache; 1.2 of it are the record.
func BenchmarkColdRead(b *testing.B) {
	file, err := OS.OpenFile(filepath.Join(b.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	f := file.(*osFile)
	ones := bytes.Repeat([]byte{1}, 1<<20)
	for at := 0; at < coldFileSize; at += len(ones) {
		if _, err := f.WriteAt(ones, int64(at)); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	for _, order := range []struct {
		name string
		run  int
	}{{"sequential", coldRecords}, {"runs", 32}, {"single", 1}} {
		for _, method := range []string{"map", "map+sequential", "map+random", "map+random+willneed", "pread"} {
			b.Run(fmt.Sprintf("order=%s/method=%s", order.name, method), func(b *testing.B) {
				brought := 0
				for done := 0; done < b.N; {
					n := min(b.N-done, coldRecords)
					brought += readCold(b, f, method, order.run, n)
					done += n
				}
				b.ReportMetric(float64(brought)/1024/float64(b.N), "brought-KiB/op")
			})
		}
	}
}

// readCold drops the pages of f and reads n records, run by run. It returns the bytes that are in memory then. Only the
// reading is timed.
func readCold(b *testing.B, f *osFile, method string, run, n int) (brought int) {
	b.StopTimer()
	f.advise(0, 0, unix.FADV_DONTNEED)
	m, err := f.Map(0, coldFileSize, false)
	if err != nil {
		b.Fatal(err)
	}
	advice := map[string]Advice{"map+sequential": Sequential, "map+random": Random, "map+random+willneed": Random}[method]
	if err := m.Advise(0, coldFileSize, advice); err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, uint64(run)))
	var record [recordSize]byte
	b.StartTimer()
	for n > 0 {
		at := 0
		if run < coldRecords {
			at = rng.IntN(coldRecords-run) * recordSize
		}
		if method == "map+random+willneed" {
			if err := m.Advise(at, min(run*recordSize, coldFileSize-at), WillNeed); err != nil {
				b.Fatal(err)
			}
		}
		for range min(run, n) {
			if method == "pread" {
				if _, err := f.ReadAt(record[:], int64(at)); err != nil {
					b.Fatal(err)
				}
			} else {
				copy(record[:], m.Bytes()[at:])
			}
			if record[recordSize-1] != 1 {
				b.Fatalf("the file has %d at %d", record[recordSize-1], at)
			}
			at += recordSize
		}
		n -= run
	}
	b.StopTimer()
	brought = coldFileSize
	for at := 0; at < coldFileSize; at += coldPiece {
		for _, s := range f.uncached(int64(at), coldPiece) {
			brought -= int(s.n)
		}
	}
	if err := m.Unmap(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
	return brought
}
