package remoting

import "net/netip"

// EventListener is told what happens on connections. Its functions are called on the goroutines that serve them and must
// not block.
type EventListener struct {
	// ConnOpened is called before a connection's first frame is read.
	ConnOpened func(c *Conn)
	// ConnClosed is called once for each connection opened. The reason is never nil; io.EOF says that the peer closed it.
	ConnClosed func(c *Conn, reason error)
	// ConnRefused is called when a connection is closed as soon as it is accepted.
	ConnRefused func(remote netip.AddrPort, reason error)
	// HandlerPanicked is called when a handler panicked; the request was answered with SYSTEM_ERROR.
	HandlerPanicked func(c *Conn, p HandlerPanic)
	// AcceptFailed is called when accepting failed for a while, such as for want of file descriptors.
	AcceptFailed func(err error)
}

// HandlerPanic is a handler's panic.
type HandlerPanic struct {
	Code  int32 // of the request
	Value any
	Stack []byte
}

func (l *EventListener) ensureDefaults() {
	if l.ConnOpened == nil {
		l.ConnOpened = func(*Conn) {}
	}
	if l.ConnClosed == nil {
		l.ConnClosed = func(*Conn, error) {}
	}
	if l.ConnRefused == nil {
		l.ConnRefused = func(netip.AddrPort, error) {}
	}
	if l.HandlerPanicked == nil {
		l.HandlerPanicked = func(*Conn, HandlerPanic) {}
	}
	if l.AcceptFailed == nil {
		l.AcceptFailed = func(error) {}
	}
}
