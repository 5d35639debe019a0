package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// window is the number of requests that a connection of the load generator has under way.
const window = 32

// load sends the frame n times over each connection, window at a time, and fails unless every answer has the code.
func load(b *testing.B, addr string, frames [][]byte, n int, code protocol.ResponseCode) {
	var wg sync.WaitGroup
	for i, frame := range frames {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		share := n / len(frames)
		if i < n%len(frames) {
			share++
		}
		wg.Go(func() {
			defer nc.Close()
			if err := drive(nc, frame, share, code); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

func drive(nc net.Conn, frame []byte, n int, code protocol.ResponseCode) error {
	burst := make([]byte, 0, window*len(frame))
	for range window {
		burst = append(burst, frame...)
	}
	sent := min(n, window)
	if _, err := nc.Write(burst[:sent*len(frame)]); err != nil {
		return err
	}
	in := make([]byte, 1<<20)
	have := 0
	for received := 0; received < n; {
		m, err := nc.Read(in[have:])
		if err != nil {
			return err
		}
		have += m
		got, used := 0, 0
		for have-used >= 4 {
			size := 4 + int(binary.BigEndian.Uint32(in[used:]))
			if size > len(in) {
				return fmt.Errorf("answer of %d bytes", size)
			}
			if have-used < size {
				break
			}
			if got == 0 {
				var c remoting.Command
				if err := remoting.DecodeFrame(in[used:used+size], &c); err != nil {
					return err
				}
				if c.ResponseCode() != code {
					return fmt.Errorf("answer %d %q", c.Code, c.Remark)
				}
			}
			got, used = got+1, used+size
		}
		have = copy(in, in[used:have])
		received += got
		if more := min(got, n-sent); more > 0 {
			sent += more
			if _, err := nc.Write(burst[:more*len(frame)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendFrame is a send of a body of so many bytes, as the Java client writes it.
func sendFrame(b testing.TB, topic string, queue int32, size int) []byte {
	req := remoting.NewRequest(protocol.SendMessageV2)
	p := message.AppendProperty(nil, "KEYS", "key-1")
	p = message.AppendProperty(p, "UNIQ_KEY", "C000020219114E0E2F2A67C743B40019")
	p = message.AppendProperty(p, "WAIT", "true")
	p = message.AppendProperty(p, "TAGS", "TagA")
	h := sendHeader(topic, queue)
	h.Properties = p
	h.EncodeV2(&req.Fields)
	req.Body = make([]byte, size)
	frame, err := req.AppendFrame(nil)
	if err != nil {
		b.Fatal(err)
	}
	return frame
}

// BenchmarkSend sends over the loopback from 4 connections with 32 requests under way on each.
func BenchmarkSend(b *testing.B) {
	for _, body := range []int{128, 1024} {
		b.Run(fmt.Sprintf("body=%d/connections=4/window=%d", body, window), func(b *testing.B) {
			s := start(b, func(o *Options) { o.MappedFileSizeCommitLog, o.MaxHashSlotNum, o.MaxIndexNum = 1<<30, 500000, 2000000 })
			s.put("orders", 0, "first")
			var frames [][]byte
			for i := range int32(4) {
				frames = append(frames, sendFrame(b, "orders", i, body))
			}
			b.ReportAllocs()
			b.SetBytes(int64(body))
			b.ResetTimer()
			load(b, s.Addr(), frames, b.N, protocol.Success)
		})
	}
}

// BenchmarkPull reads a backlog of 1 KiB messages, 32 at a time, over one connection; one op is one message.
func BenchmarkPull(b *testing.B) {
	const backlog = 4096
	s := start(b, func(o *Options) { o.MappedFileSizeCommitLog, o.MaxHashSlotNum, o.MaxIndexNum = 1<<30, 500000, 2000000 })
	s.put("orders", 0, "first")
	load(b, s.Addr(), [][]byte{sendFrame(b, "orders", 0, 1024)}, backlog, protocol.Success)
	s.dispatched("orders", 0, backlog)
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	in := make([]byte, 1<<20)
	var frames [][]byte
	for offset := int64(0); offset+32 <= backlog; offset += 32 {
		req := remoting.NewRequest(protocol.PullMessage)
		pullHeader("readers", "orders", 0, offset).Encode(&req.Fields)
		frame, err := req.AppendFrame(nil)
		if err != nil {
			b.Fatal(err)
		}
		frames = append(frames, frame)
	}
	b.ReportAllocs()
	b.SetBytes(1024)
	b.ResetTimer()
	for i := 0; i < b.N; i += 32 {
		if _, err := nc.Write(frames[i/32%len(frames)]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(nc, in[:4]); err != nil {
			b.Fatal(err)
		}
		size := int(binary.BigEndian.Uint32(in))
		if size < 32*1024 {
			b.Fatalf("an answer of %d bytes", size)
		}
		if _, err := io.ReadFull(nc, in[:size]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWake sends one message to a held pull and waits for both answers; one op is one message end to end.
func BenchmarkWake(b *testing.B) {
	s := start(b, nil)
	s.put("orders", 0, "first")
	s.dispatched("orders", 0, 1)
	puller := remoting.NewClient(nil)
	defer puller.Close()
	b.ReportAllocs()
	b.ResetTimer()
	offset := int64(1)
	for b.Loop() {
		got := make(chan *remoting.Command, 1)
		go func() {
			h := pullHeader("readers", "orders", 0, offset)
			h.SysFlag |= protocol.PullSuspend
			h.SuspendTimeoutMillis = 15000
			req := remoting.NewRequest(protocol.PullMessage)
			h.Encode(&req.Fields)
			got <- s.send(puller, req)
		}()
		for s.holds.Len() == 0 {
		}
		s.put("orders", 0, "next")
		s.wantCode(<-got, protocol.Success)
		offset++
	}
}
