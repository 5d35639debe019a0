package remoting

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// jsonFrame makes a frame of a JSON header and a body.
func jsonFrame(header, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
	return append(append(b, header...), body...)
}

func TestJSONHeaderTolerance(t *testing.T) {
	const all = `{"code":310,"extFields":{"a":"x","b":"2"},"flag":2,"language":"CPP","opaque":-7,"remark":"r","serializeTypeCurrentRPC":"JSON","version":513}`
	tests := []struct{ name, header string }{
		{"as fastjson writes it", all},
		{"another order", `{"version":513,"remark":"r","opaque":-7,"language":"CPP","flag":2,"extFields":{"a":"x","b":"2"},"code":310}`},
		{"white space", " {\n\t\"code\" : 310 ,\r\n \"extFields\" : { \"a\" : \"x\" , \"b\" : \"2\" } , \"flag\":2,\"language\": \"CPP\",\"opaque\":-7,\"remark\":\"r\",\"version\":513 } \n"},
		{"numbers as strings", `{"code":"310","extFields":{"a":"x","b":2},"flag":"2","language":"CPP","opaque":"-7","remark":"r","version":"513"}`},
		{"language by number", `{"code":310,"extFields":{"a":"x","b":"2"},"flag":2,"language":1,"opaque":-7,"remark":"r","version":513}`},
		{"null fields", `{"code":310,"extFields":{"z":null,"a":"x","y":null,"b":"2"},"flag":2,"language":"CPP","opaque":-7,"remark":"r","version":513,"body":null}`},
		{"unknown members", `{"u":{"v":[1,{"w":"}]\""}],"x":true},"code":310,"customHeader":[[]],"extFields":{"a":"x","b":"2"},"flag":2,"language":"CPP","opaque":-7,"remark":"r","version":513,"f":1.5e3}`},
		{"escapes", `{"code":310,"extFields":{"\u0061":"\x78","b":"\u0032"},"flag":2,"language":"\u0043PP","opaque":-7,"remark":"\u0072","version":513}`},
		{"twice, the last counts", `{"code":1,"extFields":{"a":"w","a":"x","b":"2"},"flag":2,"language":"CPP","opaque":-7,"remark":"r","version":513,"code":310}`},
		{"a comma too many", `{"code":310,"extFields":{"a":"x","b":"2",},"flag":2,"language":"CPP","opaque":-7,"remark":"r","version":513,}`},
	}
	for _, test := range tests {
		var c Command
		if err := DecodeFrame(jsonFrame(test.header, "body"), &c); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if c.Code != 310 || c.Flag != 2 || c.Language != protocol.LanguageCPP || c.Opaque != -7 || c.Remark != "r" || c.Version != 513 ||
			c.Fields.Text("a") != "x" || c.Fields.Text("b") != "2" || string(c.Body) != "body" {
			t.Errorf("%s: %+v", test.name, c)
		}
		if _, ok := c.Fields.Get("z"); ok {
			t.Errorf("%s: a null field is there", test.name)
		}
	}
}

func TestJSONNulls(t *testing.T) {
	var c Command
	if err := DecodeFrame(jsonFrame(`{"code":null,"extFields":null,"flag":null,"language":null,"opaque":null,"remark":null,"version":null}`, ""), &c); err != nil {
		t.Fatal(err)
	}
	if c.Code != 0 || c.Fields.Len() != 0 || c.Language != protocol.LanguageOther || c.Remark != "" {
		t.Errorf("%+v", c)
	}
}

func TestJSONValues(t *testing.T) {
	tests := []struct{ written, want string }{
		{`""`, ""},
		{`"plain"`, "plain"},
		{`"KEYS\u0001k\u0002TAGS\u0001t\u0002"`, "KEYS\x01k\x02TAGS\x01t\x02"},
		{`"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{`"\v\0\7\x41\'"`, "\v\x00\x07A'"},
		{`"\u00e9\u4e0a\uD83D\uDE00"`, "é上😀"},
		{`"上海"`, "上海"},
		{`"\uD83D"`, "\uFFFD"},
		{`"\uD83Dx"`, "\uFFFDx"},
		{`"\uDE00\uD83D"`, "\uFFFD\uFFFD"},
		{`"\u007f\u0080"`, "\u007f\u0080"},
		{`12`, "12"},
		{`-1.5e3`, "-1.5e3"},
		{`true`, "true"},
		{`{"a":[1,"}"]}`, `{"a":[1,"}"]}`},
		{`[]`, `[]`},
	}
	for _, test := range tests {
		for _, space := range []string{"", " "} { // the second takes the long way
			var c Command
			if err := DecodeFrame(jsonFrame(`{"extFields":{"a":`+space+test.written+`,"z":"end"}}`, ""), &c); err != nil {
				t.Errorf("%s: %v", test.written, err)
				continue
			}
			if v, ok := c.Fields.Get("a"); !ok || string(v) != test.want || c.Fields.Text("z") != "end" {
				t.Errorf("%s is read as %q", test.written, v)
			}
		}
	}
}

func TestJSONTextRoundTrip(t *testing.T) {
	all := make([]byte, 0, 256)
	for i := range 128 {
		all = append(all, byte(i))
	}
	for _, text := range []string{"", "plain", string(all), "é上😀\u2028", strings.Repeat("\x01\x02\"", 100)} {
		c := NewRequest(protocol.HeartBeat)
		c.Fields.Add(text, text)
		c.Remark = text
		b, err := c.AppendFrame(nil)
		if err != nil {
			t.Fatal(err)
		}
		var d Command
		if err := DecodeFrame(b, &d); err != nil {
			t.Fatal(err)
		}
		if got := d.Fields.Text(text); got != text || d.Remark != text {
			t.Errorf("%q came back as %q and %q", text, got, d.Remark)
		}
	}
	c := NewRequest(protocol.HeartBeat)
	c.Fields.Add("bad", "a\xffb\xc3")
	b, _ := c.AppendFrame(nil)
	var d Command
	if err := DecodeFrame(b, &d); err != nil || d.Fields.Text("bad") != "a\uFFFDb\uFFFD" {
		t.Errorf("bytes that are no UTF-8 became %q, %v", d.Fields.Text("bad"), err)
	}
}

func TestBadFrames(t *testing.T) {
	good := jsonFrame(`{"code":1}`, "")
	with := func(at int, v uint32) []byte {
		b := append([]byte(nil), good...)
		binary.BigEndian.PutUint32(b[at:], v)
		return b
	}
	binaryFrame := func(change func(h []byte) []byte) []byte {
		c := NewRequest(protocol.HeartBeat)
		c.Serialize = SerializeRocketMQ
		c.Remark = "re"
		c.Fields.Add("name", "value")
		b, err := c.AppendFrame(nil)
		if err != nil {
			t.Fatal(err)
		}
		h := change(b[framePrefix:])
		out := binary.BigEndian.AppendUint32(nil, uint32(4+len(h)))
		out = binary.BigEndian.AppendUint32(out, 1<<24|uint32(len(h)))
		return append(out, h...)
	}
	put := func(at int, v uint32) func(h []byte) []byte {
		return func(h []byte) []byte { binary.BigEndian.PutUint32(h[at:], v); return h }
	}
	tests := []struct {
		name  string
		frame []byte
		want  string
	}{
		{"nothing", nil, "there are 0"},
		{"cut", good[:10], "there are 10"},
		{"too much", append(append([]byte(nil), good...), 0), "there are"},
		{"length 0", with(0, 0), "leaves no header"},
		{"length 3", with(0, 3), "leaves no header"},
		{"length negative", with(0, 0xFFFFFFFF), "over the limit"},
		{"length over the limit", with(0, FrameMax-3), "over the limit"},
		{"TLS", []byte("\x16\x03\x01\x02\x00\x01\x00"), "TLS"},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), "HTTP"},
		{"PROXY v1", []byte("PROXY TCP4 "), "PROXY"},
		{"PROXY v2", []byte("\r\n\r\n\x00\r\nQUIT\n"), "PROXY"},
		{"serialize type 2", with(4, 2<<24|10), "serialize type 2"},
		{"header longer than the frame", with(4, 11), "header of 11 bytes"},
		{"header over the limit", jsonFrame(`{"remark":"`+strings.Repeat("x", headerMax)+`"}`, ""), "over the limit"},
		{"header empty", with(4, 0), "no { where one is due"},
		{"header no object", jsonFrame(`[1]`, ""), "no { where"},
		{"object cut", jsonFrame(`{"code":1`, ""), "no , or }"},
		{"text cut", jsonFrame(`{"code`, ""), "without end"},
		{"field text cut", jsonFrame(`{"extFields":{"a":"b`, ""), "without end"},
		{"escape cut", jsonFrame(`{"extFields":{"a":"\`, ""), "bad escape"},
		{"escape bad", jsonFrame(`{"extFields":{"a":"\q"}}`, ""), "bad escape"},
		{"escape bad hex", jsonFrame(`{"extFields":{"a":"\u00g0"}}`, ""), "bad escape"},
		{"no colon", jsonFrame(`{"code" 1}`, ""), "no : where"},
		{"no value", jsonFrame(`{"code":}`, ""), "no value"},
		{"name without quotes", jsonFrame(`{code:1}`, ""), "no member name"},
		{"two values", jsonFrame(`{"code":1 2}`, ""), "no , or }"},
		{"something behind", jsonFrame(`{"code":1}x`, ""), "something follows"},
		{"control character", jsonFrame("{\x01\"code\":1}", ""), "no member name"},
		{"code too large", jsonFrame(`{"code":2147483648}`, ""), "not a 32 bit number"},
		{"code no number", jsonFrame(`{"code":"x"}`, ""), "not a 32 bit number"},
		{"fields no object", jsonFrame(`{"extFields":[]}`, ""), "no { where"},
		{"nested too deep", jsonFrame(`{"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`, ""), "too deep"},
		{"nested without end", jsonFrame(`{"x":[`, ""), "without end"},
		{"nested text without end", jsonFrame(`{"x":["`, ""), "without end"},
		{"nested text ends in an escape", jsonFrame(`{"x":["\`, ""), "without end"},
		{"too many fields", jsonFrame(`{"extFields":{`+strings.Repeat(`"a":"",`, fieldsMax)+`"a":""}}`, ""), "too many ext fields"},
		{"binary short", binaryFrame(func(h []byte) []byte { return h[:20] }), "header of 20 bytes"},
		{"binary remark negative", binaryFrame(put(13, 0xFFFFFFFF)), "remark of -1"},
		{"binary remark too long", binaryFrame(put(13, 100)), "remark of 100"},
		{"binary fields too long", binaryFrame(put(19, 100)), "100 bytes of fields"},
		{"binary fields too short", binaryFrame(put(19, 3)), "3 bytes of fields"},
		{"binary name too long", binaryFrame(func(h []byte) []byte { h[23], h[24] = 0x7f, 0xff; return h }), "name of 32767"},
		{"binary name negative", binaryFrame(func(h []byte) []byte { h[23], h[24] = 0xff, 0xff; return h }), "name of 65535"},
		{"binary value too long", binaryFrame(put(29, 6)), "value of 6"},
		{"binary value negative", binaryFrame(put(29, 0xFFFFFFFE)), "value of -2"},
		{"binary field cut", binaryFrame(func(h []byte) []byte {
			h = append(h, 0)
			binary.BigEndian.PutUint32(h[19:], uint32(len(h)-23))
			return h
		}), "cut short"},
	}
	for _, test := range tests {
		var c Command
		err := DecodeFrame(test.frame, &c)
		var f *FrameError
		if !errors.As(err, &f) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestAppendFrameLimits(t *testing.T) {
	tests := []struct {
		name string
		cmd  *Command
	}{
		{"body", &Command{Body: make([]byte, FrameMax)}},
		{"segments", &Command{Segments: [][]byte{make([]byte, FrameMax/2), make([]byte, FrameMax/2)}}},
		{"header", &Command{Remark: strings.Repeat("x", headerMax)}},
		{"binary name", func() *Command {
			c := &Command{Serialize: SerializeRocketMQ}
			c.Fields.Add(strings.Repeat("x", 1<<15), "")
			return c
		}()},
		{"serialize type", &Command{Serialize: 9}},
	}
	for _, test := range tests {
		dst := []byte("kept")
		got, err := test.cmd.AppendFrame(dst)
		if err == nil || string(got) != "kept" {
			t.Errorf("%s: %v, %d bytes", test.name, err, len(got))
		}
	}
}

// TestBinaryCode shows what becomes of a code beyond 16 bits in a ROCKETMQ header, as a Java broker sees it.
func TestBinaryCode(t *testing.T) {
	for code, want := range map[int32]int32{int32(protocol.PopMessage): 3442, 310: 310, int32(protocol.RPCUnknown): -1000} {
		c := Command{Code: code, Serialize: SerializeRocketMQ}
		b, err := c.AppendFrame(nil)
		if err != nil {
			t.Fatal(err)
		}
		var d Command
		if err := DecodeFrame(b, &d); err != nil || d.Code != want {
			t.Errorf("code %d arrives as %d, %v", code, d.Code, err)
		}
	}
}

func TestClone(t *testing.T) {
	frame := sendFrame(SerializeJSON, 100)
	var c Command
	if err := DecodeFrame(frame, &c); err != nil {
		t.Fatal(err)
	}
	c.Segments = [][]byte{[]byte("seg"), []byte("ments")}
	d := c.Clone()
	want, _ := c.AppendFrame(nil)
	clear(frame)
	clear(c.Fields.buf)
	got, err := d.AppendFrame(nil)
	if err != nil || string(got) != string(want) || len(d.Segments) != 0 {
		t.Errorf("a clone changed with its origin:\n%q\n%q %v", got, want, err)
	}
}

func TestFields(t *testing.T) {
	var f Fields
	f.Add("s", "text")
	f.AddBytes("b", []byte("bytes"))
	f.AddInt("i", -12)
	f.AddBool("t", true)
	f.Add("s", "later")
	if f.Len() != 5 || f.Text("s") != "later" || f.Text("b") != "bytes" || !f.Bool("t") || f.Bool("i") || f.Text("none") != "" {
		t.Errorf("fields %+v", f)
	}
	if i, ok := f.Int64("i"); !ok || i != -12 {
		t.Errorf("i is %d, %v", i, ok)
	}
	if _, ok := f.Int64("s"); ok {
		t.Error("a text is a number")
	}
	if _, ok := f.Int64("none"); ok {
		t.Error("nothing is a number")
	}
	f.Reset()
	if f.Len() != 0 {
		t.Error("fields after a reset")
	}
}

// TestCodecAllocs holds the codec to its promise: nothing is allocated for a request and its response in the steady state.
func TestCodecAllocs(t *testing.T) {
	if invariants.Enabled {
		t.Skip("the race detector has pools drop what they are given")
	}
	for _, s := range []SerializeType{SerializeJSON, SerializeRocketMQ} {
		frame := sendFrame(s, 1024)
		var c Command
		var dst []byte
		n := testing.AllocsPerRun(200, func() {
			if err := DecodeFrame(frame, &c); err != nil {
				t.Fatal(err)
			}
			resp := sendResponse()
			resp.Serialize = s
			dst, _ = resp.AppendFrame(dst[:0])
			resp.recycle()
		})
		if n >= 1 { // the pool loses a command to the garbage collector now and then
			t.Errorf("serialize=%s: %v allocations", serializeNames[s], n)
		}
	}
}
