package load

import (
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// decoded reads a patched frame with the real decoders.
func decoded(t *testing.T, frame []byte, header interface {
	Decode(protocol.FieldSource) error
}) *remoting.Command {
	t.Helper()
	c := new(remoting.Command)
	if err := remoting.DecodeFrame(frame, c); err != nil {
		t.Fatal(err)
	}
	if err := header.Decode(&c.Fields); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEndTransactionIsWhatItSays(t *testing.T) {
	var h protocol.EndTransactionRequestHeader
	c := decoded(t, newEndTemplate("BenchLoad").append(nil, opaqueFirst+9, 3, 0xabcdef, 42, 1<<40), &h)
	if c.RequestCode() != protocol.EndTransaction || !c.IsOneway() || c.Opaque != opaqueFirst+9 || h.Topic != "BenchLoad" ||
		h.TranStateTableOffset != 42 || h.CommitLogOffset != 1<<40 || h.CommitOrRollback != sysFlagCommit {
		t.Errorf("code %d, opaque %d, header %+v", c.Code, c.Opaque, h)
	}
	// It names the message that the half message was.
	half := newTemplate("BenchLoad", 100, sysFlagHalf, propertiesHalf).append(nil, opaqueFirst, 0, 3, 0xabcdef, 1_700_000_000_000)
	var send remoting.Command
	if err := remoting.DecodeFrame(half, &send); err != nil {
		t.Fatal(err)
	}
	var sent protocol.SendMessageRequestHeader
	if err := sent.DecodeV2(&send.Fields); err != nil {
		t.Fatal(err)
	}
	unique, _ := message.Properties(sent.Properties).Get(message.PropertyUniqueKey)
	group, _ := message.Properties(sent.Properties).Get(message.PropertyProducerGroup)
	if sent.SysFlag != sysFlagHalf || string(unique) != h.MsgID || h.TransactionID != h.MsgID || string(group) != h.ProducerGroup {
		t.Errorf("flag %d, unique key %q, group %q; the end is of %q, %q of %q", sent.SysFlag, unique, group, h.MsgID, h.TransactionID, h.ProducerGroup)
	}
}

func TestAckIsWhatItSays(t *testing.T) {
	var h protocol.AckMessageRequestHeader
	r := receipt{start: 1234, popTime: 1_700_000_123_456, offset: 1240, queue: 5, revive: 7}
	c := decoded(t, newAckTemplate("BenchLoad").append(nil, opaqueFirst+1, r), &h)
	if c.RequestCode() != protocol.AckMessage || h.Topic != "BenchLoad" || h.QueueID != 5 || h.Offset != 1240 || h.ConsumerGroup != popGroup {
		t.Errorf("code %d, header %+v", c.Code, h)
	}
	var numbers []string
	for _, n := range strings.Fields(h.ExtraInfo) {
		if n = strings.TrimLeft(n, "0"); n == "" {
			n = "0"
		}
		numbers = append(numbers, n)
	}
	if got := strings.Join(numbers, " "); got != "1234 1700000123456 60000 7 0 broker-a 5 1240" {
		t.Errorf("receipt %q", h.ExtraInfo)
	}
}

func TestTimerIsWhatItSays(t *testing.T) {
	template, due := newTimerTemplate("BenchLoad", 100)
	frame := template.append(nil, opaqueFirst, 0, 0, 1, 1_700_000_000_000)
	putDecimal(frame[due:due+len(placeTime)], 1_800_000_000_123)
	var c remoting.Command
	if err := remoting.DecodeFrame(frame, &c); err != nil {
		t.Fatal(err)
	}
	var h protocol.SendMessageRequestHeader
	if err := h.DecodeV2(&c.Fields); err != nil {
		t.Fatal(err)
	}
	if at, _ := message.Properties(h.Properties).Get(message.PropertyTimerDeliverTime); string(at) != "1800000000123" {
		t.Errorf("due at %q", at)
	}
}

func TestStartsOfAPopAreRead(t *testing.T) {
	p := &popper{starts: make([]int64, 4)}
	if err := p.readStarts(`{"extFields":{"startOffsetInfo":"0 0 17;0 3 99","popTime":"1"}}`); err != nil {
		t.Fatal(err)
	}
	if p.starts[0] != 17 || p.starts[1] != -1 || p.starts[3] != 99 {
		t.Errorf("starts %v", p.starts)
	}
	for _, bad := range []string{`{}`, `{"startOffsetInfo":"0 9 1"}`, `{"startOffsetInfo":"0 x 1"}`} {
		if p.readStarts(bad) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
