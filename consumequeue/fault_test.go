package consumequeue

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// TestFullDisk fills the disk under the dispatcher: what it was told to be in
// the queues stays, what it was refused goes in later, and nothing comes twice.
func TestFullDisk(t *testing.T) {
	const capacity = 40 << 12
	fs := vfs.NewCrashFS(1)
	fs.SetCapacity(capacity)
	s := openSet(t, fs, testDir, &Options{FileSize: 400 * unitSize})
	queues := []*ConsumeQueue{mustQueue(t, s, "T", 0), mustQueue(t, s, "T", 1), mustQueue(t, s, "U", 0)}
	var next [3]message.QueueOffset
	refused := 0
	for step := range 30_000 {
		i := step % 3
		switch err := queues[i].Append(next[i], testUnit(next[i])); {
		case err == nil:
			next[i]++
		case !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), queues[i].Key().String()):
			t.Fatal(err)
		default:
			refused++
			if len(queues[i].tail) != tailUnitsMax*unitSize {
				t.Fatalf("refused with %d bytes in the tail", len(queues[i].tail))
			}
		}
	}
	if refused == 0 {
		t.Fatal("the disk was never full")
	}
	for i, q := range queues {
		checkUnits(t, q, 0, next[i])
	}
	for name, err := range map[string]error{"WriteOut": s.WriteOut(), "Sync": s.Sync(0)} {
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fs.SetCapacity(100 * capacity)
	for i, q := range queues {
		appendUnits(t, q, next[i], next[i]+300)
		checkUnits(t, q, 0, next[i]+300)
	}
	if err := s.Sync(0); err != nil {
		t.Fatal(err)
	}
	after := openSet(t, fs.Crash(1), testDir, &Options{FileSize: 400 * unitSize})
	for i, q := range queues {
		checkUnits(t, after.Queue(q.Key().Topic, q.Key().QueueID), 0, next[i]+300)
	}
	if err := after.Check(); err != nil {
		t.Error(err)
	}
}

// TestFullDiskAtFirstUnit fails the placeholders of a queue that begins late.
func TestFullDiskAtFirstUnit(t *testing.T) {
	for _, op := range []vfs.Op{vfs.OpMkdir, vfs.OpOpen, vfs.OpTruncate, vfs.OpWrite} {
		fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
		s := openSet(t, fs, testDir, &Options{FileSize: 8000 * unitSize})
		q := mustQueue(t, s, "T", 0)
		fs.SetRules(vfs.Rule{Op: op, Err: syscall.ENOSPC, Short: 999})
		for range 2 {
			if err := q.Append(7777, testUnit(7777)); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%v: %v", op, err)
			}
			if q.MaxOffset() != 0 || q.MinOffset() != 0 {
				t.Fatalf("%v: the queue is %d..%d", op, q.MinOffset(), q.MaxOffset())
			}
		}
		fs.SetRules()
		appendUnits(t, q, 7777, 7800)
		checkUnits(t, q, 7777, 7800)
		if err := errors.Join(s.Sync(0), s.Check()); err != nil {
			t.Errorf("%v: %v", op, err)
		}
	}
}

// TestSyncFailureIsFinal: after a failed sync nothing is claimed any more, while
// appends and reads go on.
func TestSyncFailureIsFinal(t *testing.T) {
	for _, rule := range []vfs.Rule{
		{Op: vfs.OpSyncData, Nth: 1, Err: syscall.EIO},
		{Op: vfs.OpSyncDir, Nth: 1, Path: "T", Err: syscall.EIO},
		{Op: vfs.OpSyncAll, Nth: 1, Err: syscall.EIO},
	} {
		fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
		opts := &Options{FileSize: 400}
		if rule.Op == vfs.OpSyncAll {
			opts.SyncFiles = 1
		}
		s := openSet(t, fs, testDir, opts)
		q := mustQueue(t, s, "T", 0)
		appendUnits(t, q, 0, 100)
		fs.SetRules(rule)
		for range 2 {
			var failed *SyncError
			if err := s.Sync(0); !errors.As(err, &failed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("%v: %v", rule.Op, err)
			}
		}
		appendUnits(t, q, 100, 500)
		checkUnits(t, q, 0, 500)
		if err := s.WriteOut(); err != nil {
			t.Errorf("%v: write: %v", rule.Op, err)
		}
	}
}

// TestSyncWithoutDescriptor: not to get a descriptor is no failed sync.
func TestSyncWithoutDescriptor(t *testing.T) {
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	s := openSet(t, fs, testDir, &Options{FileSize: 400, OpenFiles: 1})
	a, b := mustQueue(t, s, "T", 0), mustQueue(t, s, "T", 1)
	appendUnits(t, a, 0, 10)
	appendUnits(t, b, 0, 10)
	if err := s.WriteOut(); err != nil {
		t.Fatal(err)
	}
	fs.SetRules(vfs.Rule{Op: vfs.OpOpen, Err: syscall.EMFILE})
	if err := s.Sync(0); !errors.Is(err, syscall.EMFILE) {
		t.Fatal(err)
	}
	fs.SetRules()
	if err := s.Sync(0); err != nil {
		t.Fatal(err)
	}
}

// campaign is a history with a bit of everything. Whatever fails is tried again.
type campaign struct {
	t     *testing.T
	fs    *vfs.FaultFS
	inner *vfs.CrashFS
	opts  Options
	set   *Set
	end   message.QueueOffset
	fails int
}

// retry calls fn until it works. A failure that stays is one of the code.
func (c *campaign) retry(what string, fn func() error) {
	c.t.Helper()
	var err error
	for range 3 {
		if err = fn(); err == nil {
			return
		}
		c.fails++
		var failed *SyncError
		if errors.As(err, &failed) { // final: as the log says it again
			c.reopen()
		}
	}
	c.t.Fatalf("%s: %v", what, err)
}

func (c *campaign) reopen() {
	c.set.Close()
	c.open()
	c.retry("dispatch", c.dispatch)
}

func (c *campaign) open() {
	c.t.Helper()
	var err error
	for range 3 {
		if c.set, err = Open(c.fs, testDir, &c.opts); err == nil {
			if err = c.set.Recover(0, 0, math.MaxInt64, false); err == nil {
				return
			}
			c.set.Close()
		}
		c.fails++
	}
	c.t.Fatal(err)
}

// dispatch appends all units up to the end to both queues, as from a log.
func (c *campaign) dispatch() error {
	for off := range c.end {
		for _, first := range []message.QueueOffset{0, 17} {
			if off < first {
				continue
			}
			q, err := c.set.QueueOrCreate("T", int32(first))
			if err != nil {
				return err
			}
			if err := q.Append(off, testUnit(off)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *campaign) run() {
	if err := c.inner.MkdirAll(testDir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.open()
	defer func() { c.set.Close() }()
	c.end = 300
	c.retry("dispatch", c.dispatch)
	c.retry("sync", func() error { return c.set.Sync(0) })
	c.end = 500
	c.retry("dispatch", c.dispatch)
	c.retry("write", func() error { return c.set.WriteOut() })
	c.retry("truncate", func() error { return c.set.Truncate(testUnit(349).end()) })
	c.end = 350
	c.retry("sync some", func() error { return c.set.Sync(1) })
	c.check()
	c.end = 600
	c.retry("dispatch", c.dispatch)
	c.retry("delete", func() error {
		_, err := c.set.DeleteExpired(0)
		return err
	})
	c.retry("sync", func() error { return c.set.Sync(0) })
	c.reopen()
	c.check()
	c.retry("drop", func() error { return c.set.DropQueue(Key{"T", 0}) })
	c.retry("dispatch", c.dispatch)
	c.retry("sync", func() error { return c.set.Sync(0) })
	c.check()
	c.fs.SetRules()
	if err := c.set.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.open()
	c.retry("dispatch", c.dispatch)
	c.check()
	if err := c.set.Check(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *campaign) check() {
	c.t.Helper()
	for _, first := range []message.QueueOffset{0, 17} {
		q := c.set.Queue("T", int32(first))
		if q == nil {
			c.t.Fatalf("queue %d is missing", first)
		}
		var all []Unit
		c.retry("read", func() error {
			all = nil
			buf := make([]Unit, 32)
			for off := first; off < q.MaxOffset(); {
				n, err := q.Read(off, buf)
				if err != nil {
					return err
				}
				all = append(all, buf[:n]...)
				off += message.QueueOffset(n)
			}
			return nil
		})
		for i, u := range all {
			if want := testUnit(first + message.QueueOffset(i)); u != want {
				c.t.Fatalf("queue %d: unit %d is %+v, want %+v", first, i, u, want)
			}
		}
		if q.MaxOffset() != c.end {
			c.t.Fatalf("queue %d ends at %d, want %d", first, q.MaxOffset(), c.end)
		}
	}
}

// TestFaultCampaign fails every call to the file system in turn, once.
func TestFaultCampaign(t *testing.T) {
	run := func(t *testing.T, rules ...vfs.Rule) (*vfs.FaultFS, int) {
		inner := vfs.NewCrashFS(1)
		c := &campaign{t: t, inner: inner, fs: vfs.NewFaultFS(inner, nil),
			opts: Options{FileSize: 100 * unitSize, OpenFiles: 2, SyncFiles: 8, Workers: 1}}
		c.fs.SetRules(rules...)
		c.run()
		return c.fs, c.fails
	}
	fs, fails := run(t)
	if fails > 0 {
		t.Fatalf("%d calls failed without a rule", fails)
	}
	injected := 0
	for _, op := range vfs.Ops() {
		if op == vfs.OpClose {
			continue // its error says nothing, and the descriptor is gone
		}
		for n := 1; n <= fs.Count(op); n += 1 + n/40 {
			for _, err := range []error{syscall.ENOSPC, syscall.EIO} {
				t.Run(fmt.Sprintf("%v/%d/%v", op, n, err), func(t *testing.T) {
					_, fails := run(t, vfs.Rule{Op: op, Nth: n, Err: err, Short: rand.IntN(50)})
					injected += min(fails, 1)
				})
			}
		}
	}
	if injected < 100 {
		t.Errorf("only %d of the failures were seen", injected)
	}
}

// TestNamesDurableInOrder counts what Sync does for new queues, and that a
// second one has nothing to do.
func TestNamesDurableInOrder(t *testing.T) {
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	s := openSet(t, fs, testDir, &Options{FileSize: 400})
	appendUnits(t, mustQueue(t, s, "T", 0), 0, 30)
	appendUnits(t, mustQueue(t, s, "T", 1), 0, 1)
	fs.Record(true)
	if err := s.Sync(0); err != nil {
		t.Fatal(err)
	}
	synced := map[string]bool{}
	for _, c := range fs.Calls() {
		if c.Op == vfs.OpSyncDir || c.Op == vfs.OpSyncData {
			synced[strings.TrimPrefix(c.Path, testDir)] = true
		}
	}
	for _, name := range []string{"", "/T", "/T/0", "/T/1", "/T/0/00000000000000000000", "/T/0/00000000000000000400", "/T/1/00000000000000000000"} {
		if !synced[name] {
			t.Errorf("%q was not synced", path.Join(testDir, name))
		}
	}
	if len(synced) != 7 {
		t.Errorf("synced: %v", synced)
	}
	fs.Record(true)
	if err := s.Sync(0); err != nil {
		t.Fatal(err)
	}
	if calls := fs.Calls(); len(calls) > 0 {
		t.Errorf("the second sync: %v", calls)
	}
}

// TestSyncPages syncs only the queues with enough pages, and leaves the others
// in their buffers.
func TestSyncPages(t *testing.T) {
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	s := openSet(t, fs, testDir, &Options{FileSize: 1000 * unitSize})
	few, many := mustQueue(t, s, "T", 0), mustQueue(t, s, "T", 1)
	appendUnits(t, few, 0, 100)
	appendUnits(t, many, 0, 900)
	if err := s.Sync(4); err != nil {
		t.Fatal(err)
	}
	if fs.Count(vfs.OpSyncData) != 1 || many.synced != 900 || few.synced != 0 || few.written != 0 {
		t.Errorf("%d syncs; of the queues %d and %d units are durable", fs.Count(vfs.OpSyncData), many.synced, few.synced)
	}
	appendUnits(t, many, 900, 1001) // a full file is due with any number of pages
	if err := s.Sync(1000); err != nil {
		t.Fatal(err)
	}
	if many.synced != 1001 {
		t.Errorf("%d units are durable", many.synced)
	}
}

// TestWriteOutDuringSync has the device take its time: what is written out
// meanwhile does not wait for it, nor is it taken to be durable.
func TestWriteOutDuringSync(t *testing.T) {
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	s := openSet(t, fs, testDir, nil)
	q := mustQueue(t, s, "T", 0)
	appendUnits(t, q, 0, 10)
	syncing, release, synced := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	fs.SetRules(vfs.Rule{Op: vfs.OpSyncData, Nth: 1, Do: func(vfs.Call) { close(syncing); <-release }})
	go func() { synced <- s.Sync(0) }()
	<-syncing
	appendUnits(t, q, 10, 20)
	if err := s.WriteOut(); err != nil {
		t.Fatal(err)
	}
	if q.written != 20 {
		t.Errorf("%d units are written", q.written)
	}
	close(release)
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	if q.synced != 10 {
		t.Errorf("%d units are durable", q.synced)
	}
	if err := s.Sync(0); err != nil {
		t.Fatal(err)
	}
	if q.synced != 20 {
		t.Errorf("%d units are durable after another sync", q.synced)
	}
}

// TestSyncBeyondThreshold syncs many queues by one call.
func TestSyncBeyondThreshold(t *testing.T) {
	fs := vfs.NewFaultFS(vfs.NewCrashFS(1), nil)
	s := openSet(t, fs, testDir, &Options{FileSize: 400, SyncFiles: 10})
	for i := range int32(50) {
		appendUnits(t, mustQueue(t, s, "T", i), 0, 3)
	}
	if err := s.Sync(0); err != nil {
		t.Fatal(err)
	}
	if fs.Count(vfs.OpSyncAll) != 1 || fs.Count(vfs.OpSyncData) != 0 {
		t.Errorf("%d and %d syncs", fs.Count(vfs.OpSyncAll), fs.Count(vfs.OpSyncData))
	}
}
