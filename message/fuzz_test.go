package message

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// FuzzParseRecord: whatever parses has consistent views, and encodes to the same bytes unless a host
// in it is one that Java would not write.
func FuzzParseRecord(f *testing.F) {
	f.Add(unhex(f, goldenRecord))
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		m := randomMessage(rnd)
		m.Body = m.Body[:min(len(m.Body), 100)]
		m.Properties = m.Properties[:min(len(m.Properties), 100)]
		f.Add([]byte(encode(m)))
	}
	f.Add([]byte{0, 0, 0, 8, 0xCB, 0xD4, 0x31, 0x94})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		r.VerifyBody()
		r.VerifyCRCProperty()
		r.Properties().Dispatch()
		var m Message
		r.Decode(&m)
		if r.Size() < len(m.Body)+len(m.Topic)+len(m.Properties)+RecordSizeMin {
			t.Fatalf("record of %d bytes holds more", r.Size())
		}
		again := make(Record, m.RecordSize())
		EncodeRecord(again, &m, r.BodyCRC())
		if m.BornHost.Addr().Is4In6() || m.StoreHost.Addr().Is4In6() || r.Magic() != m.Magic() || !samePorts(r, again) {
			return
		}
		if !bytes.Equal(again, r) {
			t.Fatalf("encoded again\n%X, was\n%X", []byte(again), []byte(r))
		}
	})
}

// samePorts tells whether the ports of both records are such that 16 bits hold them.
func samePorts(a, b Record) bool {
	end := a.posStoreTimestamp()
	return bytes.Equal(a[end-4:end], b[end-4:end]) &&
		bytes.Equal(a[a.posBodyLen()-16:a.posBodyLen()-12], b[b.posBodyLen()-16:b.posBodyLen()-12])
}

// FuzzProperties compares the parser with Java's rules.
func FuzzProperties(f *testing.F) {
	for _, text := range []string{"", "a\x01b\x02", "TAGS\x01x\x02KEYS\x01k1 k2", "a\x01b\x02a\x01\x02", "\x01\x02\x02\x01"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p := Properties(b)
		want := javaProperties(string(p))
		checkProperties(t, p, want)
		delete(want, PropertyTags)
		checkProperties(t, p.Delete(PropertyTags), want)
	})
}

// FuzzBatch: what parses is made of the items found, which encode to a batch with the same items.
func FuzzBatch(f *testing.F) {
	f.Add(unhex(f, goldenItem))
	f.Add(append(unhex(f, goldenItem), unhex(f, goldenItem)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		err := ForEachBatchItem(b, func(item BatchItem) error {
			again = AppendBatchItem(again, item.Flag, item.Body, item.Properties)
			return nil
		})
		if err != nil {
			return
		}
		if len(again) != len(b) {
			t.Fatalf("%d bytes of items in a batch of %d", len(again), len(b))
		}
		for len(b) > 0 {
			x, restX, _ := NextBatchItem(b)
			y, restY, err := NextBatchItem(again)
			if err != nil || x.Flag != y.Flag || !bytes.Equal(x.Body, y.Body) || !bytes.Equal(x.Properties, y.Properties) {
				t.Fatalf("item %+v came back as %+v, error %v", x, y, err)
			}
			b, again = restX, restY
		}
	})
}

// FuzzOffsetID: what parses comes back, in upper case.
func FuzzOffsetID(f *testing.F) {
	f.Add("C0A8000100002A9F00000000000004D2")
	f.Add("0000000000000000000000000000000100009fcf0000000000000400")
	f.Fuzz(func(t *testing.T, id string) {
		host, off, err := ParseOffsetID(id)
		if err != nil || host.Addr().Is4In6() {
			return
		}
		if got := AppendOffsetID(nil, host, off); !bytes.EqualFold(got, []byte(id)) {
			t.Fatalf("%s came back as %s", id, got)
		}
	})
}

// FuzzHashString: the hash of whole text is that of its characters in pieces.
func FuzzHashString(f *testing.F) {
	f.Add([]byte("键7 😀"), uint(3))
	f.Fuzz(func(t *testing.T, b []byte, at uint) {
		n := int(at % uint(len(b)+1))
		for n > 0 && n < len(b) && b[n]&0x80 != 0 {
			n-- // never within a character
		}
		var h Hasher
		h.Write(b[:n])
		h.WriteString(string(b[n:]))
		if h.Sum() != HashString(b) {
			t.Fatalf("%q cut at %d", b, n)
		}
	})
}
