package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// reviveMax is the longest that a message stays away behind its invisible
// time: Java's broker looks in rounds of some seconds.
const reviveMax = 40 * time.Second

// popper takes single steps of pop consumption for one group.
type popper struct {
	t        *testing.T
	agent    *harness.Agent
	producer string
	topic    string
	group    string
}

func newPopper(t *testing.T, a *harness.Agent, topic string) *popper {
	return &popper{t: t, agent: a, producer: producer(t, a, harness.Args{"queues": 1}), topic: topic, group: "C_" + topic}
}

func (p *popper) send(count int) []harness.Event {
	p.t.Helper()
	return send(p.t, p.agent, p.producer, harness.Args{"topic": p.topic, "name": "m", "count": count})
}

// step does a command and returns its last event and what came before.
func (p *popper) step(verb string, args harness.Args) (harness.Event, []harness.Event) {
	p.t.Helper()
	args["producer"], args["topic"], args["group"] = p.producer, p.topic, p.group
	s := do(p.t, p.agent, verb, args)
	done := await(p.t, s, "done", soon)
	return done, s.Events("got")
}

func (p *popper) pop(args harness.Args) []harness.Event {
	p.t.Helper()
	_, got := p.step("pop", args)
	return got
}

func (p *popper) ack(receipt string) {
	p.t.Helper()
	if done, _ := p.step("ack", harness.Args{"receipt": receipt}); done.Status != "OK" {
		p.t.Fatalf("ack of %s: %s", receipt, done.Status)
	}
}

// awaitPop pops until as many messages came, and returns them.
func (p *popper) awaitPop(n int, args harness.Args) (got []harness.Event) {
	p.t.Helper()
	for deadline := time.Now().Add(reviveMax); len(got) < n; {
		if time.Now().After(deadline) {
			p.t.Fatalf("%d messages came in %v, want %d", len(got), reviveMax, n)
		}
		args["poll"] = 1000
		got = append(got, p.pop(args)...)
	}
	return got
}

func receipt(e harness.Event) string { return e.Properties["POP_CK"] }

// popNames are the names of messages, sorted.
func popNames(events []harness.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.Name)
	}
	slices.Sort(list)
	return list
}

// TestPop takes the client's own steps: what is acknowledged is gone, what is
// put off comes at its time, the rest after its invisible time; each delivery
// is counted; a message that is given up goes to the dead letters.
func TestPop(t *testing.T) {
	t.Parallel()
	a := sharedAgent(t, java55)
	p := newPopper(t, a, word(t))
	sent := p.send(4)
	const invisible = 6000
	first := p.awaitPop(4, harness.Args{"invisible": invisible})
	began := time.Now()
	if got := p.pop(harness.Args{}); len(got) > 0 {
		t.Fatalf("popped %v again at once", popNames(got))
	}
	p.ack(receipt(first[0]))
	done, _ := p.step("postpone", harness.Args{"receipt": receipt(first[1]), "invisible": 1000})
	if done.Status != "OK" || done.Properties["POP_CK"] == receipt(first[1]) {
		t.Fatalf("put off: %s, receipt %q", done.Status, done.Properties["POP_CK"])
	}
	again := p.awaitPop(3, harness.Args{"invisible": invisible})
	if took := time.Since(began); took < (invisible-1000)*time.Millisecond {
		t.Errorf("all came again after %v", took)
	}
	want := popNames(first[1:])
	if got := popNames(again); !slices.Equal(got, want) {
		t.Fatalf("popped %v, want %v", got, want)
	}
	for _, e := range again {
		if e.Reconsume != 1 || e.Topic != p.topic {
			t.Errorf("%s came again as delivery %d of %s", e.Name, e.Reconsume, e.Topic)
		}
	}
	p.ack(receipt(first[2])) // too late, and no error
	p.ack(receipt(again[0]))
	p.ack(receipt(again[1]))
	third := p.awaitPop(1, harness.Args{"invisible": 60000})
	if third[0].Name != again[2].Name || third[0].Reconsume != 2 {
		t.Fatalf("popped %s as delivery %d, want %s", third[0].Name, third[0].Reconsume, again[2].Name)
	}
	origin := sent[slices.IndexFunc(sent, func(e harness.Event) bool { return e.Name == third[0].Name })]
	p.step("deadletter", harness.Args{"msgId": origin.OffsetMsgID, "phy": third[0].Phy})
	p.ack(receipt(third[0]))
	var dead []harness.Event
	awaitWindow(t, soon, func() bool { // the name server hears of the topic of dead letters a moment later
		s := do(t, a, "dump", harness.Args{"topic": "%DLQ%" + p.group})
		_ = s.Until(soon, func(e []harness.Event) bool {
			return len(e) > 0 && (e[len(e)-1].Event == "done" || e[len(e)-1].Event == "failed")
		})
		dead = s.Events("found")
		return len(dead) > 0
	}, func() string { return "no dead letter is found" })
	if len(dead) != 1 || dead[0].Name != third[0].Name {
		t.Errorf("dead letters: %v", popNames(dead))
	}
	if got := p.pop(harness.Args{"poll": 2000}); len(got) > 0 {
		t.Errorf("popped %v when all was done", popNames(got))
	}
}

// TestPopOrderly pops a queue in order: it gives out nothing past what is in
// hand, and begins again with the first that is not done.
func TestPopOrderly(t *testing.T) {
	t.Parallel()
	a := sharedAgent(t, java55)
	p := newPopper(t, a, word(t))
	sent := p.send(4)
	args := func(attempt string) harness.Args {
		return harness.Args{"orderly": true, "max": 2, "invisible": 5000, "attempt": attempt}
	}
	batch := p.awaitPop(2, args("one"))
	if batch[0].Name != sent[0].Name || batch[1].Name != sent[1].Name {
		t.Fatalf("popped %s and %s", batch[0].Name, batch[1].Name)
	}
	if got := p.pop(args("two")); len(got) > 0 {
		t.Fatalf("popped %v past what is in hand", popNames(got))
	}
	p.ack(receipt(batch[1]))
	if got := p.pop(args("three")); len(got) > 0 {
		t.Fatalf("popped %v past the first", popNames(got))
	}
	time.Sleep(5 * time.Second)
	batch = p.awaitPop(2, args("four"))
	if batch[0].Name != sent[0].Name || batch[0].Reconsume != 1 {
		t.Fatalf("popped %s as delivery %d, want %s again", batch[0].Name, batch[0].Reconsume, sent[0].Name)
	}
	for _, e := range batch {
		p.ack(receipt(e))
	}
	if rest := p.awaitPop(2, args("five")); rest[0].Name != sent[2].Name || rest[1].Name != sent[3].Name {
		t.Errorf("popped %v", popNames(rest))
	}
}

// TestPopPush has push consumers of a group that the broker tells to pop:
// each message once, and one that is refused comes again.
func TestPopPush(t *testing.T) {
	t.Parallel()
	for _, fail := range []string{"never", "once"} {
		t.Run("fail="+fail, func(t *testing.T) {
			t.Parallel()
			a := sharedAgent(t, java55)
			topic := word(t)
			count := map[string]int{"never": 400, "once": 8}[fail]
			p := producer(t, a, nil)
			sent := send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": count / 2})
			var runs []*harness.Stream
			for range 2 {
				s := do(t, a, "poppush", harness.Args{"producer": p, "topic": topic, "group": "C_" + topic, "fail": fail})
				await(t, s, "ready", soon)
				runs = append(runs, s)
			}
			sent = append(sent, send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": count - count/2, "first": count / 2})...)
			if fail == "never" {
				settle(t, sent, 0, runs...)
				return
			}
			awaitWindow(t, 2*reviveMax, func() bool {
				second := 0
				for _, e := range gather(runs...) {
					second += min(e.Reconsume, 1)
				}
				return second >= count
			}, func() string { return fmt.Sprint(len(gather(runs...)), " deliveries") })
			if got := gather(runs...); len(got) != 2*count {
				t.Errorf("%d deliveries of %d messages that were refused once each", len(got), count)
			}
		})
	}
}
