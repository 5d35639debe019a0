package ha

import (
	"bytes"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

const bulkFile = 6 << 20

// fillLarge appends so many bytes in messages of up to 100 KiB.
func fillLarge(t *testing.T, log *memLog, rng *rand.Rand, bytes int) {
	t.Helper()
	for end := log.MaxPhyOffset() + message.PhyOffset(bytes); log.MaxPhyOffset() < end; {
		log.put(t, rng, 100_000)
	}
}

// A slave that is behind receives large bodies in their place, those of the first frame too, and follows in small ones then.
func TestSlaveReceivesLargeBodies(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 8))
	master, slave := newMemLog(bulkFile), newMemLog(bulkFile)
	fillLarge(t, master, rng, 5*bulkFile/2)
	m := openMaster(t, master, MasterOptions{BatchSize: 16 << 10}) // frames of 4 MiB
	s := openSlave(t, slave, m, SlaveOptions{BrokerID: 1})
	awaitCopied(t, master, slave)
	behind := slave.received.Load()
	if want := int64(master.MaxPhyOffset()) - 2<<20; behind < want {
		t.Errorf("%d bytes of %d were received in their place, want %d at least", behind, master.MaxPhyOffset(), want)
	}
	for range 20 {
		fill(t, master, rng, 1+rng.IntN(10_000))
		awaitCopied(t, master, slave)
	}
	if got := slave.received.Load(); got != behind {
		t.Errorf("%d bytes of small frames were received in their place", got-behind)
	}
	s.Close()
	fillLarge(t, master, rng, bulkFile)
	openSlave(t, slave, m, SlaveOptions{BrokerID: 1})
	awaitCopied(t, master, slave)
	if slave.received.Load() < behind+2<<20 {
		t.Error("a slave that comes back receives nothing in its place")
	}
	await(t, "all is acknowledged", func() bool {
		slaves := m.Slaves()
		return len(slaves) == 1 && slaves[0].Ack == master.MaxPhyOffset()
	})
}

// fakeMaster accepts a slave of a log and returns it with the connection, after its first report.
func fakeMaster(t *testing.T, slave *memLog, onEvent func(Event)) (*Slave, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	s := OpenSlave(slave, ln.Addr().String(), &SlaveOptions{FileSize: bulkFile, RetryInterval: time.Hour, OnEvent: onEvent})
	t.Cleanup(func() { s.Close() })
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	awaitReport(t, conn, slave.MaxPhyOffset())
	return s, conn
}

// awaitReport reads what a slave reports until it is end.
func awaitReport(t *testing.T, conn net.Conn, end message.PhyOffset) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	last := message.PhyOffset(-1)
	var r reports
	for buf := make([]byte, reportSize); last != end; {
		n, err := conn.Read(buf)
		if err == nil {
			err = r.feed(buf[:n], func(Hello) {}, func(e message.PhyOffset) { last = e })
		}
		if err != nil {
			t.Fatalf("waiting for a report of %d, the last was %d: %v", end, last, err)
		}
	}
}

// What has come of a body that stalls is reported, as far as it is whole records, and the rest when it comes, be it in another frame.
func TestLargeBodyStalls(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	master, slave := newMemLog(bulkFile), newMemLog(bulkFile)
	fillLarge(t, master, rng, 5<<20)
	var ends []message.PhyOffset // of records
	for at := message.PhyOffset(0); at < master.MaxPhyOffset(); {
		size, err := (&assembler{fileSize: bulkFile}).recordSize(at, master.data[at:])
		if err != nil {
			t.Fatal(err)
		}
		at += message.PhyOffset(size)
		ends = append(ends, at)
	}
	endBefore := func(at int) (end message.PhyOffset) {
		for _, e := range ends {
			if int(e) <= at {
				end = e
			}
		}
		return end
	}
	s, conn := fakeMaster(t, slave, func(Event) {})
	send := func(b []byte) {
		t.Helper()
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	const frame = 3<<20 + 12_345
	send(appendFrameHeader(nil, 0, frame))
	sent := 0
	for _, upTo := range []int{300_000, 300_001, 2 << 20, frame} {
		send(master.data[sent:upTo])
		sent = upTo
		awaitReport(t, conn, endBefore(upTo))
		await(t, "all that was sent is taken in", func() bool { return s.Status().Received == int64(frameHeaderSize+upTo) })
	}
	if got := slave.received.Load(); got < frame-4*sector {
		t.Errorf("%d bytes of %d were received in their place", got, frame)
	}
	send(appendFrameHeader(nil, frame, 100))
	send(master.data[frame:][:100])
	rest := master.data[frame+100:]
	send(appendFrameHeader(nil, frame+100, len(rest)))
	send(rest)
	awaitReport(t, conn, master.MaxPhyOffset())
	awaitCopied(t, master, slave)
}

// A master that sends no records, or leaves in the middle of a body, leaves a slave with the records before.
func TestLargeBodyIsRefusedOrCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	master := newMemLog(bulkFile)
	fillLarge(t, master, rng, 3<<20)
	for name, want := range map[string]string{"refused": "no record", "cut": "closed the connection"} {
		t.Run(name, func(t *testing.T) {
			slave := newMemLog(bulkFile)
			ended := make(chan error, 10)
			_, conn := fakeMaster(t, slave, func(e Event) {
				if !e.Connected {
					ended <- e.Err
				}
			})
			body := bytes.Clone(master.data)
			if name == "refused" {
				clear(body[2<<20:])
			} else {
				body = body[:2<<20]
			}
			if _, err := conn.Write(append(appendFrameHeader(nil, 0, len(master.data)), body...)); err != nil {
				t.Fatal(err)
			}
			if name == "cut" {
				conn.Close()
			}
			select {
			case err := <-ended:
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the session ended with %v, want %q", err, want)
				}
			case <-time.After(patience):
				t.Fatal("the session does not end")
			}
			if end := slave.MaxPhyOffset(); end < 1<<20 || end > 2<<20 {
				t.Errorf("the log ends at %d", end)
			}
			if d := same(master, slave); d != "" {
				t.Error(d)
			}
		})
	}
}
