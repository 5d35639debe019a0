package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

const (
	readBufferSize = 1 << 20
	waitMillis     = 100
)

// loop serves connections on one thread.
type loop struct {
	epoll int
	conns map[int32]*conn
	start time.Time
	now   time.Duration // since start, read once for each batch of frames

	bufferSize int // of each connection dialled from now on; no frame may be larger
}

// conn is one connection: bytes read and not yet handled, bytes to be written.
type conn struct {
	loop    *loop
	fd      int
	in      []byte
	from    int // in[from:to] is unhandled
	to      int
	out     []byte
	waiting bool // for the socket to take more of out
	onFrame func(frame []byte) error
}

// onLoop does a workload on a thread and a loop of its own.
func onLoop(c Config, work func(*loop, Config) (measure.Result, error)) (measure.Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l, err := newLoop()
	if err != nil {
		return measure.Result{}, err
	}
	defer l.close()
	return work(l, c)
}

func newLoop() (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &loop{epoll: fd, conns: make(map[int32]*conn), start: time.Now(), bufferSize: readBufferSize}, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		syscall.Close(c.fd)
	}
	syscall.Close(l.epoll)
}

// dial opens a connection whose frames go to onFrame, which may append to out.
func (l *loop) dial(addr string) (*conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	nc, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	// The file is a duplicate of the descriptor, out of the reach of Go's poller.
	f, err := nc.File()
	nc.Close()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(
		syscall.SetNonblock(fd, true),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}),
	); err != nil {
		syscall.Close(fd)
		return nil, err
	}
	c := &conn{loop: l, fd: fd, in: make([]byte, l.bufferSize)}
	l.conns[int32(fd)] = c
	return c, nil
}

// run serves until done says so; it is asked after each batch of events.
func (l *loop) run(done func() bool) error {
	for _, c := range l.conns {
		if err := c.flush(); err != nil {
			return err
		}
	}
	var events [16]syscall.EpollEvent
	for !done() {
		n, err := syscall.EpollWait(l.epoll, events[:], waitMillis)
		if err != nil && err != syscall.EINTR {
			return err
		}
		l.now = time.Since(l.start)
		for _, e := range events[:max(n, 0)] {
			c := l.conns[e.Fd]
			if e.Events&^syscall.EPOLLOUT != 0 {
				if err := c.read(); err != nil {
					return err
				}
			}
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads once and handles each whole frame that is there then.
func (c *conn) read() error {
	n, err := syscall.Read(c.fd, c.in[c.to:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the broker closed the connection")
	}
	c.to += n
	for c.to-c.from >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(c.in[c.from:]))
		if size < frameHeaderSize || size > len(c.in) {
			return fmt.Errorf("frame of %d bytes", size)
		}
		if c.to-c.from < size {
			break
		}
		if err := c.onFrame(c.in[c.from : c.from+size]); err != nil {
			return err
		}
		c.from += size
	}
	switch {
	case c.from == c.to:
		c.from, c.to = 0, 0
	case c.from > len(c.in)/2:
		c.to = copy(c.in, c.in[c.from:c.to])
		c.from = 0
	}
	return nil
}

// flush writes what is to be written, as far as the socket takes it.
func (c *conn) flush() error {
	for len(c.out) > 0 {
		n, err := syscall.Write(c.fd, c.out)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.EAGAIN {
			return c.await(true)
		}
		if err != nil {
			return err
		}
		if n == len(c.out) {
			c.out = c.out[:0]
			break
		}
		c.out = append(c.out[:0], c.out[n:]...)
	}
	return c.await(false)
}

// await asks epoll to tell, or no longer to tell, when the socket takes more.
func (c *conn) await(writable bool) error {
	if c.waiting == writable {
		return nil
	}
	c.waiting = writable
	e := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)}
	if writable {
		e.Events |= syscall.EPOLLOUT
	}
	return syscall.EpollCtl(c.loop.epoll, syscall.EPOLL_CTL_MOD, c.fd, &e)
}
