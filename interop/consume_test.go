package interop

import (
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// kinds are the ways of consuming that each client has.
var kinds = map[string][]string{
	java55: {"push", "pull", "litepull", "assign"},
	java49: {"push", "pull", "litepull", "assign"},
	golang: {"push", "pull", "poll"},
}

// TestConsume has each kind of consumer read the same topic in a group of its
// own, stop half way, and a successor go on where it stopped.
func TestConsume(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		p := producer(t, a, nil)
		sent := send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": 200, "tags": "A,B"})
		for _, kind := range kinds[client] {
			t.Run(kind, func(t *testing.T) {
				args := harness.Args{"kind": kind, "group": "C_" + word(t), "topic": topic}
				first := consume(t, a, args)
				twiceMax := 0
				if kind == "assign" {
					twiceMax = len(sent) // client 4.9 may pull before it seeks, and then from the beginning again
				}
				settle(t, sent, twiceMax, first)
				stop(t, first)
				if kind == "assign" {
					return // it has no place to go on from
				}
				more := send(t, a, p, harness.Args{"topic": topic, "name": kind, "count": 100})
				sent = append(sent, more...)
				settle(t, more, 0, consume(t, a, args))
			})
		}
	})
}

// TestTags subscribes to one tag, to two and to all.
func TestTags(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		// AaAa and BBBB have the same hash: the broker's filter lets both pass, the client's must not.
		sent := send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": "m", "count": 120, "tags": "AaAa,BBBB,C,D"})
		for expression, residues := range map[string][]int{"AaAa": {0}, "C || D": {2, 3}, "*": {0, 1, 2, 3}} {
			var want []harness.Event
			for _, r := range residues {
				for i := r; i < len(sent); i += 4 {
					want = append(want, sent[i])
				}
			}
			group := map[string]string{"AaAa": "one", "C || D": "two", "*": "all"}[expression]
			c := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic + group, "topic": topic, "tags": expression})
			settle(t, want, 0, c)
			stop(t, c)
		}
	})
}

// TestSQL subscribes to conditions on properties, with each kind of consumer.
func TestSQL(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		p := producer(t, a, nil)
		sent := send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": 120, "tags": "A,B"})
		of := func(list []harness.Event, holds func(n int) bool) (want []harness.Event) {
			for n, e := range list {
				if holds(n) {
					want = append(want, e)
				}
			}
			return want
		}
		for i, c := range []struct {
			sql   string
			holds func(n int) bool
		}{
			{"n BETWEEN 10 AND 19 OR n IN ('3', '100')", func(n int) bool { return n >= 10 && n <= 19 || n == 3 || n == 100 }},
			{"TAGS = 'B' AND n >= 50.5", func(n int) bool { return n%2 == 1 && n > 50 }},
			{"absent IS NULL AND NOT (n > 5)", func(n int) bool { return n <= 5 }},
		} {
			for _, kind := range kinds[client] {
				if kind == "assign" || client != java55 && kind != "push" {
					continue // queues of one's own choice are not filtered; one kind shows the older clients' ways
				}
				args := harness.Args{"kind": kind, "group": fmt.Sprintf("C_%s%s%d", topic, kind, i), "topic": topic, "sql": c.sql}
				consumer := consume(t, a, args)
				settle(t, of(sent, c.holds), 0, consumer)
				stop(t, consumer)
			}
		}
		waiting := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic + "wait", "topic": topic, "sql": "n = 7"})
		settle(t, of(sent, func(n int) bool { return n == 7 }), 0, waiting)
		more := send(t, a, p, harness.Args{"topic": topic, "name": "more", "count": 20})
		settle(t, append(of(sent, func(n int) bool { return n == 7 }), more[7]), 0, waiting)
	})
}

// TestBroadcast gives every message to each of two consumers.
func TestBroadcast(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		a := sharedAgent(t, client)
		topic := word(t)
		p := producer(t, a, nil)
		sent := send(t, a, p, harness.Args{"topic": topic, "name": "before", "count": 50})
		args := harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic, "broadcast": true}
		first, second := consume(t, a, args), consume(t, a, args)
		sent = append(sent, send(t, a, p, harness.Args{"topic": topic, "name": "after", "count": 100})...)
		settle(t, sent, 0, first)
		settle(t, sent, 0, second)
	})
}
