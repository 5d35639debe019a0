package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func TestClientManyCalls(t *testing.T) {
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.HeartBeat, echo, Inline())
		s.Handle(protocol.QueryMessage, echo)
	})
	client := newClient(t, nil)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 100 {
				code := protocol.HeartBeat
				if j%2 == 0 {
					code = protocol.QueryMessage
				}
				req := NewRequest(code)
				want := fmt.Sprint(i, "/", j)
				req.Body = []byte(want)
				resp, err := client.Call(context.Background(), addr, req)
				if err != nil || string(resp.Body) != want {
					t.Errorf("%s: %v", want, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestClientTimeout(t *testing.T) {
	var mu sync.Mutex
	var late []func()
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, func(c *Conn, req *Command) *Command {
			ticket := req.Ticket()
			mu.Lock()
			late = append(late, func() { c.ReplyTo(ticket, NewResponse(protocol.Success, "late")) })
			mu.Unlock()
			return nil
		}, Inline())
		s.Handle(protocol.HeartBeat, echo, Inline())
	})
	client := newClient(t, &ClientOptions{Options: Options{CallTimeout: 20 * time.Millisecond}})
	_, err := client.Call(context.Background(), addr, NewRequest(protocol.PullMessage))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "PULL_MESSAGE") || !strings.Contains(err.Error(), addr) {
		t.Fatalf("call: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.Call(ctx, addr, NewRequest(protocol.PullMessage)); !errors.Is(err, context.Canceled) {
		t.Fatalf("call: %v", err)
	}
	mu.Lock()
	for _, answer := range late { // nobody waits for these
		answer()
	}
	mu.Unlock()
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := client.Call(ctx, addr, NewRequest(protocol.HeartBeat)); err != nil {
		t.Fatalf("after late answers: %v", err)
	}
}

func TestClientConnectFails(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	client := newClient(t, nil)
	if _, err := client.Call(context.Background(), addr, NewRequest(protocol.HeartBeat)); err == nil || !strings.Contains(err.Error(), addr) {
		t.Fatalf("call: %v", err)
	}
	if err := client.CallOneway(context.Background(), addr, NewRequest(protocol.HeartBeat)); err == nil {
		t.Fatal("a one-way call to nobody succeeded")
	}
}

func TestClientReconnects(t *testing.T) {
	s, addr := serve(t, nil, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
	client := newClient(t, nil)
	for range 3 {
		if _, err := client.Call(context.Background(), addr, NewRequest(protocol.HeartBeat)); err != nil {
			t.Fatal(err)
		}
		conn, err := client.Conn(context.Background(), addr)
		if err != nil {
			t.Fatal(err)
		}
		s.Conns()[0].Close()
		<-conn.Done()
		for conn.wg.Wait(); ; { // until the client has noticed as well
			if now, err := client.Conn(context.Background(), addr); err == nil && now != conn {
				break
			}
		}
		for len(s.Conns()) != 1 {
			time.Sleep(time.Millisecond)
		}
	}
	client.CloseConn(addr)
	client.CloseConn("nobody:1")
	if _, err := client.Call(context.Background(), addr, NewRequest(protocol.HeartBeat)); err != nil && !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestCloseFailsCalls(t *testing.T) {
	arrived := make(chan struct{}, 1)
	s, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, func(*Conn, *Command) *Command { arrived <- struct{}{}; return nil }, Inline())
	})
	client := newClient(t, nil)
	for name, end := range map[string]func(){
		"server": func() { s.Conns()[0].Close() },
		"client": func() { client.Close() },
	} {
		if name == "client" {
			continue // last, below
		}
		failed := make(chan error, 1)
		go func() {
			_, err := client.Call(context.Background(), addr, NewRequest(protocol.PullMessage))
			failed <- err
		}()
		<-arrived
		end()
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("closed by the %s: %v", name, err)
		}
	}
	failed := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := client.Call(ctx, addr, NewRequest(protocol.PullMessage))
		failed <- err
	}()
	<-arrived
	client.Close()
	if err := <-failed; !errors.Is(err, ErrClosed) {
		t.Errorf("closed by the client: %v", err)
	}
	if _, err := client.Call(context.Background(), addr, NewRequest(protocol.PullMessage)); !errors.Is(err, ErrClosed) {
		t.Errorf("call on a closed client: %v", err)
	}
}

func TestCallsMax(t *testing.T) {
	arrived := make(chan struct{}, 10)
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.PullMessage, func(*Conn, *Command) *Command { arrived <- struct{}{}; return nil }, Inline())
	})
	client := NewClient(&ClientOptions{Options: Options{CallsMax: 2}})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { client.Call(context.Background(), addr, NewRequest(protocol.PullMessage)) })
		<-arrived
	}
	if _, err := client.Call(context.Background(), addr, NewRequest(protocol.PullMessage)); !errors.Is(err, ErrCallsMax) {
		t.Errorf("call: %v", err)
	}
	client.Close()
	wg.Wait()
}

// TestServerCalls has the server ask its client, and tell it things.
func TestServerCalls(t *testing.T) {
	conns := make(chan *Conn, 1)
	_, addr := serve(t, nil, func(s *Server) {
		s.Handle(protocol.HeartBeat, func(c *Conn, req *Command) *Command {
			conns <- c
			return NewResponse(protocol.Success, "")
		}, Inline())
	})
	client := newClient(t, nil)
	told := make(chan string, 1)
	client.Handle(protocol.NotifyConsumerIDsChanged, func(_ *Conn, req *Command) *Command {
		told <- req.Fields.Text("consumerGroup")
		return nil
	})
	client.Handle(protocol.GetConsumerRunningInfo, echo)
	if _, err := client.Call(context.Background(), addr, NewRequest(protocol.HeartBeat)); err != nil {
		t.Fatal(err)
	}
	c := <-conns
	note := NewRequest(protocol.NotifyConsumerIDsChanged)
	note.Fields.Add("consumerGroup", "g")
	if err := c.Oneway(note); err != nil {
		t.Fatal(err)
	}
	if g := <-told; g != "g" {
		t.Errorf("told %q", g)
	}
	ask := NewRequest(protocol.GetConsumerRunningInfo)
	ask.Body = []byte("how are you")
	resp, err := c.Request(context.Background(), ask)
	if err != nil || string(resp.Body) != "how are you" {
		t.Errorf("answer %+v, %v", resp, err)
	}
	resp, err = c.Request(context.Background(), NewRequest(protocol.ResetConsumerClientOffset))
	if err != nil || resp.ResponseCode() != protocol.RequestCodeNotSupported {
		t.Errorf("answer %+v, %v", resp, err)
	}
}

// TestClientCloseWhileConnecting closes a client that is just making a connection.
func TestClientCloseWhileConnecting(t *testing.T) {
	_, addr := serve(t, nil, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
	for range 20 {
		client := NewClient(nil)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { client.Call(context.Background(), addr, NewRequest(protocol.HeartBeat)) })
		}
		client.Close()
		wg.Wait()
	}
}
