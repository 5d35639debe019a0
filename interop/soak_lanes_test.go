package interop

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// soakLanes are the kinds of traffic, each with what it owes and how it is
// looked at.
var soakLanes = []func(*soak){
	(*soak).plain, (*soak).others, (*soak).ordered, (*soak).delayed, (*soak).recalled, (*soak).transactions, (*soak).requests,
	(*soak).refused, (*soak).dead, (*soak).popPush, (*soak).popSteps,
}

// number is the number that ends a message's name.
func number(name string) int {
	n, _ := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	return n
}

// plain has messages read whole, by tag, by condition and by each of a group.
func (s *soak) plain() {
	sends := s.send(s.java, "Plain", "plain", harness.Args{"rate": 12, "tags": "A,B,C", "keys": true})
	all := s.consume(s.java, "Plain", "all", nil)
	s.owe("push", sends, nil, 0, all)
	s.owe("push by tag", sends, func(n int) bool { return n%3 == 1 }, 0, s.consume(s.golang, "Plain", "tag", harness.Args{"tags": "B"}))
	s.owe("lite pull by condition", sends, func(n int) bool { return n%3 == 2 && n >= 10 }, 0,
		s.consume(s.java, "Plain", "sql", harness.Args{"kind": "litepull", "sql": "TAGS = 'C' AND n >= 10"}))
	for range 2 {
		s.owe("broadcast", sends, nil, 0, s.consume(s.java, "Plain", "each", harness.Args{"broadcast": true}))
	}
	s.places("Plain", sends, all)
}

// others are the other ways of sending, with the other ways of consuming.
func (s *soak) others() {
	for _, l := range []struct {
		topic    string
		from, to *harness.Agent
		send     harness.Args
		consume  harness.Args
	}{
		{"Async", s.java, s.java, harness.Args{"mode": "async", "size": 1000, "rate": 8}, harness.Args{"kind": "pull"}},
		{"Batch", s.java, s.golang, harness.Args{"mode": "batch", "batch": 10, "rate": 10}, nil},
		{"Go", s.golang, s.golang, harness.Args{"size": 3000, "rate": 8}, harness.Args{"kind": "pull"}},
		// The Go client's asynchronous sends end its process when one is not answered within 3 s.
		{"GoBatch", s.golang, s.java, harness.Args{"mode": "batch", "batch": 4, "rate": 8}, harness.Args{"batch": 4}},
	} {
		l.send["keys"] = true
		sends := s.send(l.from, l.topic, strings.ToLower(l.topic), l.send)
		c := s.consume(l.to, l.topic, l.topic, l.consume)
		s.owe(l.topic, sends, nil, 0, c)
		s.places(l.topic, sends, c)
	}
}

// places has acknowledged messages lie where the answers said, and be found by key.
func (s *soak) places(topic string, sends, consumer *harness.Stream) {
	s.audit("places in "+topic, func() error {
		dumpKilled(s.t, s.java, topic, sends, consumer)
		var acknowledged []harness.Event
		for _, e := range sends.Events("sent") {
			if e.Status == "SEND_OK" {
				acknowledged = append(acknowledged, e)
			}
		}
		for i := 0; i < len(acknowledged); i += 1 + len(acknowledged)/10 {
			e := acknowledged[i]
			found, err := step(s.java, "query", harness.Args{"producer": s.producers[s.java], "topic": topic, "key": "key-" + e.Name})
			if err != nil {
				return err
			}
			if distinct(found.Events("found")) != 1 {
				return fmt.Errorf("%s is not found by its key", e.Name)
			}
		}
		return nil
	})
}

// ordered has two consumers read in order, of which one comes and goes.
func (s *soak) ordered() {
	sends := s.send(s.java, "Order", "order", harness.Args{"rate": 12, "shards": 4})
	args := harness.Args{"orderly": true, "pause": 5}
	var mu sync.Mutex
	streams := []*harness.Stream{s.consume(s.java, "Order", "order", args)}
	all := func() []*harness.Stream { mu.Lock(); defer mu.Unlock(); return append([]*harness.Stream{}, streams...) }
	s.repeat(7*time.Second, func(int) {
		c, err := s.java.Do("consume", harness.Args{"kind": "push", "topic": "Order", "group": "C_order", "orderly": true, "pause": 5})
		if err != nil {
			return
		}
		mu.Lock()
		streams = append(streams, c)
		mu.Unlock()
		select {
		case <-s.ending:
		case <-time.After(8 * time.Second):
		}
		_, _ = step(s.java, "stop", harness.Args{"target": c.ID})
	})
	s.debts = append(s.debts, debt{"in order", func() []string {
		came := map[string]bool{}
		for _, e := range gather(all()...) {
			came[e.Name] = true
		}
		var owed []string
		for _, e := range sends.Events("sent") {
			if !came[e.Name] {
				owed = append(owed, e.Name)
			}
		}
		return owed
	}})
	s.audit("order", func() error {
		if err := inOrderButBack(merged(all()...)); err != nil {
			return err
		}
		last := map[int]int{}
		for _, e := range dumpKilled(s.t, s.java, "Order", sends, streams[0]) {
			if n, ok := last[e.Queue]; ok && number(e.Name) <= n {
				return fmt.Errorf("queue %d has message %d behind %d", e.Queue, number(e.Name), n)
			}
			last[e.Queue] = number(e.Name)
		}
		return nil
	})
}

// delayed has messages wait for their level and for a time of their own. None
// comes early, by the clock of the machine.
func (s *soak) delayed() {
	for topic, waits := range map[string]map[string]int64{
		"Level": {"delay=1": 1000, "delay=2": 5000, "delay=3": 10000},
		"Timer": {"delayMs=2345": 2345, "delaySec=7": 7000, "delaySec=20": 20000},
	} {
		due := map[string]int64{} // by what a name begins with
		var sends []*harness.Stream
		for set, millis := range waits {
			arg, value, _ := strings.Cut(set, "=")
			name := strings.ToLower(topic) + value
			due[name] = millis
			sends = append(sends, s.send(s.java, topic, name, harness.Args{"rate": 3, arg: value}))
		}
		c := s.consume(s.java, topic, topic, nil)
		for _, one := range sends {
			s.owe(topic, one, nil, 0, c)
		}
		s.audit("time of "+topic, func() error {
			var latest, repeated int64
			got := c.Events("got")
			for _, e := range got {
				name, _, _ := strings.Cut(e.Name, "-")
				late := e.Store - e.Born - due[name]
				if late < 0 {
					return fmt.Errorf("%s comes %d ms early", e.Name, -late)
				}
				latest = max(latest, late)
			}
			repeated = int64(len(got) - distinct(got))
			s.t.Logf("%s: %d deliveries, %d of them again, %d ms late at most", topic, len(got), repeated, latest)
			return nil
		})
	}
}

// recalled takes back every second of the messages that wait.
func (s *soak) recalled() {
	await(s.t, do(s.t, s.java, "send", harness.Args{"producer": s.producers[s.java], "topic": "Recall", "name": "first", "count": 1}), "done", soon)
	c := s.consume(s.java, "Recall", "recall", nil)
	var mu sync.Mutex
	kept, gone := map[string]bool{}, map[string]bool{}
	s.repeat(time.Second, func(n int) {
		name := fmt.Sprint("recall", n)
		sent, err := step(s.java, "send", harness.Args{"producer": s.producers[s.java], "topic": "Recall", "name": name, "count": 2, "delaySec": 12})
		if err != nil {
			return
		}
		for _, e := range sent.Events("sent") {
			if e.Status != "SEND_OK" {
				continue
			}
			if number(e.Name) == 0 {
				mu.Lock()
				kept[e.Name] = true
				mu.Unlock()
				continue
			}
			begin := time.Now()
			r, err := step(s.java, "recall", harness.Args{"producer": s.producers[s.java], "topic": "Recall", "handle": e.Handle})
			// Only what was taken back well before its time is sure to be.
			if err == nil && len(r.Events("recalled")) == 1 && time.Since(begin) < 5*time.Second {
				mu.Lock()
				gone[e.Name] = true
				mu.Unlock()
			}
		}
	})
	s.debts = append(s.debts, debt{"not recalled", func() (owed []string) {
		came := map[string]bool{}
		for _, e := range c.Events("got") {
			came[e.Name] = true
		}
		mu.Lock()
		defer mu.Unlock()
		for name := range kept {
			if !came[name] {
				owed = append(owed, name)
			}
		}
		return owed
	}})
	s.audit("recall", func() error {
		for _, e := range c.Events("got") {
			if gone[e.Name] {
				return fmt.Errorf("%s was taken back and comes", e.Name)
			}
		}
		s.t.Logf("recall: %d kept, %d taken back", len(kept), len(gone))
		return nil
	})
}

// transactions has both clients end them in every way.
func (s *soak) transactions() {
	for name, a := range map[string]*harness.Agent{"TransactJava": s.java, "TransactGo": s.golang} {
		sends := do(s.t, a, "transact", harness.Args{"group": "P_" + name, "topic": name, "name": strings.ToLower(name), "rate": 4})
		await(s.t, sends, "sent", soon)
		s.sends = append(s.sends, sends)
		c := s.consume(a, name, name, nil)
		s.owe(name, sends, func(n int) bool { return n%5 != 1 && n%5 != 3 }, 0, c)
		s.audit(name, func() error {
			got := c.Events("got")
			for _, e := range got {
				if k := outcome(e.Name); k == 1 || k == 3 {
					return fmt.Errorf("%s was rolled back and comes", e.Name)
				}
			}
			s.t.Logf("%s: %d half messages, %d questions, %d deliveries of %d", name, len(sends.Events("sent")), len(sends.Events("checked")), len(got), distinct(got))
			return nil
		})
	}
}

// requests has each request answered unless the broker was killed meanwhile.
func (s *soak) requests() {
	p := producer(s.t, s.java, harness.Args{"group": "P_request", "heartbeat": 2000})
	await(s.t, do(s.t, s.java, "send", harness.Args{"producer": p, "topic": "Request", "name": "first", "count": 1}), "done", soon)
	r := do(s.t, s.java, "reply", harness.Args{"group": "C_request", "topic": "Request"})
	await(s.t, r, "ready", soon)
	type try struct {
		begin, end time.Time
		answer     string
		err        error
	}
	var tries []try
	s.repeat(time.Second/2, func(n int) {
		one := try{begin: time.Now()}
		var answers *harness.Stream
		answers, one.err = step(s.java, "request", harness.Args{"producer": p, "topic": "Request", "name": fmt.Sprint("request", n), "count": 1})
		if one.err == nil {
			one.answer = answers.Events("got")[0].Name
		}
		one.end = time.Now()
		tries = append(tries, one)
	})
	s.audit("requests", func() error {
		failed := 0
		for n, one := range tries {
			if one.err != nil {
				failed++
				if !s.killedBetween(one.begin.Add(-10*time.Second), one.end) {
					return fmt.Errorf("request %d: %w", n, one.err)
				}
			} else if want := fmt.Sprintf("reply-to-request%d-0", n); one.answer != want {
				return fmt.Errorf("request %d is answered by %s", n, one.answer)
			}
		}
		s.t.Logf("requests: %d, %d of them not answered about a kill", len(tries), failed)
		if failed == len(tries) {
			return errors.New("no request is answered")
		}
		return nil
	})
}

func (s *soak) killedBetween(begin, end time.Time) bool {
	for _, k := range s.kills {
		if k.After(begin) && k.Before(end) {
			return true
		}
	}
	return false
}

// refused has consumers of both clients refuse each message once.
func (s *soak) refused() {
	sends := s.send(s.java, "Refused", "refused", harness.Args{"rate": 4})
	for who, a := range map[string]*harness.Agent{"java": s.java, "go": s.golang} {
		s.owe("refused once by "+who, sends, nil, 1, s.consume(a, "Refused", "refused_"+who, harness.Args{"fail": "once"}))
	}
}

// dead has a consumer refuse each message until it is a dead letter.
func (s *soak) dead() {
	sends := s.send(s.java, "Dead", "dead", harness.Args{"rate": 2})
	s.consume(s.java, "Dead", "dead", harness.Args{"fail": "always", "maxReconsume": 1})
	s.debts = append(s.debts, debt{"dead letters", func() []string {
		came := map[string]bool{}
		if dump, err := step(s.java, "dump", harness.Args{"topic": "%DLQ%C_dead"}); err == nil {
			for _, e := range dump.Events("found") {
				came[e.Name] = true
			}
		}
		var owed []string
		for _, e := range sends.Events("sent") {
			if !came[e.Name] {
				owed = append(owed, e.Name)
			}
		}
		return owed
	}})
}

// popPush has push consumers pop, one group that takes all and one that
// refuses each message once.
func (s *soak) popPush() {
	sends := s.send(s.java, "Pop", "pop", harness.Args{"rate": 6})
	for fail, delivery := range map[string]int{"never": 0, "once": 1} {
		var streams []*harness.Stream
		for range 2 {
			c := do(s.t, s.java, "poppush", harness.Args{"producer": s.producers[s.java], "topic": "Pop", "group": "C_pop_" + fail,
				"fail": fail, "invisible": 10000})
			await(s.t, c, "ready", soon)
			streams = append(streams, c)
		}
		s.owe("push by pop, refused "+fail, sends, nil, delivery, streams...)
	}
}

// popSteps has messages popped one step at a time: some are acknowledged,
// some put off and then acknowledged, some forgotten. In the end each is done.
func (s *soak) popSteps() {
	sends := s.send(s.java, "Steps", "steps", harness.Args{"rate": 6})
	var mu sync.Mutex
	done, again, count := map[string]int{}, 0, 0
	command := func(verb string, args harness.Args) (*harness.Stream, error) {
		args["producer"], args["topic"], args["group"] = s.producers[s.java], "Steps", "C_steps"
		return step(s.java, verb, args)
	}
	ack := func(e harness.Event, handle string) {
		r, err := command("ack", harness.Args{"receipt": handle})
		if err == nil && r.Events("done")[0].Status == "OK" {
			mu.Lock()
			done[e.Name]++
			mu.Unlock()
		}
	}
	// once pops, and does with what came what the choice says.
	once := func(choose func(name string) int) {
		popped, err := command("pop", harness.Args{"invisible": 8000, "max": 8, "poll": 1000})
		if err != nil {
			time.Sleep(200 * time.Millisecond)
			return
		}
		for _, e := range popped.Events("got") {
			mu.Lock()
			count++
			if done[e.Name] > 0 {
				again++
			}
			mu.Unlock()
			switch choose(e.Name) {
			case 0: // forgotten
			case 1:
				if r, err := command("postpone", harness.Args{"receipt": receipt(e), "invisible": 3000}); err == nil {
					if r.Events("done")[0].Status == "OK" {
						ack(e, receipt(r.Events("done")[0]))
					}
				}
			default:
				ack(e, receipt(e))
			}
		}
	}
	s.repeat(0, func(int) { once(func(name string) int { return (number(name) + count) % 6 }) })
	s.debts = append(s.debts, debt{"pop step by step", func() (owed []string) {
		once(func(string) int { return 2 })
		mu.Lock()
		defer mu.Unlock()
		for _, e := range sends.Events("sent") {
			if e.Status == "SEND_OK" && done[e.Name] == 0 {
				owed = append(owed, e.Name)
			}
		}
		return owed
	}})
	s.audit("pop step by step", func() error {
		s.t.Logf("pop step by step: %d deliveries of %d messages, %d after they were acknowledged", count, len(done), again)
		if len(s.kills) == 0 && again > 0 {
			return fmt.Errorf("%d messages came after they were acknowledged", again)
		}
		return nil
	})
}
