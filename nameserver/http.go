package nameserver

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// listenHTTP serves GET /rocketmq/<subgroup>, where clients look for name servers when they are told of none. They ask for
// the subgroup nsaddr unless configured otherwise, and those of a unit append its name: the answer is the same for all.
func (s *Server) listenHTTP(o *Options) error {
	if o.AddressServerPort == 0 {
		return nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(o.BindAddress, port(o.AddressServerPort)))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rocketmq/{subgroup}", s.serveAddrs)
	s.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	s.httpAddr = addrPort(listener, o.BindAddress)
	s.running.Go(func() { s.runHTTP(listener) })
	return nil
}

func (s *Server) runHTTP(listener net.Listener) {
	if err := s.http.Serve(listener); err != http.ErrServerClosed {
		s.config.Load().Listener.ServeFailed(err)
	}
}

// serveAddrs answers without a line end: Go's client takes the whole body for addresses.
func (s *Server) serveAddrs(w http.ResponseWriter, r *http.Request) {
	addrs := strings.Join(splitList(s.config.Load().AddressServerAddrs), ";")
	if addrs == "" {
		addrs = s.addrFor(r)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, addrs) // the client is gone: nobody to tell
}

// addrFor gives this name server's address as the client reaches it: the one it reached the endpoint at, unless the name
// server listens on one in particular.
func (s *Server) addrFor(r *http.Request) string {
	own := s.Addr()
	host := own.Addr().String()
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && own.Addr().IsUnspecified() {
		host = local.AddrPort().Addr().Unmap().String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(own.Port())))
}
