package protocol

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/internal/fuzzcheck"
)

// queueKey has the shape of Java's MessageQueue, the object that is used as a name on the wire.
type queueKey struct {
	BrokerName string `json:"brokerName"`
	QueueID    int32  `json:"queueId"`
	Topic      string `json:"topic"`
}

type inner struct {
	Same  string `json:"same"`
	Inner int32  `json:"inner"`
}

type everything struct {
	inner
	Text    string             `json:"text"`
	Number  int64              `json:"number"`
	Small   int8               `json:"small,omitempty"`
	Size    uint32             `json:"size"`
	Rate    float64            `json:"rate"`
	On      bool               `json:"on"`
	Same    string             `json:"same"`
	Maybe   *int32             `json:"maybe"`
	Raw     json.RawMessage    `json:"raw,omitempty"`
	Bits    []byte             `json:"bits,omitempty"`
	List    []string           `json:"list"`
	Pair    [2]int             `json:"pair"`
	Addrs   map[int64]string   `json:"addrs"`
	Offsets map[queueKey]int64 `json:"offsets"`
	Skipped chan int           `json:"-"`
	Any     any                `json:"any"`
	hidden  int
}

func TestUnmarshalJSON(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       everything
	}{
		{"strict", `{"text":"a","number":-5,"on":true,"rate":1.5}`, everything{Text: "a", Number: -5, On: true, Rate: 1.5}},
		{"bare integer names", `{"addrs":{0:"a:1",12:"b:2"}}`, everything{Addrs: map[int64]string{0: "a:1", 12: "b:2"}}},
		{"quoted integer names", `{"addrs":{"0":"a:1"}}`, everything{Addrs: map[int64]string{0: "a:1"}}},
		{"bare names", `{text:"a", number : 3}`, everything{Text: "a", Number: 3}},
		{"objects as names", `{"offsets":{{"brokerName":"b","queueId":2,"topic":"t"}:10,{"topic":"u"}:11}}`,
			everything{Offsets: map[queueKey]int64{{"b", 2, "t"}: 10, {Topic: "u"}: 11}}},
		{"objects as quoted names", `{"offsets":{"{\"topic\":\"t\"}":1}}`, everything{Offsets: map[queueKey]int64{{Topic: "t"}: 1}}},
		{"single quotes", `{'text':'it\'s "so"'}`, everything{Text: `it's "so"`}},
		{"commas anywhere", `{,,"text":"a",,"list":[,"x",,"y",],}`, everything{Text: "a", List: []string{"x", "y"}}},
		{"comments and byte order mark", "\xEF\xBB\xBF{/* c */\"text\"://x\n\"a\"}", everything{Text: "a"}},
		{"no number is null", `{"rate":NaN,"number":undefined,"text":null,"maybe":null}`, everything{}},
		{"infinities", `{"rate":-Infinity,"size":Infinity}`, everything{}},
		{"number as text", `{"text":12.50}`, everything{Text: "12.50"}},
		{"boolean as text", `{"text":true}`, everything{Text: "true"}},
		{"object as text", `{"text":{a:1}}`, everything{Text: `{"a":1}`}},
		{"array as text", `{"text":[1,'b']}`, everything{Text: `[1,"b"]`}},
		{"text as number", `{"number":"2598919","rate":" 2 ","size":""}`, everything{Number: 2598919, Rate: 2}},
		{"text as boolean", `{"on":"TRUE"}`, everything{On: true}},
		{"number as boolean", `{"on":1}`, everything{On: true}},
		{"boolean as number", `{"number":true}`, everything{Number: 1}},
		{"fraction cut", `{"number":7.9,"size":"0"}`, everything{Number: 7}},
		{"java literals", `{"number":12L,"rate":.5D,"size":007,"small":+3B}`, everything{Number: 12, Rate: .5, Size: 7, Small: 3}},
		{"trailing point", `{"rate":5.}`, everything{Rate: 5}},
		{"escapes", `{"text":"\u00fc\ud83d\ude00\x41\0\7\v\f\F\b\r\n\t\/\\"}`, everything{Text: "ü😀A\x00\x07\v\f\f\b\r\n\t/\\"}},
		{"lone surrogates", `{"text":"\ud83dx\ud83d\u0041"}`, everything{Text: "\uFFFDx\uFFFDA"}},
		{"line in string", "{\"text\":\"a\nb\"}", everything{Text: "a\nb"}},
		{"case of names", `{"TEXT":"a"}`, everything{Text: "a"}},
		{"last of equal names", `{"text":"a","text":"b"}`, everything{Text: "b"}},
		{"embedded and hidden", `{"inner":4,"same":"outer","hidden":3,"Skipped":1}`, everything{inner: inner{Inner: 4}, Same: "outer"}},
		{"raw is standard", `{"raw":{0:'a'}}`, everything{Raw: json.RawMessage(`{"0":"a"}`)}},
		{"bytes", `{"bits":"AQI="}`, everything{Bits: []byte{1, 2}}},
		{"any", `{"any":{1:[null,"a",2,true]}}`, everything{Any: map[string]any{"1": []any{nil, "a", json.Number("2"), true}}}},
		{"array", `{"pair":[4,5]}`, everything{Pair: [2]int{4, 5}}},
		{"pointer", `{"maybe":5}`, everything{Maybe: new(int32(5))}},
		{"unknown skipped", `{"x":{{"a":1}:[{"b":[]}]},"text":"a","y":[1,2,{}]}`, everything{Text: "a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got everything
			if err := UnmarshalJSON([]byte(c.text), &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestUnmarshalJSONErrors(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
	}{
		{"empty", ``, "expected a value"},
		{"blank", " \n", "expected a value"},
		{"cut object", `{"text":"a"`, "expected a comma"},
		{"cut name", `{"text`, "without an end"},
		{"cut string", `{"text":"a`, "without an end"},
		{"cut escape", `{"text":"a\`, "without an end"},
		{"cut hex", `{"text":"\u00`, "without an end"},
		{"bad hex", `{"text":"\u00zz"}`, "hexadecimal"},
		{"bad escape", `{"text":"\q"}`, "escape"},
		{"no colon", `{"text" "a"}`, "colon"},
		{"no comma", `{"text":"a" "b":1}`, "comma"},
		{"cut array", `{"list":["a"`, "comma"},
		{"two values", `{} {}`, "after the value"},
		{"zero byte behind", "{}\x00", "after the value"},
		{"bare value", `{"text":abc}`, "not a value"},
		{"bare any", `{"any":abc}`, "not a value"},
		{"bare skipped", `{"x":abc}`, "not a value"},
		{"bad number", `{"number":1-2}`, "not a value"},
		{"overflow", `{"small":300}`, "does not fit int8"},
		{"overflow of all", `{"number":99999999999999999999}`, "does not fit int64"},
		{"negative", `{"size":-1}`, "does not fit uint32"},
		{"word as number", `{"number":"abc"}`, "does not fit int64"},
		{"object as number", `{"number":{}}`, "does not fit int64"},
		{"array as map", `{"addrs":[]}`, "does not fit map"},
		{"name as number", `{"addrs":{"x":"a"}}`, "does not fit int64"},
		{"long array", `{"pair":[1,2,3]}`, "longer array"},
		{"no base64", `{"bits":"???"}`, "base64"},
		{"comment without end", `{/* `, "name"},
		{"deep", strings.Repeat("[", 200), "too deep"},
		{"deep skipped", `{"x":` + strings.Repeat(`{"a":`, 200), "too deep"},
		{"names nested in names", `{{{"a":1}:2}:3}`, "inside an object as a name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var target any = new(everything)
			if strings.HasPrefix(c.text, "[") {
				target = new(any)
			}
			err := UnmarshalJSON([]byte(c.text), target)
			var place *JSONError
			if !errors.As(err, &place) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a JSONError with %q", err, c.want)
			}
		})
	}
	if err := UnmarshalJSON([]byte("{}"), everything{}); err == nil {
		t.Error("no error for a target that is no pointer")
	}
}

func TestUnmarshalJSONBounds(t *testing.T) {
	var list []everything
	text := "[" + strings.Repeat("{},", jsonContainersMax+1) + "]"
	var discard struct{}
	if err := UnmarshalJSON([]byte(`{"x":`+text+`}`), &discard); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("many objects: got %v", err)
	}
	if err := UnmarshalJSON(make([]byte, jsonSizeMax+1), &list); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("large document: got %v", err)
	}
	if _, err := StandardJSON(make([]byte, jsonSizeMax+1)); err == nil {
		t.Error("large document: no error")
	}
}

func TestMarshalJSON(t *testing.T) {
	value := everything{
		inner: inner{Inner: 3}, Text: "a\"b\\\n\t\r\x01ü😀\u2028<", Number: -1, Rate: 2, Maybe: new(int32(0)), Bits: []byte{1},
		Addrs:   map[int64]string{10: "b", 9: "a", -1: "c"},
		Offsets: map[queueKey]int64{{"b", 1, "t"}: 5, {"a", 0, "t"}: 4},
		Any:     []any{nil, json.Number("12"), map[string]int{"k": 1}},
		Raw:     json.RawMessage(`{}`),
	}
	const want = `{"addrs":{-1:"c",9:"a",10:"b"},"any":[null,12,{"k":1}],"bits":"AQ==","inner":3,"list":[],"maybe":0,"number":-1,` +
		`"offsets":{{"brokerName":"a","queueId":0,"topic":"t"}:4,{"brokerName":"b","queueId":1,"topic":"t"}:5},"on":false,` +
		`"pair":[0,0],"rate":2.0,"raw":{},"same":"","size":0,"text":"a\"b\\\n\t\r\u0001ü😀\u2028<"}`
	got, err := MarshalJSON(&value)
	if err != nil || string(got) != want {
		t.Fatalf("got  %s %v\nwant %s", got, err, want)
	}
	var back everything
	if err := UnmarshalJSON(got, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Offsets, value.Offsets) || back.Text != value.Text || !reflect.DeepEqual(back.Addrs, value.Addrs) {
		t.Errorf("read back %+v", back)
	}

	if _, err := MarshalStandardJSON(&value); err == nil {
		t.Error("struct keys have a standard form")
	}
	value.Offsets = nil
	got, err = MarshalStandardJSON(&value)
	if err != nil || !json.Valid(got) {
		t.Fatalf("%s %v", got, err)
	}
	for _, part := range []string{`"addrs":{"-1":"c","9":"a","10":"b"}`, `\u00fc\ud83d\ude00\u2028<`, `"offsets":{}`} {
		if !strings.Contains(string(got), part) {
			t.Errorf("%s has no %s", got, part)
		}
	}
}

func TestMarshalJSONFloats(t *testing.T) {
	for f, want := range map[float64]string{0: "0.0", -2.5: "-2.5", 1e7: "1E+07", 1e-4: "1E-04", math.Inf(1): "null", 0.04999083501358084: "0.04999083501358084"} {
		if got, err := MarshalJSON(f); err != nil || string(got) != want {
			t.Errorf("%v: got %s %v, want %s", f, got, err, want)
		}
	}
}

func TestMarshalJSONErrors(t *testing.T) {
	type loop struct {
		Next *loop `json:"next"`
	}
	endless := new(loop)
	endless.Next = endless
	for name, v := range map[string]any{"cycle": endless, "channel": make(chan int), "float key": map[float64]int{1: 1}} {
		if got, err := MarshalJSON(v); err == nil {
			t.Errorf("%s: got %s and no error", name, got)
		}
	}
}

// FuzzUnmarshalJSON checks that any text either is refused or has a standard form, and that this form reads as the same.
func FuzzUnmarshalJSON(f *testing.F) {
	for _, seed := range []string{
		`{"offsetTable":{{"brokerName":"b","queueId":2,"topic":"t"}:{"maxOffset":10},}}`, `{0:"a",x:'b',"c":[,1,,NaN,]}`,
		`{"text":"\ud83d\ude00\x41\0","number":"12","rate":.5D,"bits":"AQI=","raw":{0:1}}`, `[{},{"a":null},-0.0e+5,true,undefined]`,
		"\xEF\xBB\xBF/*c*/{//x\n}", `{"addrs":{0:"a"},"pair":[1,2],"offsets":{"{}":1}}`, `"\u12`, `{{{}:1}:2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var shape everything
		fuzzcheck.Bounded(t, len(data), func() { _ = UnmarshalJSON(data, &shape) })
		standard, err := StandardJSON(data)
		var loose any
		if errLoose := UnmarshalJSON(data, &loose); (err == nil) != (errLoose == nil) {
			t.Fatalf("standard form: %v, but reading: %v", err, errLoose)
		}
		if err != nil {
			return
		}
		if !json.Valid(standard) {
			t.Fatalf("%q became %q", data, standard)
		}
		again, err := StandardJSON(standard)
		if err != nil || string(again) != string(standard) {
			t.Fatalf("%q became %q, then %q %v", data, standard, again, err)
		}
		written, err := MarshalJSON(loose)
		if err != nil {
			t.Fatal(err)
		}
		var back any
		if err := UnmarshalJSON(written, &back); err != nil {
			t.Fatalf("%q: %v", written, err)
		}
	})
}
