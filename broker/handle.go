package broker

import (
	"errors"
	"fmt"

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
