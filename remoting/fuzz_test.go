package remoting

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/rocketlog/rocketlog/internal/fuzzcheck"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// seedFrames adds one golden frame of each kind of a serialization, by what add makes of it.
func seedFrames(f *testing.F, serialize SerializeType, add func(frame []byte)) {
	type kind struct {
		code     int32
		response bool
	}
	seen := map[kind]bool{}
	for _, frames := range golden.AllFrames(f) {
		for _, g := range frames {
			k := kind{g.Code, g.Kind == "response"}
			if k.response {
				k.code = g.RequestCode
			}
			if !g.FrameTruncated && len(g.FrameBytes) < 2048 && SerializeType(g.FrameBytes[4]) == serialize && !seen[k] {
				seen[k] = true
				add(g.FrameBytes)
			}
		}
	}
}

// checkRoundTrip encodes a decoded command in both serializations and decodes it again.
func checkRoundTrip(t *testing.T, c *Command) {
	t.Helper()
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		c.Serialize = s
		b, err := c.AppendFrame(nil)
		if err != nil {
			continue // a text grows when it is escaped
		}
		var d Command
		if err := DecodeFrame(b, &d); err != nil {
			t.Fatalf("serialize=%s: %v\n%q", serializeNames[s], err, b)
		}
		if s == SerializeRocketMQ {
			b2, err := d.AppendFrame(nil)
			if err != nil || !bytes.Equal(b, b2) {
				t.Fatalf("encoded again, %v:\n%q\n%q", err, b, b2)
			}
			continue
		}
		if d.Code != c.Code || d.Opaque != c.Opaque || d.Flag != c.Flag || d.Version != c.Version || d.Fields.Len() != c.Fields.Len() || !bytes.Equal(d.Body, c.Body) {
			t.Fatalf("%+v became %+v", c, d)
		}
		for i := range c.Fields.Len() {
			n1, v1 := c.Fields.At(i)
			n2, v2 := d.Fields.At(i)
			if !sameText(n1, n2) || !sameText(v1, v2) {
				t.Fatalf("field %q=%q became %q=%q", n1, v1, n2, v2)
			}
		}
	}
}

// sameText compares texts as JSON carries them: bytes that are no UTF-8 are lost.
func sameText(a, b []byte) bool {
	return bytes.Equal(bytes.ToValidUTF8(a, []byte("\uFFFD")), b) || bytes.Equal(replaceEach(a), b)
}

func replaceEach(a []byte) []byte { return []byte(string([]rune(string(a)))) }

func FuzzDecodeFrame(f *testing.F) {
	seedFrames(f, SerializeJSON, func(b []byte) { f.Add(b) })
	seedFrames(f, SerializeRocketMQ, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		orig := bytes.Clone(b)
		var c Command
		var err error
		fuzzcheck.Bounded(t, len(b), func() { err = DecodeFrame(b, &c) })
		if err != nil {
			return
		}
		if !bytes.Equal(b, orig) {
			t.Fatal("decoding changed the frame")
		}
		checkHeaders(t, &c)
		checkRoundTrip(t, &c)
	})
}

// checkHeaders feeds the headers of the hot path with whatever the fields are.
func checkHeaders(t *testing.T, c *Command) {
	var send protocol.SendMessageRequestHeader
	if send.DecodeV2(&c.Fields) == nil {
		var again Command
		send.EncodeV2(&again.Fields)
		var send2 protocol.SendMessageRequestHeader
		if err := send2.DecodeV2(&again.Fields); err != nil {
			t.Fatalf("send header: %v", err)
		}
	}
	var pull protocol.PullMessageRequestHeader
	if pull.Decode(&c.Fields) == nil {
		var again Command
		pull.Encode(&again.Fields)
		if err := pull.Decode(&again.Fields); err != nil {
			t.Fatalf("pull header: %v", err)
		}
	}
}

func FuzzJSONHeader(f *testing.F) {
	seedFrames(f, SerializeJSON, func(b []byte) {
		h := int(binary.BigEndian.Uint32(b[4:]) & 0xFFFFFF)
		f.Add(string(b[framePrefix : framePrefix+h]))
	})
	f.Fuzz(func(t *testing.T, header string) {
		var c Command
		if err := DecodeFrame(jsonFrame(header, ""), &c); err != nil {
			return
		}
		checkRoundTrip(t, &c)
	})
}

func FuzzBinaryHeader(f *testing.F) {
	seedFrames(f, SerializeRocketMQ, func(b []byte) {
		h := int(binary.BigEndian.Uint32(b[4:]) & 0xFFFFFF)
		f.Add(b[framePrefix : framePrefix+h])
	})
	f.Fuzz(func(t *testing.T, header []byte) {
		b := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)))
		b = binary.BigEndian.AppendUint32(b, 1<<24|uint32(len(header)&0xFFFFFF))
		b = append(b, header...)
		var c Command
		if err := DecodeFrame(b, &c); err != nil {
			return
		}
		again, err := c.AppendFrame(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("encoded again, %v:\n%q\n%q", err, b, again)
		}
		checkRoundTrip(t, &c)
	})
}
