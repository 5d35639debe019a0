package remoting

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// Client sends requests to servers over one connection for each address, made when first needed and again after it is
// closed. Its handlers are for the requests that servers send.
type Client struct {
	registry
	opts ClientOptions

	mu struct {
		sync.Mutex
		conns  map[string]*dial
		closed bool
	}
	wg sync.WaitGroup
}

// dial is a connection, or the making of it, which all who need it wait for.
type dial struct {
	ready chan struct{} // closed when conn or err is set
	conn  *Conn
	err   error
}

// NewClient returns a client without connections. opts may be nil.
func NewClient(opts *ClientOptions) *Client {
	c := new(Client)
	if opts != nil {
		c.opts = *opts
	}
	c.opts.ensureDefaults()
	orDefault(&c.opts.ConnectTimeout, 3*time.Second)
	c.registry.open(&c.opts.Options)
	c.mu.conns = map[string]*dial{}
	return c
}

// Call sends a request to the address, host:port, and waits for the answer, which belongs to the caller. Whatever code the
// answer bears, it is no error.
func (c *Client) Call(ctx context.Context, addr string, req *Command) (*Command, error) {
	conn, err := c.Conn(ctx, addr)
	if err != nil {
		req.release()
		return nil, err
	}
	return conn.Request(ctx, req)
}

// CallOneway sends a request that gets no answer.
func (c *Client) CallOneway(ctx context.Context, addr string, req *Command) error {
	conn, err := c.Conn(ctx, addr)
	if err != nil {
		req.release()
		return err
	}
	return conn.Oneway(req)
}

// Conn returns the connection to the address, and makes it when there is none.
func (c *Client) Conn(ctx context.Context, addr string) (*Conn, error) {
	c.mu.Lock()
	if c.mu.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	d := c.mu.conns[addr]
	if d == nil {
		d = &dial{ready: make(chan struct{})}
		c.mu.conns[addr] = d
		c.wg.Add(1)
		go c.runConn(addr, d)
	}
	c.mu.Unlock()
	select {
	case <-d.ready:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", addr, ctx.Err())
	}
}

// runConn makes the connection and serves it to its end.
func (c *Client) runConn(addr string, d *dial) {
	defer c.wg.Done()
	nc, err := net.DialTimeout("tcp", addr, c.opts.ConnectTimeout)
	c.mu.Lock()
	if err == nil && c.mu.closed {
		nc.Close()
		err = ErrClosed
	}
	if err != nil {
		d.err = fmt.Errorf("connect to %s: %w", addr, err)
		delete(c.mu.conns, addr)
	} else {
		d.conn = newConn(nc, &c.opts.Options, &c.registry, nil)
	}
	c.mu.Unlock()
	close(d.ready)
	if err == nil {
		d.conn.OnClose(func() { c.remove(addr, d) })
		d.conn.run()
	}
}

func (c *Client) remove(addr string, d *dial) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.conns[addr] == d {
		delete(c.mu.conns, addr)
	}
}

// CloseConn closes the connection to the address, if there is one; the next call makes another.
func (c *Client) CloseConn(addr string) {
	c.mu.Lock()
	d := c.mu.conns[addr]
	c.mu.Unlock()
	if d == nil {
		return
	}
	select {
	case <-d.ready:
		if d.conn != nil {
			d.conn.Close()
		}
	default:
	}
}

// Close closes all connections, fails the calls that wait, and waits for the client's goroutines.
func (c *Client) Close() {
	c.mu.Lock()
	c.mu.closed = true
	conns := make([]*Conn, 0, len(c.mu.conns))
	for _, d := range c.mu.conns {
		if d.conn != nil {
			conns = append(conns, d.conn)
		}
	}
	c.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
	}
	c.shared.Close()
	c.wg.Wait()
}
