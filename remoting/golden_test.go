package remoting

import (
	"bytes"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// wholeFrames calls f with each golden frame that is not cut.
func wholeFrames(t *testing.T, f func(t *testing.T, run string, g *golden.Frame)) {
	t.Helper()
	n := 0
	for run, frames := range golden.AllFrames(t) {
		for i := range frames {
			if !frames[i].FrameTruncated {
				f(t, run, &frames[i])
				n++
			}
		}
	}
	if n < 3000 {
		t.Fatalf("only %d whole frames", n)
	}
}

// sameGolden says what differs between a command and what the recorder understood of its frame.
func sameGolden(c *Command, g *golden.Frame) string {
	switch {
	case c.Code != g.Code:
		return "code"
	case c.Opaque != g.Opaque:
		return "opaque"
	case c.Flag != g.Flag:
		return "flag"
	case c.Remark != text(g.Remark):
		return "remark"
	case c.Version != g.Version:
		return "version"
	case c.Language.String() != g.Language:
		return "language"
	case len(c.Body) != g.BodyLen:
		return "body length"
	}
	names := map[string]bool{}
	for i := range c.Fields.Len() {
		name, _ := c.Fields.At(i)
		names[string(name)] = true
	}
	if len(names) != len(g.Ext) { // not Fields.Len: a signing client in ROCKETMQ sends fields twice
		return "number of fields"
	}
	for name, want := range g.Ext {
		if c.Fields.Text(name) != want {
			return "field " + name
		}
	}
	return ""
}

func TestGoldenFrames(t *testing.T) {
	wholeFrames(t, func(t *testing.T, run string, g *golden.Frame) {
		var c, again Command
		if err := DecodeFrame(g.FrameBytes, &c); err != nil {
			t.Fatalf("%s %d/%d: %v", run, g.Conn, g.Seq, err)
		}
		if diff := sameGolden(&c, g); diff != "" {
			t.Fatalf("%s %d/%d: %s differs: %+v", run, g.Conn, g.Seq, diff, c)
		}
		frame, err := c.AppendFrame(nil)
		if err != nil {
			t.Fatalf("%s %d/%d: %v", run, g.Conn, g.Seq, err)
		}
		if c.Serialize == SerializeRocketMQ && !bytes.Equal(frame, g.FrameBytes) {
			t.Fatalf("%s %d/%d: encoded again:\n%q\n%q", run, g.Conn, g.Seq, frame, g.FrameBytes)
		}
		if err := DecodeFrame(frame, &again); err != nil {
			t.Fatalf("%s %d/%d: %v", run, g.Conn, g.Seq, err)
		}
		if diff := sameGolden(&again, g); diff != "" || !bytes.Equal(c.Body, again.Body) || c.Serialize != again.Serialize {
			t.Fatalf("%s %d/%d: %s differs when encoded again: %+v", run, g.Conn, g.Seq, diff, again)
		}
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// TestGoldenCodes holds the names of our codes against those of the recordings.
func TestGoldenCodes(t *testing.T) {
	wholeFrames(t, func(t *testing.T, run string, g *golden.Frame) {
		name := protocol.RequestCode(g.Code).String()
		if g.Kind == "response" {
			name = protocol.ResponseCode(g.Code).String()
		}
		if g.Name != name && g.Name != "?" {
			t.Fatalf("%s %d/%d: code %d is %s, not %s", run, g.Conn, g.Seq, g.Code, g.Name, name)
		}
	})
}
