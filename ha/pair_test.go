package ha

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// patience bounds what takes milliseconds on an idle machine.
const patience = 20 * time.Second

// await waits until ok holds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

func openMaster(t *testing.T, log *memLog, opts MasterOptions) *Master {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts.FileSize, opts.Group = log.fileSize, "c/b"
	m := OpenMaster(log, ln, &opts)
	log.grown = m.Appended
	t.Cleanup(func() { m.Close() })
	return m
}

func openSlave(t *testing.T, log *memLog, m *Master, opts SlaveOptions) *Slave {
	t.Helper()
	opts.FileSize, opts.Group = log.fileSize, "c/b"
	if opts.RetryInterval == 0 {
		opts.RetryInterval = 10 * time.Millisecond
	}
	s := OpenSlave(log, m.Addr().String(), &opts)
	t.Cleanup(func() { s.Close() })
	return s
}

func awaitCopied(t *testing.T, master, slave *memLog) {
	t.Helper()
	await(t, "the slave has all of the log", func() bool { return slave.MaxPhyOffset() == master.MaxPhyOffset() })
	if d := same(master, slave); d != "" {
		t.Fatal(d)
	}
}

const testFile = 64 << 10

func fill(t *testing.T, log *memLog, rng *rand.Rand, bytes int) {
	t.Helper()
	for end := log.MaxPhyOffset() + message.PhyOffset(bytes); log.MaxPhyOffset() < end; {
		log.put(t, rng, 3000)
	}
}

func TestSlaveCatchesUpAndFollows(t *testing.T) {
	for _, id := range []int64{0, 1} {
		rng := rand.New(rand.NewPCG(1, uint64(id)))
		master, slave := newMemLog(testFile), newMemLog(testFile)
		fill(t, master, rng, 5*testFile/2)
		m := openMaster(t, master, MasterOptions{BatchSize: 1000})
		s := openSlave(t, slave, m, SlaveOptions{BrokerID: id})
		awaitCopied(t, master, slave)
		want := message.PhyOffset(0) // the first file, for one who can ask for it
		if id == 0 {
			want = 2 * testFile // the last, for one that is as Java's
		}
		if slave.off != want {
			t.Errorf("id %d: the copy begins at %d, want %d", id, slave.off, want)
		}
		for range 50 {
			fill(t, master, rng, 1+rng.IntN(10000))
		}
		awaitCopied(t, master, slave)
		// A slave that comes back goes on where it was.
		s.Close()
		fill(t, master, rng, testFile)
		s = openSlave(t, slave, m, SlaveOptions{BrokerID: id})
		awaitCopied(t, master, slave)
		// So it does at another master of the same log.
		other := openMaster(t, master, MasterOptions{})
		s.SetMaster(other.Addr().String())
		await(t, "the slave is at the other master", func() bool { return len(other.Slaves()) == 1 })
		fill(t, master, rng, testFile)
		awaitCopied(t, master, slave)
		await(t, "all is acknowledged", func() bool { return other.Slaves()[0].Ack == master.MaxPhyOffset() })
		if got := other.Slaves()[0]; got.BrokerID != id || !got.InSync {
			t.Errorf("slave %d is shown as %+v", id, got)
		}
	}
}

// outcome is a Waiter.
type outcome chan error

func (o outcome) Replicated(err error) { o <- err }

func (m *Master) awaitReplicated(end message.PhyOffset) error {
	o := make(outcome, 1)
	m.NotifyReplicated(end, o)
	return <-o
}

func TestPutsWaitForSlaves(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	master := newMemLog(testFile)
	m := openMaster(t, master, MasterOptions{Sync: true, InSyncReplicas: 3, SlaveTimeout: 50 * time.Millisecond})
	if wait, err := m.Admit(); !wait || err != nil {
		t.Fatalf("a put waits: %t, %v", wait, err)
	}
	if err := m.awaitReplicated(master.put(t, rng, 100)); !errors.Is(err, ErrSlaveNotAvailable) {
		t.Fatalf("without a slave: %v", err)
	}
	logs := []*memLog{newMemLog(testFile), newMemLog(testFile)}
	first := openSlave(t, logs[0], m, SlaveOptions{BrokerID: 1})
	await(t, "one slave", func() bool { return len(m.Slaves()) == 1 })
	if err := m.awaitReplicated(master.put(t, rng, 100)); !errors.Is(err, ErrSlaveNotAvailable) {
		t.Fatalf("with one slave of two: %v", err)
	}
	openSlave(t, logs[1], m, SlaveOptions{BrokerID: 2})
	await(t, "two slaves", func() bool { return len(m.Slaves()) == 2 })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			for range 200 {
				end := master.put(t, rng, 1000)
				if err := m.awaitReplicated(end); err != nil && !errors.Is(err, ErrSlaveTimeout) {
					t.Errorf("put: %v", err)
				} else if err == nil && (logs[0].MaxPhyOffset() < end || logs[1].MaxPhyOffset() < end) {
					t.Errorf("a put that ends at %d is answered, the slaves have %d and %d", end, logs[0].MaxPhyOffset(), logs[1].MaxPhyOffset())
				}
			}
		})
	}
	wg.Wait()
	first.Close()
	await(t, "one slave is gone", func() bool { return len(m.Slaves()) == 1 })
	if err := m.awaitReplicated(master.put(t, rng, 100)); !errors.Is(err, ErrSlaveNotAvailable) {
		t.Fatalf("after one slave has gone: %v", err)
	}
}

// TestStalledSlaveTimesOut has a slave that takes in nothing.
func TestStalledSlaveTimesOut(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 3))
	master := newMemLog(testFile)
	m := openMaster(t, master, MasterOptions{Sync: true, InSyncReplicas: 2, SlaveTimeout: 30 * time.Millisecond})
	conn := dial(t, m)
	conn.Write(appendReport(nil, 0))
	await(t, "the slave is there", func() bool { return len(m.Slaves()) == 1 })
	err := m.awaitReplicated(master.put(t, rng, 100))
	var late interface{ Timeout() bool }
	if !errors.Is(err, ErrSlaveTimeout) || !errors.As(err, &late) || !late.Timeout() {
		t.Fatalf("a put with a slave that does not answer: %v", err)
	}
}

func dial(t *testing.T, m *Master) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestMasterSaysNothingBeforeTheFirstReport, and then a heartbeat, as Java's.
func TestMasterSaysNothingBeforeTheFirstReport(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 4))
	master := newMemLog(testFile)
	end := master.put(t, rng, 100)
	m := openMaster(t, master, MasterOptions{HeartbeatInterval: 10 * time.Millisecond})
	conn := dial(t, m)
	conn.SetReadDeadline(time.Now().Add(400 * time.Millisecond))
	var b [frameHeaderSize]byte
	if n, err := conn.Read(b[:]); n != 0 || err == nil {
		t.Fatalf("%d bytes before the first report, %v", n, err)
	}
	report := appendReport(nil, end)
	conn.Write(report[:3])
	conn.Write(report[3:])
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		t.Fatal(err)
	}
	if string(b[:]) != string(appendFrameHeader(nil, end, 0)) {
		t.Fatalf("the first frame is %x", b)
	}
}

func TestRefusals(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	master := newMemLog(testFile)
	fill(t, master, rng, 3*testFile)
	master.min = testFile
	var mu sync.Mutex
	var said []error
	m := openMaster(t, master, MasterOptions{OnEvent: func(e Event) {
		if !e.Connected {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, e.Err)
		}
	}})
	end := master.MaxPhyOffset()
	tail, _ := TailHash(master, end, testFile)
	for name, c := range map[string]struct {
		h      Hello
		report message.PhyOffset
		want   func(error) bool
	}{
		"ahead":         {Hello{ID: 1, Group: GroupHash("c/b"), Tail: tail}, end + 1, isOffsetError},
		"behind":        {Hello{ID: 1, Group: GroupHash("c/b")}, 5, isOffsetError},
		"other bytes":   {Hello{ID: 1, Group: GroupHash("c/b"), Tail: tail + 1}, end, func(err error) bool { return errors.Is(err, errDiverged) }},
		"another group": {Hello{ID: 1, Group: GroupHash("c/x"), Tail: tail}, end, func(err error) bool { return err != nil }},
	} {
		mu.Lock()
		said = nil
		mu.Unlock()
		conn := dial(t, m)
		conn.Write(appendReport(c.h.append(nil), c.report))
		conn.SetReadDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: read %d, %v", name, n, err)
		}
		await(t, name+" is reported", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(said) == 1 && c.want(said[0])
		})
	}
}

func isOffsetError(err error) bool {
	var e *OffsetError
	return errors.As(err, &e)
}

// TestNewConnectionOfASlaveReplacesTheOld: it counts once.
func TestNewConnectionOfASlaveReplacesTheOld(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	master := newMemLog(testFile)
	end := master.put(t, rng, 100)
	tail, _ := TailHash(master, end, testFile)
	m := openMaster(t, master, MasterOptions{Sync: true, InSyncReplicas: 3})
	h := Hello{ID: 9, Group: GroupHash("c/b"), Tail: tail}
	old := dial(t, m)
	old.Write(appendReport(h.append(nil), end))
	await(t, "the slave", func() bool { return len(m.Slaves()) == 1 })
	dial(t, m).Write(appendReport(h.append(nil), end))
	old.SetReadDeadline(time.Now().Add(patience))
	if _, err := old.Read(make([]byte, 1)); err == nil {
		t.Error("the old connection is served")
	}
	await(t, "one connection", func() bool { return len(m.Slaves()) == 1 })
	if err := m.awaitReplicated(end); !errors.Is(err, ErrSlaveNotAvailable) {
		t.Fatalf("two connections of one slave count as two: %v", err)
	}
}

func TestSlaveWithAFailingDiskComesBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	master, slave := newMemLog(testFile), newMemLog(testFile)
	m := openMaster(t, master, MasterOptions{})
	fill(t, master, rng, testFile)
	slave.failing = errors.New("no space")
	failed := make(chan error, 100)
	openSlave(t, slave, m, SlaveOptions{BrokerID: 1, OnEvent: func(e Event) {
		select {
		case failed <- e.Err:
		default:
		}
	}})
	for err := range failed {
		if errors.Is(err, slave.failing) {
			break
		}
	}
	slave.mu.Lock()
	slave.failing = nil
	slave.mu.Unlock()
	awaitCopied(t, master, slave)
}
