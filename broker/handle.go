package broker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A refusal is an answer that is not success: a code of the protocol and words for the client.
type refusal struct {
	code   protocol.ResponseCode
	remark string
}

func (r *refusal) Error() string { return fmt.Sprintf("code %d: %s", r.code, r.remark) }

func refuse(code protocol.ResponseCode, format string, args ...any) error {
	if len(args) == 0 {
		return &refusal{code, format}
	}
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// refusalCause is the cause that an answer names in brackets, or else its code.
func refusalCause(err error) string {
	var r *refusal
	if !errors.As(err, &r) {
		return protocol.SystemError.String()
	}
	if named, _, ok := strings.Cut(strings.TrimPrefix(r.remark, "["), "]"); ok && strings.HasPrefix(r.remark, "[") {
		return named
	}
	return r.code.String()
}

// A call is one request that a client waits for.
type call struct {
	conn *remoting.Conn
	req  *remoting.Command
	resp *remoting.Command // starts out as an empty success
}

// answer wraps a handler whose error says which code and remark the client gets; any error that is no refusal is a
// system error, as an exception is in Java.
func answer(handle func(c *call) error) remoting.Handler {
	return func(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
		c := call{conn: conn, req: req, resp: remoting.NewResponse(protocol.Success, "")}
		if err := handle(&c); err != nil {
			c.fail(err)
		}
		return c.resp
	}
}

// fail makes the response one of the error. What the handler has added to its header stays: clients of some codes want it.
func (c *call) fail(err error) {
	var r *refusal
	if errors.As(err, &r) {
		c.resp.Code, c.resp.Remark = int32(r.code), r.remark
	} else {
		c.resp.Code, c.resp.Remark = int32(protocol.SystemError), err.Error()
	}
	c.resp.Body = nil
}

// errMustWait says that a request cannot be handled without waiting for the disk, which the goroutine that reads the
// connection must not do: all that its client asks, and all answers to it, would wait too.
var errMustWait = errors.New("the request must wait for the disk")

// offloadMax bounds the requests that wait for the disk on goroutines of their own.
const offloadMax = 1000

// offload handles a request on a goroutine of its own.
func (b *Broker) offload(conn *remoting.Conn, req *remoting.Command, handle remoting.Handler) *remoting.Command {
	if n := b.offloaded.Add(1); n > offloadMax {
		b.offloaded.Add(-1)
		return remoting.NewResponse(protocol.SystemBusy,
			fmt.Sprintf("[OFFLOADED]system busy, start flow control for a while: %d requests wait for state files, at most %d may", n-1, offloadMax))
	}
	b.done.Add(1)
	go b.runOffloaded(conn, req.Clone(), handle)
	return nil
}

func (b *Broker) runOffloaded(conn *remoting.Conn, req *remoting.Command, handle remoting.Handler) {
	defer b.done.Done()
	defer b.offloaded.Add(-1)
	if resp := handle(conn, req); resp != nil && !req.IsOneway() {
		conn.ReplyTo(req.Ticket(), resp) //nolint:errcheck // a client that is gone does not care
	}
}

// replyWaiting answers a request that has waited: see longpoll.Waiter. A consumer that is gone does not care.
func replyWaiting(conn *remoting.Conn, ticket remoting.Ticket, resp *remoting.Command, writes bool) {
	if writes {
		conn.ReplyHere(ticket, resp) //nolint:errcheck
	} else {
		conn.ReplyTo(ticket, resp) //nolint:errcheck
	}
}

// json makes v the body of the response.
func (c *call) json(v any) error {
	body, err := protocol.MarshalJSON(v)
	if err != nil {
		return err
	}
	c.resp.Body = body
	return nil
}

// header decodes the fields of the request.
func (c *call) header(h protocol.Header) error { return h.Decode(&c.req.Fields) }

// body decodes the body of the request.
func (c *call) body(v any) error {
	if len(c.req.Body) == 0 {
		return refuse(protocol.SystemError, "the request has no body")
	}
	return protocol.UnmarshalJSON(c.req.Body, v)
}
