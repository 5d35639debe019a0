package interop

import (
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestTimer sends messages for arbitrary times, by each of the three properties: none comes before its time, nor more than
// a tick and what a busy machine takes after it, and each says what Java's say.
func TestTimer(t *testing.T) {
	for _, client := range []string{java55, java49} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			a := sharedAgent(t, client)
			p := producer(t, a, nil)
			topic := word(t)
			send(t, a, p, harness.Args{"topic": topic, "name": "now", "count": 1})
			c := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic})
			awaitDistinct(t, 1, soon, c)
			due := map[string]int64{}
			for arg, millis := range map[string]int64{"delaySec": 3000, "delayMs": 2345, "deliverIn": 4567, "over": -5000} {
				args := harness.Args{"topic": topic, "name": arg, "count": 5, arg: millis}
				switch arg {
				case "delaySec":
					args[arg] = millis / 1000
				case "over":
					args["deliverIn"] = millis
				}
				for _, s := range send(t, a, p, args) {
					due[s.Name] = millis
					if s.Status != "SEND_OK" || client == java55 && (s.Handle == "") != (arg == "over") {
						t.Errorf("%s is answered %+v", s.Name, s)
					}
				}
			}
			got := awaitDistinct(t, 21, soon, c)
			if len(got) != 21 {
				t.Fatalf("%d deliveries of 21 messages", len(got))
			}
			all := do(t, a, "dump", harness.Args{"topic": topic})
			await(t, all, "done", soon)
			for _, g := range all.Events("found") {
				wait := due[g.Name]
				if wait <= 0 {
					continue
				}
				// When the broker stored it, by the clock that the client was born by.
				if late := g.Store - g.Born - wait; late < 0 || late > 1000+slackMillis {
					t.Errorf("%s is stored %d ms after its time", g.Name, late)
				}
				for _, name := range []string{"TIMER_OUT_MS", "TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS", "REAL_TOPIC", "REAL_QID"} {
					if _, ok := g.Properties[name]; !ok {
						t.Errorf("%s has no property %s: %v", g.Name, name, g.Properties)
					}
				}
			}
			// What is too far is refused.
			far := do(t, a, "send", harness.Args{"producer": p, "topic": topic, "name": "far", "count": 1, "delaySec": 4 * 24 * 3600})
			if e := await(t, far, "refused", soon); e.Code != 13 {
				t.Errorf("a message for the day after the day after tomorrow is refused with %d: %s", e.Code, e.Error)
			}
		})
	}
}

// slackMillis is what a shared machine may take beside the tick.
const slackMillis = 3000

// TestRecall takes back some of the messages that wait; the others come.
func TestRecall(t *testing.T) {
	t.Parallel()
	heavy(t)
	place, err := harness.NewPlace(t.TempDir(), map[string]string{"recallMessageEnable": "true"})
	if err != nil {
		t.Fatal(err)
	}
	startCluster(t, suite.target, place)
	a := newAgent(t, java55, place.NameServer(), "recaller")
	p := producer(t, a, nil)
	topic := word(t)
	send(t, a, p, harness.Args{"topic": topic, "name": "now", "count": 1})
	c := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic})
	awaitDistinct(t, 1, soon, c)
	sent := send(t, a, p, harness.Args{"topic": topic, "name": "later", "count": 10, "delaySec": 6})
	var kept []string
	for i, s := range sent {
		if i%2 == 0 {
			kept = append(kept, s.Name)
			continue
		}
		r := do(t, a, "recall", harness.Args{"producer": p, "topic": topic, "handle": s.Handle})
		if e := await(t, r, "recalled", soon); e.MsgID != s.MsgID {
			t.Errorf("recalled %s, want %s", e.MsgID, s.MsgID)
		}
	}
	got := awaitDistinct(t, 1+len(kept), soon, c)
	var names []string
	for _, g := range got {
		if g.Name != "now-0" {
			names = append(names, g.Name)
		}
	}
	slices.Sort(names)
	slices.Sort(kept)
	if !slices.Equal(names, kept) {
		t.Fatalf("delivered %q, want %q", names, kept)
	}
	// What is over, or made up, is refused.
	for _, handle := range []string{sent[1].Handle, "bm90aGluZw=="} {
		r := do(t, a, "recall", harness.Args{"producer": p, "topic": topic, "handle": handle})
		await(t, r, "refused", soon)
	}
}
