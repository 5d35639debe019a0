package ha

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

const (
	tickInterval   = 100 * time.Millisecond
	reportReadSize = 4 << 10

	// Sending each message by itself costs more than the messages: two system calls and a wake-up at either end. So a slave
	// that nobody waits for is sent at most so often what is less than so much.
	gatherTime  = 500 * time.Microsecond
	gatherBytes = burst * 32 << 10 / 2
)

// Master sends the log to the slaves that connect, and tells puts when enough
// of them have it (Java: DefaultHAService with its connections).
type Master struct {
	log  Log
	opts MasterOptions
	ln   net.Listener

	// idle says that some connection waits for the log to grow.
	idle atomic.Bool

	mu struct {
		sync.Mutex
		core   *Leader
		conns  map[ConnID]*masterConn
		nextID ConnID
		closed bool
	}

	propose chan Effect // to who decides on the in-sync set
	stop    chan struct{}
	done    sync.WaitGroup
}

// masterConn is one connection of a slave: a goroutine that reads, and one that
// writes what the core asks for.
type masterConn struct {
	id     ConnID
	conn   net.Conn
	send   chan Effect   // of one: the core asks for no more than one at a time
	closed chan struct{} // with reason set
	reason error

	sent atomic.Int64 // bytes of the log
	peer atomic.Int64 // broker id, 0 unknown
}

// OpenMaster serves the slaves that connect to ln, which it closes in the end.
func OpenMaster(log Log, ln net.Listener, opts *MasterOptions) *Master {
	m := &Master{log: log, ln: ln, propose: make(chan Effect, 1), stop: make(chan struct{})}
	if opts != nil {
		m.opts = *opts
	}
	m.opts.EnsureDefaults()
	m.mu.conns = map[ConnID]*masterConn{}
	m.mu.core = NewLeader(&m.opts)
	if r := m.opts.Reign; r != nil {
		m.mu.core = NewSwitchLeader(&m.opts, *r, m.opts.Now())
		m.step(Input{Kind: Ticked}) // what readers may see is known from here on
		m.done.Add(1)
		go m.runRule()
	}
	m.done.Add(2)
	go m.runAccept()
	go m.runTick()
	return m
}

// Close ends all connections and answers those who wait.
func (m *Master) Close() error {
	m.mu.Lock()
	if m.mu.closed {
		m.mu.Unlock()
		return nil
	}
	m.mu.closed = true
	waiting := m.mu.core.waiting
	m.mu.core.waiting = nil
	for _, c := range m.mu.conns {
		m.closeConnLocked(c, ErrClosed)
	}
	m.mu.Unlock()
	close(m.stop)
	err := m.ln.Close()
	m.done.Wait()
	for _, w := range waiting {
		w.waiter.Replicated(ErrClosed)
	}
	return err
}

// Addr is the address that slaves connect to.
func (m *Master) Addr() net.Addr { return m.ln.Addr() }

func (m *Master) runAccept() {
	defer m.done.Done()
	for pause := tickInterval; ; {
		conn, err := m.ln.Accept()
		if err == nil {
			m.accept(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		m.opts.OnEvent(Event{Addr: m.ln.Addr().String(), Err: fmt.Errorf("slaves cannot be accepted: %w", err)})
		select {
		case <-m.stop:
			return
		case <-time.After(pause):
		}
	}
}

func (m *Master) accept(conn net.Conn) {
	c := &masterConn{conn: conn, send: make(chan Effect, 1), closed: make(chan struct{})}
	m.mu.Lock()
	if m.mu.closed {
		m.mu.Unlock()
		conn.Close()
		return
	}
	m.mu.nextID++
	c.id = m.mu.nextID
	m.mu.conns[c.id] = c
	m.mu.Unlock()
	m.done.Add(2)
	m.step(Input{Kind: Connected, Conn: c.id})
	go m.runRead(c)
	go m.runWrite(c)
}

func (m *Master) runTick() {
	defer m.done.Done()
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-tick.C:
			m.step(Input{Kind: Ticked})
		}
	}
}

var effectPool = sync.Pool{New: func() any { return new([]Effect) }}

// step lets the core take in an event and does what it asks for. Those who wait
// are answered without the lock, as they may put again.
func (m *Master) step(e Input) {
	out := effectPool.Get().(*[]Effect)
	m.mu.Lock()
	e.Now, e.Begin, e.End = m.opts.Now(), m.log.MinPhyOffset(), m.log.ConfirmOffset()
	if m.mu.closed && e.Kind == Waited {
		*out = append(*out, Effect{Kind: DoAnswer, Waiter: e.Waiter, Err: ErrClosed})
	} else {
		*out = m.mu.core.Step(e, *out)
	}
	for _, f := range *out {
		switch c := m.mu.conns[f.Conn]; {
		case f.Kind == DoConfirm:
			m.log.Confirm(f.Offset)
		case c == nil:
		case f.Kind == DoSend || f.Kind == DoGreet:
			c.send <- f
		case f.Kind == DoClose:
			m.closeConnLocked(c, f.Err)
		}
	}
	idle := m.mu.core.idle()
	m.idle.Store(idle)
	m.mu.Unlock()
	for _, f := range *out {
		switch f.Kind {
		case DoAnswer:
			f.Waiter.Replicated(f.Err)
		case DoPropose:
			select {
			case m.propose <- f:
			default: // it is asked again
			}
		case DoKeep:
			if err := m.opts.Epochs.Save(f.Epochs); err != nil {
				m.opts.OnEvent(Event{Addr: m.ln.Addr().String(), Err: fmt.Errorf("epochs of the deleted log are kept: %w", err)})
			}
		}
	}
	clear(*out)
	*out = (*out)[:0]
	effectPool.Put(out)
	if idle && m.log.ConfirmOffset() > e.End {
		// The log grew before idle was to be seen.
		m.step(Input{Kind: Grown})
	}
}

// runRule has it decided who is in sync.
func (m *Master) runRule() {
	defer m.done.Done()
	for {
		select {
		case <-m.stop:
			return
		case f := <-m.propose:
			members, setEpoch, err := m.opts.Rule(f.Members, f.SetEpoch)
			if err != nil {
				m.opts.OnEvent(Event{Addr: m.ln.Addr().String(), Err: fmt.Errorf("in-sync set %v in place of that of epoch %d: %w", f.Members, f.SetEpoch, err)})
				continue
			}
			m.SetMembers(members, setEpoch)
		}
	}
}

// SetMembers tells who is in the in-sync set. An epoch of the set that is not
// newer than the last changes nothing.
func (m *Master) SetMembers(members []int64, setEpoch int32) {
	m.step(Input{Kind: Ruled, Members: members, SetEpoch: setEpoch})
}

// Members is the in-sync set, by broker ids, with its epoch; nil without epochs.
func (m *Master) Members() (ids []int64, setEpoch int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.core.Members()
}

// Confirmed is how far the log is acknowledged and shown.
func (m *Master) Confirmed() message.PhyOffset {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.core.Confirmed(m.log.ConfirmOffset())
}

func (m *Master) closeConnLocked(c *masterConn, reason error) {
	if c.reason != nil {
		return
	}
	c.reason = reason
	close(c.closed)
	c.conn.Close()
}

// disconnect ends a connection after an error of reading or writing.
func (m *Master) disconnect(c *masterConn, err error) {
	m.mu.Lock()
	m.closeConnLocked(c, err)
	m.mu.Unlock()
}

// Appended tells that more of the log may be sent. While all slaves are being
// sent to it costs one load.
func (m *Master) Appended() {
	if m.idle.Load() {
		m.step(Input{Kind: Grown})
	}
}

// Admit tells whether a put that wants to be waited for has to wait for slaves,
// or why it is refused.
func (m *Master) Admit() (wait bool, err error) {
	o := &m.opts
	if !o.Sync {
		return false, nil
	}
	if o.MinInSyncReplicas > 1 {
		end := m.log.ConfirmOffset()
		m.mu.Lock()
		inSync := m.mu.core.inSync(end) + 1
		if members, _ := m.mu.core.Members(); members != nil {
			inSync = len(members)
		}
		m.mu.Unlock()
		if inSync < o.MinInSyncReplicas {
			return false, fmt.Errorf("%w: %d are, %d are asked for", ErrNotEnoughReplicas, inSync, o.MinInSyncReplicas)
		}
	}
	return o.InSyncReplicas > 1 || o.MinInSyncReplicas > 1 || o.Reign != nil && o.AllAckInSyncStateSet, nil
}

// NotifyReplicated tells w when enough slaves have the log up to end, or that
// they do not, perhaps before it returns.
func (m *Master) NotifyReplicated(end message.PhyOffset, w Waiter) {
	m.step(Input{Kind: Waited, Offset: end, Waiter: w})
}

// runRead takes in what the slave reports.
func (m *Master) runRead(c *masterConn) {
	defer m.done.Done()
	buf := make([]byte, reportReadSize)
	feed := new(reports).feed
	if m.opts.Reign != nil {
		feed = new(switchReports).feed
	}
	var who Hello
	first := true
	greet := func(h Hello) {
		who = h
		c.peer.Store(h.ID)
		m.step(Input{Kind: Greeted, Conn: c.id, Hello: h})
	}
	report := func(end message.PhyOffset) {
		e := Input{Kind: Reported, Conn: c.id, Offset: end}
		if first {
			first = false
			if m.opts.Reign == nil {
				hash, ok := TailHash(m.log, end, m.opts.FileSize)
				e.Valid = ok && hash == who.Tail
			}
			m.opts.OnEvent(Event{Addr: c.conn.RemoteAddr().String(), BrokerID: who.ID, Connected: true})
		}
		m.step(e)
	}
	for {
		n, err := c.conn.Read(buf)
		if err == nil {
			err = feed(buf[:n], greet, report)
		}
		if err != nil {
			m.disconnect(c, err)
			break
		}
	}
	m.mu.Lock()
	delete(m.mu.conns, c.id)
	reason := c.reason
	m.mu.Unlock()
	m.step(Input{Kind: Disconnected, Conn: c.id})
	if errors.Is(reason, io.EOF) {
		reason = nil
	}
	m.opts.OnEvent(Event{Addr: c.conn.RemoteAddr().String(), BrokerID: who.ID, Err: reason})
}

// runWrite sends what the core asks for.
func (m *Master) runWrite(c *masterConn) {
	defer m.done.Done()
	w := frameWriter{switching: m.opts.Reign != nil}
	for {
		select {
		case <-c.closed:
			return
		case f := <-c.send:
			n, err := w.write(c.conn, m.log, f)
			if err != nil {
				m.disconnect(c, err)
				return
			}
			c.sent.Add(int64(n))
			if n > 0 && n < gatherBytes && m.gathers() && !m.pause(c, gatherTime) {
				return
			}
			m.step(Input{Kind: Sent, Conn: c.id, Size: n})
		}
	}
}

// gathers tells whether what is put may wait a moment to be sent with more: nobody waits for it to be copied. The first
// message after some rest is sent at once.
func (m *Master) gathers() bool { return !m.opts.Sync && m.opts.Reign == nil }

// pause waits; it is false when the connection ends meanwhile.
func (m *Master) pause(c *masterConn, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.closed:
		return false
	case <-timer.C:
		return true
	}
}

// frameWriter writes frames, whose bodies leave from the mapped files without
// being copied.
type frameWriter struct {
	switching bool // with epochs

	headers  []byte
	pieces   net.Buffers
	released []func()
}

// write sends what the core asks for: the greeting, or frames with the log, and
// tells how many bytes of it were sent. A size of 0 is a heartbeat.
func (w *frameWriter) write(to io.Writer, log Log, f Effect) (total int, err error) {
	if f.Kind == DoGreet {
		_, err := to.Write(appendGreeting(nil, f.Epochs, f.Offset))
		return 0, err
	}
	defer func() {
		for _, release := range w.released {
			release()
		}
		clear(w.released)
		w.released = w.released[:0]
	}()
	if w.headers == nil {
		w.headers = make([]byte, 0, burst*switchFrameSize) // never moved: pieces point into it
	}
	w.pieces, w.headers = w.pieces[:0], w.headers[:0]
	for n := 0; n < burst; n++ {
		var body []byte
		if f.Size > total {
			var release func()
			if body, release, err = log.ReadRaw(f.Offset+message.PhyOffset(total), min(f.Size-total, f.Frame)); err != nil {
				return 0, fmt.Errorf("the log at %d: %w", int64(f.Offset)+int64(total), err)
			}
			if release != nil {
				w.released = append(w.released, release)
			}
		}
		if len(body) == 0 && n > 0 {
			break
		}
		w.pieces = append(w.pieces, w.header(f, f.Offset+message.PhyOffset(total), len(body)))
		if len(body) == 0 {
			break
		}
		w.pieces = append(w.pieces, body)
		total += len(body)
	}
	pieces := w.pieces // WriteTo consumes it
	if _, err = pieces.WriteTo(to); err != nil {
		return 0, err
	}
	return total, nil
}

// header is that of one frame.
func (w *frameWriter) header(f Effect, at message.PhyOffset, size int) []byte {
	begin := len(w.headers)
	if w.switching {
		w.headers = appendSwitchFrame(w.headers, frame{phy: at, size: size, epoch: f.Epoch, confirm: f.Confirm})
	} else {
		w.headers = appendFrameHeader(w.headers, at, size)
	}
	return w.headers[begin:]
}

// TailHash is a hash of the last bytes before end. Two logs with the same bytes
// there are the same up to there, as each record tells its place and time.
func TailHash(log Log, end message.PhyOffset, fileSize int64) (uint64, bool) {
	if end == 0 {
		return 0, true
	}
	fileStart := (end - 1) - (end-1)%message.PhyOffset(fileSize)
	from := max(fileStart, end-tailBytes)
	h := fnv.New64a()
	for from < end {
		raw, release, err := log.ReadRaw(from, int(end-from))
		if err != nil || len(raw) == 0 {
			return 0, false
		}
		h.Write(raw)
		from += message.PhyOffset(len(raw))
		release()
	}
	return h.Sum64() & sevenBytes, true
}

// SlaveStatus is one slave as its master sees it.
type SlaveStatus struct {
	Addr     string
	BrokerID int64 // 0 unknown
	Ack      message.PhyOffset
	Next     message.PhyOffset // of the next byte to send
	InSync   bool
	Sent     int64 // bytes since it connected
}

// Slaves tells of the slaves that are connected.
func (m *Master) Slaves() []SlaveStatus {
	end := m.log.ConfirmOffset()
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []SlaveStatus
	members, _ := m.mu.core.Members()
	for _, f := range m.mu.core.conns {
		if c := m.mu.conns[f.id]; c != nil && f.asked {
			inSync := f.inSync(end, &m.opts)
			if members != nil {
				inSync = slices.Contains(members, f.hello.ID)
			}
			list = append(list, SlaveStatus{Addr: c.conn.RemoteAddr().String(), BrokerID: c.peer.Load(), Ack: f.ack, Next: f.next,
				InSync: inSync, Sent: c.sent.Load()})
		}
	}
	return list
}
