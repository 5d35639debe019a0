package interop

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestPendingStore hands a store on while messages wait in it of every kind
// that waits: for their time, for a word about their transaction, and for an
// acknowledgement by who popped them. It goes from one make of broker to the
// other and back, each killed, or (with -long) stopped; each adds to what waits, and
// takes acknowledgements for what the other gave out. In the end all came that
// was to come: what was delayed not early, what was rolled back never, what
// was popped until it was acknowledged, and no more often than a crash makes
// a broker repeat.
func TestPendingStore(t *testing.T) {
	t.Parallel()
	for _, order := range []struct {
		name          string
		first, second harness.Target
	}{{"begin", suite.target, ourNameServer()}, {"java-begins", ourNameServer(), suite.target}} {
		for _, kill := range []bool{true, false} {
			if !kill && !*longFlag {
				continue // CI has no time for it
			}
			t.Run(fmt.Sprintf("%s/kill=%v", order.name, kill), func(t *testing.T) {
				t.Parallel()
				heavy(t)
				handOnPending(t, order.first, order.second, kill)
			})
		}
	}
}

// pendingSettings have offsets and op messages on disk within a second or so,
// and no broker ask about transactions until the last turn.
var pendingSettings = map[string]string{
	"flushConsumerOffsetInterval": "500", "transactionOpBatchInterval": "200",
	"transactionTimeOut": "1000", "transactionCheckInterval": "600000",
}

// pending is what waits in a store that goes from hand to hand.
type pending struct {
	t       *testing.T
	place   harness.Place
	kill    bool
	agent   *harness.Agent
	delayed []harness.Event
	due     map[string]int64 // ms after their birth, by the beginning of their names
	halfs   []*harness.Stream
	pop     *popper
	popped  map[string]bool // true when it was acknowledged in time
	again   []string        // popped after they were acknowledged
	hands   []hand          // to be acknowledged
	next    int64           // of the queue that is popped: its first message that is not
}

// hand is a message in hand, as its consumer knows it.
type hand struct {
	harness.Event
	until time.Time // in hand at least until then
}

const topicWaiting, topicHalf, topicPopped = "Waiting", "Halfway", "Popped"

// What is popped to be acknowledged is in hand for longer than the store
// takes from hand to hand; what is popped to be forgotten comes again soon.
const popKept, popForgotten = 2 * time.Minute, 3 * time.Second

// lostAfter is when a message that was popped and forgotten counts as lost: Java's broker leaves the last of a revive queue where they are
// while its timers are behind (PopReviveService.consumeReviveMessage), which they are after a kill, and for long on a busy machine.
const lostAfter = 5 * time.Minute

func handOnPending(t *testing.T, first, second harness.Target, kill bool) {
	place, err := harness.NewPlace(t.TempDir(), pendingSettings)
	if err != nil {
		t.Fatal(err)
	}
	p := &pending{t: t, place: place, kill: kill, due: map[string]int64{}, popped: map[string]bool{}}
	for turn, target := range []harness.Target{first, second, first} {
		if turn == 2 {
			place.Properties = maps.Clone(pendingSettings)
			place.Properties["transactionCheckInterval"] = "1000"
		}
		c := startCluster(t, target, place)
		if turn == 0 {
			p.agent = newAgent(t, java55, place.NameServer(), "pending")
			p.pop = newPopper(t, p.agent, topicPopped)
		}
		p.acknowledge(len(p.hands)) // with receipts of the other make
		if turn < 2 {
			p.add(turn)
		} else {
			p.settle()
		}
		if kill && turn < 2 {
			c.KillBroker()
			c.Close()
			continue
		}
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := suite.ours.CheckStore(place); err != nil {
			t.Errorf("store of %s after turn %d: %v", target.Name(), turn, err)
		}
	}
}

// add leaves more that waits.
func (p *pending) add(turn int) {
	p.t.Helper()
	s := do(p.t, p.agent, "transact", harness.Args{"group": "P_half", "topic": topicHalf, "name": fmt.Sprint("half", turn), "count": 20, "heartbeat": 1000})
	await(p.t, s, "done", soon)
	p.halfs = append(p.halfs, s)

	for _, e := range send(p.t, p.agent, p.pop.producer, harness.Args{"topic": topicPopped, "name": fmt.Sprint("pop", turn), "count": 16}) {
		p.popped[e.Name] = false
	}
	p.take(popKept, 8)
	p.acknowledge(4)
	for i := range min(2, len(p.hands)) { // their invisible time is changed, and so their receipt
		h := &p.hands[i]
		until := time.Now().Add(popKept)
		done, _ := p.pop.step("postpone", harness.Args{"receipt": receipt(h.Event), "invisible": popKept.Milliseconds()})
		if done.Status != "OK" {
			p.t.Fatalf("%s put off: %s", h.Name, done.Status)
		}
		h.Properties, h.until = done.Properties, until
	}
	kept := p.hands
	p.take(popForgotten, 4)
	p.hands = kept

	for arg, value := range map[string]int{"delay": 3, "delaySec": 10, "delayMs": 12_345} {
		name := fmt.Sprint(arg, turn)
		p.due[name] = map[string]int64{"delay": 10_000, "delaySec": 10_000, "delayMs": 12_345}[arg]
		p.delayed = append(p.delayed, send(p.t, p.agent, p.pop.producer, harness.Args{"topic": topicWaiting, "name": name, "count": 20, arg: value})...)
	}
	p.awaitOffset()
	time.Sleep(time.Second) // until the op messages are written
}

// take pops until it has so many, or as many as there are.
func (p *pending) take(invisible time.Duration, most int) {
	p.t.Helper()
	for n := 0; n < most; {
		until := time.Now().Add(invisible)
		got := p.pop.pop(harness.Args{"invisible": invisible.Milliseconds(), "max": min(most-n, 32), "poll": 500})
		for _, e := range got {
			if p.popped[e.Name] {
				p.again = append(p.again, e.Name)
			}
			if e.Reconsume == 0 {
				p.next = max(p.next, e.Offset+1)
			}
			p.hands = append(p.hands, hand{e, until})
		}
		if n += len(got); len(got) == 0 {
			return
		}
	}
}

// acknowledge acknowledges what is in hand, the first so many.
func (p *pending) acknowledge(most int) {
	p.t.Helper()
	for ; most > 0 && len(p.hands) > 0; most-- {
		h := p.hands[0]
		p.hands = p.hands[1:]
		p.pop.ack(receipt(h.Event))
		if time.Now().Before(h.until) {
			p.popped[h.Name] = true
		}
	}
}

// offsetOfPops is what consumerOffset.json says of the popped queue. Java's keys are not in quotes.
var offsetOfPops = regexp.MustCompile(`"` + topicPopped + `@C_` + topicPopped + `":\s*\{\s*"?0"?:\s*(\d+)`)

// awaitOffset waits until the broker has on disk which messages are popped.
func (p *pending) awaitOffset() {
	p.t.Helper()
	have := int64(-1)
	awaitWindow(p.t, soon, func() bool {
		b, err := os.ReadFile(filepath.Join(p.place.Store(), "config", "consumerOffset.json"))
		if m := offsetOfPops.FindSubmatch(b); err == nil && m != nil {
			have, _ = strconv.ParseInt(string(m[1]), 10, 64)
		}
		return have >= p.next
	}, func() string { return fmt.Sprintf("the offset of the pops on disk is %d, not %d", have, p.next) })
}

// settle waits for all that is to come, and looks at it.
func (p *pending) settle() {
	p.t.Helper()
	waiting := consume(p.t, p.agent, harness.Args{"kind": "push", "group": "C_waiting", "topic": topicWaiting})
	half := consume(p.t, p.agent, harness.Args{"kind": "push", "group": "C_half", "topic": topicHalf})
	p.settlePopped()
	p.settleDelayed(waiting)
	p.settleHalfs(half)
}

func (p *pending) settlePopped() {
	p.t.Helper()
	open := 0
	awaitWindow(p.t, lostAfter, func() bool {
		p.take(time.Minute, 100)
		p.acknowledge(len(p.hands))
		open = 0
		for _, done := range p.popped {
			if !done {
				open++
			}
		}
		return open == 0
	}, func() string { return fmt.Sprintf("%d of %d popped messages are never done", open, len(p.popped)) })
	if len(p.again) > 0 {
		p.t.Errorf("popped again after they were acknowledged: %s", p.again)
	}
}

func (p *pending) settleDelayed(waiting *harness.Stream) {
	p.t.Helper()
	balance := harness.Settle(p.delayed, awaitDistinct(p.t, len(p.delayed), soon, waiting))
	balance.Wrong = nil // the answer to a delayed send names a place in the schedule topic
	twiceMax := 0
	if p.kill {
		twiceMax = len(p.delayed) // Java writes how far it is every ten seconds
	}
	if err := balance.Err(twiceMax); err != nil {
		p.t.Error(err)
	}
	for _, e := range waiting.Events("got") {
		if early := p.due[e.Name[:strings.LastIndexByte(e.Name, '-')]] - (e.Store - e.Born); early > 0 {
			p.t.Errorf("%s comes %d ms early", e.Name, early)
		}
	}
}

// settleHalfs waits until all transactions are ended. One that was ended
// before a kill may be asked about, where the kill took the note of that, and
// what was committed comes once more then.
func (p *pending) settleHalfs(half *harness.Stream) {
	p.t.Helper()
	var want []harness.Event
	for _, s := range p.halfs {
		for _, e := range s.Events("sent") {
			if k := outcome(e.Name); k != 1 && k != 3 {
				e.Offset = -1 // known when it is committed
				want = append(want, e)
			}
		}
	}
	awaitDistinct(p.t, len(want), soon, half)
	asked := func(kind int) map[string]bool {
		names := map[string]bool{}
		for _, s := range p.halfs {
			for _, e := range s.Events("checked") {
				if outcome(e.Name) == kind {
					names[e.Name] = true
				}
			}
		}
		return names
	}
	awaitWindow(p.t, soon, func() bool { return len(asked(3)) == 4*len(p.halfs) }, func() string { return "transactions are open" })
	time.Sleep(3 * time.Second) // what is rolled back, and would come all the same, comes within another round
	askedAgain := asked(0)
	if n := len(askedAgain) + len(asked(1)); n > 0 && !p.kill {
		p.t.Errorf("asked about %d transactions that were ended", n)
	}
	balance := harness.Settle(want, half.Events("got"))
	balance.Twice = slices.DeleteFunc(balance.Twice, func(name string) bool { return askedAgain[name] })
	if err := balance.Err(0); err != nil {
		p.t.Error(err)
	}
}
