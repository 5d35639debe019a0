package message

import (
	"fmt"
	"testing"
)

// The lists of light queues and offsets are read as Java's String.split leaves them; what Java's dispatch would not put
// into a queue is in none.
func TestLightQueuesOfARecord(t *testing.T) {
	for _, c := range []struct{ topic, names, offsets, want string }{
		{"T", "%LMQ%a", "7", "%LMQ%a=7 "},
		{"T", "%LMQ%a,%LMQ%b", "0,12", "%LMQ%a=0 %LMQ%b=12 "},
		{"T", "%LMQ%a,,", "7,,,", "%LMQ%a=7 "},
		{"T", "%LMQ%a,%LMQ%b", "7", ""},
		{"T", "%LMQ%a,plain,%LMQ%b", "7,,9", "%LMQ%a=7 %LMQ%b=9 "},
		{"T", "%LMQ%a/b,%LMQ%b", "7,8", "%LMQ%b=8 "},
		{"T", "%LMQ%a", "-1", ""},
		{"T", "%LMQ%a", "x", ""},
		{"T", "%LMQ%a", "", ""},
		{"T", "", "7", ""},
		{"%RETRY%g", "%LMQ%a", "7", ""},
		{"rmq_sys_x", "%LMQ%a", "7", ""},
		{ScheduleTopic, "%LMQ%a", "7", ""},
		{"%DLQ%g", "%LMQ%a", "7", "%LMQ%a=7 "}, // a Java broker puts it there
	} {
		p := AppendProperty(nil, PropertyMultiDispatch, c.names)
		p = AppendProperty(p, PropertyMultiQueueOffset, c.offsets)
		m := Message{Topic: c.topic, Body: []byte("b"), Properties: p, QueueOffset: 3}
		r := make(Record, m.RecordSize())
		EncodeRecord(r, &m, BodyCRC(m.Body))
		got := ""
		for name, off := range r.LightQueues() {
			got += fmt.Sprintf("%s=%d ", name, off)
			if r.OffsetIn(string(name)) != off {
				t.Errorf("%q: the offset in %s is %d", c, name, r.OffsetIn(string(name)))
			}
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c, got, c.want)
		}
		if off := r.OffsetIn(c.topic); off != 3 {
			t.Errorf("%q: its own offset is %d", c, off)
		}
	}
}
