package remoting

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// readBufferMin is what a connection begins with, and returns to when it has been quiet: a pull or a heartbeat fits, and
// ten thousand consumers that wait for messages have little else.
const readBufferMin = 2 << 10

// smallRounds is after how many reads a busy connection gives back a buffer that one large frame needed.
const smallRounds = 1000

// reader is the reading side of a connection. All of it belongs to the goroutine that runs it.
//
// One read takes what the kernel has, many frames when the peer pipelines. All complete ones are handled before the next
// read, their answers gathered, and written at once.
type reader struct {
	c        *Conn
	buf      []byte
	begin    int       // first byte not yet handled
	end      int       // one past the last byte read
	now      time.Time // of the last read
	deadline time.Time // what the connection's read deadline is set to
	lastRead time.Time // when bytes last came and were handled
	heard    bool      // bytes came since
	partial  time.Time // when the frame at begin began to come; zero when there is none
	full     bool      // the last read filled the buffer
	small    int       // reads since a buffer larger than usual was needed
}

// run reads and handles frames until the connection ends, and returns why.
func (r *reader) run(c *Conn) error {
	r.c = c
	r.buf = make([]byte, readBufferMin)
	r.now = time.Now()
	r.lastRead = r.now
	for {
		r.beforeRead()
		n, err := c.nc.Read(r.buf[r.end:])
		r.now = time.Now()
		if n > 0 {
			r.heard = true
			r.end += n
			if err := r.handleAll(); err != nil {
				return err
			}
		}
		if err := r.checkRead(err); err != nil {
			return err
		}
		r.makeRoom()
	}
}

// beforeRead sets the clocks. The time that went into handling and writing is ours, and not held against the peer.
func (r *reader) beforeRead() {
	now := time.Now()
	if r.heard {
		r.lastRead = now
		r.heard = false
	}
	if !r.partial.IsZero() {
		r.partial = r.partial.Add(now.Sub(r.now))
	}
	tick := r.c.opts.tick()
	if r.partial.IsZero() && len(r.buf) == readBufferMin {
		tick = r.untilIdle(now)
	}
	if left := r.deadline.Sub(now); left < tick/2 || left > tick {
		r.deadline = now.Add(tick)
		r.c.nc.SetReadDeadline(r.deadline) //nolint:errcheck // the next read says what is wrong
	}
}

// quietTick is how often a connection is looked after that may be silent for ever.
const quietTick = time.Hour

// untilIdle is when a connection on which nothing is under way must be looked after: 10,000 consumers that long-poll are not to
// be woken for nothing.
func (r *reader) untilIdle(now time.Time) time.Duration {
	idle := r.c.opts.IdleTimeout
	if idle <= 0 {
		return quietTick
	}
	silent := now.UnixNano() - max(r.lastRead.UnixNano(), r.c.lastWrite.Load())
	return max(idle-time.Duration(silent), 0) + time.Millisecond
}

// checkRead looks at how a read ended, and at how long the peer has been silent or slow.
func (r *reader) checkRead(err error) error {
	c := r.c
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		if reason := c.Err(); reason != nil {
			return reason
		}
		if errors.Is(err, io.EOF) && r.begin < r.end {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if !r.partial.IsZero() && r.now.Sub(r.partial) > c.opts.FrameTimeout {
		return ErrSlowFrame
	}
	if err == nil {
		return nil
	}
	if c.opts.IdleTimeout > 0 && r.now.Sub(r.lastRead) > c.opts.IdleTimeout &&
		r.now.UnixNano()-c.lastWrite.Load() > int64(c.opts.IdleTimeout) {
		return ErrIdle
	}
	if r.begin == r.end && len(r.buf) > readBufferMin { // quiet since the last tick
		r.begin, r.end = 0, 0
		r.resize(readBufferMin)
		c.out.shrink()
	}
	return nil
}

// handleAll handles the complete frames in the buffer, and has their answers written.
func (r *reader) handleAll() error {
	r.full = r.end == len(r.buf)
	r.c.out.gather()
	err := r.handleFrames()
	if werr := r.c.out.flush(); err == nil {
		err = werr
	}
	return err
}

func (r *reader) handleFrames() error {
	began := r.begin
	req := commands.Get().(*Command) // a connection that is quiet has no use for one
	defer func() {
		req.pooled = true // only now: a handler may answer with it
		req.recycle()
	}()
	for {
		n, err := frameLen(r.buf[r.begin:r.end], r.c.opts.FrameMax)
		if err != nil {
			return err
		}
		if n == 0 || n > r.end-r.begin {
			r.markPartial(r.begin != began)
			return nil
		}
		frame := r.buf[r.begin : r.begin+n : r.begin+n]
		if err := decodeFrame(frame, req); err != nil {
			return err
		}
		r.begin += n
		if req.IsResponse() {
			r.c.answered(req)
		} else if err := r.handle(req); err != nil {
			return err
		}
		invariants.Mangle(frame)
		invariants.Mangle(req.Fields.buf)
	}
}

// markPartial notes since when the frame at begin is incomplete.
func (r *reader) markPartial(moved bool) {
	switch {
	case r.begin == r.end:
		r.partial = time.Time{}
	case moved || r.partial.IsZero():
		r.partial = r.now
	}
}

// handle has the request handled, here or on a pool.
func (r *reader) handle(req *Command) error {
	c := r.c
	if c.leaving != nil && c.leaving.Load() && req.Version > protocol.Version5_3_1 {
		c.handled(req.Ticket(), NewResponse(protocol.GoAway, "please go away"))
		return nil
	}
	if c.inFlight.Load() >= int64(c.opts.InFlightMax) {
		c.handled(req.Ticket(), NewResponse(protocol.SystemBusy, "[OVERLOAD]system busy, start flow control for a while: too many requests of this connection are not answered yet"))
		return nil
	}
	e := c.registry.table.Load().lookup(req.Code)
	if e.pool == nil {
		t := req.Ticket()
		c.handled(t, c.call(e.handle, req))
		return c.out.relieve()
	}
	own := commands.Get().(*Command)
	req.cloneTo(own)
	own.pooled = true
	c.inFlight.Add(1)
	if !e.pool.submit(task{c, own, e.handle}) {
		c.inFlight.Add(-1)
		own.recycle()
		c.handled(req.Ticket(), NewResponse(protocol.SystemBusy, "[OVERLOAD]system busy, start flow control for a while"))
	}
	return nil
}

// makeRoom prepares the buffer for the next read: what is left of a frame moves to the front, and the buffer grows when
// reads fill it or a frame does not fit. It at most doubles what has come: a length alone gets no memory.
func (r *reader) makeRoom() {
	left := r.end - r.begin
	if r.begin > 0 {
		copy(r.buf, r.buf[r.begin:r.end])
		r.begin, r.end = 0, left
	}
	usual := r.c.opts.ReadBuffer
	switch size := len(r.buf); {
	case left == size:
		r.resize(2 * size)
	case r.full && size < usual:
		r.resize(min(2*size, usual))
	case size > usual && left < usual:
		if r.small++; r.small > smallRounds {
			r.resize(usual)
		}
	}
	r.full = false
}

func (r *reader) resize(size int) {
	buf := make([]byte, size)
	copy(buf, r.buf[:r.end])
	r.buf = buf
	r.small = 0
}
