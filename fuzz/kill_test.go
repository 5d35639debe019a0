package fuzz

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

var loadFlag = flag.String("load", "", "directory of a store to put to until this process is killed")

// Messages are numbered in the order of their puts; each is answered before the
// next. So those acknowledged are the ones below a number.
const loadQueues = 3

func loadOptions(flush engine.FlushDiskType) *engine.Options {
	return &engine.Options{FlushDiskType: flush, CommitLogFileSize: 1 << 20, ConsumeQueueFileSize: 20_000,
		IndexSlots: 1000, IndexEntries: 4000, CheckpointBytes: 300 << 10, MarkBytes: 100 << 10, FlushQueueInterval: 50 * time.Millisecond,
		DiskMaxUsedRatio: 100, DiskCleanForciblyRatio: 100, DiskWarningRatio: 100, DeleteWhen: "04", FileReservedTime: 1e6 * time.Hour}
}

func loadMessage(n uint64) *message.Message {
	rng := rand.New(rand.NewPCG(n, 5))
	body := binary.BigEndian.AppendUint64(nil, n)
	for range rng.IntN(200) {
		body = binary.BigEndian.AppendUint64(body, rng.Uint64())
	}
	host := netip.MustParseAddrPort("127.0.0.1:10911")
	return &message.Message{Topic: "Load", QueueID: int32(n % loadQueues), BornHost: host, StoreHost: host, Body: body,
		Properties: message.AppendProperty(nil, message.PropertyKeys, fmt.Sprint("k", n))}
}

// TestLoad is what the processes run that are killed: it puts to a store and
// writes the number of each message that was acknowledged.
func TestLoad(t *testing.T) {
	if *loadFlag == "" {
		t.Skip("run by TestKill and TestPowerCut")
	}
	out := os.NewFile(3, "acknowledged")
	s, err := engine.Open(*loadFlag, loadOptions(engine.FlushDiskType(*countFlag)))
	if err != nil {
		t.Fatal(err)
	}
	for n := *seedFlag; ; n++ {
		if res := s.Put(loadMessage(n)); res.Status != engine.PutOK {
			fmt.Fprintln(os.Stderr, res.Status, res.Err)
			return // the power is cut; the test knows what was acknowledged
		}
		if _, err := out.Write(binary.BigEndian.AppendUint64(nil, n)); err != nil {
			return
		}
	}
}

// load puts to the store in dir, from message n on, until cut ends it, and
// returns the number behind the last message acknowledged. cut is told how far
// that was before it.
func load(t *testing.T, dir string, flush engine.FlushDiskType, n uint64, cut func(*os.Process, uint64)) uint64 {
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLoad$", "-test.timeout=0", "-load="+dir, fmt.Sprint("-count=", int(flush)), fmt.Sprint("-seed=", n))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.ExtraFiles = []*os.File{to}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	to.Close()
	acknowledged := bufio.NewReader(from)
	var acked atomic.Uint64 // n, for the one who cuts
	read := func() bool {
		var b [8]byte
		if _, err := io.ReadFull(acknowledged, b[:]); err != nil {
			return false
		}
		n = binary.BigEndian.Uint64(b[:]) + 1
		acked.Store(n)
		return true
	}
	if !read() { // the store is open
		_ = cmd.Process.Kill()
		t.Fatalf("the load did not begin: %v\n%s", cmd.Wait(), output.Bytes())
	}
	ended := make(chan struct{})
	time.AfterFunc(rand.N(200*time.Millisecond), func() { defer close(ended); cut(cmd.Process, acked.Load()) })
	for read() {
	}
	<-ended
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return n
}

// held opens the store in dir and proves that it holds all messages below n, in
// order, and perhaps later ones, of which it returns the end.
func held(t *testing.T, dir string, flush engine.FlushDiskType, n uint64) uint64 {
	t.Helper()
	s, err := engine.Open(dir, loadOptions(flush))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // also when the test fails: its file system is unmounted
	var end uint64
	for q := range int32(loadQueues) {
		end += uint64(s.MaxOffset("Load", q))
	}
	if end < n {
		t.Fatalf("%d messages are left, %d were acknowledged", end, n)
	}
	for i := range end {
		ref, err := s.RecordAtQueue("Load", int32(i%loadQueues), message.QueueOffset(i/loadQueues))
		if err != nil || !bytes.Equal(ref.Record().Body(), loadMessage(i).Body) {
			t.Fatalf("message %d of %d, acknowledged %d, is not as it was put: %v", i, end, n, err)
		}
		ref.Release()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := engine.Check(dir, loadOptions(flush), nil); err != nil || report.Found > 0 || uint64(report.Records) != end {
		t.Fatalf("check: %+v, %v; want %d records", report, err, end)
	}
	return end
}

// rounds runs round as often or as long as the flags say.
func rounds(t *testing.T, usual int, round func()) {
	n, until := usual, time.Now().Add(*timeFlag)
	if *countFlag > 0 {
		n = *countFlag
	}
	done := 0
	for ; done < n && *timeFlag == 0 || *timeFlag > 0 && time.Now().Before(until); done++ {
		round()
	}
	t.Logf("%d rounds", done)
}

// messagesMost bounds a store that is killed again and again.
const messagesMost = 20_000

// A process that is killed under load leaves all that it acknowledged, whatever
// the flush type.
func TestKill(t *testing.T) {
	for _, flush := range []engine.FlushDiskType{engine.AsyncFlush, engine.SyncFlush} {
		t.Run(fmt.Sprint("flush=", flush), func(t *testing.T) {
			dir, n := t.TempDir(), uint64(0)
			rounds(t, 3, func() {
				if n > messagesMost {
					dir, n = t.TempDir(), 0
				}
				n = load(t, dir, flush, n, func(p *os.Process, _ uint64) { _ = p.Kill() })
				n = held(t, dir, flush, n)
			})
		})
	}
}

// A power loss of a real file system, journal, page cache and all, leaves what
// was acknowledged with SyncFlush. It takes root, mount and ext4.
func TestPowerCut(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	dir := t.TempDir()
	mount := func() error { return command("mount", "-o", "loop", disk, dir) }
	if os.Getuid() != 0 || os.WriteFile(disk, nil, 0o600) != nil || os.Truncate(disk, 256<<20) != nil ||
		command("mkfs.ext4", "-q", disk) != nil || mount() != nil {
		t.Skip("it takes root and a kernel with loop devices and ext4")
	}
	defer func() { _ = command("umount", dir) }()
	store, generation := filepath.Join(dir, "store0"), 0
	n := uint64(0)
	rounds(t, 3, func() {
		if n > messagesMost {
			generation++
			if err := os.RemoveAll(store); err != nil {
				t.Fatal(err)
			}
			store, n = filepath.Join(dir, fmt.Sprint("store", generation)), 0
		}
		var cut error
		// A process goes on for a moment after this power cut, and what it says
		// by then is not to be believed: its file system is gone.
		load(t, store, engine.SyncFlush, n, func(_ *os.Process, acked uint64) { n, cut = acked, vfs.Shutdown(dir) })
		if err := errors.Join(cut, command("umount", dir), mount()); err != nil {
			t.Fatal(err)
		}
		n = held(t, store, engine.SyncFlush, n)
	})
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
