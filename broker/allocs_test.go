package broker

import (
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// mallocs is the number of allocations of the whole process while f runs.
func mallocs(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// A send allocates nothing in the steady state: from the socket through store, dispatch and index, and back.
func TestSendAllocatesNothing(t *testing.T) {
	if invariants.Enabled {
		t.Skip("the race detector allocates")
	}
	s := start(t, func(o *Options) { o.MappedFileSizeCommitLog, o.MaxHashSlotNum, o.MaxIndexNum = 64<<20, 100000, 400000 })
	s.put("orders", 0, "first")
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	frame := sendFrame(t, "orders", 0, 1024)
	burst := make([]byte, 0, window*len(frame))
	for range window {
		burst = append(burst, frame...)
	}
	in := make([]byte, 64<<10)
	round := func() {
		if _, err := nc.Write(burst); err != nil {
			t.Fatal(err)
		}
		for range window {
			if _, err := io.ReadFull(nc, in[:4]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(nc, in[:binary.BigEndian.Uint32(in)]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 50 {
		round()
	}
	const rounds = 100
	if per := mallocs(func() {
		for range rounds {
			round()
		}
	}) / (rounds * window); per > 0.25 {
		t.Errorf("%.2f allocations per send", per)
	}
}

// So does a pull of messages.
func TestPullAllocatesNothing(t *testing.T) {
	if invariants.Enabled {
		t.Skip("the race detector allocates")
	}
	s := start(t, nil)
	for range 64 {
		s.put("orders", 0, "x")
	}
	s.dispatched("orders", 0, 64)
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	req := remoting.NewRequest(protocol.PullMessage)
	pullHeader("readers", "orders", 0, 3).Encode(&req.Fields)
	frame, err := req.AppendFrame(nil)
	if err != nil {
		t.Fatal(err)
	}
	in := make([]byte, 64<<10)
	round := func() {
		if _, err := nc.Write(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, in[:4]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, in[:binary.BigEndian.Uint32(in)]); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		round()
	}
	const rounds = 1000
	if per := mallocs(func() {
		for range rounds {
			round()
		}
	}) / rounds; per > 0.5 {
		t.Errorf("%.2f allocations per pull", per)
	}
}
