package remoting

import (
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Handler handles one request and returns its response: nil when it will be given to [Conn.Reply] later, [NoReply] when
// there will be none. A one-way request gets no response, whatever is returned. The request is only valid until the handler
// returns: see [Command].
type Handler func(conn *Conn, req *Command) (resp *Command)

// HandlerOption says on which goroutine a handler runs.
type HandlerOption struct {
	inline bool
	pool   *Pool
}

// Inline runs a handler on the goroutine that reads the connection, in the order of the requests. It must not block: all
// that the peer sends waits for it.
func Inline() HandlerOption { return HandlerOption{inline: true} }

// Pooled runs a handler on a goroutine of the pool.
func Pooled(p *Pool) HandlerOption { return HandlerOption{pool: p} }

// denseCodes is how many of the lower codes are looked up in an array.
const denseCodes = 512

type entry struct {
	handle Handler
	pool   *Pool // nil: inline
}

// handlerTable is immutable: a change makes a new one.
type handlerTable struct {
	dense    [denseCodes]entry
	sparse   map[int32]entry
	fallback entry
}

func (t *handlerTable) lookup(code int32) *entry {
	if uint32(code) < denseCodes && t.dense[code].handle != nil {
		return &t.dense[code]
	}
	if e, ok := t.sparse[code]; ok {
		return &e
	}
	return &t.fallback
}

// registry holds the handlers of one end.
type registry struct {
	mu     sync.Mutex // serializes changes
	table  atomic.Pointer[handlerTable]
	shared *Pool // of the handlers without an option
}

func (r *registry) open(opts *Options) {
	r.shared = NewPool(opts.Workers, opts.QueueMax)
	t := new(handlerTable)
	t.fallback.handle = unsupported
	r.table.Store(t)
}

// Handle sets the handler of a request code. Without an option it runs on a pool that such handlers share.
func (r *registry) Handle(code protocol.RequestCode, h Handler, opts ...HandlerOption) {
	r.change(func(t *handlerTable) {
		e := r.entry(h, opts)
		if uint32(code) < denseCodes {
			t.dense[code] = e
			return
		}
		t.sparse[int32(code)] = e
	})
}

// HandleDefault sets the handler of all codes that have none; without it they are answered with
// REQUEST_CODE_NOT_SUPPORTED.
func (r *registry) HandleDefault(h Handler, opts ...HandlerOption) {
	r.change(func(t *handlerTable) { t.fallback = r.entry(h, opts) })
}

func (r *registry) entry(h Handler, opts []HandlerOption) entry {
	e := entry{handle: h, pool: r.shared}
	for _, o := range opts {
		e.pool = o.pool
		if o.pool == nil && !o.inline {
			e.pool = r.shared
		}
	}
	return e
}

func (r *registry) change(f func(t *handlerTable)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := *r.table.Load()
	t.sparse = maps.Clone(t.sparse)
	if t.sparse == nil {
		t.sparse = map[int32]entry{}
	}
	f(&t)
	r.table.Store(&t)
}

// unsupported answers a code without a handler, in Java's words.
func unsupported(_ *Conn, req *Command) *Command {
	return NewResponse(protocol.RequestCodeNotSupported, fmt.Sprintf(" request type %d not supported", req.Code))
}

// call runs a handler. A panic ends the request, not the process.
func (c *Conn) call(h Handler, req *Command) (resp *Command) {
	// A page of a mapped file that cannot be had is such a panic too.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			c.opts.Listener.HandlerPanicked(c, HandlerPanic{Code: req.Code, Value: v, Stack: debug.Stack()})
			resp = NewResponse(protocol.SystemError, fmt.Sprintf("handler of request code %d panicked: %v", req.Code, v))
		}
	}()
	return h(c, req)
}
