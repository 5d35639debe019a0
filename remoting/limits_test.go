package remoting

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// TestIdle closes a silent connection after IdleTimeout, and not one that speaks or is spoken to.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := newReasons()
		var conn *Conn
		opts := &ServerOptions{}
		opts.Listener = why.listener()
		opts.Listener.ConnOpened = func(c *Conn) { conn = c }
		near, stop := pipeServer(t, opts, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
		defer stop()
		p := &rawPeer{t, near}

		for range 5 { // heard
			time.Sleep(100 * time.Second)
			p.write(request(t, protocol.HeartBeat, 1, 0))
			p.mustRead()
		}
		for range 5 { // spoken to
			time.Sleep(100 * time.Second)
			go conn.Oneway(NewRequest(protocol.NotifyConsumerIDsChanged))
			p.mustRead()
		}
		begin := time.Now()
		if reason := waitReason(why); !errors.Is(reason, ErrIdle) {
			t.Fatalf("closed: %v", reason)
		}
		if d := time.Since(begin); d < 120*time.Second || d > 135*time.Second {
			t.Fatalf("closed after %v", d)
		}
		if _, err := p.read(); err != io.EOF {
			t.Fatalf("read: %v", err)
		}
	})
}

// waitReason waits as long as it takes: in a bubble that costs nothing.
func waitReason(r *reasons) error { return <-r.ch }

func TestNeverIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, stop := pipeServer(t, &ServerOptions{Options: Options{IdleTimeout: -1}}, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
		defer stop()
		p := &rawPeer{t, near}
		time.Sleep(24 * time.Hour)
		p.write(request(t, protocol.HeartBeat, 1, 0))
		p.mustRead()
	})
}

// TestSlowDrip closes a peer that sends a frame byte by byte, and one that stops in the middle of a frame.
func TestSlowDrip(t *testing.T) {
	for _, drip := range []time.Duration{time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			why := newReasons()
			opts := &ServerOptions{}
			opts.Listener = why.listener()
			near, stop := pipeServer(t, opts, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
			defer stop()
			p := &rawPeer{t, near}
			frame := request(t, protocol.HeartBeat, 1, 0)
			p.write(frame)
			p.mustRead()
			begin := time.Now()
			for i := range frame {
				if _, err := near.Write(frame[i : i+1]); err != nil {
					break
				}
				time.Sleep(drip)
			}
			if reason := waitReason(why); !errors.Is(reason, ErrSlowFrame) {
				t.Fatalf("closed: %v", reason)
			}
			if d := time.Since(begin); drip == time.Second && (d < 60*time.Second || d > 75*time.Second) {
				t.Fatalf("closed after %v", d)
			}
		})
	}
}

// TestSlowButSteady keeps a peer whose frames each come in time, however many there are.
func TestSlowButSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, stop := pipeServer(t, nil, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
		defer stop()
		p := &rawPeer{t, near}
		frame := request(t, protocol.HeartBeat, 1, 0)
		half := len(frame) / 2
		p.write(frame[:half])
		for range 20 { // the end of one frame and the half of the next, every 30 s
			time.Sleep(30 * time.Second)
			next := append(append([]byte(nil), frame[half:]...), frame[:half]...)
			p.write(next)
			p.mustRead()
		}
	})
}

// buffersAfter runs a connection, stops the server, and returns the sizes of the connection's buffers at its end.
func buffersAfter(t *testing.T, f func(p *rawPeer)) (in, out int) {
	synctest.Test(t, func(t *testing.T) {
		var conn *Conn
		opts := &ServerOptions{}
		opts.Listener.ConnOpened = func(c *Conn) { conn = c }
		near, stop := pipeServer(t, opts, func(s *Server) { s.Handle(protocol.HeartBeat, echo, Inline()) })
		f(&rawPeer{t, near})
		synctest.Wait()
		stop()
		in, out = len(conn.in.buf), cap(conn.out.mu.out.buf)+cap(conn.out.mu.spare.buf)
	})
	return in, out
}

// TestBuffersShrink has a connection give its large buffers back when it is quiet.
func TestBuffersShrink(t *testing.T) {
	big := NewRequest(protocol.HeartBeat)
	big.Body = make([]byte, 3<<20)
	frame, err := big.AppendFrame(nil)
	if err != nil {
		t.Fatal(err)
	}
	send := func(p *rawPeer) {
		go p.nc.Write(frame)
		p.mustRead()
	}
	if in, _ := buffersAfter(t, send); in < 3<<20 || in > 8<<20 {
		t.Errorf("read buffer of %d bytes for a frame of 3 MiB", in)
	}
	in, out := buffersAfter(t, func(p *rawPeer) {
		send(p)
		time.Sleep(30 * time.Second)
	})
	if in != readBufferMin || out != 0 {
		t.Errorf("buffers of %d and %d bytes when quiet", in, out)
	}
	in, _ = buffersAfter(t, func(p *rawPeer) { // busy with small frames
		send(p)
		for i := range int32(smallRounds + 10) {
			p.write(request(t, protocol.HeartBeat, i, 0))
			p.mustRead()
		}
	})
	if in > 128<<10 {
		t.Errorf("read buffer of %d bytes long after a large frame", in)
	}
}

// TestLengthAloneGetsNoMemory announces a large frame and sends little of it.
func TestLengthAloneGetsNoMemory(t *testing.T) {
	in, _ := buffersAfter(t, func(p *rawPeer) {
		p.nc.Write([]byte{0, 0xF0, 0, 0})
		p.nc.Write(make([]byte, 10000))
	})
	if in > 2*16<<10 {
		t.Errorf("read buffer of %d bytes for 10004", in)
	}
}

// TestOwnTimeIsNotThePeers has a handler take its time while half a frame and then nothing waits to be read.
func TestOwnTimeIsNotThePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, stop := pipeServer(t, nil, func(s *Server) {
			s.Handle(protocol.HeartBeat, func(c *Conn, req *Command) *Command {
				time.Sleep(10 * time.Minute)
				return echo(c, req)
			}, Inline())
		})
		defer stop()
		p := &rawPeer{t, near}
		frame := request(t, protocol.HeartBeat, 1, 0)
		p.write(append(append([]byte(nil), frame...), frame[:10]...))
		p.mustRead()
		time.Sleep(30 * time.Second)
		p.write(frame[10:])
		p.mustRead()
		time.Sleep(100 * time.Second)
		p.write(frame)
		p.mustRead()
	})
}
