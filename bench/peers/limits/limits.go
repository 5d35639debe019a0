// Package limits measures what the machine allows at best: one writer with nothing else around it, that
// copies or encodes records into memory, writes them to a file, or makes each group of them durable
// before the next.
//
// Invariant 1: files and mappings are made ready, as their name says, before the clock starts.
package limits

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/bench/peers/writers"
	"github.com/rocketlog/rocketlog/message"
)

// Config is the workload.
type Config struct {
	Dir        string
	File       string // grown (by the writes), allocated (fallocate) or written (with zeros)
	RecordSize int
	Group      int // records of one sync
	Measure    time.Duration
}

// fileSize is small enough to stay in memory, dirty, for as long as a limit is measured.
const fileSize = 64 << 20

// mappedSize is what copies and encodings go over, again and again.
const mappedSize = 512 << 20

// Copy measures copying records into a mapped file whose pages are there.
func Copy(c Config) (measure.Result, error) {
	record := writers.Entry(c.RecordSize)
	return fill(c, func(dst []byte) int { return copy(dst, record) }, c.RecordSize)
}

// Encode measures encoding messages, checksums included, into a mapped file whose pages are there.
func Encode(c Config) (measure.Result, error) {
	source := bench.NewSource(0, 4, 1024)
	size := source.Next().RecordSize()
	return fill(c, func(dst []byte) int {
		m := source.Next()
		message.EncodeRecord(dst[:size], m, message.BodyCRC(m.Body))
		return size
	}, size)
}

// fill lets put fill a mapping from its beginning to its end until the time is over.
func fill(c Config, put func(dst []byte) int, size int) (measure.Result, error) {
	f, err := createFile(c, "allocated", mappedSize)
	if err != nil {
		return measure.Result{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	m, err := syscall.Mmap(int(f.Fd()), 0, mappedSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return measure.Result{}, err
	}
	defer syscall.Munmap(m)
	const populateWrite = 23 // MADV_POPULATE_WRITE
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, uintptr(unsafe.Pointer(&m[0])), mappedSize, populateWrite); errno != 0 {
		return measure.Result{}, errno
	}
	const untilClock = 1024 // records between two readings of it
	messages, at := int64(0), 0
	cpu, begin := bench.SelfCPU(), time.Now()
	for time.Since(begin) < c.Measure {
		for range untilClock {
			if at+size > len(m) {
				at = 0
			}
			at += put(m[at:])
		}
		messages += untilClock
	}
	return result(messages, begin, cpu), nil
}

// Write measures writing records to the page cache, one call each.
func Write(c Config) (measure.Result, error) {
	f, err := createFile(c, c.File, fileSize)
	if err != nil {
		return measure.Result{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	record := writers.Entry(c.RecordSize)
	messages := int64(0)
	cpu, begin := bench.SelfCPU(), time.Now()
	for ; time.Since(begin) < c.Measure; messages++ {
		if _, err := f.WriteAt(record, messages*int64(len(record))%(fileSize-int64(len(record)))); err != nil {
			return measure.Result{}, err
		}
	}
	return result(messages, begin, cpu), nil
}

// Sync measures a loop of write and fdatasync, a group of records each.
func Sync(c Config) (measure.Result, error) {
	f, err := createFile(c, c.File, fileSize)
	if err != nil {
		return measure.Result{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	group := writers.Entry(c.RecordSize * c.Group)
	var latency bench.Latency
	cpu, begin := bench.SelfCPU(), time.Now()
	offset := int64(0)
	for last := begin; last.Sub(begin) < c.Measure; {
		if _, err := f.WriteAt(group, offset%(fileSize-int64(len(group)))); err != nil {
			return measure.Result{}, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return measure.Result{}, err
		}
		offset += int64(len(group))
		now := time.Now()
		latency.Record(now.Sub(last))
		last = now
	}
	r := result(int64(latency.Count())*int64(c.Group), begin, cpu)
	r.SetLatency(&latency)
	return r, nil
}

func result(messages int64, begin time.Time, cpu time.Duration) measure.Result {
	r := measure.Result{Messages: messages, Seconds: time.Since(begin).Seconds()}
	r.Rate = float64(r.Messages) / r.Seconds
	r.SetCPU(bench.SelfCPU()-cpu, 0)
	return r
}

func createFile(c Config, kind string, size int64) (*os.File, error) {
	f, err := os.Create(filepath.Join(c.Dir, "limit"))
	if err != nil {
		return nil, err
	}
	if err := prepare(f, kind, size); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func prepare(f *os.File, kind string, size int64) error {
	switch kind {
	case "grown":
		return nil
	case "allocated":
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
			return err
		}
	case "written":
		zeros := make([]byte, 1<<20)
		for offset := int64(0); offset < size; offset += int64(len(zeros)) {
			if _, err := f.WriteAt(zeros, offset); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("file is grown, allocated or written, not %q", kind)
	}
	return f.Sync()
}
