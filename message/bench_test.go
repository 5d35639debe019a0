package message

import (
	"bytes"
	"net/netip"
	"testing"
)

func benchMessage(body int) *Message {
	m := goldenMessage()
	m.Body = bytes.Repeat([]byte("0123456789abcdef"), body/16+1)[:body]
	m.Properties = Properties("KEYS\x01order-1234567\x02UNIQ_KEY\x01C0A80001000012345678ABCDEF010000\x02" +
		"CLUSTER\x01DefaultCluster\x02MSG_REGION\x01DefaultRegion\x02WAIT\x01true\x02TRACE_ON\x01true\x02TAGS\x01TagA\x02")
	m.BornHost = netip.MustParseAddrPort("10.1.2.3:40000")
	return m
}

func BenchmarkParseRecord(b *testing.B) {
	r := encode(benchMessage(1024))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRecord(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDispatchFields reads of a record all that its dispatch needs.
func BenchmarkDispatchFields(b *testing.B) {
	bytes := encode(benchMessage(1024))
	b.ReportAllocs()
	for b.Loop() {
		r, _ := ParseRecord(bytes)
		p := r.Properties().Dispatch()
		if TagsCode(p.Tags) == 0 || len(p.UniqueKey) == 0 || len(r.Topic()) == 0 || r.StoreTimestamp() == 0 {
			b.Fatal("a field is missing")
		}
	}
}

func BenchmarkPropertiesGet(b *testing.B) {
	p := benchMessage(0).Properties
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Get(PropertyTags); !ok {
			b.Fatal("no tags")
		}
	}
}

func BenchmarkHashString(b *testing.B) {
	key := []byte("C0A80001000012345678ABCDEF010000")
	b.ReportAllocs()
	for b.Loop() {
		var h Hasher
		h.WriteString("TopicTest")
		h.WriteByte('#')
		h.Write(key)
		if h.Sum() == 0 {
			b.Fatal("hash 0")
		}
	}
}
