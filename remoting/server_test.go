package remoting

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func TestPipelining(t *testing.T) {
	for name, option := range map[string]HandlerOption{"inline": Inline(), "pooled": {}} {
		t.Run(name, func(t *testing.T) {
			_, addr := serve(t, nil, func(s *Server) { s.Handle(protocol.HeartBeat, echo, option) })
			p := dialRaw(t, addr)
			const n = 2000
			var out []byte
			for i := range int32(n) {
				out = append(out, request(t, protocol.HeartBeat, i, 0)...)
			}
			go p.nc.Write(out)
			seen := make([]bool, n)
			for i := range int32(n) {
				c := p.mustRead()
				if name == "inline" && c.Opaque != i {
					t.Fatalf("answer %d has the opaque %d", i, c.Opaque)
				}
				if seen[c.Opaque] || binary.BigEndian.Uint32(c.Body) != uint32(c.Opaque) || !c.IsResponse() {
					t.Fatalf("answer %d: %+v", i, c)
				}
				seen[c.Opaque] = true
			}
		})
	}
}

// TestPieces sends frames in pieces of random sizes.
func TestPieces(t *testing.T) {
	_, addr := serve(t, nil, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	p := dialRaw(t, addr)
	var out []byte
	const n = 300
	for i := range int32(n) {
		c := NewRequest(protocol.HeartBeat)
		c.Opaque = i
		c.Body = bytes.Repeat([]byte{byte(i)}, r.IntN(1<<r.IntN(16)))
		out, _ = c.AppendFrame(out)
	}
	go func() {
		for rest := out; len(rest) > 0; {
			k := min(len(rest), 1+r.IntN(1<<r.IntN(17)))
			if _, err := p.nc.Write(rest[:k]); err != nil {
				return
			}
			rest = rest[k:]
		}
	}()
	for i := range int32(n) {
		if c := p.mustRead(); c.Opaque != i || len(bytes.Trim(c.Body, string(rune(0)))) > 0 && c.Body[0] != byte(i) {
			t.Fatalf("seed %d: answer %d: %+v", seed, i, c)
		}
	}
}

func TestLargeFrames(t *testing.T) {
	_, addr := serve(t, nil, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
	client := newClient(t, nil)
	for _, size := range []int{1 << 20, 15 << 20, 10} {
		req := NewRequest(protocol.HeartBeat)
		req.Body = bytes.Repeat([]byte{'x'}, size)
		want := len(req.Body)
		resp, err := client.Call(context.Background(), addr, req)
		if err != nil || len(resp.Body) != want {
			t.Fatalf("size %d: %v", size, err)
		}
	}
}

func TestOneway(t *testing.T) {
	got := make(chan int32, 10)
	released := newOnce()
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.UpdateConsumerOffset, func(_ *Conn, req *Command) *Command {
			got <- req.Opaque
			resp := NewResponse(protocol.Success, "")
			resp.Segments, resp.Release = [][]byte{make([]byte, 100000)}, released.release
			return resp
		}, Inline())
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.UpdateConsumerOffset, 1, flagOneway))
	p.write(request(t, protocol.HeartBeat, 2, 0))
	if c := p.mustRead(); c.Opaque != 2 {
		t.Fatalf("a one-way request was answered: %+v", c)
	}
	if opaque := <-got; opaque != 1 {
		t.Fatalf("handler got %d", opaque)
	}
	released.wait(t)
}

func TestNoReplyAndLaterReplies(t *testing.T) {
	var mu sync.Mutex
	var held []Ticket
	var conn *Conn
	s, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command {
			mu.Lock()
			defer mu.Unlock()
			conn, held = c, append(held, req.Ticket())
			return nil
		}, Inline())
		s.Handle(protocol.EndTransaction, func(*Conn, *Command) *Command { return NoReply() }, Inline())
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	p := dialRaw(t, addr)
	for i := range int32(3) {
		p.write(request(t, protocol.PullMessage, i, 0))
	}
	p.write(request(t, protocol.PullMessage, 3, flagOneway))
	p.write(request(t, protocol.EndTransaction, 8, 0))
	p.write(request(t, protocol.HeartBeat, 9, 0))
	if c := p.mustRead(); c.Opaque != 9 {
		t.Fatalf("answer %+v", c)
	}
	if n := s.Conns()[0].InFlight(); n != 3 {
		t.Fatalf("%d in flight", n)
	}
	mu.Lock()
	oneway := held[3]
	mu.Unlock()
	if err := conn.ReplyTo(oneway, NewResponse(protocol.Success, "")); err != nil {
		t.Fatal(err)
	}
	if n := conn.InFlight(); n != 3 {
		t.Fatalf("%d in flight after a reply that nobody waits for", n)
	}
	for _, i := range []int32{2, 0, 1} {
		mu.Lock()
		ticket := held[i]
		mu.Unlock()
		if err := conn.ReplyTo(ticket, NewResponse(protocol.PullNotFound, "late")); err != nil {
			t.Fatal(err)
		}
		if c := p.mustRead(); c.Opaque != i || c.ResponseCode() != protocol.PullNotFound || c.Remark != "late" {
			t.Fatalf("answer %+v", c)
		}
	}
	if n := conn.InFlight(); n != 0 {
		t.Fatalf("%d in flight", n)
	}
}

// TestReplyBeforeReturn answers from another goroutine before the handler has returned.
func TestReplyBeforeReturn(t *testing.T) {
	s, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command {
			done := make(chan struct{})
			own := req.Clone()
			go func() {
				defer close(done)
				c.Reply(own, NewResponse(protocol.Success, ""))
			}()
			<-done
			return nil
		}, Inline())
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.PullMessage, 5, 0))
	if c := p.mustRead(); c.Opaque != 5 {
		t.Fatalf("answer %+v", c)
	}
	p.write(request(t, protocol.PullMessage, 6, 0))
	p.mustRead()
	if n := s.Conns()[0].InFlight(); n != 0 {
		t.Fatalf("%d in flight", n)
	}
}

func TestUnknownCode(t *testing.T) {
	_, addr := serve(t, nil, func(*Server) {})
	p := dialRaw(t, addr)
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		c := NewRequest(protocol.PopMessage)
		c.Opaque = 3
		c.Serialize = s
		b, _ := c.AppendFrame(nil)
		p.write(b)
		resp := p.mustRead()
		want := " request type 200050 not supported"
		if s == SerializeRocketMQ {
			want = " request type 3442 not supported"
		}
		if resp.ResponseCode() != protocol.RequestCodeNotSupported || resp.Remark != want || resp.Serialize != s || resp.Opaque != 3 {
			t.Errorf("answer %+v", resp)
		}
	}
}

func TestHandleDefault(t *testing.T) {
	_, addr := serve(t, nil, func(s *Server) {
		s.HandleDefault(func(*Conn, *Command) *Command { return NewResponse(protocol.Success, "default") }, Inline())
		s.Handle(protocol.HeartBeat, echo)
		s.Handle(protocol.PopMessage, echo)
	})
	client := newClient(t, nil)
	for code, want := range map[protocol.RequestCode]string{protocol.PullMessage: "default", 70000: "default", -5: "default", protocol.HeartBeat: "", protocol.PopMessage: ""} {
		resp, err := client.Call(context.Background(), addr, NewRequest(code))
		if err != nil || resp.Remark != want {
			t.Errorf("code %d: %+v, %v", code, resp, err)
		}
	}
}

func TestPanic(t *testing.T) {
	panics := make(chan HandlerPanic, 2)
	opts := &ServerOptions{}
	opts.Listener.HandlerPanicked = func(_ *Conn, p HandlerPanic) { panics <- p }
	_, addr := serve(t, opts, func(s *Server) {
		bad := func(*Conn, *Command) *Command { var m map[string]int; m["x"] = 1; return nil }
		s.Handle(protocol.PullMessage, bad, Inline())
		s.Handle(protocol.QueryMessage, bad)
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	p := dialRaw(t, addr)
	for _, code := range []protocol.RequestCode{protocol.PullMessage, protocol.QueryMessage} {
		p.write(request(t, code, 4, 0))
		c := p.mustRead()
		if c.ResponseCode() != protocol.SystemError || c.Opaque != 4 || !strings.Contains(c.Remark, "nil map") {
			t.Errorf("answer %+v", c)
		}
		if got := <-panics; got.Code != int32(code) || len(got.Stack) == 0 || got.Value == nil {
			t.Errorf("event %+v", got)
		}
	}
	p.write(request(t, protocol.HeartBeat, 6, 0))
	p.mustRead()
}

func TestBadBytesCloseTheConnection(t *testing.T) {
	good := request(t, protocol.HeartBeat, 1, 0)
	tests := []struct {
		name, want string
		bytes      []byte
	}{
		{"garbage", "over the limit", []byte("what is this, a port for ants?")},
		{"TLS", "TLS", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
		{"HTTP", "HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"oversized", "over the limit", binary.BigEndian.AppendUint32(nil, 17<<20)},
		{"zeros", "leaves no header", make([]byte, 64)},
		{"bad header", "JSON header", jsonFrame(`{"code":`, "body")},
		{"good, then garbage", "over the limit", append(bytes.Clone(good), "garbage"...)},
	}
	why := newReasons()
	_, addr := serve(t, &ServerOptions{Options: Options{Listener: why.listener()}}, func(s *Server) {
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	other := dialRaw(t, addr)
	for _, test := range tests {
		p := dialRaw(t, addr)
		p.write(test.bytes)
		if strings.HasPrefix(test.name, "good") {
			p.mustRead() // what was good is answered
		}
		p.wantClosed()
		var bad *FrameError
		if reason := why.next(t); !errors.As(reason, &bad) || !strings.Contains(reason.Error(), test.want) {
			t.Errorf("%s: closed because of %v", test.name, reason)
		}
		other.write(request(t, protocol.HeartBeat, 7, 0)) // nothing else suffers
		other.mustRead()
	}
}

func TestPeerCloses(t *testing.T) {
	why := newReasons()
	_, addr := serve(t, &ServerOptions{Options: Options{Listener: why.listener()}}, func(s *Server) {
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	frame := request(t, protocol.HeartBeat, 1, 0)

	p := dialRaw(t, addr)
	p.write(frame)
	p.mustRead()
	p.nc.Close()
	if reason := why.next(t); !errors.Is(reason, io.EOF) {
		t.Errorf("closed: %v", reason)
	}

	p = dialRaw(t, addr)
	p.write(frame[:len(frame)-1])
	p.nc.Close()
	if reason := why.next(t); !errors.Is(reason, io.ErrUnexpectedEOF) {
		t.Errorf("closed in a frame: %v", reason)
	}

	p = dialRaw(t, addr) // half closed: what was asked is answered
	p.write(bytes.Repeat(frame, 100))
	p.nc.(*net.TCPConn).CloseWrite()
	for range 100 {
		p.mustRead()
	}
	if _, err := p.read(); err != io.EOF {
		t.Errorf("after a half close: %v", err)
	}
	if reason := why.next(t); !errors.Is(reason, io.EOF) {
		t.Errorf("half closed: %v", reason)
	}
}

func TestInFlightMax(t *testing.T) {
	var mu sync.Mutex
	var held []Ticket
	var conn *Conn
	_, addr := serve(t, &ServerOptions{Options: Options{InFlightMax: 3}}, func(s *Server) {
		s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command {
			mu.Lock()
			defer mu.Unlock()
			conn, held = c, append(held, req.Ticket())
			return nil
		}, Inline())
	})
	p := dialRaw(t, addr)
	for i := range int32(4) {
		p.write(request(t, protocol.PullMessage, i, 0))
	}
	if c := p.mustRead(); c.Opaque != 3 || c.ResponseCode() != protocol.SystemBusy || !strings.Contains(c.Remark, "not answered yet") {
		t.Fatalf("answer %+v", c)
	}
	mu.Lock()
	conn.ReplyTo(held[0], NewResponse(protocol.Success, ""))
	mu.Unlock()
	p.mustRead()
	p.write(request(t, protocol.PullMessage, 5, 0)) // there is room again
	p.write(request(t, protocol.PullMessage, 6, 0))
	if c := p.mustRead(); c.Opaque != 6 || c.ResponseCode() != protocol.SystemBusy {
		t.Fatalf("answer %+v", c)
	}
}

func TestPoolFull(t *testing.T) {
	pool := NewPool(1, 1)
	release := make(chan struct{})
	running := make(chan struct{}, 10)
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.QueryMessage, func(*Conn, *Command) *Command {
			running <- struct{}{}
			<-release
			return NewResponse(protocol.Success, "")
		}, Pooled(pool))
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.QueryMessage, 0, 0))
	<-running
	p.write(request(t, protocol.QueryMessage, 1, 0))
	p.write(request(t, protocol.QueryMessage, 2, 0))
	if c := p.mustRead(); c.Opaque != 2 || c.ResponseCode() != protocol.SystemBusy || !strings.HasPrefix(c.Remark, "[OVERLOAD]") {
		t.Fatalf("answer %+v", c)
	}
	if n := pool.Waiting(); n != 1 {
		t.Errorf("%d wait", n)
	}
	close(release)
	for i := range int32(2) {
		if c := p.mustRead(); c.Opaque != i || c.ResponseCode() != protocol.Success {
			t.Fatalf("answer %+v", c)
		}
	}
	pool.Close()
	p.write(request(t, protocol.QueryMessage, 3, 0))
	if c := p.mustRead(); c.ResponseCode() != protocol.SystemBusy {
		t.Fatalf("answer of a closed pool %+v", c)
	}
}

func TestConnsMax(t *testing.T) {
	refused := make(chan error, 1)
	opts := &ServerOptions{ConnsMax: 1}
	opts.Listener.ConnRefused = func(_ netip.AddrPort, reason error) { refused <- reason }
	_, addr := serve(t, opts, func(s *Server) { s.Handle(protocol.HeartBeat, echo) })
	p := dialRaw(t, addr)
	p.write(request(t, protocol.HeartBeat, 1, 0))
	p.mustRead()
	dialRaw(t, addr).wantClosed()
	if reason := <-refused; !errors.Is(reason, ErrConnsMax) {
		t.Errorf("refused: %v", reason)
	}
	p.write(request(t, protocol.HeartBeat, 2, 0))
	p.mustRead()
}

func TestSegments(t *testing.T) {
	for _, sizes := range [][]int{{1}, {10, 20}, {copyMax}, {copyMax + 1}, {100000, 0, 5, 70000}, {5 << 20}} {
		var segments [][]byte
		var want []byte
		for i, n := range sizes {
			segments = append(segments, bytes.Repeat([]byte{byte('a' + i)}, n))
			want = append(want, segments[i]...)
		}
		released := newOnce()
		_, addr := serve(t, nil, func(s *Server) {
			s.Handle(protocol.PullMessage, func(*Conn, *Command) *Command {
				resp := NewResponse(protocol.Success, "")
				resp.Body = []byte("body")
				resp.Segments, resp.Release = segments, released.release
				return resp
			}, Inline())
			s.Handle(protocol.HeartBeat, echo, Inline())
		})
		p := dialRaw(t, addr)
		p.write(append(append(request(t, protocol.HeartBeat, 1, 0), request(t, protocol.PullMessage, 2, 0)...), request(t, protocol.HeartBeat, 3, 0)...))
		p.mustRead()
		if c := p.mustRead(); c.Opaque != 2 || string(c.Body) != "body"+string(want) {
			t.Fatalf("sizes %v: answer of %d bytes", sizes, len(c.Body))
		}
		if c := p.mustRead(); c.Opaque != 3 {
			t.Fatalf("sizes %v: then %+v", sizes, c)
		}
		released.wait(t)
	}
}

// TestReleaseOnClose closes connections with segments in every state: not yet written, being written, never to be written.
func TestReleaseOnClose(t *testing.T) {
	why := newReasons()
	conns := make(chan *Conn, 1)
	_, addr := serve(t, &ServerOptions{Options: Options{Listener: why.listener()}}, func(s *Server) {
		s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command { conns <- c; return nil }, Inline())
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.PullMessage, 1, 0))
	conn := <-conns
	all := make([]*once, 20)
	for i := range all {
		all[i] = newOnce()
		resp := NewResponse(protocol.Success, "")
		resp.Segments, resp.Release = [][]byte{make([]byte, 1<<20)}, all[i].release
		conn.ReplyTo(Ticket{Opaque: int32(i)}, resp)
	}
	p.nc.Close()
	if reason := why.next(t); reason == nil {
		t.Error("closed for no reason")
	}
	for _, o := range all {
		o.wait(t)
	}
	late := newOnce()
	resp := NewResponse(protocol.Success, "")
	resp.Segments, resp.Release = [][]byte{make([]byte, 1<<20)}, late.release
	if err := conn.ReplyTo(Ticket{}, resp); !errors.Is(err, ErrClosed) {
		t.Errorf("reply on a closed connection: %v", err)
	}
	late.wait(t)
}

func TestResponseTooLarge(t *testing.T) {
	released := newOnce()
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, func(*Conn, *Command) *Command {
			resp := NewResponse(protocol.Success, "")
			resp.Segments, resp.Release = [][]byte{make([]byte, FrameMax)}, released.release
			return resp
		}, Inline())
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.PullMessage, 9, 0))
	if c := p.mustRead(); c.Opaque != 9 || c.ResponseCode() != protocol.SystemError || !strings.Contains(c.Remark, "over the limit") {
		t.Fatalf("answer %+v", c)
	}
	released.wait(t)
}

// TestSlowReader has a peer that sends and never reads: its requests are no longer read, and in the end it is closed.
func TestSlowReader(t *testing.T) {
	why := newReasons()
	opts := Options{WriteTimeout: 300 * time.Millisecond, Listener: why.listener()}
	_, addr := serve(t, &ServerOptions{Options: opts}, func(s *Server) {
		s.Handle(protocol.HeartBeat, func(*Conn, *Command) *Command {
			resp := NewResponse(protocol.Success, "")
			resp.Body = make([]byte, 100000)
			return resp
		}, Inline())
	})
	p := dialRaw(t, addr)
	go p.nc.Write(bytes.Repeat(request(t, protocol.HeartBeat, 1, 0), 10000))
	if reason := why.next(t); !errors.Is(reason, ErrSlowReader) {
		t.Errorf("closed: %v", reason)
	}
}

// TestWriteMax has others answer a peer that does not read.
func TestWriteMax(t *testing.T) {
	why := newReasons()
	conns := make(chan *Conn, 1)
	opts := Options{WriteMax: 8 << 20, Listener: why.listener()}
	_, addr := serve(t, &ServerOptions{Options: opts}, func(s *Server) {
		s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command { conns <- c; return nil }, Inline())
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.PullMessage, 1, 0))
	conn := <-conns
	sent := 0
	for {
		resp := NewResponse(protocol.Success, "")
		resp.Body = make([]byte, 1<<20)
		if conn.ReplyTo(Ticket{}, resp) != nil {
			break
		}
		if sent++; sent > 100 {
			t.Fatal("100 MiB wait for a peer that does not read")
		}
	}
	if reason := why.next(t); !errors.Is(reason, ErrSlowReader) {
		t.Errorf("closed: %v", reason)
	}
}

// TestManyRepliers has many goroutines answer on a few connections while their peers send, and counts the answers.
func TestManyRepliers(t *testing.T) {
	pool := NewPool(8, 10000)
	defer pool.Close()
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.QueryMessage, echo, Pooled(pool))
		s.Handle(protocol.HeartBeat, echo, Inline())
		s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command {
			own := req.Clone()
			go func() {
				resp := NewResponse(protocol.Success, "")
				resp.Body = own.Body
				resp.Segments = [][]byte{make([]byte, 20000)}
				c.Reply(own, resp)
			}()
			return nil
		}, Inline())
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			p := dialRaw(t, addr)
			const n = 600
			codes := []protocol.RequestCode{protocol.QueryMessage, protocol.HeartBeat, protocol.PullMessage}
			go func() {
				for i := range int32(n) {
					p.nc.Write(request(t, codes[i%3], i, 0))
				}
			}()
			seen := map[int32]bool{}
			for range n {
				c, err := p.read()
				if err != nil || seen[c.Opaque] || c.ResponseCode() != protocol.Success || binary.BigEndian.Uint32(c.Body) != uint32(c.Opaque) {
					t.Errorf("answer %+v, %v", c, err)
					return
				}
				seen[c.Opaque] = true
			}
		})
	}
	wg.Wait()
}

func TestServerClose(t *testing.T) {
	s := NewServer(nil)
	held := make(chan Ticket, 1)
	conns := make(chan *Conn, 1)
	s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command { conns <- c; held <- req.Ticket(); return nil }, Inline())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	p := dialRaw(t, ln.Addr().String())
	p.write(request(t, protocol.PullMessage, 1, 0))
	conn, ticket := <-conns, <-held

	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	p.write(request(t, protocol.PullMessage, 2, 0)) // a new one is sent elsewhere
	if c := p.mustRead(); c.Opaque != 2 || c.ResponseCode() != protocol.GoAway {
		t.Errorf("while closing: %+v", c)
	}
	conn.ReplyTo(ticket, NewResponse(protocol.Success, "")) // the one in flight is answered
	if c := p.mustRead(); c.Opaque != 1 {
		t.Errorf("while closing: %+v", c)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	p.wantClosed()
	if err := s.Serve(ln); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
}

func TestServerCloseTimeout(t *testing.T) {
	s, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, func(*Conn, *Command) *Command { return nil }, Inline())
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.PullMessage, 1, 0))
	p.write(request(t, protocol.HeartBeat, 2, 0))
	p.mustRead()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 connections") {
		t.Errorf("Close: %v", err)
	}
	p.wantClosed()
}

func TestServeBadListener(t *testing.T) {
	s := NewServer(nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := s.Serve(ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	s.Close(context.Background())
}

// failingListener fails to accept a few times, as when there are no file descriptors.
type failingListener struct {
	net.Listener
	fails int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.fails > 0 {
		l.fails--
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestAcceptFails(t *testing.T) {
	var failed []error
	opts := &ServerOptions{}
	opts.Listener.AcceptFailed = func(err error) { failed = append(failed, err) }
	s := NewServer(opts)
	s.Handle(protocol.HeartBeat, echo, Inline())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(&failingListener{ln, 3}) }()
	p := dialRaw(t, ln.Addr().String())
	p.write(request(t, protocol.HeartBeat, 1, 0))
	p.mustRead()
	s.Close(context.Background())
	if err := <-served; err != nil || len(failed) != 3 {
		t.Errorf("served: %v, failed: %v", err, failed)
	}
}

func TestConnFacts(t *testing.T) {
	closed := make(chan int, 2)
	conns := make(chan *Conn, 1)
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.HeartBeat, func(c *Conn, req *Command) *Command {
			c.SetValue("client", "id-1")
			c.OnClose(func() { closed <- 1 })
			conns <- c
			return NewResponse(protocol.Success, "")
		}, Inline())
	})
	p := dialRaw(t, addr)
	p.write(request(t, protocol.HeartBeat, 1, 0))
	p.mustRead()
	c := <-conns
	if c.RemoteAddr().String() != p.nc.LocalAddr().String() || c.LocalAddr().String() != addr || c.ID() == 0 {
		t.Errorf("%v at %v, id %d", c.RemoteAddr(), c.LocalAddr(), c.ID())
	}
	if c.Value("client") != "id-1" || c.Value("other") != nil || c.Err() != nil {
		t.Errorf("value %v, error %v", c.Value("client"), c.Err())
	}
	c.Close()
	<-closed
	<-c.Done()
	if !errors.Is(c.Err(), ErrClosed) {
		t.Errorf("error %v", c.Err())
	}
	c.OnClose(func() { closed <- 2 })
	if n := <-closed; n != 2 {
		t.Errorf("OnClose after the close: %d", n)
	}
	p.wantClosed()
}

// TestReplyHere answers from goroutines that write themselves, more than the socket takes while the peer does not read:
// nobody waits, and every frame comes whole.
func TestReplyHere(t *testing.T) {
	const n = 64
	type waiting struct {
		c      *Conn
		ticket Ticket
	}
	requests := make(chan waiting, n)
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.HeartBeat, func(c *Conn, req *Command) *Command {
			requests <- waiting{c, req.Ticket()}
			return nil
		}, Inline())
	})
	p := dialRaw(t, addr)
	for i := range int32(n) {
		p.write(request(t, protocol.HeartBeat, i, 0))
	}
	var wg sync.WaitGroup
	for i := range n {
		w := <-requests
		wg.Go(func() {
			resp := NewResponse(protocol.Success, "")
			resp.Body = bytes.Repeat([]byte{byte(w.ticket.Opaque)}, 1+i%3*(256<<10)) // 16 MiB in all
			if err := w.c.ReplyHere(w.ticket, resp); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen := map[int32]bool{}
	for range n {
		c := p.mustRead()
		if seen[c.Opaque] || len(bytes.Trim(c.Body, string(rune(c.Opaque)))) > 0 {
			t.Errorf("answer %d again, or with others' bytes", c.Opaque)
		}
		seen[c.Opaque] = true
	}
}
