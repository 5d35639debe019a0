package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server answers requests on the connections that it accepts.
type Server struct {
	registry
	opts    ServerOptions
	leaving atomic.Bool

	mu struct {
		sync.Mutex
		listeners map[net.Listener]bool
		conns     map[*Conn]bool
		closed    bool
	}
	wg sync.WaitGroup // accept loops and connections
}

// NewServer returns a server with no handlers. opts may be nil.
func NewServer(opts *ServerOptions) *Server {
	s := new(Server)
	if opts != nil {
		s.opts = *opts
	}
	s.opts.ensureDefaults()
	orDefault(&s.opts.ConnsMax, 65535)
	s.registry.open(&s.opts.Options)
	s.mu.listeners = map[net.Listener]bool{}
	s.mu.conns = map[*Conn]bool{}
	return s
}

// Serve accepts connections until the listener or the server is closed. It returns nil when the server was. A server may
// serve several listeners.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.mu.closed {
		s.mu.Unlock()
		ln.Close()
		return nil
	}
	s.mu.listeners[ln] = true
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	defer func() {
		s.mu.Lock()
		delete(s.mu.listeners, ln)
		s.mu.Unlock()
	}()
	return s.runAccept(ln)
}

func (s *Server) runAccept(ln net.Listener) error {
	const delayMin, delayMax = 5 * time.Millisecond, time.Second
	for delay := delayMin; ; {
		nc, err := ln.Accept()
		if err == nil {
			delay = delayMin
			s.serveConn(nc)
			continue
		}
		s.mu.Lock()
		closed := s.mu.closed
		s.mu.Unlock()
		if closed {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("listener %v: %w", ln.Addr(), err)
		}
		s.opts.Listener.AcceptFailed(err) // such as too many open files: it passes
		time.Sleep(delay)
		delay = min(2*delay, delayMax)
	}
}

// serveConn runs a connection on a goroutine of its own.
func (s *Server) serveConn(nc net.Conn) {
	c := newConn(nc, &s.opts.Options, &s.registry, &s.leaving)
	var refused error
	s.mu.Lock()
	switch {
	case s.mu.closed:
		refused = ErrClosed
	case len(s.mu.conns) >= s.opts.ConnsMax:
		refused = ErrConnsMax
	default:
		s.mu.conns[c] = true
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if refused != nil {
		nc.Close()
		s.opts.Listener.ConnRefused(c.remote, refused)
		return
	}
	go s.runConn(c)
}

func (s *Server) runConn(c *Conn) {
	defer s.wg.Done()
	c.run()
	s.mu.Lock()
	delete(s.mu.conns, c)
	s.mu.Unlock()
}

// Conns returns the connections of the moment.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.mu.conns))
	for c := range s.mu.conns {
		conns = append(conns, c)
	}
	return conns
}

// Close stops accepting, lets requests in flight finish until ctx is done, closes all connections and waits for all
// goroutines of the server. Meanwhile clients that know GO_AWAY (5.3.2 and later) are answered with it. Pools made by others
// are theirs to close, afterwards.
func (s *Server) Close(ctx context.Context) error {
	s.leaving.Store(true)
	s.mu.Lock()
	s.mu.closed = true
	for ln := range s.mu.listeners {
		ln.Close()
	}
	s.mu.Unlock()

	err := s.drain(ctx)
	for _, c := range s.Conns() {
		c.Close()
	}
	s.shared.Close()
	s.wg.Wait()
	return err
}

// drain waits until nothing is in flight.
func (s *Server) drain(ctx context.Context) error {
	const interval = 5 * time.Millisecond
	timer := time.NewTicker(interval)
	defer timer.Stop()
	for {
		busy := 0
		for _, c := range s.Conns() {
			if c.InFlight() > 0 || c.out.waiting() {
				busy++
			}
		}
		if busy == 0 {
			return nil
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("%d connections with requests in flight: %w", busy, ctx.Err())
		}
	}
}
