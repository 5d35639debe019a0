package ha

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// stage drives a Leader by hand.
type stage struct {
	t   *testing.T
	l   *Leader
	now time.Time
	end message.PhyOffset
}

func newStage(t *testing.T, opts MasterOptions) *stage {
	opts.EnsureDefaults()
	return &stage{t: t, l: &Leader{opts: &opts, group: GroupHash("g")}, now: time.Unix(1000, 0), end: 1000}
}

func (s *stage) step(e Input) []Effect {
	e.Now, e.End = s.now, s.end
	return s.l.Step(e, nil)
}

// slave connects a slave that has the log up to ack.
func (s *stage) slave(conn ConnID, ack message.PhyOffset) {
	s.t.Helper()
	s.step(Input{Kind: Connected, Conn: conn})
	for _, f := range s.step(Input{Kind: Reported, Conn: conn, Offset: ack}) {
		if f.Kind == DoClose {
			s.t.Fatal(f.Err)
		}
	}
}

func only(t *testing.T, out []Effect, kind EffectKind) Effect {
	t.Helper()
	if len(out) != 1 || out[0].Kind != kind {
		t.Fatalf("effects %+v, want one of kind %d", out, kind)
	}
	return out[0]
}

func TestHeartbeatAndHousekeeping(t *testing.T) {
	s := newStage(t, MasterOptions{})
	s.slave(1, 1000)
	s.now = s.now.Add(5 * time.Second)
	if out := s.step(Input{Kind: Ticked}); len(out) != 0 {
		t.Fatalf("a heartbeat too early: %+v", out)
	}
	s.now = s.now.Add(time.Millisecond)
	if f := only(t, s.step(Input{Kind: Ticked}), DoSend); f.Size != 0 || f.Offset != 1000 {
		t.Fatalf("heartbeat %+v", f)
	}
	if out := s.step(Input{Kind: Ticked}); len(out) != 0 {
		t.Fatalf("a heartbeat while one is written: %+v", out)
	}
	s.step(Input{Kind: Sent, Conn: 1})
	s.now = s.now.Add(15 * time.Second)
	if f := only(t, s.step(Input{Kind: Ticked}), DoClose); f.Conn != 1 || f.Err == nil {
		t.Fatalf("%+v", f)
	}
	if out := s.step(Input{Kind: Reported, Conn: 1, Offset: 1000}); len(out) != 0 || s.l.idle() {
		t.Fatalf("the closed connection counts: %+v", out)
	}
}

func TestReportBeyondWhatWasSent(t *testing.T) {
	s := newStage(t, MasterOptions{BatchSize: 10})
	s.slave(1, 500)
	if f := s.l.conns[0]; f.upTo != 500+burst*10 {
		t.Fatalf("sent up to %d", f.upTo)
	}
	only(t, s.step(Input{Kind: Reported, Conn: 1, Offset: 500 + burst*10 + 1}), DoClose)
}

// TestPortions sends a slave of ours much at once, as one frame, and Java's what they have room for; with epochs a slave that says who it
// is may be either.
func TestPortions(t *testing.T) {
	for name, tt := range map[string]struct {
		greets, reigns bool
		size, frame    int
	}{
		"Java's":      {size: burst * 10, frame: 10},
		"ours":        {greets: true, size: lump * 10, frame: lump * 10},
		"with epochs": {greets: true, reigns: true, size: burst * 10, frame: 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, MasterOptions{BatchSize: 10})
			s.end = 1 << 20
			if tt.reigns {
				s.l.reign = newReign(Reign{Epochs: Epochs{{Epoch: 1}}}, s.now)
			}
			s.step(Input{Kind: Connected, Conn: 1})
			if tt.greets {
				s.step(Input{Kind: Greeted, Conn: 1, Hello: Hello{ID: 1, Group: s.l.group, FromStart: true}})
				s.step(Input{Kind: Sent, Conn: 1})
			}
			out := s.step(Input{Kind: Reported, Conn: 1})
			at := slices.IndexFunc(out, func(f Effect) bool { return f.Kind == DoSend })
			if at < 0 {
				t.Fatalf("nothing is sent: %+v", out)
			}
			if f := out[at]; f.Size != tt.size || f.Frame != tt.frame {
				t.Fatalf("%d bytes in frames of %d, want %d of %d", f.Size, f.Frame, tt.size, tt.frame)
			}
		})
	}
}

func TestFlowControl(t *testing.T) {
	s := newStage(t, MasterOptions{FlowControl: true, BytesPerSecond: 100})
	s.slave(1, 1)
	if f := s.l.conns[0]; !f.sending || f.upTo != 101 {
		t.Fatalf("sent up to %d", f.upTo)
	}
	if out := s.step(Input{Kind: Sent, Conn: 1, Size: 100}); len(out) != 0 {
		t.Fatalf("more than 100 bytes in a second: %+v", out)
	}
	s.now = s.now.Add(time.Second)
	if f := only(t, s.step(Input{Kind: Ticked}), DoSend); f.Offset != 101 || f.Size != 100 {
		t.Fatalf("%+v", f)
	}
}

type nobody struct{}

func (nobody) Replicated(error) {}

func TestHowManyAPutWaitsFor(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   MasterOptions
		acks   []message.PhyOffset
		put    message.PhyOffset
		answer bool // at once
		err    error
	}{
		{"default waits for nobody", MasterOptions{}, nil, 1000, true, nil},
		{"no slave", MasterOptions{InSyncReplicas: 2}, nil, 1000, true, ErrSlaveNotAvailable},
		{"slave far behind", MasterOptions{InSyncReplicas: 2, MaxGapNotInSync: 500}, []message.PhyOffset{500}, 1000, true, ErrSlaveNotAvailable},
		{"slave behind", MasterOptions{InSyncReplicas: 2, MaxGapNotInSync: 501}, []message.PhyOffset{500}, 1000, false, nil},
		{"slave has it", MasterOptions{InSyncReplicas: 2}, []message.PhyOffset{500, 990}, 990, true, nil},
		{"one of two has it", MasterOptions{InSyncReplicas: 3}, []message.PhyOffset{500, 990}, 990, false, nil},
		{"fewer by themselves", MasterOptions{InSyncReplicas: 3, AutoInSyncReplicas: true}, []message.PhyOffset{990}, 990, true, nil},
		{"down to none", MasterOptions{InSyncReplicas: 3, AutoInSyncReplicas: true}, nil, 990, true, nil},
		{"not below the least", MasterOptions{InSyncReplicas: 3, AutoInSyncReplicas: true, MinInSyncReplicas: 2}, nil, 990, true, ErrSlaveNotAvailable},
	} {
		s := newStage(t, c.opts)
		for i, ack := range c.acks {
			s.slave(ConnID(i), ack)
		}
		out := s.step(Input{Kind: Waited, Offset: c.put, Waiter: nobody{}})
		if answered := len(out) == 1; answered != c.answer || answered && !errors.Is(out[0].Err, c.err) {
			t.Errorf("%s: %+v", c.name, out)
		}
	}
}

// TestWaitersAreServedInPart has puts that wait for more and for fewer slaves.
func TestWaitersAreServedInPart(t *testing.T) {
	s := newStage(t, MasterOptions{InSyncReplicas: 3, AutoInSyncReplicas: true})
	s.slave(1, 100)
	s.step(Input{Kind: Waited, Offset: 400, Waiter: nobody{}}) // for one slave
	s.slave(2, 100)
	s.step(Input{Kind: Waited, Offset: 300, Waiter: nobody{}}) // for two
	s.step(Input{Kind: Waited, Offset: 600, Waiter: nobody{}})
	answers := func(conn ConnID, ack message.PhyOffset) (n int) {
		for _, f := range s.step(Input{Kind: Reported, Conn: conn, Offset: ack}) {
			if f.Kind == DoAnswer {
				n++
			}
		}
		return n
	}
	for i, c := range []struct {
		conn ConnID
		ack  message.PhyOffset
		want int
	}{{1, 350, 0}, {1, 400, 1}, {2, 299, 0}, {2, 300, 1}, {1, 1000, 0}, {2, 599, 0}, {2, 700, 1}} {
		if n := answers(c.conn, c.ack); n != c.want {
			t.Errorf("report %d: %d puts are answered, want %d", i, n, c.want)
		}
	}
	if len(s.l.waiting) != 0 {
		t.Errorf("%d puts are left", len(s.l.waiting))
	}
}

func TestSilentMasterIsLeft(t *testing.T) {
	opts := SlaveOptions{}
	opts.EnsureDefaults()
	c := &Copier{opts: &opts}
	now := time.Unix(1000, 0)
	if f := only(t, c.Step(Input{Kind: Connected, Now: now, End: 77}, nil), DoReport); f.Offset != 77 {
		t.Fatalf("%+v", f)
	}
	if out := c.Step(Input{Kind: Ticked, Now: now.Add(5 * time.Second), End: 77}, nil); len(out) != 0 {
		t.Fatalf("%+v", out)
	}
	only(t, c.Step(Input{Kind: Ticked, Now: now.Add(5*time.Second + 1), End: 77}, nil), DoReport)
	only(t, c.Step(Input{Kind: Ticked, Now: now.Add(20*time.Second + 1), End: 77}, nil), DoClose)
	only(t, c.Step(Input{Kind: Framed, Now: now, Offset: 78, End: 77}, nil), DoClose)
}
