package load

import (
	"bytes"
	"testing"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// TestSendIsWhatItSays reads a patched frame with the real decoders.
func TestSendIsWhatItSays(t *testing.T) {
	template := newSendTemplate("BenchLoad", 1024, false)
	keys := map[string]bool{}
	for _, test := range []struct {
		opaque, queue int
		conn, n       uint64
		millis        int64
	}{
		{opaqueFirst, 0, 0, 0, 1_700_000_000_123},
		{opaqueFirst + opaqueCount - 1, 9, 3, 1<<40 - 1, 1_999_999_999_999},
		{opaqueFirst + 7, 3, 0, 1<<40 - 1, 1_700_000_000_000},
	} {
		frame := template.append(nil, test.opaque, test.queue, test.conn, test.n, test.millis)
		var c remoting.Command
		if err := remoting.DecodeFrame(frame, &c); err != nil {
			t.Fatal(err)
		}
		var h protocol.SendMessageRequestHeader
		if err := h.DecodeV2(&c.Fields); err != nil {
			t.Fatal(err)
		}
		if c.RequestCode() != protocol.SendMessageV2 || int(c.Opaque) != test.opaque || len(c.Body) != 1024 ||
			string(h.Topic) != "BenchLoad" || int(h.QueueID) != test.queue || h.BornTimestamp != test.millis {
			t.Errorf("%+v: code %d opaque %d body %d header %+v", test, c.Code, c.Opaque, len(c.Body), h)
		}
		p := message.Properties(h.Properties)
		for _, name := range []string{message.PropertyKeys, message.PropertyUniqueKey} {
			value, ok := p.Get(name)
			if !ok || keys[string(value)] {
				t.Errorf("%+v: property %s is %q, made before or missing", test, name, value)
			}
			keys[string(value)] = true
		}
		if unique, _ := p.Get(message.PropertyUniqueKey); len(unique) != 32 {
			t.Errorf("unique key %q has not the form of Java's", unique)
		}
	}
}

func TestPullIsWhatItSays(t *testing.T) {
	frame := newPullTemplate("BenchLoad", "TAG", "*").append(nil, opaqueFirst+5, 7, 123_456)
	var c remoting.Command
	if err := remoting.DecodeFrame(frame, &c); err != nil {
		t.Fatal(err)
	}
	var h protocol.PullMessageRequestHeader
	if err := h.Decode(&c.Fields); err != nil {
		t.Fatal(err)
	}
	if c.Opaque != opaqueFirst+5 || string(h.Topic) != "BenchLoad" || h.QueueID != 7 || h.QueueOffset != 123_456 {
		t.Errorf("opaque %d, header %+v", c.Opaque, h)
	}
}

func TestAnswerIsParsed(t *testing.T) {
	c := remoting.NewResponse(protocol.SystemBusy, "too busy")
	c.Opaque = opaqueFirst + 3
	c.Fields.AddInt("nextBeginOffset", 42)
	c.Body = []byte("body")
	frame, err := c.AppendFrame(nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := parseAnswer(frame)
	if err != nil {
		t.Fatal(err)
	}
	next, ok := number(a.header, nameNext)
	if a.code != int(protocol.SystemBusy) || a.opaque != opaqueFirst+3 || next != 42 || !ok || string(a.body) != "body" {
		t.Errorf("answer %+v, next %d", a, next)
	}
	if got := a.describe(); got != "code 2 too busy" {
		t.Errorf("described as %q", got)
	}
	if _, err := parseAnswer(frame[:20]); err == nil {
		t.Error("a cut answer is taken")
	}
}

func TestEachRecordGivesBodies(t *testing.T) {
	var bytesOfAll []byte
	for _, body := range []string{"first", "second"} {
		m := message.Message{Topic: "T", Body: []byte(body)}
		record := make([]byte, m.RecordSize())
		message.EncodeRecord(record, &m, message.BodyCRC(m.Body))
		bytesOfAll = append(bytesOfAll, record...)
	}
	var bodies [][]byte
	if n := eachRecord(bytesOfAll, func(r record) { bodies = append(bodies, r.body()) }); n != 2 {
		t.Fatalf("%d records", n)
	}
	if string(bytes.Join(bodies, []byte(" "))) != "first second" {
		t.Errorf("bodies %q", bodies)
	}
	if n := eachRecord(bytesOfAll[:len(bytesOfAll)-1], nil); n != 1 {
		t.Errorf("%d records in bytes that lack the last one's end", n)
	}
}
