//go:build unix

package remoting

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Segments of a mapped file that was cut cost their request when they are
// copied, and their connection when the kernel meets the fault in the middle of
// a frame. They are released either way, and the server lives.
func TestSegmentsOfCutFile(t *testing.T) {
	const size = 1 << 20
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(mapped) //nolint:errcheck // the process ends soon
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	var released atomic.Int32
	segments := func(n int) Handler {
		return func(*Conn, *Command) *Command {
			resp := NewResponse(protocol.Success, "")
			resp.Segments, resp.Release = [][]byte{mapped[:n]}, func() { released.Add(1) }
			return resp
		}
	}
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, segments(copyMax))
		s.Handle(protocol.QueryMessage, segments(size))
		s.Handle(protocol.ViewMessageByID, func(*Conn, *Command) *Command {
			return NewResponse(protocol.Success, string(mapped[:10]))
		})
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	client := newClient(t, nil)
	call := func(code protocol.RequestCode) (*Command, error) {
		return client.Call(context.Background(), addr, NewRequest(code))
	}
	for _, code := range []protocol.RequestCode{protocol.PullMessage, protocol.ViewMessageByID} {
		if resp, err := call(code); err != nil || resp.ResponseCode() != protocol.SystemError {
			t.Errorf("request code %d: %+v, %v", code, resp, err)
		}
	}
	if resp, err := call(protocol.QueryMessage); err == nil {
		t.Errorf("segments that cannot be written: %+v", resp)
	}
	if resp, err := call(protocol.HeartBeat); err != nil || resp.ResponseCode() != protocol.Success {
		t.Errorf("afterwards: %v, %v", resp, err)
	}
	if n := released.Load(); n != 2 {
		t.Errorf("%d of 2 were released", n)
	}
}
