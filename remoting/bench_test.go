package remoting

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// sendFrame is a SEND_MESSAGE_V2 as a Java client 5.5.0 writes it, with a body of so many bytes.
func sendFrame(tb testing.TB, s SerializeType, body int) []byte {
	tb.Helper()
	c := NewRequest(protocol.SendMessageV2)
	c.Language = protocol.LanguageJava
	c.Opaque = 1_234_567
	c.Serialize = s
	h := protocol.SendMessageRequestHeader{
		ProducerGroup: []byte("bench-producer-group"), Topic: []byte("bench-topic"), DefaultTopic: []byte("TBW102"),
		DefaultTopicQueueNums: 4, QueueID: 3, BornTimestamp: 1795232166118,
		Properties:     []byte("KEYS\x01key-0000000001\x02UNIQ_KEY\x01C000020205C44E0E2F2A67C508E60001\x02WAIT\x01true\x02TAGS\x01TagA\x02"),
		ReconsumeTimes: protocol.Some[int32](0), BrokerName: []byte("broker-a"),
	}
	h.EncodeV2(&c.Fields)
	c.Body = make([]byte, body)
	for i := range c.Body {
		c.Body[i] = byte('a' + i%26)
	}
	b, err := c.AppendFrame(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

var serializeNames = map[SerializeType]string{SerializeJSON: "json", SerializeRocketMQ: "rocketmq"}

func BenchmarkDecodeFrame(b *testing.B) {
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		b.Run("serialize="+serializeNames[s], func(b *testing.B) {
			frame := sendFrame(b, s, 1024)
			var c Command
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if err := DecodeFrame(frame, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeSendHeader(b *testing.B) {
	var c Command
	if err := DecodeFrame(sendFrame(b, SerializeJSON, 1024), &c); err != nil {
		b.Fatal(err)
	}
	var h protocol.SendMessageRequestHeader
	b.ReportAllocs()
	for b.Loop() {
		if err := h.DecodeV2(&c.Fields); err != nil {
			b.Fatal(err)
		}
	}
}

func sendResponse() *Command {
	resp := NewResponse(protocol.Success, "")
	h := protocol.SendMessageResponseHeader{MsgID: []byte("7F00000200009FCF0000000000000109"), QueueID: 3, QueueOffset: 1234567}
	h.Encode(&resp.Fields)
	resp.Fields.Add("MSG_REGION", "DefaultRegion")
	resp.Fields.Add("TRACE_ON", "true")
	return resp
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		b.Run("serialize="+serializeNames[s], func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				resp := sendResponse()
				resp.Serialize = s
				var err error
				if dst, err = resp.AppendFrame(dst[:0]); err != nil {
					b.Fatal(err)
				}
				resp.recycle()
			}
		})
	}
}

// BenchmarkNullServer is the whole way of a send that is not stored: decode frame and header, answer. Server and load
// generator share the machine and the process.
func BenchmarkNullServer(b *testing.B) {
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		for _, conns := range []int{1, 4} {
			b.Run(fmt.Sprintf("serialize=%s/conns=%d/inflight=32", serializeNames[s], conns), func(b *testing.B) {
				addr := startNullServer(b)
				frame := sendFrame(b, s, 1024)
				b.ReportAllocs()
				b.ResetTimer()
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				for range conns {
					wg.Go(func() { runLoad(b, addr, frame, 32, &left) })
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			})
		}
	}
}

func startNullServer(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := NewServer(nil)
	s.Handle(protocol.SendMessageV2, func(_ *Conn, req *Command) *Command {
		var h protocol.SendMessageRequestHeader
		if err := h.DecodeV2(&req.Fields); err != nil {
			return NewResponse(protocol.SystemError, err.Error())
		}
		return sendResponse()
	}, Inline())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	tb.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return ln.Addr().String()
}

// runLoad keeps a window of requests in flight on one connection until left is used up: one write for as many requests as
// one read brought answers.
func runLoad(tb testing.TB, addr string, frame []byte, window int, left *atomic.Int64) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Error(err)
		return
	}
	defer nc.Close()
	out := make([]byte, 0, window*len(frame))
	for range window {
		out = append(out, frame...)
	}
	take := func(n int) int {
		if l := left.Add(int64(-n)); l < 0 {
			n = max(n+int(l), 0)
		}
		return n
	}
	inFlight := take(window)
	if _, err := nc.Write(out[:inFlight*len(frame)]); err != nil {
		tb.Error(err)
		return
	}
	in := make([]byte, 64<<10)
	have := 0
	for inFlight > 0 {
		n, err := nc.Read(in[have:])
		if err != nil {
			if err != io.EOF {
				tb.Error(err)
			}
			return
		}
		have += n
		at, answers := 0, 0
		for have-at >= 4 {
			f := 4 + int(binary.BigEndian.Uint32(in[at:]))
			if have-at < f {
				break
			}
			at += f
			answers++
		}
		have = copy(in, in[at:have])
		more := take(answers)
		inFlight += more - answers
		if more > 0 {
			if _, err := nc.Write(out[:more*len(frame)]); err != nil {
				tb.Error(err)
				return
			}
		}
	}
}
