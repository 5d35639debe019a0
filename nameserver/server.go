package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

const (
	noticesMax    = 1000                   // that wait to be sent; more are dropped, a broker also finds out by asking
	noticeTimeout = 300 * time.Millisecond // as Java's
)

// Server is a name server on its ports.
type Server struct {
	config   atomic.Pointer[Options] // replaced when settings change, never changed
	updating sync.Mutex              // held over the replacing of config and its file
	kv       *KVConfig
	routes   struct {
		sync.RWMutex
		table *RouteTable
	}

	remoting *remoting.Server
	client   *remoting.Client // for notices
	notices  chan MinBrokerChange
	listener net.Listener
	addr     netip.AddrPort
	http     *http.Server // nil: off
	httpAddr netip.AddrPort
	started  time.Time
	stop     chan struct{}
	stopping sync.Once
	running  sync.WaitGroup
}

// New makes a name server that does not listen yet: it checks the options, nil being the default ones, and reads the KV
// config. Close it even if it is never started.
func New(opts *Options) (*Server, error) {
	config := *DefaultOptions()
	if opts != nil {
		config = *opts
	}
	config.ensureDefaults()
	config.Listener.ensure()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	kv, err := OpenKVConfig(config.FS, config.KVConfigPath, config.Listener.FileDamaged)
	if err != nil {
		return nil, err
	}
	s := &Server{
		kv:       kv,
		client:   remoting.NewClient(nil),
		notices:  make(chan MinBrokerChange, noticesMax),
		stop:     make(chan struct{}),
		remoting: remoting.NewServer(serverOptions(&config)),
	}
	s.config.Store(&config)
	s.routes.table = NewRouteTable(config.tableOptions())
	s.handleAll()
	return s, nil
}

func serverOptions(o *Options) *remoting.ServerOptions {
	return &remoting.ServerOptions{Options: remoting.Options{
		IdleTimeout: time.Duration(o.ServerChannelMaxIdleTimeSeconds) * time.Second,
		Listener: remoting.EventListener{HandlerPanicked: func(c *remoting.Conn, p remoting.HandlerPanic) {
			o.Listener.HandlerPanicked(c.RemoteAddr(), p)
		}},
	}}
}

// Start listens. What it returns it also undoes: after an error only Close is left.
func (s *Server) Start() error {
	o := s.config.Load()
	listener, err := net.Listen("tcp", net.JoinHostPort(o.BindAddress, port(o.ListenPort)))
	if err != nil {
		return fmt.Errorf("name server: %w", err)
	}
	s.listener, s.addr = listener, addrPort(listener, o.BindAddress)
	s.started = o.Now()
	if err := s.listenHTTP(o); err != nil {
		s.addr = netip.AddrPort{}
		return errors.Join(fmt.Errorf("name server's address endpoint: %w", err), listener.Close())
	}
	s.running.Go(s.runServe)
	s.running.Go(s.runExpire)
	s.running.Go(s.runNotify)
	return nil
}

// port gives the number that net.Listen wants: -1 stands for any.
func port(n int) string {
	return strconv.Itoa(max(n, 0))
}

// Addr is where it listens once it is started.
func (s *Server) Addr() netip.AddrPort {
	return s.addr
}

// HTTPAddr is where the HTTP endpoint listens; not valid when it is off.
func (s *Server) HTTPAddr() netip.AddrPort {
	return s.httpAddr
}

// addrPort gives where a listener listens, in the form that was asked for: Go shows 0.0.0.0 as [::].
func addrPort(l net.Listener, asked string) netip.AddrPort {
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	if ip, err := netip.ParseAddr(asked); err == nil {
		return netip.AddrPortFrom(ip, addr.Port())
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// Close answers what was asked already, until ctx is done, and frees the ports. It returns when all goroutines have ended.
func (s *Server) Close(ctx context.Context) error {
	s.stopping.Do(func() { close(s.stop) })
	err := s.remoting.Close(ctx)
	if s.http != nil {
		if errHTTP := s.http.Shutdown(ctx); errHTTP != nil {
			err = errors.Join(err, errHTTP, s.http.Close())
		}
	}
	s.client.Close()
	s.running.Wait()
	return err
}

func (s *Server) runServe() {
	if err := s.remoting.Serve(s.listener); err != nil {
		s.config.Load().Listener.ServeFailed(err)
	}
}

// runExpire looks for brokers that have gone silent.
func (s *Server) runExpire() {
	for {
		o := s.config.Load()
		timer := time.NewTimer(time.Duration(o.ScanNotActiveBrokerInterval) * time.Millisecond)
		select {
		case <-s.stop:
			timer.Stop()
			return
		case <-timer.C:
			s.expire()
		}
	}
}

func (s *Server) expire() {
	s.routes.Lock()
	gone := s.routes.table.Expire(s.config.Load().Now())
	s.routes.Unlock()
	s.departed(gone, "expired")
	if len(gone.Brokers) == 0 {
		return
	}
	expired := make(map[ConnID]bool)
	for _, b := range gone.Brokers {
		expired[b.Conn] = true
	}
	for _, conn := range s.remoting.Conns() { // whoever hangs there must notice that it is not known any more
		if expired[connID(conn)] {
			conn.Close()
		}
	}
}

func connID(conn *remoting.Conn) ConnID {
	return ConnID(conn.ID())
}

func (s *Server) disconnect(id ConnID) {
	s.routes.Lock()
	gone := s.routes.table.Disconnect(id)
	s.routes.Unlock()
	s.departed(gone, "disconnected")
}

// departed tells of brokers that left, those who listen and those whom it concerns.
func (s *Server) departed(gone Departures, reason string) {
	for _, b := range gone.Brokers {
		s.config.Load().Listener.BrokerLeft(b, reason)
	}
	for _, change := range gone.Notify {
		s.notify(change)
	}
}

func (s *Server) notify(change MinBrokerChange) {
	o := s.config.Load()
	if !o.NotifyMinBrokerIDChanged {
		return
	}
	select {
	case s.notices <- change:
	default:
		o.Listener.NoticeFailed(change.MinAddr, errors.New("too many notices wait"))
	}
}

// runNotify sends the notices, one at a time. They go to the addresses where brokers serve, as Java's do, and not over the
// connections by which they registered, whose other ends expect no requests.
func (s *Server) runNotify() {
	for {
		select {
		case <-s.stop:
			return
		case change := <-s.notices:
			for _, addr := range change.Notify {
				if err := s.sendNotice(addr, &change); err != nil {
					s.config.Load().Listener.NoticeFailed(addr, err)
				}
			}
		}
	}
}

func (s *Server) sendNotice(addr string, change *MinBrokerChange) error {
	header := protocol.NotifyMinBrokerIDChangeRequestHeader{
		MinBrokerID:       protocol.Some(change.MinID),
		BrokerName:        change.BrokerName,
		MinBrokerAddr:     change.MinAddr,
		OfflineBrokerAddr: change.OfflineAddr,
		HABrokerAddr:      change.HAAddr,
	}
	req := remoting.NewRequest(protocol.NotifyMinBrokerIDChange)
	header.Encode(&req.Fields)
	ctx, cancel := context.WithTimeout(context.Background(), noticeTimeout)
	defer cancel()
	return s.client.CallOneway(ctx, addr, req)
}
