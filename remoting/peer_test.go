package remoting

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// rawPeer speaks frames over a bare connection, good ones and bad ones.
type rawPeer struct {
	tb testing.TB
	nc net.Conn
}

func dialRaw(tb testing.TB, addr string) *rawPeer {
	tb.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &rawPeer{tb, nc}
}

func (p *rawPeer) write(b []byte) {
	p.tb.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.tb.Fatal(err)
	}
}

// request returns a frame of a request with the opaque for its body.
func request(tb testing.TB, code protocol.RequestCode, opaque int32, flag int32) []byte {
	tb.Helper()
	c := NewRequest(code)
	c.Opaque, c.Flag = opaque, flag
	c.Body = binary.BigEndian.AppendUint32(nil, uint32(opaque))
	b, err := c.AppendFrame(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// read returns the next frame, or the error that ends the connection.
func (p *rawPeer) read() (*Command, error) {
	head := make([]byte, frameLenSize)
	if _, err := io.ReadFull(p.nc, head); err != nil {
		return nil, err
	}
	b := append(head, make([]byte, binary.BigEndian.Uint32(head))...)
	if _, err := io.ReadFull(p.nc, b[frameLenSize:]); err != nil {
		return nil, err
	}
	c := new(Command)
	return c, DecodeFrame(b, c)
}

func (p *rawPeer) mustRead() *Command {
	p.tb.Helper()
	c, err := p.read()
	if err != nil {
		p.tb.Fatal(err)
	}
	return c
}

// wantClosed reads to the end of the connection.
func (p *rawPeer) wantClosed() {
	p.tb.Helper()
	for {
		_, err := p.read()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			p.tb.Fatal("the connection stays open")
		}
		if err != nil {
			return
		}
	}
}

// reasons collects why a server's connections were closed.
type reasons struct {
	ch chan error
}

func newReasons() *reasons { return &reasons{make(chan error, 1000)} }

func (r *reasons) listener() EventListener {
	return EventListener{ConnClosed: func(_ *Conn, reason error) { r.ch <- reason }}
}

func (r *reasons) next(tb testing.TB) error {
	tb.Helper()
	select {
	case reason := <-r.ch:
		return reason
	case <-time.After(20 * time.Second):
		tb.Fatal("no connection was closed")
		return nil
	}
}

// pipeServer serves one end of a pipe, for tests in a bubble of testing/synctest; the returned function closes the server.
func pipeServer(tb testing.TB, opts *ServerOptions, handle func(s *Server)) (net.Conn, func()) {
	s := NewServer(opts)
	handle(s)
	near, far := net.Pipe()
	s.serveConn(far)
	return near, func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		near.Close()
		s.Close(ctx)
	}
}

// once counts the calls of a Release.
type once struct {
	mu sync.Mutex
	n  int
	ch chan struct{}
}

func newOnce() *once { return &once{ch: make(chan struct{})} }

func (o *once) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n++; o.n == 1 {
		close(o.ch)
	}
}

func (o *once) wait(tb testing.TB) {
	tb.Helper()
	select {
	case <-o.ch:
	case <-time.After(20 * time.Second):
		tb.Fatal("Release was not called")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n != 1 {
		tb.Fatalf("Release was called %d times", o.n)
	}
}
