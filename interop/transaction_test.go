package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// quickChecks has a broker ask after transactions within seconds.
var quickChecks = map[string]string{
	"transactionTimeOut": "3000", "transactionCheckInterval": "3000", "transactionOpBatchInterval": "500",
}

// TestTransaction ends transactions in every way that a producer can: at once
// by commit or rollback, when it is asked, and when it is asked again. What is
// committed arrives, once and as it was sent; what is rolled back never does;
// and the broker asks about what is open, and about nothing else.
func TestTransaction(t *testing.T) {
	t.Parallel()
	heavy(t)
	cluster := newCluster(t, suite.target, quickChecks)
	for _, client := range clients() {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			transaction(t, newAgent(t, client, cluster.NameServer(), "agent"))
		})
	}
}

func transaction(t *testing.T, a *harness.Agent) {
	const count = 25
	topic := word(t)
	c := do(t, a, "transact", harness.Args{"group": "P_" + topic, "topic": topic, "name": "m", "count": count})
	await(t, c, "done", 60*time.Second)
	var want []harness.Event
	for _, e := range c.Events("sent") {
		if e.Status != "SEND_OK" {
			t.Fatalf("message %s answered %s", e.Name, e.Status)
		}
		e.Offset = -1 // known when it is committed
		if k := outcome(e.Name); k != 1 && k != 3 {
			want = append(want, e)
		}
	}
	r := consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic})
	awaitDistinct(t, len(want), 90*time.Second, r)
	// What is rolled back when it is asked about, and would come all the same, comes within another round.
	awaitWindow(t, 60*time.Second, func() bool { return checks(c, 3) >= count/5 }, func() string { return "transactions are open" })
	time.Sleep(4 * time.Second)
	got := r.Events("got")
	if err := harness.Settle(want, got).Err(0); err != nil {
		t.Error(err)
	}
	for _, g := range got {
		if g.Tags != "tag" || g.Keys != "key-"+g.Name || g.Topic != topic {
			t.Errorf("message %s came as of topic %s with tags %q and keys %q", g.Name, g.Topic, g.Tags, g.Keys)
		}
	}
	var asked [5]int
	for _, e := range c.Events("checked") {
		asked[outcome(e.Name)]++
		if e.Topic != topic || !strings.HasPrefix(e.Keys, "key-") {
			t.Errorf("asked about message %s of topic %s with keys %q", e.Name, e.Topic, e.Keys)
		}
	}
	if want := [5]int{0, 0, count / 5, count / 5, 2 * count / 5}; asked != want {
		t.Errorf("asked %v times about the five kinds of transactions, want %v", asked, want)
	}
}

// outcome is what becomes of a message by its number: see the agents.
func outcome(name string) int {
	n, _ := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	return n % 5
}

func checks(c *harness.Stream, kind int) (n int) {
	for _, e := range c.Events("checked") {
		if outcome(e.Name) == kind {
			n++
		}
	}
	return n
}

// TestRequestReply has a consumer answer what a producer asks. The Go client is
// left out: with a Java broker its requests end in timeouts.
func TestRequestReply(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		if client == golang {
			t.Skip("requests of this client are not answered at a Java broker either")
		}
		a := sharedAgent(t, client)
		topic := word(t)
		send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": "makes-the-topic", "count": 1})
		// Client 4.9.8 tells the broker of itself before its first request only if it does not know the topic yet.
		p := producer(t, a, nil)
		s := do(t, a, "reply", harness.Args{"group": "C_" + topic, "topic": topic})
		await(t, s, "ready", soon)
		t.Cleanup(func() { _, _ = a.Do("stop", harness.Args{"target": s.ID}) })
		r := do(t, a, "request", harness.Args{"producer": p, "topic": topic, "name": "m", "count": 10})
		await(t, r, "done", 90*time.Second)
		var got []string
		for _, e := range r.Events("got") {
			got = append(got, e.Name)
			if e.Topic != "DefaultCluster_REPLY_TOPIC" {
				t.Errorf("answer %s is of topic %s", e.Name, e.Topic)
			}
		}
		var want []string
		for n := range 10 {
			want = append(want, fmt.Sprintf("reply-to-m-%d", n))
		}
		if !slices.Equal(got, want) {
			t.Errorf("answers %q", got)
		}
	})
}
