package broker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// panics counts what is logged of handlers that panicked.
type panics struct {
	slog.Handler
	n    atomic.Int64
	last atomic.Pointer[string]
}

func (p *panics) Enabled(context.Context, slog.Level) bool { return true }

func (p *panics) Handle(_ context.Context, r slog.Record) error {
	if !strings.Contains(r.Message, "panicked") {
		return nil
	}
	var text strings.Builder
	r.Attrs(func(a slog.Attr) bool { text.WriteString(a.String() + "\n"); return true })
	said := text.String()
	p.last.Store(&said)
	p.n.Add(1)
	return nil
}

// Whatever a request says, it is answered, and nothing else suffers. The requests are recorded ones of every code, with
// fields and bodies damaged at random.
func TestDamagedRequests(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	log := &panics{Handler: slog.DiscardHandler}
	s := start(t, func(o *Options) { o.BrokerName, o.Logger = "golden-a", slog.New(log) })
	var all []golden.Frame
	for name, frames := range golden.AllFrames(t) {
		if !strings.Contains(name, "client-broker") {
			continue
		}
		for _, f := range frames {
			if f.Dir == "c2s" && f.Kind != "response" && !f.FrameTruncated && len(f.FrameBytes) < 4096 {
				all = append(all, f)
			}
		}
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, f := range all[:min(len(all), 1500)] {
		var c remoting.Command
		if err := remoting.DecodeFrame(f.FrameBytes, &c); err != nil {
			t.Fatal(err)
		}
		req := damaged(rnd, &c)
		if req.RequestCode() == protocol.GetConsumerRunningInfo || req.RequestCode() == protocol.ConsumeMessageDirectly ||
			req.RequestCode() == protocol.InvokeBrokerToGetConsumerStatus {
			continue // they would wait for a client that answers nothing
		}
		resp := s.send(s.client, req)
		if resp.Code == int32(protocol.SystemError) && strings.Contains(resp.Remark, "panicked") {
			t.Fatalf("code %d: %q", req.Code, resp.Remark)
		}
	}
	if log.n.Load() > 0 {
		t.Fatalf("%d handlers panicked, the last: %s", log.n.Load(), *log.last.Load())
	}
	s.put("orders", 0, "all is well")
}

// damaged is the request with some of its fields and its body changed.
func damaged(rnd *rand.Rand, c *remoting.Command) *remoting.Command {
	req := remoting.NewRequest(c.RequestCode())
	odd := []string{"", "-1", "9223372036854775807", "-9223372036854775808", "2147483648", "x", "true", "%RETRY%", strings.Repeat("y", 300), "\x01\x02", "ü"}
	for i := range c.Fields.Len() {
		name, value := c.Fields.At(i)
		switch {
		case string(name) == "suspendTimeoutMillis":
			value = []byte("1")
		case rnd.IntN(6) == 0:
			continue
		case rnd.IntN(4) == 0:
			value = []byte(odd[rnd.IntN(len(odd))])
		}
		req.Fields.AddBytes(string(name), value)
	}
	body := append([]byte(nil), c.Body...)
	for range rnd.IntN(4) {
		if len(body) > 0 {
			switch at := rnd.IntN(len(body)); rnd.IntN(3) {
			case 0:
				body[at] ^= 1 << rnd.IntN(8)
			case 1:
				body = body[:at]
			default:
				body = append(body[:at:at], body[max(0, at-20):]...)
			}
		}
	}
	req.Body = body
	return req
}

// The one pass over a send's properties sees what the rules of message.Properties see.
func FuzzPropertyFacts(f *testing.F) {
	for _, seed := range []string{"", "TAGS\x01A\x02UNIQ_KEY\x01u\x02", "DELAY\x013", "TRAN_MSG\x01true\x02", "CLUSTER\x01\x02", "\x01\x02\x02", "POP_CK\x01a\x02WAIT\x01b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p := message.Properties(data)
		var facts propertyFacts
		facts.scan(data)
		key, _ := p.Get(message.PropertyUniqueKey)
		if string(key) != string(facts.uniqueKey) {
			t.Errorf("unique key %q, want %q", facts.uniqueKey, key)
		}
		_, sec := p.Get(message.PropertyTimerDelaySeconds)
		_, ms := p.Get(message.PropertyTimerDelayMilliseconds)
		_, at := p.Get(message.PropertyTimerDeliverTime)
		if facts.timer != (sec || ms || at) {
			t.Errorf("timer %t", facts.timer)
		}
		for name := range p.All() {
			if reservedProperty(name) && !facts.reserved {
				t.Errorf("property %q is not seen to be reserved", name)
			}
		}
		d := sending{s: &sender{common: message.AppendProperty(nil, "CLUSTER", "c")}, facts: facts, header: protocol.SendMessageRequestHeader{Properties: data}}
		d.uniqueKey = append(d.uniqueKey, facts.uniqueKey...)
		d.setProperties()
		if cluster, _ := message.Properties(d.props).Get("CLUSTER"); string(cluster) != "c" {
			t.Errorf("stored %q: the cluster is %q", d.props, cluster)
		}
		for name, value := range p.All() {
			got, _ := message.Properties(d.props).Get(string(name))
			if want, _ := p.Get(string(name)); !reservedProperty(name) && string(got) != string(want) {
				t.Errorf("stored %q: property %q is %q, sent was %q", d.props, name, got, value)
			}
		}
	})
}
