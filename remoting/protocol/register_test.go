package protocol

import (
	"bytes"
	"compress/zlib"
	"reflect"
	"strings"
	"testing"
)

func sampleRegistration() *RegisterBrokerBody {
	body := new(RegisterBrokerBody)
	w := &body.TopicConfigSerializeWrapper
	w.DataVersion = DataVersion{StateVersion: 1, Timestamp: 1700000000000, Counter: 7}
	w.TopicConfigTable = map[string]TopicConfig{
		"TopicA":    {TopicName: "TopicA", ReadQueueNums: 4, WriteQueueNums: 8, Perm: 6, TopicFilterType: FilterSingleTag, Attributes: map[string]string{"message.type": "FIFO"}},
		"%RETRY%gü": {TopicName: "%RETRY%gü", ReadQueueNums: 1, WriteQueueNums: 1, Perm: 6, TopicFilterType: FilterMultiTag, Attributes: map[string]string{}},
	}
	w.TopicQueueMappingInfoMap = map[string]TopicQueueMappingInfo{
		"Static": {Topic: "Static", Scope: "__global__", TotalQueues: 2, Bname: "b", Epoch: 3, CurrIDMap: map[int32]int32{0: 1, 1: 0}},
	}
	body.FilterServerList = []string{"10.0.0.1:1"}
	return body
}

func TestRegisterBrokerBodyRoundTrip(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		want := sampleRegistration()
		if !compressed {
			want.TopicConfigSerializeWrapper.TopicQueueMappingDetailMap = map[string]TopicQueueMappingDetail{}
		}
		data, err := want.Encode(compressed)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRegisterBrokerBody(data, compressed, Version5_0_0)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("compressed=%v\ngot  %+v\nwant %+v", compressed, got, want)
		}
	}
}

func TestDecodeRegisterBrokerBodyOldForms(t *testing.T) {
	compressed, err := sampleRegistration().Encode(true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeRegisterBrokerBody(compressed, true, Version5_0_0-1)
	if err != nil || len(got.TopicConfigSerializeWrapper.TopicConfigTable) != 2 || got.TopicConfigSerializeWrapper.TopicQueueMappingInfoMap != nil {
		t.Errorf("4.x, compressed: got %+v %v", got, err)
	}
	got, err = DecodeRegisterBrokerBody([]byte(`{"dataVersion":{"counter":2},"topicConfigTable":{"T":{"perm":6}}}`), false, Version3_0_11-1)
	if err != nil || got.FilterServerList != nil || got.TopicConfigSerializeWrapper.TopicConfigTable["T"].TopicName != "T" ||
		got.TopicConfigSerializeWrapper.DataVersion.Counter != 2 {
		t.Errorf("before 3.0.11: got %+v %v", got, err)
	}
	got, err = DecodeRegisterBrokerBody(nil, false, Version5_0_0)
	if err != nil || got.TopicConfigSerializeWrapper.DataVersion != (DataVersion{}) {
		t.Errorf("no body: got %+v %v", got, err)
	}
}

func deflate(t testing.TB, plain []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDecodeRegisterBrokerBodyErrors(t *testing.T) {
	version := "\x00\x00\x00\x02{}"
	for name, data := range map[string][]byte{
		"no zlib":        []byte("garbage"),
		"empty stream":   deflate(t, nil),
		"negative":       deflate(t, []byte("\xff\xff\xff\xff")),
		"beyond":         deflate(t, []byte("\x7f\xff\xff\xff{}")),
		"cut version":    deflate(t, []byte("\x00\x00\x00\x09{}")),
		"bad version":    deflate(t, []byte("\x00\x00\x00\x02{]")),
		"cut topics":     deflate(t, []byte(version+"\x00\x00\x00\x02\x00\x00\x00\x01a")),
		"bad topic":      deflate(t, []byte(version+"\x00\x00\x00\x01\x00\x00\x00\x01a")),
		"bad topic perm": deflate(t, []byte(version+"\x00\x00\x00\x01\x00\x00\x00\x08a 1 1 x S")),
		"no filter":      deflate(t, []byte(version+"\x00\x00\x00\x00")),
		"no mappings":    deflate(t, []byte(version+"\x00\x00\x00\x00\x00\x00\x00\x02[]")),
		"bad mapping":    deflate(t, []byte(version+"\x00\x00\x00\x00\x00\x00\x00\x02[]\x00\x00\x00\x01\x00\x00\x00\x01{")),
		"cut stream":     deflate(t, []byte(strings.Repeat("a", 9999)))[:20],
	} {
		if got, err := DecodeRegisterBrokerBody(data, true, Version5_0_0); err == nil {
			t.Errorf("%s: got %+v and no error", name, got)
		}
	}
	if got, err := DecodeRegisterBrokerBody([]byte(`{`), false, Version5_0_0); err == nil {
		t.Errorf("cut JSON: got %+v and no error", got)
	}
}

func TestParseTopicConfig(t *testing.T) {
	got, err := ParseTopicConfig(`t 1 2 6 SINGLE_TAG {"a":"b c"}`)
	if err != nil || got.Attributes != nil || got.WriteQueueNums != 2 {
		t.Errorf("attributes with a space: got %+v %v", got, err)
	}
	if got, err = ParseTopicConfig(`t 1 2 6 SINGLE_TAG `); err != nil || got.TopicName != "t" {
		t.Errorf("4.x text: got %+v %v", got, err)
	}
}

func TestBodyCRC32(t *testing.T) {
	if got := BodyCRC32([]byte("123456789")); got != 0x4BF43926 { // CRC-32 is cbf43926
		t.Errorf("got %x", got)
	}
}

// FuzzDecodeRegisterBrokerBody checks that a body either is refused or can be written and read again.
func FuzzDecodeRegisterBrokerBody(f *testing.F) {
	for _, compressed := range []bool{false, true} {
		data, err := sampleRegistration().Encode(compressed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, compressed, int32(Version5_0_0))
		f.Add(data, compressed, int32(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, compressed bool, version int32) {
		body, err := DecodeRegisterBrokerBody(data, compressed, version)
		if err != nil {
			return
		}
		again, err := body.Encode(false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeRegisterBrokerBody(again, false, Version5_0_0); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
