package interop

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

var (
	soakFlag     = flag.Duration("soak", time.Minute, "how long TestSoak keeps up its traffic")
	soakKillFlag = flag.Duration("soak.kill", 25*time.Second, "how long the broker of TestSoak lives before it is killed; 0 is for ever")
)

// TestSoak has real clients do everything at a time while the broker is
// killed again and again. At the end every message is accounted for: what was
// acknowledged has come by each way of consuming that was to bring it, what
// was rolled back or recalled by none, nothing before its time, and what has
// an order in it; and the broker needs no more memory and goroutines than it
// did at first. Its long form is `make soak`.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	for _, lane := range soakLanes {
		lane(s)
	}
	s.live()
	s.settle()
}

// soak is the traffic under way, and the account of it.
type soak struct {
	t            *testing.T
	c            *harness.Cluster
	java, golang *harness.Agent
	producers    map[*harness.Agent]string

	sends  []*harness.Stream // all that go on until the end
	debts  []debt
	audits []audit

	ending chan struct{} // closed when no step is to begin any more
	steps  sync.WaitGroup

	kills []time.Time
	loads []load
}

// debt is what one way of consuming owes: the messages that it has to bring
// and has not brought.
type debt struct {
	who  string
	owed func() []string
}

// audit looks, when everything came, at what came.
type audit struct {
	what string
	ok   func() error
}

// load is what the broker takes.
type load struct {
	anonymous  int64 // bytes besides mapped files
	goroutines int
}

// soakSettings have a broker ask after transactions within seconds, and let
// kills fall near the ends of files as well.
var soakSettings = map[string]string{
	"mappedFileSizeCommitLog": fmt.Sprint(2 << 20), "mappedFileSizeConsumeQueue": "20000", "mappedFileSizeTimerLog": "10400",
	"transactionTimeOut": "4000", "transactionCheckInterval": "4000", "transactionOpBatchInterval": "500",
	"recallMessageEnable": "true",
}

func newSoak(t *testing.T) *soak {
	c := newCluster(t, suite.target, soakSettings)
	s := &soak{t: t, c: c, java: newAgent(t, java55, c.NameServer(), "soak"), golang: newAgent(t, golang, c.NameServer(), "soak"),
		producers: map[*harness.Agent]string{}, ending: make(chan struct{})}
	for _, a := range []*harness.Agent{s.java, s.golang} {
		s.producers[a] = producer(t, a, harness.Args{"group": "P_soak", "timeout": 3000})
	}
	t.Cleanup(s.end)
	return s
}

// end has no step begin any more, and waits for those under way.
func (s *soak) end() {
	select {
	case <-s.ending:
	default:
		close(s.ending)
	}
	s.steps.Wait()
}

// send sends to the topic until the end, once to have made it.
func (s *soak) send(a *harness.Agent, topic, name string, args harness.Args) *harness.Stream {
	args["producer"], args["topic"], args["name"] = s.producers[a], topic, name
	sends := do(s.t, a, "send", args)
	await(s.t, sends, "sent", soon)
	s.sends = append(s.sends, sends)
	return sends
}

// consume starts a push consumer, or what else the arguments say.
func (s *soak) consume(a *harness.Agent, topic, group string, args harness.Args) *harness.Stream {
	all := harness.Args{"kind": "push", "topic": topic, "group": "C_" + group}
	for k, v := range args {
		all[k] = v
	}
	c := do(s.t, a, "consume", all)
	await(s.t, c, "ready", soon)
	return c
}

// repeat does a step again and again until the end, with a pause between.
func (s *soak) repeat(pause time.Duration, step func(n int)) {
	s.steps.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-s.ending:
				return
			case <-time.After(pause):
			}
			step(n)
		}
	})
}

// step gives a command to an agent, and returns what it said; nothing is
// there to fail the test: the broker may be away.
func step(a *harness.Agent, verb string, args harness.Args) (*harness.Stream, error) {
	stream, err := a.Do(verb, args)
	if err != nil {
		return nil, err
	}
	_, err = stream.Await("done", soon)
	return stream, err
}

// owe notes that the streams have to bring each acknowledged message whose
// number is wanted, at least in this delivery.
func (s *soak) owe(who string, sends *harness.Stream, wanted func(n int) bool, delivery int, streams ...*harness.Stream) {
	s.debts = append(s.debts, debt{who, func() []string {
		came := map[string]bool{}
		for _, e := range gather(streams...) {
			if e.Reconsume >= delivery {
				came[e.Name] = true
			}
		}
		var owed []string
		for _, e := range sends.Events("sent") {
			if e.Status == "SEND_OK" && (wanted == nil || wanted(number(e.Name))) && !came[e.Name] {
				owed = append(owed, e.Name)
			}
		}
		return owed
	}})
}

func (s *soak) audit(what string, ok func() error) { s.audits = append(s.audits, audit{what, ok}) }

// live keeps up the traffic and kills the broker.
func (s *soak) live() {
	s.t.Helper()
	const rest = 5 * time.Second // between two looks at a broker that is not killed
	for end := time.Now().Add(*soakFlag); time.Now().Before(end); {
		life := *soakKillFlag
		if life == 0 {
			life = rest
		}
		time.Sleep(min(life, time.Until(end)))
		s.weigh()
		if *soakKillFlag == 0 || time.Now().After(end) {
			continue
		}
		s.kills = append(s.kills, time.Now())
		s.c.KillBroker()
		if err := s.c.StartBroker(); err != nil {
			s.t.Fatal(err)
		}
		for _, sends := range s.sends {
			answered := len(sends.Events("sent"))
			awaitWindow(s.t, soon, func() bool { return len(sends.Events("sent")) > answered }, func() string {
				return fmt.Sprintf("no send like %s is answered since the broker is back", sends.Events("sent")[0].Name)
			})
		}
	}
}

// weigh notes what the broker takes now.
func (s *soak) weigh() {
	s.t.Helper()
	info, err := s.c.RuntimeInfo()
	if err != nil {
		s.t.Errorf("the broker tells nothing of itself: %v", err)
		return
	}
	var l load
	if _, err := fmt.Sscan(info["goroutines"], &l.goroutines); err != nil {
		return // a Java broker has none
	}
	if l.anonymous, err = s.c.BrokerProcess().Anonymous(); err != nil {
		s.t.Logf("memory is not judged: %v", err)
		return
	}
	s.loads = append(s.loads, l)
}

// settle ends the traffic, waits for what is owed, and looks at all.
func (s *soak) settle() {
	s.t.Helper()
	for _, sends := range s.sends {
		stop(s.t, sends)
		await(s.t, sends, "done", soon)
	}
	s.end()
	for _, d := range s.debts {
		var owed []string
		awaitWindow(s.t, 4*time.Minute, func() bool { owed = d.owed(); return len(owed) == 0 }, func() string {
			return fmt.Sprintf("%s: %d messages are not accounted for, as %s", d.who, len(owed), owed[:min(8, len(owed))])
		})
	}
	for _, a := range s.audits {
		if err := a.ok(); err != nil {
			s.t.Errorf("%s: %v", a.what, err)
		}
	}
	s.flat()
	if err := s.c.StopBroker(); err != nil {
		s.t.Fatal(err)
	}
	if err := suite.ours.CheckStore(s.c.Place); err != nil {
		s.t.Error(err)
	}
	sent, refused := 0, 0
	for _, sends := range s.sends {
		sent, refused = sent+len(sends.Events("sent")), refused+len(sends.Events("refused"))
	}
	s.t.Logf("%d messages of endless sends, %d refused, %d kills", sent, refused, len(s.kills))
}

// flat compares the first half of what the broker took with the second, both
// without what a broker takes before it has met all its clients.
func (s *soak) flat() {
	s.t.Helper()
	loads := s.loads
	if *soakKillFlag == 0 {
		loads = loads[len(loads)/4:]
	}
	if len(loads) < 2 {
		return
	}
	half := len(loads) / 2
	byMemory := func(a, b load) int { return int(a.anonymous - b.anonymous) }
	before, after := slices.MaxFunc(loads[:half], byMemory).anonymous, slices.MaxFunc(loads[half:], byMemory).anonymous
	if after > before+before/4+8<<20 {
		s.t.Errorf("memory besides mapped files grew from %d to %d KiB: %v", before>>10, after>>10, loads)
	}
	byGoroutines := func(a, b load) int { return a.goroutines - b.goroutines }
	few, many := slices.MaxFunc(loads[:half], byGoroutines).goroutines, slices.MaxFunc(loads[half:], byGoroutines).goroutines
	if many > few+few/4+16 {
		s.t.Errorf("goroutines grew from %d to %d: %v", few, many, loads)
	}
	s.t.Logf("memory besides mapped files %d KiB, then %d KiB; %d goroutines, then %d (greatest of each half)", before>>10, after>>10, few, many)
}
