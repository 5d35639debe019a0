package ha

import (
	"errors"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// stage drives a leader by hand.
type stage struct {
	t   *testing.T
	l   *leader
	now time.Time
	end message.PhyOffset
}

func newStage(t *testing.T, opts MasterOptions) *stage {
	opts.EnsureDefaults()
	return &stage{t: t, l: &leader{opts: &opts, group: groupHash("g")}, now: time.Unix(1000, 0), end: 1000}
}

func (s *stage) step(e event) []effect {
	e.now, e.end = s.now, s.end
	return s.l.step(e, nil)
}

// slave connects a slave that has the log up to ack.
func (s *stage) slave(conn connID, ack message.PhyOffset) {
	s.t.Helper()
	s.step(event{kind: connected, conn: conn})
	for _, f := range s.step(event{kind: reported, conn: conn, offset: ack}) {
		if f.kind == effectClose {
			s.t.Fatal(f.err)
		}
	}
}

func only(t *testing.T, out []effect, kind effectKind) effect {
	t.Helper()
	if len(out) != 1 || out[0].kind != kind {
		t.Fatalf("effects %+v, want one of kind %d", out, kind)
	}
	return out[0]
}

func TestHeartbeatAndHousekeeping(t *testing.T) {
	s := newStage(t, MasterOptions{})
	s.slave(1, 1000)
	s.now = s.now.Add(5 * time.Second)
	if out := s.step(event{kind: ticked}); len(out) != 0 {
		t.Fatalf("a heartbeat too early: %+v", out)
	}
	s.now = s.now.Add(time.Millisecond)
	if f := only(t, s.step(event{kind: ticked}), effectSend); f.size != 0 || f.offset != 1000 {
		t.Fatalf("heartbeat %+v", f)
	}
	if out := s.step(event{kind: ticked}); len(out) != 0 {
		t.Fatalf("a heartbeat while one is written: %+v", out)
	}
	s.step(event{kind: sent, conn: 1})
	s.now = s.now.Add(15 * time.Second)
	if f := only(t, s.step(event{kind: ticked}), effectClose); f.conn != 1 || f.err == nil {
		t.Fatalf("%+v", f)
	}
	if out := s.step(event{kind: reported, conn: 1, offset: 1000}); len(out) != 0 || s.l.idle() {
		t.Fatalf("the closed connection counts: %+v", out)
	}
}

func TestReportBeyondWhatWasSent(t *testing.T) {
	s := newStage(t, MasterOptions{BatchSize: 10})
	s.slave(1, 500)
	if f := s.l.conns[0]; f.upTo != 500+burst*10 {
		t.Fatalf("sent up to %d", f.upTo)
	}
	only(t, s.step(event{kind: reported, conn: 1, offset: 500 + burst*10 + 1}), effectClose)
}

func TestFlowControl(t *testing.T) {
	s := newStage(t, MasterOptions{FlowControl: true, BytesPerSecond: 100})
	s.slave(1, 1)
	if f := s.l.conns[0]; !f.sending || f.upTo != 101 {
		t.Fatalf("sent up to %d", f.upTo)
	}
	if out := s.step(event{kind: sent, conn: 1, size: 100}); len(out) != 0 {
		t.Fatalf("more than 100 bytes in a second: %+v", out)
	}
	s.now = s.now.Add(time.Second)
	if f := only(t, s.step(event{kind: ticked}), effectSend); f.offset != 101 || f.size != 100 {
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
			s.slave(connID(i), ack)
		}
		out := s.step(event{kind: waited, offset: c.put, waiter: nobody{}})
		if answered := len(out) == 1; answered != c.answer || answered && !errors.Is(out[0].err, c.err) {
			t.Errorf("%s: %+v", c.name, out)
		}
	}
}

// TestWaitersAreServedInPart has puts that wait for more and for fewer slaves.
func TestWaitersAreServedInPart(t *testing.T) {
	s := newStage(t, MasterOptions{InSyncReplicas: 3, AutoInSyncReplicas: true})
	s.slave(1, 100)
	s.step(event{kind: waited, offset: 400, waiter: nobody{}}) // for one slave
	s.slave(2, 100)
	s.step(event{kind: waited, offset: 300, waiter: nobody{}}) // for two
	s.step(event{kind: waited, offset: 600, waiter: nobody{}})
	answers := func(conn connID, ack message.PhyOffset) (n int) {
		for _, f := range s.step(event{kind: reported, conn: conn, offset: ack}) {
			if f.kind == effectAnswer {
				n++
			}
		}
		return n
	}
	for i, c := range []struct {
		conn connID
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
	c := &copier{opts: &opts}
	now := time.Unix(1000, 0)
	if f := only(t, c.step(event{kind: connected, now: now, end: 77}, nil), effectReport); f.offset != 77 {
		t.Fatalf("%+v", f)
	}
	if out := c.step(event{kind: ticked, now: now.Add(5 * time.Second), end: 77}, nil); len(out) != 0 {
		t.Fatalf("%+v", out)
	}
	only(t, c.step(event{kind: ticked, now: now.Add(5*time.Second + 1), end: 77}, nil), effectReport)
	only(t, c.step(event{kind: ticked, now: now.Add(20*time.Second + 1), end: 77}, nil), effectClose)
	only(t, c.step(event{kind: framed, now: now, offset: 78, end: 77}, nil), effectClose)
}
