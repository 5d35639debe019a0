package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// flip changes one bit of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	must(t, err)
	b[0] ^= 1 << (at % 8)
	_, err = f.WriteAt(b[:], at)
	must(t, err)
}

// scrubbed runs a round and returns what it found.
func scrubbed(t *testing.T, s *Store, faults *faultList) []ScrubFault {
	t.Helper()
	faults.take()
	info, err := s.Scrub(-1)
	must(t, err)
	found := faults.take()
	if info.Found != len(found) {
		t.Errorf("%d are told of, %+v", len(found), info)
	}
	return found
}

// faultList collects what a store tells of.
type faultList struct {
	mu   sync.Mutex
	list []ScrubFault
}

func (l *faultList) listener() *EventListener {
	return &EventListener{ScrubFound: func(f ScrubFault) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.list = append(l.list, f)
	}}
}

func (l *faultList) take() []ScrubFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// One bit is flipped in a file of each kind: the scrub finds it, places it, and
// puts right what is not of the log, while consumers of another queue go on as
// if nothing was. Then all that was put is there.
func TestScrubFlippedBit(t *testing.T) {
	const header, slots, entry = 40, 4, 20
	opts := small()
	entryAt := func(number int64) int64 { return header + int64(opts.IndexSlots)*slots + number*entry }
	indexFile := func(t *testing.T, dir string, i int) string {
		files, err := filepath.Glob(filepath.Join(dir, "index", "*"))
		must(t, err)
		slices.Sort(files)
		return files[(i+len(files))%len(files)]
	}
	type place struct {
		name string
		at   int64 // of the bit
		says int64 // where the fault is told to be; -1 anywhere in the file
	}
	cases := map[string]func(t *testing.T, dir string, all []sent) place{
		"queue entry's offset": func(t *testing.T, dir string, all []sent) place {
			return place{"consumequeue/T0/0/00000000000000000000", 2*20 + 6, 2 * 20}
		},
		"first queue entry's high byte": func(t *testing.T, dir string, all []sent) place {
			return place{"consumequeue/T1/2/00000000000000000000", 0, 0}
		},
		"queue entry's size": func(t *testing.T, dir string, all []sent) place {
			return place{"consumequeue/T0/1/00000000000000000000", 3*20 + 8, 3 * 20}
		},
		"queue entry's tags": func(t *testing.T, dir string, all []sent) place {
			return place{"consumequeue/T0/2/00000000000000000000", 5*20 + 19, 5 * 20}
		},
	}
	for name, field := range map[string]int64{"hash": 2, "offset": 10, "high offset": 4, "time": 15, "link": 19} {
		cases["index entry's "+name] = func(t *testing.T, dir string, all []sent) place {
			rel, _ := filepath.Rel(dir, indexFile(t, dir, 1))
			return place{rel, entryAt(17) + field, entryAt(17)}
		}
		cases["open index entry's "+name] = func(t *testing.T, dir string, all []sent) place {
			rel, _ := filepath.Rel(dir, indexFile(t, dir, -1))
			return place{rel, entryAt(2) + field, entryAt(2)}
		}
	}
	for i, file := range []int{0, -1} {
		cases[fmt.Sprintf("index slot, file %d", i)] = func(t *testing.T, dir string, all []sent) place {
			rel, _ := filepath.Rel(dir, indexFile(t, dir, file))
			b, err := os.ReadFile(filepath.Join(dir, rel))
			must(t, err)
			slot := int64(0)
			for b[header+slot*slots+3] == 0 {
				slot++
			}
			return place{rel, header + slot*slots + 3, header + slot*slots}
		}
	}
	for name, at := range map[string]int64{"begin time": 5, "end time": 13, "begin offset": 22, "end offset": 30, "slots used": 35, "count": 38} {
		cases["index "+name] = func(t *testing.T, dir string, all []sent) place {
			rel, _ := filepath.Rel(dir, indexFile(t, dir, 0))
			return place{rel, at, -1}
		}
	}
	for name, at := range map[string]int64{"time": 6, "offset": 47, "high offset": 41, "unused bytes": 3000} {
		cases["checkpoint's "+name] = func(*testing.T, string, []sent) place { return place{checkpointName, at, at} }
	}
	for _, name := range []string{waymarkName, waymarkName + vfs.BackupSuffix, markName} {
		for field, at := range map[string]int64{"magic": 1, "seal": 14, "offset": 31, "checksum": waymarkSize - 1} {
			cases[name+"'s "+field] = func(*testing.T, string, []sent) place { return place{name, at, at} }
		}
	}
	opts.MarkBytes = 1 << 40 // marks are made here
	for name, choose := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opts := opts
			var faults faultList
			opts.Listener = faults.listener()
			s := open(t, dir, opts)
			all := put(t, s, rand.New(rand.NewPCG(3, 3)), 400)
			dispatched(t, s)
			must(t, s.checkpoint(false))
			must(t, s.checkpoint(false)) // which keeps the first
			must(t, s.mark())
			if found := scrubbed(t, s, &faults); len(found) > 0 {
				t.Fatalf("before: %v", found)
			}
			p := choose(t, dir, all)
			path := filepath.Join(dir, p.name)
			others := readOn(t, s, "T2", 1)
			flip(t, path, p.at)
			found := scrubbed(t, s, &faults)
			others()
			if len(found) != 1 || found[0].File != path || p.says >= 0 && found[0].Offset != p.says || !found[0].Mended {
				t.Errorf("want %s at %d, found %v", path, p.says, found)
			}
			if found := scrubbed(t, s, &faults); len(found) > 0 {
				t.Errorf("afterwards: %v", found)
			}
			all = append(all, put(t, s, rand.New(rand.NewPCG(4, 4)), 50)...)
			verify(t, s, all)
			must(t, s.Close())
			if report, err := Check(dir, &opts, nil); err != nil || report.Found > 0 {
				t.Errorf("check: %+v, %v", report, err)
			}
		})
	}
}

// readOn has a queue read over and over, which must give all of it each time,
// until what it returns is called.
func readOn(t *testing.T, s *Store, topic string, queue int32) (stop func()) {
	end := s.MaxOffset(topic, queue)
	if end == 0 {
		t.Fatal("nothing to read")
	}
	ended := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		var res GetResult
		defer res.Release()
		for passes := 0; ; passes++ {
			select {
			case <-ended:
				if passes > 0 {
					return
				}
			default:
			}
			for at := s.MinOffset(topic, queue); at < end; at = res.NextOffset {
				s.Get(&GetRequest{Topic: topic, QueueID: queue, Offset: at, MaxMsgs: 32}, &res)
				if res.Status != Found || res.NextOffset != at+message.QueueOffset(res.Count) {
					t.Errorf("%s/%d at %d: %v, next %d after %d messages", topic, queue, at, res.Status, res.NextOffset, res.Count)
					return
				}
			}
		}
	})
	return func() { close(ended); reading.Wait() }
}

// A flipped bit of the log is found and placed, and left as it is. Consumers of
// the other messages are not disturbed, nor are those of the queue itself.
func TestScrubFlippedBitOfLog(t *testing.T) {
	for name, field := range map[string]int64{"length": 2, "magic": 5, "checksum": 9, "queue": 15, "queue offset": 27, "offset": 34, "body": 100} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opts := small()
			var faults faultList
			opts.Listener = faults.listener()
			s := open(t, dir, opts)
			all := put(t, s, rand.New(rand.NewPCG(3, 3)), 300)
			dispatched(t, s)
			must(t, s.checkpoint(false))
			m := all[120]
			for len(m.body) < 50 {
				m = all[121]
			}
			file := m.res.PhyOffset / 65536 * 65536
			path := filepath.Join(dir, "commitlog", mappedfile.FileName(int64(file)))
			at := int64(m.res.PhyOffset - file)
			flip(t, path, at+field)
			before, err := os.ReadFile(path)
			must(t, err)
			found := scrubbed(t, s, &faults)
			if len(found) == 0 {
				t.Fatal("nothing is found")
			}
			for _, f := range found {
				if f.File != path || f.Offset != at || f.Mended {
					t.Errorf("want %s at %d, found %v", path, at, f)
				}
			}
			after, err := os.ReadFile(path)
			must(t, err)
			if string(before) != string(after) {
				t.Error("the log was touched")
			}
			for _, other := range all {
				var res GetResult
				s.Get(&GetRequest{Topic: other.topic, QueueID: other.queue, Offset: other.res.QueueOffset, MaxMsgs: 1}, &res)
				if other.res.PhyOffset != m.res.PhyOffset && (res.Status != Found || !strings.Contains(string(res.Segments[0]), string(other.body))) {
					t.Errorf("message %d of %s/%d: %v", other.res.QueueOffset, other.topic, other.queue, res.Status)
				}
				res.Release()
			}
		})
	}
}

// A queue's file that is gone or cut is built again.
func TestScrubRebuildsQueue(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"cut":     func(path string) error { return os.Truncate(path, 30) },
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			opts := small()
			opts.MaxOpenQueueFiles = 1
			var faults faultList
			opts.Listener = faults.listener()
			s := open(t, dir, opts)
			all := put(t, s, rand.New(rand.NewPCG(3, 3)), 300)
			dispatched(t, s)
			must(t, s.checkpoint(false))
			path := filepath.Join(dir, "consumequeue/T0/1/00000000000000000000")
			must(t, damage(path))
			found := scrubbed(t, s, &faults)
			if len(found) != 1 || found[0].File != path || !found[0].Mended {
				t.Errorf("found %v", found)
			}
			if found := scrubbed(t, s, &faults); len(found) > 0 {
				t.Errorf("afterwards: %v", found)
			}
			verify(t, s, all)
		})
	}
}

// There is nothing to find in Java's stores, in a store with deleted topics, and
// while messages are put and files deleted.
func TestScrubFindsNothing(t *testing.T) {
	for _, name := range []string{golden.Clean, golden.V2, golden.IPv6, golden.Crashed} {
		t.Run(name, func(t *testing.T) {
			opts := javaOptions(golden.Manifest(t, name))
			var faults faultList
			opts.Listener = faults.listener()
			s := open(t, golden.Store(t, name), opts)
			if found := scrubbed(t, s, &faults); len(found) > 0 {
				t.Errorf("found %v", found)
			}
		})
	}
	t.Run("busy", func(t *testing.T) {
		opts := small()
		opts.MaxLogBytes = 400 << 10
		var faults faultList
		opts.Listener = faults.listener()
		s := open(t, t.TempDir(), opts)
		rng := rand.New(rand.NewPCG(3, 3))
		put(t, s, rng, 500)
		var busy sync.WaitGroup
		busy.Go(func() {
			for range 40 {
				put(t, s, rng, 50)
				if err := s.Clean(); err != nil {
					t.Error(err)
				}
			}
		})
		for range 20 {
			if found := scrubbed(t, s, &faults); len(found) > 0 {
				t.Errorf("found %v", found)
				break
			}
		}
		busy.Wait()
		dispatched(t, s)
		must(t, s.DeleteTopic("T1"))
		for i := range 5 {
			if res := s.Put(newMessage("T1", 2, "k", fmt.Appendf(nil, "again %d", i))); res.Status != PutOK {
				t.Fatal(res.Err)
			}
		}
		dispatched(t, s)
		if found := scrubbed(t, s, &faults); len(found) > 0 {
			t.Errorf("with deleted topics: %v", found)
		}
	})
}

// The first entry of a queue whose topic was made again is mended to be of the
// topic's present life.
func TestScrubKnowsLives(t *testing.T) {
	dir := t.TempDir()
	opts := small()
	var faults faultList
	opts.Listener = faults.listener()
	s := open(t, dir, opts)
	put(t, s, rand.New(rand.NewPCG(3, 3)), 300)
	dispatched(t, s)
	must(t, s.DeleteTopic("T1"))
	for i := range 5 {
		if res := s.Put(newMessage("T1", 2, "k", fmt.Appendf(nil, "again %d", i))); res.Status != PutOK {
			t.Fatal(res.Err)
		}
	}
	dispatched(t, s)
	must(t, s.checkpoint(false))
	flip(t, filepath.Join(dir, "consumequeue/T1/2/00000000000000000000"), 1)
	if found := scrubbed(t, s, &faults); len(found) != 1 || !found[0].Mended {
		t.Errorf("found %v", found)
	}
	if bodies, _ := consume(t, s, "T1", 2); len(bodies) != 5 || string(bodies[0]) != "again 0" {
		t.Errorf("%d messages, the first is %s", len(bodies), bodies[0])
	}
}

// A scrub keeps to its rate, runs by itself, and ends with the store.
func TestScrubPace(t *testing.T) {
	opts := small()
	opts.ScrubInterval = time.Millisecond
	opts.ScrubBytesPerSecond = 1 << 30
	rounds := make(chan ScrubInfo)
	end := make(chan struct{})
	opts.Listener = &EventListener{Scrubbed: func(i ScrubInfo) {
		select {
		case rounds <- i:
		case <-end:
		}
	}}
	s := open(t, t.TempDir(), opts)
	put(t, s, rand.New(rand.NewPCG(3, 3)), 300)
	dispatched(t, s)
	<-rounds
	info := <-rounds
	close(end)
	if info.Records != 300 || info.Bytes < int64(info.To-info.From) {
		t.Errorf("%+v", info)
	}
	var closing sync.WaitGroup
	defer closing.Wait()
	closing.Go(func() {
		for s.Metrics().ScrubBytes < info.Bytes+1 { // until the round has begun
			runtime.Gosched()
		}
		s.Close()
	})
	began := time.Now()
	if _, err := s.Scrub(info.Bytes / 100); !errors.Is(err, ErrClosed) || time.Since(began) > 10*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// A device that fails under a scrub ends the round, with the cause, and harms
// nothing.
func TestScrubOfFailingDevice(t *testing.T) {
	opts := small()
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	opts.FS = fs
	s := open(t, "/store", opts)
	all := put(t, s, rand.New(rand.NewPCG(3, 3)), 300)
	dispatched(t, s)
	must(t, s.checkpoint(false))
	for _, path := range []string{"commitlog", "index"} {
		fs.SetRules(vfs.Rule{Op: vfs.OpRead, Path: path, Nth: 2, On: true, Err: errors.ErrUnsupported})
		if _, err := s.Scrub(-1); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", path, err)
		}
		fs.SetRules()
	}
	verify(t, s, all)
}
