package consumequeue

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// benchSet returns a set with count queues of one topic per 100 queues, each
// with the same number of units.
func benchSet(b *testing.B, count, units int, opts *Options) (s *Set, queues []*ConsumeQueue, dir string) {
	b.Helper()
	dir = b.TempDir()
	s = openSet(b, vfs.OS, dir, opts)
	queues = make([]*ConsumeQueue, count)
	phy := message.PhyOffset(0)
	for i := range queues {
		q, err := s.QueueOrCreate("Topic"+strconv.Itoa(i/100), int32(i%100))
		if err != nil {
			b.Fatal(err)
		}
		queues[i] = q
		for n := range units {
			if err := q.Append(message.QueueOffset(n), Unit{phy, 1024, 1}); err != nil {
				b.Fatal(err)
			}
			phy += 1024
		}
	}
	return s, queues, dir
}

// BenchmarkAppend appends round-robin, with the lookup that a dispatcher does. All files are there before.
func BenchmarkAppend(b *testing.B) {
	const begun = tailUnitsMax + 1
	for _, count := range []int{1, 8, 100, 10_000} {
		b.Run(fmt.Sprintf("queues=%d", count), func(b *testing.B) {
			s, queues, _ := benchSet(b, count, begun, nil)
			topics := make([][]byte, count)
			for i, q := range queues {
				topics[i] = []byte(q.Key().Topic)
			}
			offsets := make([]message.QueueOffset, count)
			for i := range offsets {
				offsets[i] = begun
			}
			phy := s.MaxPhy()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				q := s.QueueBytes(topics[i], int32(i%100))
				if err := q.Append(offsets[i], Unit{phy, 1024, 42}); err != nil {
					b.Fatal(err)
				}
				offsets[i]++
				phy += 1024
				if i++; i == count {
					i = 0
				}
			}
		})
	}
}

// BenchmarkLookup finds queues by the topic's bytes.
func BenchmarkLookup(b *testing.B) {
	for _, topics := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			s := openSet(b, vfs.OS, b.TempDir(), nil)
			names := make([][]byte, topics)
			for i := range names {
				names[i] = []byte("Topic" + strconv.Itoa(i))
				for id := range int32(8) {
					if _, err := s.QueueOrCreate(string(names[i]), id); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if s.QueueBytes(names[i%topics], int32(i&7)) == nil {
					b.Fatal("missing")
				}
				i += 7
			}
		})
	}
}

// BenchmarkRead reads 32 units, from files and from the tail.
func BenchmarkRead(b *testing.B) {
	for _, from := range []string{"file", "tail"} {
		b.Run("units=32/from="+from, func(b *testing.B) {
			s, queues, _ := benchSet(b, 1, 100_000, nil)
			q := queues[0]
			off, step := message.QueueOffset(0), message.QueueOffset(32)
			if from == "file" {
				if err := s.WriteOut(); err != nil {
					b.Fatal(err)
				}
			} else {
				off, step = q.MaxOffset()-32, 0
			}
			dst := make([]Unit, 32)
			b.ReportAllocs()
			for b.Loop() {
				if n, err := q.Read(off, dst); err != nil || n != len(dst) {
					b.Fatal(n, err)
				}
				if off += step; off+32 > q.MaxOffset() {
					off = 0
				}
			}
		})
	}
}

// BenchmarkRecover opens and recovers a set, after a clean stop and after a
// crash that cuts half of the units.
func BenchmarkRecover(b *testing.B) {
	for _, c := range []struct{ queues, units int }{{10_000, 100}, {100, 100_000}} {
		for _, clean := range []bool{true, false} {
			b.Run(fmt.Sprintf("queues=%d/units=%d/clean=%v", c.queues, c.units, clean), func(b *testing.B) {
				s, _, dir := benchSet(b, c.queues, c.units, nil)
				end := s.MaxPhy()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					s, err := Open(vfs.OS, dir, nil)
					if err != nil {
						b.Fatal(err)
					}
					if clean {
						err = s.Recover(math.MaxInt64, 0, math.MaxInt64, true)
					} else {
						err = s.Recover(end/2, 0, end, false)
					}
					if err != nil {
						b.Fatal(err)
					}
					s.Close()
				}
			})
		}
	}
}

// BenchmarkSync makes queues durable to each of which a unit was appended: file
// by file, and by one call for the file system.
func BenchmarkSync(b *testing.B) {
	for _, c := range []struct {
		how       string
		queues    int
		syncFiles int
	}{
		{"each", 1, math.MaxInt}, {"each", 32, math.MaxInt}, {"each", 256, math.MaxInt},
		{"all", 32, 1}, {"all", 256, 1}, {"all", 10_000, 1},
	} {
		b.Run(fmt.Sprintf("queues=%d/how=%s", c.queues, c.how), func(b *testing.B) {
			s, queues, _ := benchSet(b, c.queues, 1, &Options{SyncFiles: c.syncFiles})
			if err := s.Sync(0); err != nil {
				b.Fatal(err)
			}
			phy := s.MaxPhy()
			for b.Loop() {
				for _, q := range queues {
					if err := q.Append(q.MaxOffset(), Unit{phy, 1024, 42}); err != nil {
						b.Fatal(err)
					}
					phy += 1024
				}
				if err := s.Sync(0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
