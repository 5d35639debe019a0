package protocol

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestParseInt(t *testing.T) {
	tests := []struct {
		text string
		bits int
		want int64
		ok   bool
	}{
		{"0", 32, 0, true},
		{"-1", 32, -1, true},
		{"+7", 32, 7, true},
		{"007", 32, 7, true},
		{"2147483647", 32, math.MaxInt32, true},
		{"2147483648", 32, 0, false},
		{"-2147483648", 32, math.MinInt32, true},
		{"-2147483649", 32, 0, false},
		{"9223372036854775807", 64, math.MaxInt64, true},
		{"9223372036854775808", 64, 0, false},
		{"-9223372036854775808", 64, math.MinInt64, true},
		{"-9223372036854775809", 64, 0, false},
		{"18446744073709551615", 64, 0, false},
		{"99999999999999999999", 64, 0, false},
		{"", 64, 0, false},
		{"-", 64, 0, false},
		{" 1", 64, 0, false},
		{"1.0", 64, 0, false},
		{"1e3", 64, 0, false},
		{"0x1", 64, 0, false},
	}
	for _, test := range tests {
		got, ok := parseInt([]byte(test.text), test.bits)
		if got != test.want || ok != test.ok {
			t.Errorf("parseInt(%q, %d) = %d, %v; want %d, %v", test.text, test.bits, got, ok, test.want, test.ok)
		}
	}
}

func TestParseBool(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "TRUE": true, "True": true, "false": false, "": false, "1": false, "true ": false, "tru": false, "yes!": false} {
		if got := parseBool([]byte(text)); got != want {
			t.Errorf("parseBool(%q) = %v", text, got)
		}
	}
}

// TestHeaderErrors takes away each field of a good header in turn, and spoils it: the error names the field, or the header
// can do without it.
func TestHeaderErrors(t *testing.T) {
	send := map[string]string{"a": "g", "b": "t", "c": "TBW102", "d": "4", "e": "0", "f": "0", "g": "1", "h": "0", "i": "p", "j": "0", "k": "false", "l": "16", "m": "false", "n": "b"}
	pull := map[string]string{"consumerGroup": "g", "topic": "t", "queueId": "0", "queueOffset": "0", "maxMsgNums": "32", "sysFlag": "6", "commitOffset": "0",
		"suspendTimeoutMillis": "15000", "subVersion": "1", "subscription": "*", "expressionType": "TAG", "maxMsgBytes": "1024", "requestSource": "0", "bname": "b", "lo": "true"}
	query := map[string]string{"consumerGroup": "g", "topic": "t", "queueId": "0", "setZeroIfNotFound": "true"}
	tests := []struct {
		header   Header
		fields   map[string]string
		required string // names, with spaces around
		numbers  string
	}{
		{&sendV2{}, send, " a b c d e f g h ", " d e f g h j l "},
		{&PullMessageRequestHeader{}, pull, " consumerGroup topic queueId queueOffset maxMsgNums sysFlag commitOffset suspendTimeoutMillis subVersion ",
			" queueId queueOffset maxMsgNums sysFlag commitOffset suspendTimeoutMillis subVersion maxMsgBytes requestSource "},
		{&QueryConsumerOffsetRequestHeader{}, query, " consumerGroup topic queueId ", " queueId "},
	}
	for _, test := range tests {
		if err := test.header.Decode(fieldsOf(test.fields)); err != nil {
			t.Fatalf("%T: %v", test.header, err)
		}
		for name, good := range test.fields {
			delete(test.fields, name)
			err := test.header.Decode(fieldsOf(test.fields))
			if want := strings.Contains(test.required, " "+name+" "); (err != nil) != want || want && !names(err, name) {
				t.Errorf("%T without %s: %v", test.header, name, err)
			}
			test.fields[name] = "12a" + strings.Repeat("9", 100)
			err = test.header.Decode(fieldsOf(test.fields))
			if want := strings.Contains(test.numbers, " "+name+" "); (err != nil) != want || want && !names(err, name) {
				t.Errorf("%T with a bad %s: %v", test.header, name, err)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("%T with a bad %s: error of %d bytes", test.header, name, len(err.Error()))
			}
			test.fields[name] = good
		}
	}
}

// names says whether the error is about the field, by its long or short name.
func names(err error, field string) bool {
	var h *HeaderError
	if !errors.As(err, &h) {
		return false
	}
	if len(field) == 1 {
		return strings.Contains(h.Field, sendFields[field[0]-'a'])
	}
	return h.Field == field
}

func TestHeaderDefaults(t *testing.T) {
	var max GetMaxOffsetRequestHeader
	var reset ResetOffsetRequestHeader
	if err := max.Decode(fieldsOf(map[string]string{"topic": "t", "queueId": "1"})); err != nil || !max.Committed {
		t.Errorf("max offset %+v, %v", max, err)
	}
	if err := reset.Decode(fieldsOf(map[string]string{"topic": "t", "group": "g", "timestamp": "-1"})); err != nil || reset.QueueID != -1 || reset.Offset.Present {
		t.Errorf("reset offset %+v, %v", reset, err)
	}
	if v := reset.Offset.Or(7); v != 7 {
		t.Errorf("an absent value is %d", v)
	}
	if v := Some[int64](3).Or(7); v != 3 {
		t.Errorf("a present value is %d", v)
	}
}

func TestCodeNames(t *testing.T) {
	for code, name := range requestNames {
		if code.String() != name || name == strconv.Itoa(int(code)) {
			t.Errorf("request code %d is %s", int32(code), code)
		}
	}
	if s := RequestCode(9999).String(); s != "9999" {
		t.Errorf("unknown request code is %s", s)
	}
	if s := ResponseCode(9999).String(); s != "9999" {
		t.Errorf("unknown response code is %s", s)
	}
}

func TestLanguages(t *testing.T) {
	for l := LanguageJava; l.Known(); l++ {
		if ParseLanguage([]byte(l.String())) != l {
			t.Errorf("language %d is %s, and back %d", l, l, ParseLanguage([]byte(l.String())))
		}
	}
	if ParseLanguage([]byte("COBOL")) != LanguageOther || LanguageNodeJS != 13 || Language(200).Known() || Language(200).String() != "200" {
		t.Error("unknown languages")
	}
}

// TestSendHeaderAllocs holds the hot headers to their promise.
func TestSendHeaderAllocs(t *testing.T) {
	send := fieldSlices{{"a", "g"}, {"b", "t"}, {"c", "TBW102"}, {"d", "4"}, {"e", "0"}, {"f", "0"}, {"g", "1"}, {"h", "0"}, {"i", "p"}}
	pull := fieldSlices{{"consumerGroup", "g"}, {"topic", "t"}, {"queueId", "0"}, {"queueOffset", "0"}, {"maxMsgNums", "32"}, {"sysFlag", "6"},
		{"commitOffset", "0"}, {"suspendTimeoutMillis", "15000"}, {"subVersion", "1"}, {"subscription", "*"}}
	source := func(pairs fieldSlices) FieldSource {
		b := make(byteFields, len(pairs))
		for i, p := range pairs {
			b[i] = [2][]byte{[]byte(p[0]), []byte(p[1])}
		}
		return b
	}
	sendSource, pullSource := source(send), source(pull)
	var s SendMessageRequestHeader
	var p PullMessageRequestHeader
	if n := testing.AllocsPerRun(100, func() {
		if s.DecodeV2(sendSource) != nil || p.Decode(pullSource) != nil {
			t.Error("not decoded")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type fieldSlices [][2]string

// byteFields is a FieldSource that allocates nothing.
type byteFields [][2][]byte

func (b byteFields) Len() int                      { return len(b) }
func (b byteFields) At(i int) (name, value []byte) { return b[i][0], b[i][1] }
func (b byteFields) Get(name string) ([]byte, bool) {
	for _, f := range b {
		if string(f[0]) == name {
			return f[1], true
		}
	}
	return nil, false
}
