package ha

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

const (
	streamReadSize = 1 << 20
	// bulkMin is the size of a body from which on it goes to its place in the log without passing through here: in pieces of
	// streamReadSize. Only one who is behind is sent so much at once.
	bulkMin = 1 << 20
	// What is received begins and ends with a sector: else a power loss could leave one without its
	// end between others that have theirs, in the midst of a header, which no checksum covers.
	sector = vfs.SectorSize
	// applyPause is how long what is received may wait to be reported while more of its body comes: it is not at the log's end, where
	// somebody may wait for it.
	applyPause = 20 * time.Millisecond
	slaveTick  = time.Second
)

// Slave copies the log of a master (Java: DefaultHAClient).
type Slave struct {
	log  Log
	opts SlaveOptions

	mu struct {
		sync.Mutex
		addr string
		conn net.Conn // of the session under way
	}
	status struct {
		connected           atomic.Bool
		received            atomic.Int64
		lastRead, lastWrote atomic.Int64 // Unix ms
		epoch               atomic.Int32
	}

	changed chan struct{} // the address
	ctx     context.Context
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// OpenSlave copies from the master at addr, of which the empty one is not known
// yet, until it is closed.
func OpenSlave(log Log, addr string, opts *SlaveOptions) *Slave {
	s := &Slave{log: log, changed: make(chan struct{}, 1)}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.EnsureDefaults()
	s.mu.addr = addr
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.done.Add(1)
	go s.run()
	return s
}

// SetMaster changes the master's address.
func (s *Slave) SetMaster(addr string) {
	s.mu.Lock()
	same := s.mu.addr == addr
	s.mu.addr = addr
	conn := s.mu.conn
	s.mu.Unlock()
	if same {
		return
	}
	if conn != nil {
		conn.Close()
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Master is the address of the master, empty if it is not known.
func (s *Slave) Master() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.addr
}

// Close ends the copy. The log ends behind a record.
func (s *Slave) Close() error {
	s.stop()
	s.mu.Lock()
	if s.mu.conn != nil {
		s.mu.conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
	return nil
}

// run connects again and again.
func (s *Slave) run() {
	defer s.done.Done()
	for s.ctx.Err() == nil {
		if addr := s.Master(); addr != "" {
			err := s.session(addr)
			if s.ctx.Err() != nil {
				return
			}
			s.opts.OnEvent(Event{Addr: addr, Err: err})
		}
		timer := time.NewTimer(s.opts.RetryInterval)
		select {
		case <-s.ctx.Done():
		case <-s.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// session is one connection. It ends with an error.
func (s *Slave) session(addr string) error {
	d := net.Dialer{Timeout: s.opts.RetryInterval}
	conn, err := d.DialContext(s.ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	s.mu.Lock()
	s.mu.conn = conn
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.mu.conn = nil
		s.mu.Unlock()
		s.status.connected.Store(false)
	}()
	if s.ctx.Err() != nil || s.Master() != addr {
		return net.ErrClosed
	}
	// What is reported counts as kept: it must be as durable as the log promises.
	if err := s.settle(); err != nil {
		return err
	}
	ss := session{s: s, conn: conn, bulk: true, core: NewCopier(&s.opts)}
	if s.opts.Epochs != nil {
		epochs, err := s.opts.Epochs.Load()
		if err != nil {
			return err
		}
		ss.core = NewSwitchCopier(&s.opts, epochs)
		ss.report = appendSwitchReport
		in := switchFrames{sizeMax: s.opts.FileSize}
		h := switchHandler{greet: ss.greeted, begin: ss.framed, body: ss.arrived}
		ss.feed = func(b []byte) error { return in.feed(b, h) }
		ss.body, ss.headSize = &in.body, switchFrameSize
		return ss.run()
	}
	ss.report = appendReport
	in := frames{sizeMax: s.opts.FileSize}
	ss.feed = func(b []byte) error {
		return in.feed(b, func(phy message.PhyOffset, size int) error { return ss.framed(frame{phy: phy, size: size}) }, ss.arrived)
	}
	ss.body, ss.headSize = &in.body, frameHeaderSize
	if s.opts.BrokerID != 0 {
		end := s.log.MaxPhyOffset()
		tail, _ := TailHash(s.log, end, s.opts.FileSize)
		ss.greeting = Hello{ID: s.opts.BrokerID, FromStart: !s.opts.LastFileOnly, Group: GroupHash(s.opts.Group), Tail: tail}.append(nil)
	}
	return ss.run()
}

// settle brings the log to where it is as durable as promised.
func (s *Slave) settle() error {
	if s.log.ConfirmOffset() < s.log.MaxPhyOffset() {
		return s.log.Flush()
	}
	return nil
}

// session is a connection to a master, and owned by one goroutine.
type session struct {
	s        *Slave
	conn     net.Conn
	core     *Copier
	feed     func([]byte) error // takes the stream apart
	body     *body              // what is to come of the frame begun
	headSize int                // bytes of a frame's header
	report   func([]byte, message.PhyOffset) []byte
	greeting []byte // sent with the first report
	effects  []Effect
	heard    bool
	bulk     bool // the last frame is large, so that the next one may be; the first one may be, too
	whole    int  // bytes of those that landed that are the log's
	applied  time.Time
}

func (ss *session) run() error {
	if err := ss.step(Input{Kind: Connected}); err != nil {
		return err
	}
	buf := make([]byte, streamReadSize)
	for {
		if err := ss.conn.SetReadDeadline(time.Now().Add(slaveTick)); err != nil {
			return err
		}
		err := ss.next(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = ss.step(Input{Kind: Ticked})
		case errors.Is(err, io.EOF):
			err = errors.New("the master has closed the connection")
		}
		if err != nil {
			return err
		}
	}
}

// next takes in what comes next, and reports once for all of it. An error of the connection comes after that.
func (ss *session) next(buf []byte) error {
	var n int
	var ended error
	switch {
	case ss.bulk && ss.body.rest > 0:
		n, ended = ss.bring(buf)
		if ended == nil && ss.body.rest > 0 && time.Since(ss.applied) < applyPause {
			return nil
		}
	case ss.bulk:
		n, ended = ss.read(buf[:ss.headSize]) // by itself, so that all of the body can be received
	default:
		n, ended = ss.read(buf)
	}
	if n == 0 {
		return ended
	}
	ss.applied = time.Now()
	if err := ss.s.settle(); err != nil {
		return err
	}
	if err := ss.step(Input{Kind: Applied}); err != nil {
		return err
	}
	return ended
}

// read takes the stream apart as it comes.
func (ss *session) read(buf []byte) (n int, err error) {
	n, err = ss.conn.Read(buf)
	ss.hear(n)
	if n > 0 {
		if err := ss.feed(buf[:n]); err != nil {
			return 0, err
		}
	}
	return n, err
}

// bring takes in the next piece of a large body. Whole sectors of the log are received, what comes before and behind them is read.
func (ss *session) bring(buf []byte) (n int, err error) {
	rest := ss.body.rest
	if begun := int64(ss.body.phy) % sector; begun > 0 {
		return ss.read(buf[:min(rest, sector-begun)])
	}
	if rest < sector {
		return ss.read(buf[:rest])
	}
	return ss.receive(int(min(rest, streamReadSize) / sector * sector))
}

// receive has the log take in the next n bytes of a body.
func (ss *session) receive(n int) (got int, err error) {
	at, begun := ss.core.Begun()
	got, err = ss.s.log.Receive(at, begun, ss.conn, n, func(landed []byte) (int, error) {
		ss.whole = 0
		err := ss.step(Input{Kind: Landed, Raw: landed})
		return ss.whole, err
	})
	ss.body.pass(got)
	ss.hear(got)
	return got, err
}

// hear notes that n bytes have come.
func (ss *session) hear(n int) {
	if n == 0 {
		return
	}
	s := ss.s
	if !ss.heard {
		ss.heard = true
		s.status.connected.Store(true)
		s.opts.OnEvent(Event{Addr: ss.conn.RemoteAddr().String(), Connected: true})
	}
	s.status.received.Add(int64(n))
	s.status.lastRead.Store(s.opts.Now().UnixMilli())
}

func (ss *session) greeted(epochs Epochs, end message.PhyOffset) error {
	status := &ss.s.status
	status.epoch.Store(max(status.epoch.Load(), epochs.Last()))
	return ss.step(Input{Kind: Answered, Epochs: epochs, Offset: end})
}

func (ss *session) framed(f frame) error {
	ss.bulk = f.size >= bulkMin
	return ss.step(Input{Kind: Framed, Offset: f.phy, Size: f.size, Epoch: f.epoch, Confirm: f.confirm})
}

func (ss *session) arrived(at message.PhyOffset, piece []byte) error {
	return ss.step(Input{Kind: Arrived, Offset: at, Raw: piece})
}

// step lets the core take in an event and does what it asks for.
func (ss *session) step(e Input) error {
	s := ss.s
	e.Now, e.Begin, e.End = s.opts.Now(), s.log.MinPhyOffset(), s.log.MaxPhyOffset()
	ss.effects = ss.core.Step(e, ss.effects[:0])
	for _, f := range ss.effects {
		switch f.Kind {
		case DoClose:
			return f.Err
		case DoAppend:
			if err := s.log.AppendRaw(f.Offset, f.Raw); err != nil {
				return err
			}
		case DoExtend:
			ss.whole = f.Size
		case DoTruncate:
			if err := s.log.Truncate(f.Offset); err != nil {
				return err
			}
			s.opts.OnEvent(Event{Addr: ss.conn.RemoteAddr().String(), Connected: true, Truncated: e.End - f.Offset})
		case DoKeep:
			if err := s.opts.Epochs.Save(f.Epochs); err != nil {
				return err
			}
		case DoConfirm:
			s.log.Confirm(f.Offset)
		case DoGreet:
			hello := Hello{ID: s.opts.BrokerID, FromStart: !s.opts.LastFileOnly, Learner: s.opts.Learner}
			if err := ss.write(appendSwitchHello(nil, hello)); err != nil {
				return err
			}
		case DoReport:
			out := ss.report(ss.greeting, f.Offset)
			ss.greeting = ss.greeting[:0]
			if err := ss.write(out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (ss *session) write(b []byte) error {
	s := ss.s
	if err := ss.conn.SetWriteDeadline(time.Now().Add(s.opts.HousekeepingInterval)); err != nil {
		return err
	}
	if _, err := ss.conn.Write(b); err != nil {
		return err
	}
	s.status.lastWrote.Store(s.opts.Now().UnixMilli())
	return nil
}

// Status is how a slave fares.
type Status struct {
	Master              string
	Connected           bool
	Received            int64 // bytes
	LastRead, LastWrote int64 // Unix ms
	Epoch               int32 // with epochs: the highest one under which a master answered; 0 if none did
}

// Status tells how the slave fares.
func (s *Slave) Status() Status {
	return Status{Master: s.Master(), Connected: s.status.connected.Load(), Received: s.status.received.Load(),
		LastRead: s.status.lastRead.Load(), LastWrote: s.status.lastWrote.Load(), Epoch: s.status.epoch.Load()}
}
