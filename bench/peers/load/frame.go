package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

const (
	codeSend         = 310 // SEND_MESSAGE_V2
	codePull         = 11
	codeMaxOffset    = 30
	codeSuccess      = 0
	codePullNotFound = 19
	codeRetryAtOnce  = 20
	opaqueFirst      = 10_000_000 // eight digits, and JSON allows no leading zero
	opaqueCount      = 90_000_000
	frameHeaderSize  = 8
	placeOpaque      = "10000000"
	placeTime        = "1700000000000"
	// Keys have 4 digits of the connection, then, after a constant part in unique keys, 12 that count: like the keys of one
	// Java client, those of one connection differ in their last digits.
	placeKey           = "abcdefabcdefabcd"
	placeUnique        = "FEDC" + "2A139A55" + "ABCDEFABCDEF"
	digitsConn         = 4
	digitsCount        = 12
	placeQueue         = "7"
	placeOffset        = "1000000000000000000"
	offsetDigits       = len(placeOffset)
	sysFlagSuspend     = 2
	sysFlagSubscribe   = 4
	messagesPerPull    = 32
	suspendMillis      = 15_000
	bytesPerPullClient = 262_144
)

// field is one pair of extFields.
type field struct{ name, value string }

// encode makes a frame with a JSON header, as fastjson writes it for the Java client.
func encode(code int, fields []field, body []byte) []byte {
	return encodeFlagged(code, 0, fields, body)
}

// flagOneway is the flag of a request that is not to be answered.
const flagOneway = 2

func encodeFlagged(code, flag int, fields []field, body []byte) []byte {
	var h strings.Builder
	fmt.Fprintf(&h, `{"code":%d,"extFields":{`, code)
	for i, f := range fields {
		if i > 0 {
			h.WriteByte(',')
		}
		value := strings.NewReplacer("\x01", `\u0001`, "\x02", `\u0002`).Replace(f.value)
		fmt.Fprintf(&h, `"%s":"%s"`, f.name, value)
	}
	fmt.Fprintf(&h, `},"flag":%d,"language":"JAVA","opaque":%s,"serializeTypeCurrentRPC":"JSON","version":513}`, flag, placeOpaque)
	frame := binary.BigEndian.AppendUint32(nil, uint32(4+h.Len()+len(body)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(h.Len()))
	return append(append(frame, h.String()...), body...)
}

// sendTemplate is a send whose changing parts have known places.
type sendTemplate struct {
	frame                            []byte
	opaque, queue, time, key, unique int
	tag, level                       int // 0: the same for all
	body                             int
}

// Properties that differ from message to message, for pulls with a filter: one in a hundred has tagRare, and they are those
// with the highest level.
const (
	tagCommon   = "TagA"
	tagRare     = "TagB"
	placeLevel  = "00"
	levels      = 100
	filterTags  = tagRare
	filterSQL92 = "level > 98"
)

func newSendTemplate(topic string, bodySize int, varied bool) *sendTemplate {
	if !varied {
		return newTemplate(topic, bodySize, 0, "")
	}
	t := newTemplate(topic, bodySize, 0, "level\x01"+placeLevel+"\x02")
	t.tag, t.level = placeAfter(t.frame, `TAGS\u0001`), placeAfter(t.frame, `level\u0001`)
	return t
}

// newTemplate makes a send with a sysFlag, and properties besides keys and tag.
func newTemplate(topic string, bodySize, sysFlag int, more string) *sendTemplate {
	body := make([]byte, bodySize)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	properties := "KEYS\x01order-" + placeKey + "\x02UNIQ_KEY\x017F000001" + placeUnique +
		"\x02WAIT\x01true\x02TAGS\x01" + tagCommon + "\x02" + more
	frame := encode(codeSend, []field{
		{"a", "BenchProducer"}, {"b", topic}, {"c", "TBW102"}, {"d", "8"}, {"e", placeQueue}, {"f", strconv.Itoa(sysFlag)},
		{"g", placeTime}, {"h", "0"}, {"i", properties}, {"j", "0"}, {"k", "false"}, {"m", "false"},
		{"n", "broker-a"},
	}, body)
	return &sendTemplate{
		frame:  frame,
		opaque: placeAfter(frame, `"opaque":`),
		queue:  placeAfter(frame, `"e":"`),
		time:   place(frame, placeTime),
		key:    place(frame, placeKey),
		unique: place(frame, placeUnique),
		body:   len(frame) - bodySize,
	}
}

// append appends the n-th send of a connection; no two connections make the same keys.
func (t *sendTemplate) append(dst []byte, opaque, queue int, conn uint64, n uint64, millis int64) []byte {
	at := len(dst)
	dst = append(dst, t.frame...)
	f := dst[at:]
	putDecimal(f[t.opaque:t.opaque+len(placeOpaque)], int64(opaque))
	f[t.queue] = '0' + byte(queue)
	putDecimal(f[t.time:t.time+len(placeTime)], millis)
	putKey(f[t.key:t.key+len(placeKey)], conn, n)
	putKey(f[t.unique:t.unique+len(placeUnique)], conn, n)
	return dst
}

// vary gives a send that append made its level, and the tag that goes with it.
func (t *sendTemplate) vary(frame []byte, level int64) {
	putDecimal(frame[t.level:t.level+len(placeLevel)], level)
	if level == levels-1 {
		copy(frame[t.tag:], tagRare)
	}
}

func putKey(dst []byte, conn, n uint64) {
	putHex(dst[:digitsConn], conn)
	putHex(dst[len(dst)-digitsCount:], n)
}

// pullTemplate is a pull whose changing parts have known places.
type pullTemplate struct {
	frame                 []byte
	opaque, queue, offset int
}

func newPullTemplate(topic, kind, expression string) *pullTemplate {
	frame := encode(codePull, []field{
		{"queueId", placeQueue}, {"maxMsgBytes", strconv.Itoa(bytesPerPullClient)},
		{"maxMsgNums", strconv.Itoa(messagesPerPull)},
		{"sysFlag", strconv.Itoa(sysFlagSuspend | sysFlagSubscribe)},
		{"suspendTimeoutMillis", strconv.Itoa(suspendMillis)}, {"commitOffset", "0"}, {"bname", "broker-a"},
		{"topic", topic}, {"queueOffset", placeOffset}, {"expressionType", kind}, {"subVersion", "1"},
		{"subscription", expression}, {"consumerGroup", "BenchConsumer"},
	}, nil)
	return &pullTemplate{
		frame:  frame,
		opaque: placeAfter(frame, `"opaque":`),
		queue:  placeAfter(frame, `"queueId":"`),
		offset: place(frame, placeOffset),
	}
}

// append appends a pull. The offset keeps its leading zeros: Java and Go parse them, and the frame keeps
// its length.
func (t *pullTemplate) append(dst []byte, opaque, queue int, offset int64) []byte {
	at := len(dst)
	dst = append(dst, t.frame...)
	f := dst[at:]
	putDecimal(f[t.opaque:t.opaque+len(placeOpaque)], int64(opaque))
	f[t.queue] = '0' + byte(queue)
	putDecimal(f[t.offset:t.offset+offsetDigits], offset)
	return dst
}

func place(frame []byte, s string) int {
	at := bytes.Index(frame, []byte(s))
	if at < 0 {
		panic("load: template lacks " + s)
	}
	return at
}

func placeAfter(frame []byte, name string) int { return place(frame, name) + len(name) }

func putDecimal(dst []byte, v int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
}

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789ABCDEF"[v&15]
		v >>= 4
	}
}

// answer is what is looked at of a response.
type answer struct {
	code   int
	opaque int
	header []byte
	body   []byte
}

var (
	nameCode   = []byte(`"code":`)
	nameOpaque = []byte(`"opaque":`)
	nameNext   = []byte(`"nextBeginOffset":"`)
	nameOffset = []byte(`"offset":"`)
	nameRemark = []byte(`"remark":"`)
)

// parseAnswer takes apart a whole frame, its length word included. The frame's header must be JSON.
func parseAnswer(frame []byte) (answer, error) {
	word := binary.BigEndian.Uint32(frame[4:])
	size := int(word & 0xffffff)
	if word>>24 != 0 || frameHeaderSize+size > len(frame) {
		return answer{}, fmt.Errorf("answer of %d bytes with header word %#x", len(frame), word)
	}
	a := answer{header: frame[frameHeaderSize : frameHeaderSize+size], body: frame[frameHeaderSize+size:]}
	code, ok := number(a.header, nameCode)
	opaque, ok2 := number(a.header, nameOpaque)
	if !ok || !ok2 {
		return answer{}, fmt.Errorf("answer with header %q", a.header)
	}
	a.code, a.opaque = int(code), int(opaque)
	return a, nil
}

// number reads the decimal number after a name; the names looked for occur once in an answer.
func number(header, name []byte) (int64, bool) {
	at := bytes.Index(header, name)
	if at < 0 {
		return 0, false
	}
	digits := header[at+len(name):]
	negative := len(digits) > 0 && digits[0] == '-'
	if negative {
		digits = digits[1:]
	}
	v, n := int64(0), 0
	for n < len(digits) && digits[n] >= '0' && digits[n] <= '9' {
		v = v*10 + int64(digits[n]-'0')
		n++
	}
	if negative {
		v = -v
	}
	return v, n > 0
}

// describe says in a few words why a request was refused.
func (a answer) describe() string {
	remark := ""
	if at := bytes.Index(a.header, nameRemark); at >= 0 {
		remark = string(a.header[at+len(nameRemark):])
		remark, _, _ = strings.Cut(remark, `"`)
	}
	return fmt.Sprintf("code %d %s", a.code, remark)
}

// record is one stored message, as it comes in the body of an answer.
type record []byte

// The places of a record's fields.
const (
	recordQueueAt   = 12
	recordOffsetAt  = 20
	recordSysFlagAt = 36
	recordFixedSize = 84
	recordV6Bits    = 0x30
	recordV6Extra   = 12
)

func (r record) queue() int    { return int(binary.BigEndian.Uint32(r[recordQueueAt:])) }
func (r record) offset() int64 { return int64(binary.BigEndian.Uint64(r[recordOffsetAt:])) }

func (r record) body() []byte {
	at := recordFixedSize
	for flag := binary.BigEndian.Uint32(r[recordSysFlagAt:]) & recordV6Bits; flag != 0; flag &= flag - 1 {
		at += recordV6Extra
	}
	n := int(binary.BigEndian.Uint32(r[at:]))
	return r[at+4 : at+4+n]
}

// eachRecord walks the records in the body of an answer and calls fn with each.
func eachRecord(b []byte, fn func(record)) (count int) {
	for len(b) >= recordFixedSize+4 {
		size := int(binary.BigEndian.Uint32(b))
		if size < recordFixedSize || size > len(b) {
			break
		}
		if fn != nil {
			fn(b[:size])
		}
		b = b[size:]
		count++
	}
	return count
}
