package broker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Under SYNC_FLUSH everything works as under ASYNC_FLUSH, and many senders share syncs.
func TestSyncFlush(t *testing.T) {
	s := start(t, func(o *Options) { o.FlushDiskType = "SYNC_FLUSH" })
	s.put("orders", 0, "first")
	const senders, each = 8, 20
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			client := remoting.NewClient(nil)
			defer client.Close()
			for range each {
				req := remoting.NewRequest(protocol.SendMessageV2)
				sendHeader("orders", 1).EncodeV2(&req.Fields)
				req.Body = []byte("x")
				if resp, err := client.Call(t.Context(), s.Addr(), req); err != nil || resp.ResponseCode() != protocol.Success {
					t.Errorf("send: %v, %+v", err, resp)
				}
			}
		})
	}
	wg.Wait()
	s.dispatched("orders", 1, senders*each)
	if n := s.sender.gate.Waiting(); n != 0 {
		t.Errorf("%d puts are pending after all are answered", n)
	}
	if end := s.store.MaxPhyOffset(); s.store.FlushedOffset() < end {
		t.Errorf("answered before the disk has it: %d of %d", s.store.FlushedOffset(), end)
	}
}

// When more wait for the disk than may, further sends are refused, with cause and numbers; when the disk is done, all is
// well again.
func TestPendingPutsAreBounded(t *testing.T) {
	gate := make(chan struct{})
	var armed sync.Once
	faults := vfs.NewFaultFS(vfs.OS, time.Sleep)
	s := start(t, func(o *Options) { o.FS, o.FlushDiskType, o.MaxPendingPuts = faults, "SYNC_FLUSH", 3 })
	s.put("orders", 0, "first")
	s.dispatched("orders", 0, 1)
	block := func(c vfs.Call) {
		if strings.Contains(c.Path, "commitlog") {
			<-gate
		}
	}
	faults.SetRules(vfs.Rule{Op: vfs.OpSyncData, Do: block}, vfs.Rule{Op: vfs.OpSync, Do: block}, vfs.Rule{Op: vfs.OpMapSync, Do: block})
	defer armed.Do(func() { close(gate) })
	conn, err := s.client.Conn(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	codes := make(chan protocol.ResponseCode, 3)
	for range 3 {
		go func() {
			req := remoting.NewRequest(protocol.SendMessageV2)
			sendHeader("orders", 0).EncodeV2(&req.Fields)
			req.Body = []byte("x")
			resp, err := conn.Request(t.Context(), req)
			if err != nil {
				t.Error(err)
				codes <- -1
				return
			}
			codes <- resp.ResponseCode()
		}()
	}
	s.await("three puts to wait for the disk", func() bool { return s.sender.gate.Waiting() == 3 })
	resp := s.call(protocol.SendMessageV2, v2{sendHeader("orders", 0)}, []byte("x"))
	s.wantCode(resp, protocol.SystemBusy)
	if !strings.Contains(resp.Remark, "3 messages wait for the disk, at most 3 may") {
		t.Errorf("remark %q", resp.Remark)
	}
	// Nothing is to be seen before it is durable.
	if n := s.store.MaxOffset("orders", 0); n != 1 {
		t.Errorf("%d messages can be read", n)
	}
	armed.Do(func() { close(gate) })
	for range 3 {
		if code := <-codes; code != protocol.Success {
			t.Errorf("answer %d", code)
		}
	}
	s.put("orders", 0, "last")
	s.dispatched("orders", 0, 5)
}

// A failed sync is final for the log: sends are refused and say why; reads go on.
func TestFailedSync(t *testing.T) {
	faults := vfs.NewFaultFS(vfs.OS, time.Sleep)
	o := testOptions(t.TempDir())
	o.FS, o.FlushDiskType = faults, "SYNC_FLUSH"
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	defer s.client.Close()
	s.put("orders", 0, "good")
	s.dispatched("orders", 0, 1)
	bad := fmt.Errorf("the disk is broken")
	faults.SetRules(
		vfs.Rule{Op: vfs.OpSyncData, Path: "commitlog", Err: bad}, vfs.Rule{Op: vfs.OpSync, Path: "commitlog", Err: bad},
		vfs.Rule{Op: vfs.OpMapSync, Path: "commitlog", Err: bad})
	for range 2 {
		resp := s.call(protocol.SendMessageV2, v2{sendHeader("orders", 0)}, []byte("bad"))
		s.wantCode(resp, protocol.ServiceNotAvailable)
		if !strings.Contains(resp.Remark, "the disk is broken") {
			t.Errorf("remark %q", resp.Remark)
		}
	}
	if got := s.pull(pullHeader("readers", "orders", 0, 0)).bodies(); !slices.Equal(got, []string{"good"}) {
		t.Errorf("pulled %q", got)
	}
	faults.SetRules()
	b.Close() //nolint:errcheck // it tells of the failure once more, or not
}

// With a full disk sends are refused with a clear remark, reads and commits go on, and sends too when there is space.
func TestFullDisk(t *testing.T) {
	faults := vfs.NewFaultFS(vfs.OS, time.Sleep)
	s := start(t, func(o *Options) { o.FS, o.MappedFileSizeCommitLog, o.CleanResourceInterval = faults, 1<<20, 20 })
	s.put("orders", 0, "first")
	s.dispatched("orders", 0, 1)
	s.pull(pullHeader("readers", "orders", 0, 0))
	faults.SetRules(vfs.Rule{Op: vfs.OpAllocate, Err: syscall.ENOSPC}, vfs.Rule{Op: vfs.OpWrite, Err: syscall.ENOSPC})
	body := strings.Repeat("x", 100<<10)
	var refused *remoting.Command
	s.await("the disk to be full", func() bool {
		resp := s.call(protocol.SendMessageV2, v2{sendHeader("orders", 1)}, []byte(body))
		refused = resp
		return resp.ResponseCode() != protocol.Success
	})
	s.wantCode(refused, protocol.ServiceNotAvailable)
	if !strings.Contains(refused.Remark, "service not available now") || !strings.Contains(refused.Remark, "disk") {
		t.Errorf("remark %q", refused.Remark)
	}
	if got := s.pull(pullHeader("readers", "orders", 0, 0)).bodies(); !slices.Equal(got, []string{"first"}) {
		t.Errorf("pulled %q", got)
	}
	s.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{ConsumerGroup: "readers", Topic: "orders", CommitOffset: 1}, nil, nil)
	faults.SetRules()
	s.await("the broker to recover", func() bool {
		return s.call(protocol.SendMessageV2, v2{sendHeader("orders", 2)}, []byte("again")).ResponseCode() == protocol.Success
	})
}

// When all places are taken, a pull that would wait is refused: told that there is nothing it would ask again at once.
func TestHoldsAreBounded(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxPullHolds = 1 })
	s.put("orders", 0, "x")
	s.dispatched("orders", 0, 1)
	h := pullHeader("readers", "orders", 0, 1)
	h.SysFlag |= protocol.PullSuspend
	h.SuspendTimeoutMillis = 60000
	first := remoting.NewClient(nil)
	defer first.Close()
	conn, err := first.Conn(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	req := remoting.NewRequest(protocol.PullMessage)
	h.Encode(&req.Fields)
	go conn.Request(t.Context(), req) //nolint:errcheck // it fails, with its connection
	s.await("the pull to be held", func() bool { return s.holds.Len() == 1 })
	p := s.pull(h)
	s.wantCode(p.Command, protocol.SystemBusy)
	if !strings.Contains(p.Remark, "1 pulls wait for messages, at most 1 may") {
		t.Errorf("remark %q", p.Remark)
	}
}

// The broker stops with pulls held, and answers them.
func TestCloseAnswersHolds(t *testing.T) {
	o := testOptions(t.TempDir())
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	defer s.client.Close()
	s.put("orders", 0, "x")
	s.dispatched("orders", 0, 1)
	h := pullHeader("readers", "orders", 0, 1)
	h.SysFlag |= protocol.PullSuspend
	h.SuspendTimeoutMillis = 60000
	answer := make(chan *remoting.Command, 1)
	go func() { answer <- s.call(protocol.PullMessage, h, nil) }()
	s.await("the pull to be held", func() bool { return s.holds.Len() == 1 })
	begin := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	s.wantCode(<-answer, protocol.PullNotFound)
	if took := time.Since(begin); took > drainPatience {
		t.Errorf("the stop took %v", took)
	}
}

// While the state of a new topic or group waits for the disk, everything else on the connection goes on.
func TestSlowStateFilesHoldNothingUp(t *testing.T) {
	faults := vfs.NewFaultFS(vfs.OS, time.Sleep)
	s := start(t, func(o *Options) { o.FS = faults })
	s.put("orders", 0, "first")
	s.dispatched("orders", 0, 1)
	s.pull(pullHeader("readers", "orders", 0, 0))
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	faults.SetRules(vfs.Rule{Op: vfs.OpSync, Path: "config", Do: func(vfs.Call) { <-gate }})
	conn, err := s.client.Conn(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	slow := make(chan protocol.ResponseCode, 2)
	ask := func(code protocol.RequestCode, h interface{ Encode(protocol.FieldSink) }) {
		req := remoting.NewRequest(code)
		h.Encode(&req.Fields)
		req.Body = []byte("x")
		resp, err := conn.Request(t.Context(), req)
		if err != nil {
			t.Error(err)
			slow <- -1
			return
		}
		slow <- resp.ResponseCode()
	}
	go ask(protocol.SendMessageV2, v2{sendHeader("new", 0)})
	go ask(protocol.PullMessage, pullHeader("newcomers", "orders", 0, 0))
	s.await("both to wait for the disk", func() bool { return s.offloaded.Load() == 2 })
	s.put("orders", 0, "second")
	s.dispatched("orders", 0, 2)
	if got := s.pull(pullHeader("readers", "orders", 0, 0)).bodies(); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("pulled %q", got)
	}
	if len(slow) != 0 {
		t.Error("answered before the disk has the topic or the group")
	}
	open()
	for range 2 {
		if code := <-slow; code != protocol.Success {
			t.Errorf("answer %d", code)
		}
	}
}
