package message

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	const bodyMax = 1000
	tests := []struct {
		name   string
		change func(m *Message)
		want   error
	}{
		{"fine", func(*Message) {}, nil},
		{"empty body", func(m *Message) { m.Body = []byte{} }, nil},
		{"no body", func(m *Message) { m.Body = nil }, ErrBodyNil},
		{"largest body", func(m *Message) { m.Body = make([]byte, bodyMax) }, nil},
		{"larger body", func(m *Message) { m.Body = make([]byte, bodyMax+1) }, ErrBodyTooLarge},
		{"most properties", func(m *Message) { m.Properties = make(Properties, 32767) }, nil},
		{"more properties", func(m *Message) { m.Properties = make(Properties, 32768) }, ErrPropertiesTooLarge},
		{"longest topic", func(m *Message) { m.Topic = strings.Repeat("t", 127) }, nil},
		{"longer topic", func(m *Message) { m.Topic = strings.Repeat("t", 128) }, ErrTopic},
		{"longest retry topic", func(m *Message) { m.Topic = RetryTopic(strings.Repeat("t", 248)) }, nil},
		{"longer retry topic", func(m *Message) { m.Topic = RetryTopic(strings.Repeat("t", 249)) }, ErrTopic},
		{"longer DLQ topic", func(m *Message) { m.Topic = DLQTopic(strings.Repeat("t", 123)) }, ErrTopic},
		{"no topic", func(m *Message) { m.Topic = "" }, ErrTopic},
		{"topic up", func(m *Message) { m.Topic = ".." }, ErrTopic},
		{"topic here", func(m *Message) { m.Topic = "." }, ErrTopic},
		{"topic with a slash", func(m *Message) { m.Topic = "a/../../b" }, ErrTopic},
		{"topic with a zero", func(m *Message) { m.Topic = "a\x00b" }, ErrTopic},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := goldenMessage()
			tt.change(m)
			if err := m.Check(bodyMax); !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestHostsAsStored(t *testing.T) {
	tests := []struct {
		born, store string
		flag        SysFlag
		size        int
	}{
		{"1.2.3.4:5", "6.7.8.9:10", 0, 123},
		{"[2001:db8::1]:5", "6.7.8.9:10", FlagBornV6, 135},
		{"1.2.3.4:5", "[::1]:65535", FlagStoreV6, 135},
		{"[::]:0", "[fe80::1]:10", FlagBornV6 | FlagStoreV6, 147},
		{"[::ffff:1.2.3.4]:5", "6.7.8.9:10", 0, 123},
	}
	for _, tt := range tests {
		m := goldenMessage()
		m.SysFlag = FlagBornV6 | FlagStoreV6 | FlagCompressed // not the encoder's word
		m.BornHost, m.StoreHost = netip.MustParseAddrPort(tt.born), netip.MustParseAddrPort(tt.store)
		r, err := ParseRecord(encode(m))
		if err != nil {
			t.Fatal(err)
		}
		born := netip.AddrPortFrom(m.BornHost.Addr().Unmap(), m.BornHost.Port())
		if r.BornHost() != born || r.StoreHost() != m.StoreHost || r.Size() != tt.size || r.SysFlag() != tt.flag|FlagCompressed {
			t.Errorf("%v, %v: %v, %v, flag %#x, %d bytes", tt.born, tt.store, r.BornHost(), r.StoreHost(), r.SysFlag(), r.Size())
		}
	}
	m := goldenMessage()
	m.BornHost = netip.AddrPort{}
	if got := encode(m).BornHost().String(); got != "0.0.0.0:0" {
		t.Errorf("no host is stored as %s", got)
	}
}

func TestSysFlag(t *testing.T) {
	f := SysFlag(0x301)
	if !f.Compressed() || f.Compression() != CompressionZlib || f.Transaction() != TransactionNone {
		t.Fatalf("%#x", f)
	}
	for flag, want := range map[SysFlag]CompressionType{1: CompressionZlib, 0x101: CompressionLZ4, 0x201: CompressionZstd} {
		if got := flag.Compression(); got != want {
			t.Errorf("%#x: %d", flag, got)
		}
	}
	for _, tt := range []TransactionType{TransactionPrepared, TransactionCommit, TransactionRollback, TransactionNone} {
		if f = f.WithTransaction(tt); f.Transaction() != tt || f&^flagTransaction != 0x301 {
			t.Errorf("%#x for %d", f, tt)
		}
	}
	all := SysFlag(0xF2)
	if !all.MultiTags() || !all.BornV6() || !all.StoreV6() || !all.NeedUnwrap() || !all.InnerBatch() || all.Compressed() {
		t.Fatalf("%#x", all)
	}
}

func TestEncodePanicsOnWrongSize(t *testing.T) {
	for name, fn := range map[string]func(){
		"record": func() { EncodeRecord(make([]byte, 122), goldenMessage(), 0) },
		"blank":  func() { EncodeBlank(make([]byte, 7)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			fn()
		}()
	}
}

// TestAllocations holds invariant 3.
func TestAllocations(t *testing.T) {
	m := benchMessage(1024)
	dst := encode(m)
	var decoded Message
	var id [64]byte
	ids := NewIDSource(netip.MustParseAddr("1.2.3.4"), 1, nil)
	for name, fn := range map[string]func(){
		"encode": func() { EncodeRecord(dst, m, BodyCRC(m.Body)) },
		"dispatch": func() {
			r, _ := ParseRecord(dst)
			d := r.Properties().Dispatch()
			TagsCode(d.Tags)
			r.Decode(&decoded)
		},
		"ids": func() { ids.Append(AppendOffsetID(id[:0], m.StoreHost, m.PhyOffset)[:0]) },
	} {
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
