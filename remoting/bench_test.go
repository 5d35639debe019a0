package remoting

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// sendFrame is a SEND_MESSAGE_V2 as a Java client 5.5.0 writes it, with a body of so many bytes.
func sendFrame(s SerializeType, body int) []byte {
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
		panic(err)
	}
	return b
}

var serializeNames = map[SerializeType]string{SerializeJSON: "json", SerializeRocketMQ: "rocketmq"}

func BenchmarkDecodeFrame(b *testing.B) {
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		b.Run("serialize="+serializeNames[s], func(b *testing.B) {
			frame := sendFrame(s, 1024)
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
	if err := DecodeFrame(sendFrame(SerializeJSON, 1024), &c); err != nil {
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

var benchMsgID = []byte("7F00000200009FCF0000000000000109")

func sendResponse() *Command {
	resp := NewResponse(protocol.Success, "")
	h := protocol.SendMessageResponseHeader{MsgID: benchMsgID, QueueID: 3, QueueOffset: 1234567}
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

// TestMain makes the test binary its own load generator: see startLoad.
func TestMain(m *testing.M) {
	if spec := os.Getenv(loadVariable); spec != "" {
		runLoadProcess(spec)
		return
	}
	code := m.Run()
	if code == 0 {
		code = checkLeaks()
	}
	os.Exit(code)
}

// checkLeaks reports goroutines of this package that outlive all tests.
func checkLeaks() int {
	var stacks string
	for range 200 {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "remoting.(*") {
			return 0
		}
		time.Sleep(10 * time.Millisecond) // one that is about to end is no leak
	}
	fmt.Println("goroutines left over:", stacks)
	return 1
}

const loadVariable = "REMOTING_TEST_LOAD"

// BenchmarkNullServer is the whole way of a send that is not stored: decode frame and header, answer. The load generator is
// a process of its own on the same machine; cpu-ns/req is what this process used, in the kernel and out of it.
func BenchmarkNullServer(b *testing.B) {
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		for _, conns := range []int{1, 4} {
			b.Run(fmt.Sprintf("serialize=%s/conns=%d/inflight=32", serializeNames[s], conns), func(b *testing.B) {
				addr := startNullServer(b)
				b.ReportAllocs()
				begin := cpuTime(b)
				b.ResetTimer()
				startLoad(b, fmt.Sprint(addr, " ", s, " ", conns, " ", 32, " ", b.N, " ", 1024))
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
				b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), "cpu-ns/req")
			})
		}
	}
}

// startLoad runs the load generator and waits for its end.
func startLoad(tb testing.TB, spec string) {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loadVariable+"="+spec)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, out)
	}
}

func runLoadProcess(spec string) {
	var (
		addr          string
		s             SerializeType
		conns, window int
		n             int64
		body          int
	)
	if _, err := fmt.Sscan(spec, &addr, &s, &conns, &window, &n, &body); err != nil {
		panic(err)
	}
	frame := sendFrame(s, body)
	var left atomic.Int64
	left.Store(n)
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			if err := runLoad(addr, frame, window, &left); err != nil {
				panic(err)
			}
		})
	}
	wg.Wait()
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func startNullServer(tb testing.TB) string {
	tb.Helper()
	_, addr := serve(tb, nil, func(s *Server) {
		s.Handle(protocol.SendMessageV2, func(_ *Conn, req *Command) *Command {
			var h protocol.SendMessageRequestHeader
			if err := h.DecodeV2(&req.Fields); err != nil {
				return NewResponse(protocol.SystemError, err.Error())
			}
			return sendResponse()
		}, Inline())
	})
	return addr
}

// BenchmarkSegments answers with bytes that lie elsewhere, as a pull does: up to copyMax they are copied behind their
// header, beyond they leave by writev.
func BenchmarkSegments(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("size=%d/conns=2/inflight=4", size), func(b *testing.B) {
			segments := [][]byte{bytes.Repeat([]byte{'x'}, size)}
			_, addr := serve(b, nil, func(s *Server) {
				s.Handle(protocol.SendMessageV2, func(*Conn, *Command) *Command {
					resp := NewResponse(protocol.Success, "")
					resp.Segments = segments
					return resp
				}, Inline())
			})
			b.ReportAllocs()
			b.SetBytes(int64(size))
			begin := cpuTime(b)
			b.ResetTimer()
			startLoad(b, fmt.Sprint(addr, " ", SerializeJSON, " ", 2, " ", 4, " ", b.N, " ", 0))
			b.ReportMetric(float64(cpuTime(b)-begin)/float64(b.N), "cpu-ns/req")
		})
	}
}

// runLoad keeps a window of requests in flight on one connection until left is used up: one write for as many requests as
// one read brought answers.
func runLoad(addr string, frame []byte, window int, left *atomic.Int64) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	out := bytes.Repeat(frame, window)
	take := func(n int) int {
		if l := left.Add(int64(-n)); l < 0 {
			n = max(n+int(l), 0)
		}
		return n
	}
	inFlight := take(window)
	if _, err := nc.Write(out[:inFlight*len(frame)]); err != nil {
		return err
	}
	in := make([]byte, 1<<20)
	for have := 0; inFlight > 0; {
		n, err := nc.Read(in[have:])
		if err != nil {
			return err
		}
		have += n
		at, answers := 0, 0
		for have-at >= frameLenSize {
			f := frameLenSize + int(binary.BigEndian.Uint32(in[at:]))
			if have-at < f {
				break
			}
			at += f
			answers++
		}
		have = copy(in, in[at:have])
		more := take(answers)
		inFlight += more - answers
		if _, err := nc.Write(out[:more*len(frame)]); err != nil {
			return err
		}
	}
	return nil
}
