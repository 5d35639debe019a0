package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// The reasons why a connection is closed, besides io.EOF, a *FrameError and errors of the network.
var (
	// ErrClosed is the reason when this end closed the connection, and the error of what is asked of a closed one.
	ErrClosed = errors.New("connection closed")
	// ErrIdle says that nothing was read or written for IdleTimeout.
	ErrIdle = errors.New("idle for too long")
	// ErrSlowFrame says that the peer took longer than FrameTimeout to send one frame.
	ErrSlowFrame = errors.New("frame not complete in time")
	// ErrSlowReader says that the peer does not read what is written to it.
	ErrSlowReader = errors.New("peer reads too slowly")
	// ErrConnsMax says that there are as many connections as ConnsMax allows.
	ErrConnsMax = errors.New("too many connections")
	// ErrCallsMax says that as many requests wait for an answer as CallsMax allows.
	ErrCallsMax = errors.New("too many requests without an answer")
)

// Conn is one connection, at either end: requests go both ways over it. All methods may be called from any goroutine.
type Conn struct {
	nc            net.Conn
	opts          *Options
	registry      *registry
	id            uint64
	remote, local netip.AddrPort
	leaving       *atomic.Bool // the server is about to close

	in  reader
	out writer

	lastWrite atomic.Int64 // unix nanoseconds; the reader has its own time of the last read
	inFlight  atomic.Int64 // requests received and not yet answered; may be below zero for a moment
	opaque    atomic.Int32 // of the last request sent

	calls struct {
		sync.Mutex
		pending map[int32]chan *Command
		closed  bool
	}
	state struct {
		sync.Mutex
		reason  error // why it is closed; nil while it is open
		onClose []func()
		values  map[any]any
	}
	done chan struct{} // closed with the connection
	wg   sync.WaitGroup
}

var connIDs atomic.Uint64

func newConn(nc net.Conn, opts *Options, reg *registry, leaving *atomic.Bool) *Conn {
	c := &Conn{nc: nc, opts: opts, registry: reg, id: connIDs.Add(1), leaving: leaving, done: make(chan struct{})}
	c.remote, c.local = addrPort(nc.RemoteAddr()), addrPort(nc.LocalAddr())
	c.out.init(c)
	if sc, ok := nc.(syscall.Conn); ok {
		c.out.raw, _ = sc.SyscallConn() // without it nothing is written at once
	}
	c.lastWrite.Store(time.Now().UnixNano())
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// ID is unique in this process.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr is this end's address.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// InFlight is the number of requests received on this connection and not yet answered.
func (c *Conn) InFlight() int { return int(max(c.inFlight.Load(), 0)) }

// Done is closed when the connection is.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection is closed; nil while it is open.
func (c *Conn) Err() error {
	c.state.Lock()
	defer c.state.Unlock()
	return c.state.reason
}

// OnClose has f called, on a goroutine of the connection, when it is closed; at once when it already is.
func (c *Conn) OnClose(f func()) {
	c.state.Lock()
	if c.state.reason == nil {
		c.state.onClose = append(c.state.onClose, f)
		c.state.Unlock()
		return
	}
	c.state.Unlock()
	f()
}

// SetValue attaches a value to the connection.
func (c *Conn) SetValue(key, value any) {
	c.state.Lock()
	defer c.state.Unlock()
	if c.state.values == nil {
		c.state.values = map[any]any{}
	}
	c.state.values[key] = value
}

// Value returns what SetValue attached, or nil.
func (c *Conn) Value(key any) any {
	c.state.Lock()
	defer c.state.Unlock()
	return c.state.values[key]
}

// Close closes the connection at once: what is not yet written is lost.
func (c *Conn) Close() { c.close(ErrClosed) }

// close closes the connection for a reason; the first one stays.
func (c *Conn) close(reason error) {
	c.state.Lock()
	if c.state.reason != nil {
		c.state.Unlock()
		return
	}
	c.state.reason = reason
	onClose := c.state.onClose
	c.state.onClose = nil
	c.state.Unlock()

	c.nc.Close()
	close(c.done)
	c.out.close()
	c.failCalls()
	for _, f := range onClose {
		f()
	}
	c.opts.Listener.ConnClosed(c, reason)
}

// Reply answers a request. It does not block: the response is written together with others of its time. An error says that
// it will not be, because the connection is closed or the response is too large; of the latter the peer is told.
func (c *Conn) Reply(req *Command, resp *Command) error { return c.ReplyTo(req.Ticket(), resp) }

// ReplyTo answers the request that the ticket stands for: see Reply.
func (c *Conn) ReplyTo(t Ticket, resp *Command) error { return c.reply(t, resp, false) }

// ReplyHere is ReplyTo where the caller would rather write than have another goroutine woken for it. It does not block: what
// the socket does not take at once is written by another.
func (c *Conn) ReplyHere(t Ticket, resp *Command) error { return c.reply(t, resp, true) }

func (c *Conn) reply(t Ticket, resp *Command, here bool) error {
	if !t.Oneway { // nobody waits for an answer, so it was not counted as one to come
		c.inFlight.Add(-1)
	}
	return c.send(t, resp, here)
}

// handled takes what a handler returned.
func (c *Conn) handled(t Ticket, resp *Command) {
	switch {
	case resp == noReply:
	case resp != nil:
		c.send(t, resp, false) //nolint:errcheck // a closed connection is known to its owner
	case !t.Oneway:
		c.inFlight.Add(1)
	}
}

func (c *Conn) send(t Ticket, resp *Command, here bool) error {
	if t.Oneway {
		resp.release()
		resp.recycle()
		return nil
	}
	resp.Flag |= flagResponse
	resp.Opaque = t.Opaque
	resp.Serialize = t.Serialize
	err := c.out.put(resp, here)
	if err == nil || errors.Is(err, ErrClosed) {
		return err
	}
	tell := NewResponse(protocol.SystemError, "the response cannot be sent: "+err.Error())
	tell.Opaque, tell.Serialize = t.Opaque, t.Serialize
	if c.out.put(tell, false) != nil {
		return ErrClosed
	}
	return fmt.Errorf("response to request code %d: %w", t.Code, err)
}

// Oneway sends a request that gets no answer. It does not block.
func (c *Conn) Oneway(req *Command) error {
	req.Opaque = c.opaque.Add(1)
	req.Flag = req.Flag&^flagResponse | flagOneway
	return c.out.put(req, false)
}

// Request sends a request and waits for its answer, which belongs to the caller. An inline handler must not call it on its
// own connection, whose reader it would wait for.
func (c *Conn) Request(ctx context.Context, req *Command) (*Command, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.CallTimeout)
		defer cancel()
	}
	req.Flag &^= flagResponse | flagOneway
	code := req.RequestCode()
	opaque, answer, err := c.expect()
	if err != nil {
		req.release()
		return nil, err
	}
	req.Opaque = opaque
	if err := c.out.put(req, false); err != nil {
		c.forget(opaque)
		return nil, err
	}
	select {
	case resp, ok := <-answer:
		if !ok {
			return nil, c.closedError()
		}
		return resp, nil
	case <-ctx.Done():
		c.forget(opaque)
		return nil, fmt.Errorf("no answer to %v from %v: %w", code, c.remote, ctx.Err())
	}
}

func (c *Conn) closedError() error {
	if reason := c.Err(); reason != nil && !errors.Is(reason, ErrClosed) {
		return fmt.Errorf("%w: %v: %w", ErrClosed, c.remote, reason)
	}
	return fmt.Errorf("%w: %v", ErrClosed, c.remote)
}

// expect makes a place for the answer to a request.
func (c *Conn) expect() (opaque int32, answer chan *Command, err error) {
	answer = make(chan *Command, 1)
	c.calls.Lock()
	defer c.calls.Unlock()
	if c.calls.closed {
		return 0, nil, c.closedError()
	}
	if len(c.calls.pending) >= c.opts.CallsMax {
		return 0, nil, fmt.Errorf("%w: %d at %v", ErrCallsMax, c.opts.CallsMax, c.remote)
	}
	if c.calls.pending == nil {
		c.calls.pending = map[int32]chan *Command{}
	}
	for opaque = c.opaque.Add(1); c.calls.pending[opaque] != nil; opaque = c.opaque.Add(1) {
	}
	c.calls.pending[opaque] = answer
	return opaque, answer, nil
}

// forget gives up waiting for an answer.
func (c *Conn) forget(opaque int32) {
	c.calls.Lock()
	delete(c.calls.pending, opaque)
	c.calls.Unlock()
}

// answered hands an answer to who waits for it; nobody does when it is too late.
func (c *Conn) answered(resp *Command) {
	c.calls.Lock()
	answer := c.calls.pending[resp.Opaque]
	delete(c.calls.pending, resp.Opaque)
	c.calls.Unlock()
	if answer != nil {
		answer <- resp.Clone()
	}
}

func (c *Conn) failCalls() {
	c.calls.Lock()
	defer c.calls.Unlock()
	c.calls.closed = true
	for opaque, answer := range c.calls.pending {
		delete(c.calls.pending, opaque)
		close(answer)
	}
}

// run serves the connection until it is closed, and waits for its other goroutine.
func (c *Conn) run() {
	c.opts.Listener.ConnOpened(c)
	c.close(c.in.run(c))
	c.out.close() // whoever closed it before may not be that far; none begins to write from here on
	c.wg.Wait()
}
