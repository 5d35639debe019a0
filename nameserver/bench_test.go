package nameserver

import (
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// benchServer has so many broker names with 1000 topics each, the same ones.
func benchServer(b *testing.B, brokers int) (*Server, *protocol.RegisterBrokerBody) {
	b.Helper()
	s, err := New(testOptions(b))
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprint("topic-", i)
	}
	body := topicsOf(1, names...)
	for i := range brokers {
		if _, err := s.routes.table.Register(t0, broker(fmt.Sprint("broker-", i), 0, fmt.Sprint("10.0.0.1:", i), body)); err != nil {
			b.Fatal(err)
		}
	}
	return s, body
}

// BenchmarkRoute answers what clients ask most, without the network.
func BenchmarkRoute(b *testing.B) {
	for _, brokers := range []int{1, 16} {
		b.Run(fmt.Sprintf("brokers=%d", brokers), func(b *testing.B) {
			s, _ := benchServer(b, brokers)
			req := remoting.NewRequest(protocol.GetRouteInfoByTopic)
			req.Fields.Add("topic", "topic-1")
			b.ReportAllocs()
			for b.Loop() {
				if resp := s.getRouteInfo(nil, req); resp.ResponseCode() != protocol.Success {
					b.Fatal(resp.Remark)
				}
			}
		})
	}
}

// BenchmarkRegister reads and applies the full registration of a broker with 1000 topics.
func BenchmarkRegister(b *testing.B) {
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", changed), func(b *testing.B) {
			s, body := benchServer(b, 1)
			data, err := body.Encode(false)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			version := int64(1)
			for b.Loop() {
				decoded, err := protocol.DecodeRegisterBrokerBody(data, false, protocol.CurrentVersion)
				if err != nil {
					b.Fatal(err)
				}
				if changed {
					version++
				}
				decoded.TopicConfigSerializeWrapper.DataVersion.Counter = version
				if _, err := s.routes.table.Register(t0, broker("broker-0", 0, "10.0.0.1:0", decoded)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
