package message

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// goldenRecord was encoded by Java's MessageExtEncoder.
const goldenRecord = `0000007B DAA320A7 3610A686 00000003 00000000 0000000000000007 00000000000004D2 00000000
0000018BCFE56800 7F000001000004D2 0000018BCFE5687B C0A8000100002A9F 00000000 0000000000000000
00000005 68656C6C6F 09 546F70696354657374 0012 4B455953016B3102 5441475301546167 4102`

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenMessage() *Message {
	return &Message{
		Topic:          "TopicTest",
		QueueID:        3,
		BornTimestamp:  1700000000000,
		BornHost:       netip.MustParseAddrPort("127.0.0.1:1234"),
		StoreHost:      netip.MustParseAddrPort("192.168.0.1:10911"),
		Body:           []byte("hello"),
		Properties:     Properties("KEYS\x01k1\x02TAGS\x01TagA\x02"),
		StoreTimestamp: 1700000000123,
		PhyOffset:      1234,
		QueueOffset:    7,
	}
}

func encode(m *Message) Record {
	b := make(Record, m.RecordSize())
	EncodeRecord(b, m, BodyCRC(m.Body))
	return b
}

func TestGoldenVector(t *testing.T) {
	want := unhex(t, goldenRecord)
	m := goldenMessage()
	if got := encode(m); !bytes.Equal(got, want) {
		t.Fatalf("encoded\n%X, want\n%X", got, want)
	}
	r, err := ParseRecord(append(want[:len(want):len(want)], "what follows"...))
	if err != nil {
		t.Fatal(err)
	}
	if len(r) != len(want) || !r.VerifyBody() || r.BodyCRC() != 907060870 {
		t.Fatalf("size %d, body checksum %d", len(r), r.BodyCRC())
	}
	var got Message
	r.Decode(&got)
	if !reflect.DeepEqual(got, *m) {
		t.Fatalf("decoded\n%+v, want\n%+v", got, *m)
	}
	if id := string(AppendOffsetID(nil, r.StoreHost(), r.PhyOffset())); id != "C0A8000100002A9F00000000000004D2" {
		t.Fatalf("offset id %s", id)
	}
}

// randomMessage makes messages of every shape that a record can have.
func randomMessage(rnd *rand.Rand) *Message {
	addr := func() netip.AddrPort {
		var a netip.Addr
		if rnd.IntN(2) == 0 {
			a = netip.AddrFrom4([4]byte{byte(rnd.Uint32()), byte(rnd.Uint32()), 3, 4})
		} else {
			a = netip.AddrFrom16([16]byte{0x20, byte(rnd.Uint32()), 2: byte(rnd.Uint32()), 15: byte(rnd.Uint32())})
		}
		return netip.AddrPortFrom(a, uint16(rnd.Uint32()))
	}
	blob := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	size := []int{0, 1, 5, 100, 1000, 4096, 70000}[rnd.IntN(7)]
	topic := strings.Repeat("T", []int{1, 9, 126, 127, 128, 255}[rnd.IntN(6)])
	if len(topic) > TopicLenMax {
		topic = RetryTopicPrefix + topic[len(RetryTopicPrefix):]
	}
	return &Message{
		Topic: topic, QueueID: int32(rnd.Uint32()), Flag: int32(rnd.Uint32()),
		SysFlag:       SysFlag(rnd.Uint32()) &^ (FlagBornV6 | FlagStoreV6),
		BornTimestamp: rnd.Int64(), BornHost: addr(), StoreHost: addr(),
		ReconsumeTimes: int32(rnd.Uint32()), PreparedTransactionOffset: PhyOffset(rnd.Int64()),
		Body: blob(size), Properties: blob([]int{0, 1, 200, PropertiesLenMax}[rnd.IntN(4)]),
		StoreTimestamp: rnd.Int64(), PhyOffset: PhyOffset(rnd.Int64()), QueueOffset: QueueOffset(rnd.Int64()),
	}
}

func TestEncodeParseRandom(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	var got Message
	for range 2000 {
		m := randomMessage(rnd)
		if err := m.Check(1 << 20); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		b := encode(m)
		r, err := ParseRecord(b)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if r.SysFlag().BornV6() != m.BornHost.Addr().Is6() || r.SysFlag().StoreV6() != m.StoreHost.Addr().Is6() {
			t.Fatalf("seed %d: flag %#x for %v and %v", seed, r.SysFlag(), m.BornHost, m.StoreHost)
		}
		r.Decode(&got)
		want := *m
		want.SysFlag = r.SysFlag()
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: decoded\n%+v, want\n%+v", seed, got, want)
		}
		if again := encode(&got); !bytes.Equal(again, b) {
			t.Fatalf("seed %d: encoded again\n%X, want\n%X", seed, again, b)
		}
		if cut := rnd.IntN(len(b)); true {
			if _, err := ParseRecord(b[:cut]); !errors.Is(err, ErrShort) {
				t.Fatalf("seed %d: cut at %d of %d: %v", seed, cut, len(b), err)
			}
		}
	}
}

func TestParseRecordRefuses(t *testing.T) {
	good := unhex(t, goldenRecord)
	at := func(off int, b ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[off:], b)
		return out
	}
	blank := make([]byte, 100)
	EncodeBlank(blank)
	tests := []struct {
		name  string
		bytes []byte
		err   error  // or
		field string // of a FormatError
	}{
		{"empty", nil, ErrShort, ""},
		{"seven bytes", good[:7], ErrShort, ""},
		{"zeros", make([]byte, 200), nil, "magic"},
		{"blank", blank, ErrBlank, ""},
		{"blank larger than the rest", blank[:99], ErrShort, ""},
		{"blank of eight bytes", []byte{0, 0, 0, 8, 0xCB, 0xD4, 0x31, 0x94}, ErrBlank, ""},
		{"blank of no size", []byte{0, 0, 0, 0, 0xCB, 0xD4, 0x31, 0x94}, ErrBlank, ""},
		{"blank of negative size", []byte{0xFF, 0, 0, 0, 0xCB, 0xD4, 0x31, 0x94}, ErrBlank, ""},
		{"size zero", at(0, 0, 0, 0, 0), nil, "totalSize"},
		{"size negative", at(0, 0x80), nil, "totalSize"},
		{"size one too small", at(3, 0x7A), nil, "propertiesLen"},
		{"size one too large", append(at(3, 0x7C), 0), nil, "propertiesLen"},
		{"size less than the body needs", at(3, 91), nil, "bodyLen"},
		{"size less than two IPv6 hosts need", at(39, 0x30)[:91:91], ErrShort, ""},
		{"size of the smallest record with two IPv6 hosts", func() []byte { b := at(39, 0x30); b[3] = 91; return b }(), nil, "totalSize"},
		{"other magic", at(7, 0xA8), nil, "magic"},
		{"body negative", at(84, 0xFF), nil, "bodyLen"},
		{"body huge", at(84, 0x7F, 0xFF, 0xFF, 0xFF), nil, "bodyLen"},
		{"topic negative", at(93, 0xFF), nil, "topicLen"},
		{"topic huge", at(93, 0x7F), nil, "topicLen"},
		{"properties negative", at(103, 0xFF), nil, "propertiesLen"},
		{"properties short", at(104, 0x11), nil, "propertiesLen"},
		{"born host of the other kind", at(39, 0x10), nil, "bodyLen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseRecord(tt.bytes)
			var format *FormatError
			switch {
			case tt.err != nil && !errors.Is(err, tt.err):
				t.Fatalf("error %v, want %v", err, tt.err)
			case tt.field != "" && (!errors.As(err, &format) || format.Field != tt.field):
				t.Fatalf("error %v, want one about %s", err, tt.field)
			}
		})
	}
	if BlankSize(blank) != 100 {
		t.Fatalf("blank size %d", BlankSize(blank))
	}
}
