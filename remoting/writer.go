package remoting

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

const (
	// copyMax is the largest total of segments that is copied behind its header rather than handed to writev. To 16 KiB the
	// copy costs no more than the longer vector (BenchmarkSegments), and the segments are released at once.
	copyMax = 16 << 10
	// flushMin is how much is gathered before it is written while there are still frames to handle.
	flushMin = 64 << 10
	// keepMax is the largest buffer kept for the next batch.
	keepMax = 256 << 10
)

// batch is a run of frames to write: bytes, and between them the segments that are written from where they are.
type batch struct {
	buf   []byte
	cuts  []cut
	bytes int // all of it, segments included
}

// cut places segments behind buf[:at].
type cut struct {
	at       int
	segments [][]byte
	release  func()
}

// writer is the writing side of a connection.
//
// Whoever has something to send appends it to out. Exactly one goroutine writes at a time, who holds writing, without the
// lock: the reader at the end of each round, for what was answered meanwhile, the flusher for everything else, or who put it
// and asked for that, as far as the socket takes it at once.
type writer struct {
	c        *Conn
	runFlush func()          // flushes; made once
	raw      syscall.RawConn // nil where the connection has none

	mu struct {
		sync.Mutex
		out       batch
		spare     batch // the other of two, empty
		gathering bool  // the reader is in a round, and will flush at its end
		writing   bool
		flusher   bool // runs
		closed    bool
	}
	drained sync.Cond // a write has ended, or the connection is closed

	// Of who holds writing:
	vec      net.Buffers
	deadline time.Time
}

func (w *writer) init(c *Conn) {
	w.c = c
	w.runFlush = w.flushAll
	w.drained.L = &w.mu
}

// put appends a command, to be written soon; here has this goroutine do it, as far as the socket takes it. It does not block.
// The command is used up, whatever the result.
func (w *writer) put(cmd *Command, here bool) error {
	w.mu.Lock()
	if w.mu.closed {
		w.mu.Unlock()
		cmd.release()
		cmd.recycle()
		return w.c.closedError()
	}
	held, err := w.mu.out.add(cmd)
	full := w.mu.out.bytes > w.c.opts.WriteMax
	wake := err == nil && !w.mu.gathering && !w.mu.writing
	if wake {
		if here && !w.mu.flusher && w.raw != nil && len(w.mu.out.cuts) == 0 {
			w.writeHereLocked()
		} else {
			w.startFlusherLocked()
		}
	}
	w.mu.Unlock()
	if !held {
		cmd.release()
	}
	cmd.recycle()
	if full {
		w.c.close(fmt.Errorf("%w: over %d bytes wait for it", ErrSlowReader, w.c.opts.WriteMax))
		return w.c.closedError()
	}
	return err
}

func (w *writer) startFlusherLocked() {
	if !w.mu.flusher {
		w.mu.flusher = true
		w.c.wg.Add(1)
		go w.runFlush()
	}
}

// add appends a frame; held says that its segments are needed until written.
func (b *batch) add(cmd *Command) (held bool, err error) {
	begin := len(b.buf)
	if len(cmd.Segments) == 0 || cmd.bodyLen()-len(cmd.Body) <= copyMax {
		if len(cmd.Segments) == 0 {
			b.buf, err = cmd.AppendFrame(b.buf)
		} else {
			b.buf, err = appendCopy(b.buf, cmd)
		}
		b.bytes += len(b.buf) - begin
		return false, err
	}
	buf, err := cmd.AppendHeader(b.buf)
	if err != nil {
		return false, err
	}
	b.buf = append(buf, cmd.Body...)
	b.cuts = append(b.cuts, cut{at: len(b.buf), segments: cmd.Segments, release: cmd.Release})
	b.bytes += len(b.buf) - begin + cmd.bodyLen() - len(cmd.Body)
	return true, nil
}

// appendCopy appends a frame whose segments may lie in a mapped file. When they cannot be read, the file having been cut or
// its device failed, the peer gets an error in place of them.
func appendCopy(buf []byte, cmd *Command) (out []byte, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if _, fault := v.(interface{ Addr() uintptr }); !fault {
			panic(v)
		}
		resp := NewResponse(protocol.SystemError, "the messages cannot be read: their file was cut, or its device failed")
		resp.Opaque, resp.Serialize = cmd.Opaque, cmd.Serialize
		out, err = resp.AppendFrame(buf)
	}()
	return cmd.AppendFrame(buf)
}

// reset empties the batch, its segments released before.
func (b *batch) reset() {
	clear(b.cuts)
	b.buf, b.cuts, b.bytes = b.buf[:0], b.cuts[:0], 0
	if cap(b.buf) > keepMax {
		b.buf = nil
	}
}

func (b *batch) release() {
	for i := range b.cuts {
		if release := b.cuts[i].release; release != nil {
			release()
		}
	}
}

// gather begins a round of the reader: what is put until flush needs no flusher.
func (w *writer) gather() {
	w.mu.Lock()
	w.mu.gathering = true
	w.mu.Unlock()
}

// relieve writes in the middle of a round when much has gathered.
func (w *writer) relieve() error {
	w.mu.Lock()
	if w.mu.out.bytes < flushMin {
		w.mu.Unlock()
		return nil
	}
	return w.writeLocked()
}

// flush ends a round of the reader: it writes what has gathered. Behind a slow peer it waits, and the peer's requests with
// it: that is the backpressure.
func (w *writer) flush() error {
	w.mu.Lock()
	w.mu.gathering = false
	return w.writeLocked()
}

// writeLocked writes one batch, unless another goroutine is at it; then it only waits until less than WriteHigh is left.
// It unlocks.
func (w *writer) writeLocked() error {
	if w.mu.writing {
		for w.mu.writing && w.mu.out.bytes > w.c.opts.WriteHigh && !w.mu.closed {
			w.drained.Wait()
		}
		w.mu.Unlock()
		return nil
	}
	if w.mu.out.bytes == 0 || w.mu.closed {
		w.mu.Unlock()
		return nil
	}
	err := w.writeBatch()
	more := err == nil && w.mu.out.bytes > 0 && !w.mu.gathering && !w.mu.closed
	if more {
		w.startFlusherLocked()
	}
	w.mu.Unlock()
	return err
}

// writeBatch takes what is there and writes it with the lock released.
func (w *writer) writeBatch() error {
	b := w.mu.out
	w.mu.out, w.mu.spare = w.mu.spare, batch{}
	w.mu.writing = true
	w.mu.Unlock()

	err := w.write(&b)
	b.release()
	b.reset()

	w.mu.Lock()
	w.wroteLocked(b)
	return err
}

// writeHereLocked writes a batch without segments, what the socket takes of it at once. The rest is another's to write.
func (w *writer) writeHereLocked() {
	b := w.mu.out
	w.mu.out, w.mu.spare = w.mu.spare, batch{}
	w.mu.writing = true
	w.c.wg.Add(1) // the connection's end waits for this as for a flusher
	w.mu.Unlock()

	n := tryWrite(w.raw, b.buf)
	if n < len(b.buf) {
		go w.runRest(b, n)
		w.mu.Lock()
		return
	}
	w.c.wg.Done()
	w.c.lastWrite.Store(time.Now().UnixNano())
	b.reset()
	w.mu.Lock()
	w.wroteLocked(b)
	if w.mu.out.bytes > 0 && !w.mu.gathering && !w.mu.closed {
		w.startFlusherLocked()
	}
}

// runRest writes what the socket did not take, from buf[n:] on.
func (w *writer) runRest(b batch, n int) {
	defer w.c.wg.Done()
	rest := batch{buf: b.buf[n:], bytes: len(b.buf) - n}
	err := w.write(&rest)
	b.reset()
	w.mu.Lock()
	w.wroteLocked(b)
	if err == nil && w.mu.out.bytes > 0 && !w.mu.gathering && !w.mu.closed {
		w.startFlusherLocked()
	}
	w.mu.Unlock()
	if err != nil {
		w.c.close(err)
	}
}

// wroteLocked ends a write, and keeps the batch for use again.
func (w *writer) wroteLocked(b batch) {
	if w.mu.out.buf == nil {
		w.mu.out.buf, w.mu.out.cuts = b.buf, b.cuts // one buffer does, as nothing came meanwhile
	} else {
		w.mu.spare = b
	}
	w.mu.writing = false
	w.drained.Broadcast()
}

// write writes a batch, in one call when it can.
func (w *writer) write(b *batch) error {
	now := time.Now()
	if w.deadline.Sub(now) < w.c.opts.WriteTimeout/2 {
		w.deadline = now.Add(w.c.opts.WriteTimeout)
		w.c.nc.SetWriteDeadline(w.deadline) //nolint:errcheck // the write says what is wrong
	}
	var err error
	if len(b.cuts) == 0 {
		_, err = w.c.nc.Write(b.buf)
	} else {
		err = w.writeSegments(b)
	}
	w.c.lastWrite.Store(now.UnixNano())
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: %d bytes not taken in %v", ErrSlowReader, b.bytes, w.c.opts.WriteTimeout)
	}
	return err
}

func (w *writer) writeSegments(b *batch) error {
	vec, at := w.vec[:0], 0
	for i := range b.cuts {
		c := &b.cuts[i]
		if c.at > at {
			vec = append(vec, b.buf[at:c.at])
		}
		at = c.at
		for _, s := range c.segments {
			if len(s) > 0 {
				vec = append(vec, s)
			}
		}
	}
	if at < len(b.buf) {
		vec = append(vec, b.buf[at:])
	}
	w.vec = vec
	_, err := vec.WriteTo(w.c.nc)
	clear(w.vec[:cap(w.vec)])
	w.vec = w.vec[:0]
	return err
}

// flushAll writes what others than the reader put, and ends when there is nothing more: a connection that is quiet does not
// pay for a second stack. What comes while somebody else writes is seen to by them.
func (w *writer) flushAll() {
	defer w.c.wg.Done()
	w.mu.Lock()
	for w.mu.out.bytes > 0 && !w.mu.writing && !w.mu.gathering && !w.mu.closed {
		if err := w.writeBatch(); err != nil {
			w.mu.Unlock()
			w.c.close(err)
			return
		}
	}
	w.mu.flusher = false
	w.mu.Unlock()
}

// close drops what is not written.
func (w *writer) close() {
	w.mu.Lock()
	w.mu.closed = true
	b := w.mu.out
	w.mu.out = batch{}
	w.drained.Broadcast()
	w.mu.Unlock()
	b.release()
}

// shrink lets go of buffers that a quiet connection does not need.
func (w *writer) shrink() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.out.bytes == 0 && !w.mu.writing {
		w.mu.out, w.mu.spare = batch{}, batch{}
	}
}

// waiting says whether there is anything not yet written.
func (w *writer) waiting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.writing || w.mu.out.bytes > 0
}
