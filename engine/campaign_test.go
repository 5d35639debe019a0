package engine

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

var (
	faultsPerOp = flag.Int("faults", 2, "fault campaign: fail each operation at so many of its occurrences, in each way; 0 is all")
	faultTime   = flag.Duration("fault-time", 0, "fault campaign: end after this time in each mode")
	faultSeed   = flag.Uint64("fault-seed", 1, "fault campaign: the order of the faults")
	faultReplay = flag.String("fault-replay", "", "fault campaign: only this one, as printed by a failure: 'async write 17 EIO once'")
)

// An aFault is one way for a call to go wrong, at one of its occurrences.
type aFault struct {
	op   vfs.Op
	nth  int
	kind string
	on   bool // and all that follow
}

// String is the form that -fault-replay takes.
func (f aFault) String() string {
	return fmt.Sprintf("%v %d %s %s", f.op, f.nth, f.kind, map[bool]string{false: "once", true: "on"}[f.on])
}

// faultKinds are the ways, and whether an operation can go wrong so.
var faultKinds = map[string]func(op vfs.Op, r *vfs.Rule) bool{
	"EIO":    func(_ vfs.Op, r *vfs.Rule) bool { r.Err = syscall.EIO; return true },
	"ENOSPC": func(_ vfs.Op, r *vfs.Rule) bool { r.Err = syscall.ENOSPC; return true },
	"short":  func(op vfs.Op, r *vfs.Rule) bool { r.Short = 7; return op == vfs.OpRead || op == vfs.OpWrite },
	"slow":   func(_ vfs.Op, r *vfs.Rule) bool { r.Delay = time.Millisecond; return !r.On },
}

func (f aFault) rule() (vfs.Rule, bool) {
	r := vfs.Rule{Op: f.op, Nth: f.nth, On: f.on}
	make, ok := faultKinds[f.kind]
	return r, ok && make(f.op, &r)
}

// Every operation on files goes wrong in turn, in every way, once or from then
// on, at occurrences all over a life of a store that opens, puts, reads, queries,
// syncs, cleans, scrubs and closes: it never panics, no reader gets a wrong byte,
// a put that is acknowledged is kept, one that is refused says why, and once the
// fault is gone the store opens, agrees with itself and takes messages.
func TestFaultCampaign(t *testing.T) {
	for mode, change := range variants() {
		t.Run(mode, func(t *testing.T) {
			opts := small()
			change(&opts)
			opts.FlushInterval, opts.CommitInterval = time.Hour, time.Hour
			opts.FlushQueueInterval, opts.CheckpointBytes, opts.MarkBytes = time.Hour, 1<<40, 1<<40
			opts.ScrubBytesPerSecond = -1
			opts.CommitLogFileSize, opts.MaxMessageSize = 32<<10, 4<<10
			calls := map[vfs.Op]int{}
			dry := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
			faultyLife(t, dry, opts)
			for _, op := range vfs.Ops() {
				calls[op] = dry.Count(op)
			}
			faults := chooseFaults(t, mode, calls)
			begin, done, byKind := time.Now(), 0, map[string]int{}
			for _, f := range faults {
				if *faultTime > 0 && time.Since(begin) > *faultTime {
					break
				}
				failOnce(t, opts, mode, f)
				byKind[f.kind]++
				done++
			}
			t.Logf("%d of %d faults in %v: %v; calls in a life: %v", done, len(faults), time.Since(begin).Round(time.Millisecond), byKind, calls)
		})
	}
}

// chooseFaults lists the faults of a campaign in a random order.
func chooseFaults(t *testing.T, mode string, calls map[vfs.Op]int) (faults []aFault) {
	perOp := *faultsPerOp
	if testing.Short() {
		perOp = 1
	}
	rng := rand.New(rand.NewPCG(*faultSeed, 0))
	for _, op := range slices.Sorted(maps.Keys(calls)) {
		n := calls[op]
		for _, kind := range slices.Sorted(maps.Keys(faultKinds)) {
			for _, on := range []bool{false, true} {
				occurrences := rng.Perm(n)
				if perOp > 0 {
					occurrences = occurrences[:min(perOp, n)]
				}
				for _, i := range occurrences {
					f := aFault{op, i + 1, kind, on}
					replayed := *faultReplay == "" || *faultReplay == mode+" "+f.String()
					if _, ok := f.rule(); ok && (*faultReplay == "" || replayed) {
						faults = append(faults, f)
					}
				}
			}
		}
	}
	if word, rest, _ := strings.Cut(*faultReplay, " "); word == mode {
		faults = faults[:0]
		var f aFault
		var name, how string
		if _, err := fmt.Sscanf(rest, "%s %d %s %s", &name, &f.nth, &f.kind, &how); err != nil {
			t.Fatalf("-fault-replay: %v", err)
		}
		f.op, f.on = opNamed(name), how == "on"
		return []aFault{f}
	}
	rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	return faults
}

func opNamed(name string) vfs.Op {
	for _, op := range vfs.Ops() {
		if op.String() == name {
			return op
		}
	}
	return vfs.OpAny
}

func failOnce(t *testing.T, opts Options, mode string, f aFault) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Fatalf("again with: go test ./engine -run TestFaultCampaign -args -fault-replay='%s %v'", mode, f)
		}
	}()
	rule, ok := f.rule()
	if !ok {
		t.Fatalf("no such fault: %v", f)
	}
	disk := vfs.NewCrashFS(1)
	faulty := vfs.NewFaultFS(disk, nil)
	faulty.SetRules(rule)
	acked := faultyLife(t, faulty, opts)
	after := disk.Kill()
	defer func() { disk.Discard(); after.Discard() }()
	opts.FS = after
	s, err := Open("/store", &opts)
	if err != nil {
		t.Errorf("once the fault is gone: %v", err)
		return
	}
	holds(t, s, acked)
	if res := s.Put(newMessage("T0", 0, "after", []byte("x"))); res.Status != PutOK {
		t.Errorf("once the fault is gone: %v: %v", res.Status, res.Err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if report, err := Check("/store", &opts, nil); err != nil || report.Found > 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
}

// faultyLife opens a store, uses it and closes it, whatever fails, and returns
// the messages that were acknowledged.
func faultyLife(t *testing.T, fs vfs.FS, opts Options) (acked []sent) {
	t.Helper()
	opts.FS = fs
	s, err := Open("/store", &opts)
	if err != nil {
		return nil
	}
	rng := rand.New(rand.NewPCG(7, 7))
	bodies := map[string][]byte{}
	for i := range 120 {
		m := sent{topic: fmt.Sprintf("T%d", i%3), queue: int32(i % 4), key: fmt.Sprintf("k%d-%d", i, i%4), body: randomBody(rng, 1500)}
		m.res = s.Put(newMessage(m.topic, m.queue, m.key, m.body))
		switch {
		case m.res.Status == PutOK:
			acked = append(acked, m)
			bodies[m.key] = m.body
		case m.res.Err == nil:
			t.Errorf("refused with %v and no cause", m.res.Status)
		case m.res.Status.Stored():
			t.Errorf("%v: %v", m.res.Status, m.res.Err)
		default:
			bodies[m.key] = m.body // it may be there all the same
		}
		faultyWork(t, s, i, m, bodies)
	}
	if opts.TransientPool && s.Flush() != nil {
		// The pool was not written; nobody was promised it would be.
		acked = slices.DeleteFunc(acked, func(m sent) bool { return m.res.PhyOffset+1 > s.log.CommittedOffset() })
	}
	_ = s.Close()
	return acked
}

func randomBody(rng *rand.Rand, most int) []byte {
	body := make([]byte, 1+rng.IntN(most))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	return body
}

// faultyWork does something besides putting. Whatever it reads must be right.
func faultyWork(t *testing.T, s *Store, i int, m sent, bodies map[string][]byte) {
	t.Helper()
	switch i % 40 {
	case 3, 15:
		readBack(t, s, m, bodies)
	case 6:
		found, err := s.QueryByKey(m.topic, m.key, 10, 0, 1<<60)
		if err != nil && len(found.Offsets) > 0 && found.Offsets[0] < 0 {
			t.Errorf("query: %v, %v", found, err)
		}
	case 10:
		_ = s.queues.Sync(0)
	case 17:
		_ = s.mark()
	case 20:
		_ = s.Flush()
	case 25:
		_ = s.Clean()
	case 30:
		_ = s.checkpoint(false)
	case 33:
		if _, err := s.OffsetByTime(m.topic, m.queue, 1, consumequeue.Lower); err != nil && err.Error() == "" {
			t.Error("an error without a text")
		}
	case 36:
		_, _ = s.Scrub(-1)
	}
}

// readBack reads a queue from its begin. Each message is one that was put.
func readBack(t *testing.T, s *Store, m sent, bodies map[string][]byte) {
	t.Helper()
	var res GetResult
	defer res.Release()
	for at := s.MinOffset(m.topic, m.queue); ; {
		s.Get(&GetRequest{Topic: m.topic, QueueID: m.queue, Offset: at, MaxMsgs: 32}, &res)
		if res.Status == MessageWasRemoving {
			t.Errorf("a reader is led past message %d of %s/%d", at, m.topic, m.queue)
		}
		if res.Status != Found {
			return
		}
		for _, segment := range res.Segments {
			for len(segment) > 0 {
				r, err := message.ParseRecord(segment)
				if err != nil {
					t.Errorf("message %d of %s/%d: %v", at, m.topic, m.queue, err)
					return
				}
				key, _ := r.Properties().Get(message.PropertyKeys)
				if !bytes.Equal(bodies[string(key)], r.Body()) || r.QueueOffset() != at {
					t.Errorf("message %d of %s/%d is another: %d, key %s", at, m.topic, m.queue, r.QueueOffset(), key)
				}
				segment = segment[len(r):]
				at++
			}
		}
		if at != res.NextOffset {
			t.Errorf("%s/%d: read up to %d, next is %d", m.topic, m.queue, at, res.NextOffset)
			return
		}
	}
}

// The disk fills up and empties, again and again: puts are refused in between
// with a cause that says so, readers go on, nothing acknowledged is lost, and each
// time there is space puts go on by themselves.
func TestDiskFillsAndEmpties(t *testing.T) {
	for mode, change := range variants() {
		t.Run(mode, func(t *testing.T) {
			opts := small()
			change(&opts)
			opts.FlushInterval = time.Hour
			disk := vfs.NewCrashFS(1)
			fs := vfs.NewFaultFS(disk, nil)
			opts.FS = fs
			s := open(t, "/store", opts)
			rng := rand.New(rand.NewPCG(7, 7))
			var acked []sent
			for queue := range int32(4) {
				// What is read while the disk is full.
				m := sent{topic: "T0", queue: queue, key: fmt.Sprintf("first%d-0", queue), body: []byte("x")}
				m.res = s.Put(newMessage(m.topic, m.queue, m.key, m.body))
				if m.res.Status != PutOK {
					t.Fatalf("with space: %v: %v", m.res.Status, m.res.Err)
				}
				acked = append(acked, m)
			}
			dispatched(t, s)
			for round := range 4 {
				var full []vfs.Rule
				for _, op := range []vfs.Op{vfs.OpAllocate, vfs.OpMkdir} {
					full = append(full, vfs.Rule{Op: op, Nth: 1, On: true, Err: syscall.ENOSPC})
				}
				fs.SetRules(full...)
				refused := 0
				for i := range 200 {
					m := sent{topic: "T0", queue: int32(i % 4), key: fmt.Sprintf("k%d-%d-%d", round, i, i%4), body: randomBody(rng, 1500)}
					if i%50 == 49 {
						m.topic = fmt.Sprintf("New%d", round) // its queue has no directory yet, and finds no space for one
					}
					m.res = s.Put(newMessage(m.topic, m.queue, m.key, m.body))
					switch {
					case m.res.Status == PutOK:
						acked = append(acked, m)
					case !errors.Is(m.res.Err, syscall.ENOSPC):
						t.Fatalf("refused with %v: %v", m.res.Status, m.res.Err)
					default:
						refused++
					}
				}
				if refused == 0 {
					t.Fatal("the disk was never full")
				}
				if bodies, _ := consume(t, s, "T0", 0); len(bodies) == 0 {
					t.Error("nothing can be read while the disk is full")
				}
				fs.SetRules()
				for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
					m := sent{topic: "T1", key: fmt.Sprintf("again%d-0", round), body: []byte("x")}
					if m.res = s.Put(newMessage(m.topic, 0, m.key, m.body)); m.res.Status == PutOK {
						acked = append(acked, m)
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("with space again: %v: %v", m.res.Status, m.res.Err)
					}
				}
				dispatched(t, s)
			}
			holds(t, s, acked)
			must(t, s.Close())
			if report, err := Check("/store", &opts, nil); err != nil || report.Found > 0 {
				t.Errorf("check: %+v, %v", report, err)
			}
		})
	}
}
