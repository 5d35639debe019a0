package remoting

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// serve starts a server on a free port and stops it with the test.
func serve(tb testing.TB, opts *ServerOptions, handle func(s *Server)) (*Server, string) {
	tb.Helper()
	s := NewServer(opts)
	handle(s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Close(ctx)
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return s, ln.Addr().String()
}

func newClient(tb testing.TB, opts *ClientOptions) *Client {
	c := NewClient(opts)
	tb.Cleanup(c.Close)
	return c
}

// echo answers with the request's body and fields.
func echo(_ *Conn, req *Command) *Command {
	resp := NewResponse(protocol.Success, "")
	for i := range req.Fields.Len() {
		name, value := req.Fields.At(i)
		resp.Fields.AddBytes(string(name), value)
	}
	resp.Body = append([]byte(nil), req.Body...)
	return resp
}

func TestCall(t *testing.T) {
	for _, option := range []HandlerOption{Inline(), {}} {
		_, addr := serve(t, nil, func(s *Server) { s.Handle(protocol.GetMaxOffset, echo, option) })
		client := newClient(t, nil)
		for _, serialize := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
			req := NewRequest(protocol.GetMaxOffset)
			req.Serialize = serialize
			req.Fields.Add("topic", "t\x01\"\\\u00e9")
			req.Body = []byte("body")
			resp, err := client.Call(context.Background(), addr, req)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Serialize != serialize || !resp.IsResponse() || resp.Fields.Text("topic") != "t\x01\"\\\u00e9" || string(resp.Body) != "body" {
				t.Fatalf("answer %+v", resp)
			}
		}
	}
}
