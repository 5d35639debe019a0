package protocol

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// DataVersion tells one state of a broker's tables from another. Versions are equal when all three fields are.
type DataVersion struct {
	StateVersion int64 `json:"stateVersion"`
	Timestamp    int64 `json:"timestamp"` // ms
	Counter      int64 `json:"counter"`
}

// Next moves the version on, as every change of the table it belongs to must.
func (v *DataVersion) Next(stateVersion, nowMillis int64) {
	v.StateVersion = stateVersion
	v.Timestamp = nowMillis
	v.Counter++
}

// The values of TopicConfig.TopicFilterType.
const (
	FilterSingleTag = "SINGLE_TAG"
	FilterMultiTag  = "MULTI_TAG"
)

// TopicConfig is a topic as its broker configures it.
type TopicConfig struct {
	TopicName       string            `json:"topicName"`
	ReadQueueNums   int32             `json:"readQueueNums"`
	WriteQueueNums  int32             `json:"writeQueueNums"`
	Perm            int32             `json:"perm"`
	TopicFilterType string            `json:"topicFilterType"`
	TopicSysFlag    int32             `json:"topicSysFlag"`
	Order           bool              `json:"order"`
	Attributes      map[string]string `json:"attributes"`
}

// Text gives the form that the compressed registration body holds: `name readQ writeQ perm filterType attributes`,
// which lacks the system flag and the order flag.
func (t *TopicConfig) Text() (string, error) {
	attributes, err := MarshalJSON(t.Attributes)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d %d %d %s %s", t.TopicName, t.ReadQueueNums, t.WriteQueueNums, t.Perm, t.TopicFilterType, attributes), nil
}

// ParseTopicConfig reads what Text gives. Attributes that do not parse are dropped, as Java drops them: a space in one of
// them cuts the text short.
func ParseTopicConfig(text string) (TopicConfig, error) {
	parts := strings.Split(text, " ")
	if len(parts) < 5 || parts[0] == "" {
		return TopicConfig{}, fmt.Errorf("topic config %q has not the five parts it needs", clip(text))
	}
	t := TopicConfig{TopicName: parts[0], TopicFilterType: parts[4]}
	for i, field := range []*int32{&t.ReadQueueNums, &t.WriteQueueNums, &t.Perm} {
		n, err := strconv.ParseInt(parts[1+i], 10, 32)
		if err != nil {
			return TopicConfig{}, fmt.Errorf("topic config of %s: %w", clip(t.TopicName), err)
		}
		*field = int32(n)
	}
	if len(parts) > 5 {
		if err := UnmarshalJSON([]byte(parts[5]), &t.Attributes); err != nil {
			t.Attributes = nil
		}
	}
	return t, nil
}

// TopicConfigSerializeWrapper is a broker's table of topics: the shape of topics.json and of old brokers' registrations.
type TopicConfigSerializeWrapper struct {
	TopicConfigTable map[string]TopicConfig `json:"topicConfigTable"`
	DataVersion      DataVersion            `json:"dataVersion"`
}

// TopicConfigAndMappingSerializeWrapper is a table of topics with the static ones' mappings.
type TopicConfigAndMappingSerializeWrapper struct {
	TopicConfigSerializeWrapper
	TopicQueueMappingInfoMap   map[string]TopicQueueMappingInfo   `json:"topicQueueMappingInfoMap"`
	TopicQueueMappingDetailMap map[string]TopicQueueMappingDetail `json:"topicQueueMappingDetailMap"`
	MappingDataVersion         DataVersion                        `json:"mappingDataVersion"`
}

// RegisterBrokerBody is the body of REGISTER_BROKER.
type RegisterBrokerBody struct {
	TopicConfigSerializeWrapper TopicConfigAndMappingSerializeWrapper `json:"topicConfigSerializeWrapper"`
	FilterServerList            []string                              `json:"filterServerList"` // nil: the broker says nothing of them
}

// RegisterBrokerResult is what a broker learns by registering.
type RegisterBrokerResult struct {
	HAServerAddr string // of the master, for a slave
	MasterAddr   string
	KVTable      KVTable // the ordered topics
}

// BodyCRC32 is the checksum of a registration body as its header carries it: CRC-32 without the sign bit.
func BodyCRC32(body []byte) int32 {
	return int32(crc32.ChecksumIEEE(body) & 0x7FFFFFFF)
}

// registerBodyMax bounds what a compressed body may swell to.
const registerBodyMax = jsonSizeMax

// Encode gives the body as JSON, or compressed:
//
//	zlib stream of
//	  int32 length, DataVersion as JSON
//	  int32 topics, each: int32 length, TopicConfig as Text gives it
//	  int32 length, list of filter servers as JSON
//	  int32 mappings, each: int32 length, TopicQueueMappingInfo as JSON     (version 5.0.0 and later)
//
// Java 5.x never says in the header that it compressed and so never compresses; brokers of 4.x do.
func (b *RegisterBrokerBody) Encode(compressed bool) ([]byte, error) {
	if !compressed {
		return MarshalJSON(b)
	}
	w := registerWriter{}
	w.json(b.TopicConfigSerializeWrapper.DataVersion)
	topics := b.TopicConfigSerializeWrapper.TopicConfigTable
	w.int32(len(topics))
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		topic := topics[name]
		text, err := topic.Text()
		w.note(err)
		w.bytes([]byte(text))
	}
	w.json(b.FilterServerList)
	mappings := b.TopicConfigSerializeWrapper.TopicQueueMappingInfoMap
	w.int32(len(mappings))
	for _, name := range slices.Sorted(maps.Keys(mappings)) {
		w.json(mappings[name])
	}
	if w.err != nil {
		return nil, w.err
	}
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	if _, err := z.Write(w.plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// registerWriter builds the plain text of a compressed body and remembers the first error.
type registerWriter struct {
	plain []byte
	err   error
}

func (w *registerWriter) note(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *registerWriter) int32(n int) {
	w.plain = binary.BigEndian.AppendUint32(w.plain, uint32(n))
}

func (w *registerWriter) bytes(b []byte) {
	w.int32(len(b))
	w.plain = append(w.plain, b...)
}

func (w *registerWriter) json(v any) {
	text, err := MarshalJSON(v)
	w.note(err)
	w.bytes(text)
}

// DecodeRegisterBrokerBody reads the body of a registration, compressed or not as its header says. The version is the one
// in the broker's request: before 3.0.11 the body is a bare table of topics, from 5.0.0 on a compressed one ends with the
// static topics' mappings. A body of no bytes is a broker without topics at data version zero.
func DecodeRegisterBrokerBody(data []byte, compressed bool, version int32) (*RegisterBrokerBody, error) {
	body := new(RegisterBrokerBody)
	wrapper := &body.TopicConfigSerializeWrapper
	var err error
	switch {
	case len(data) == 0:
	case version < Version3_0_11:
		err = UnmarshalJSON(data, &wrapper.TopicConfigSerializeWrapper)
	case compressed:
		err = body.decompress(data, version)
	default:
		err = UnmarshalJSON(data, body)
	}
	if err != nil {
		return nil, fmt.Errorf("registration body: %w", err)
	}
	if body.FilterServerList == nil && version >= Version3_0_11 {
		body.FilterServerList = []string{}
	}
	wrapper.nameTopics()
	return body, nil
}

// nameTopics gives topics without a name of their own the one that they are filed under.
func (w *TopicConfigSerializeWrapper) nameTopics() {
	for name, topic := range w.TopicConfigTable {
		if topic.TopicName == "" {
			topic.TopicName = name
			w.TopicConfigTable[name] = topic
		}
	}
}

func (b *RegisterBrokerBody) decompress(data []byte, version int32) error {
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	r := registerReader{in: io.LimitedReader{R: z, N: registerBodyMax}}
	wrapper := &b.TopicConfigSerializeWrapper
	r.json(&wrapper.DataVersion)
	wrapper.TopicConfigTable = make(map[string]TopicConfig)
	for range r.count() {
		topic, err := ParseTopicConfig(string(r.bytes()))
		if r.note(err); r.err != nil {
			return r.err
		}
		wrapper.TopicConfigTable[topic.TopicName] = topic
	}
	r.json(&b.FilterServerList)
	if version >= Version5_0_0 {
		wrapper.TopicQueueMappingInfoMap = make(map[string]TopicQueueMappingInfo)
		for range r.count() {
			var mapping TopicQueueMappingInfo
			if r.json(&mapping); r.err != nil {
				return r.err
			}
			wrapper.TopicQueueMappingInfoMap[mapping.Topic] = mapping
		}
	}
	return r.err
}

// registerReader takes the parts of a compressed body. What it returns is only as long as the stream really is, whatever
// the lengths in it claim, and after the first error everything is empty.
type registerReader struct {
	in  io.LimitedReader
	buf bytes.Buffer
	err error
}

func (r *registerReader) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *registerReader) count() int {
	b := r.take(4)
	if r.err != nil {
		return 0
	}
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 || int64(n) > r.in.N {
		r.err = fmt.Errorf("length %d is beyond the body", n)
		return 0
	}
	return int(n)
}

func (r *registerReader) bytes() []byte {
	return r.take(r.count())
}

// take gives the next n bytes, valid until the next call.
func (r *registerReader) take(n int) []byte {
	r.buf.Reset()
	if r.err != nil {
		return nil
	}
	if _, err := io.CopyN(&r.buf, &r.in, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		r.err = err
		return nil
	}
	return r.buf.Bytes()
}

func (r *registerReader) json(v any) {
	if text := r.bytes(); r.err == nil {
		r.err = UnmarshalJSON(text, v)
	}
}
