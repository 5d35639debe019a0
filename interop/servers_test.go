package interop

import (
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestServersMixed has our name server with a Java broker and a Java name
// server with our broker: all clients send, and one of them gets it all.
func TestServersMixed(t *testing.T) {
	t.Parallel()
	for _, target := range []harness.Target{ourNameServer(), ourBroker()} {
		t.Run(target.Name(), func(t *testing.T) {
			t.Parallel()
			heavy(t)
			c := newCluster(t, target, nil)
			topic := word(t)
			var sent []harness.Event
			for _, client := range clients() {
				a := newAgent(t, client, c.NameServer(), "agent")
				sent = append(sent, send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": client, "count": 50})...)
				settle(t, sent, 0, consume(t, a, harness.Args{"kind": "push", "group": "C_" + client[:4] + client[5:6], "topic": topic}))
			}
			// The broker comes back to a name server that knows it from before.
			if err := c.StopBroker(); err != nil {
				t.Fatal(err)
			}
			if err := c.StartBroker(); err != nil {
				t.Fatal(err)
			}
			a := newAgent(t, java55, c.NameServer(), "again")
			sent = append(sent, send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": "again", "count": 50})...)
			settle(t, sent, 0, consume(t, a, harness.Args{"kind": "pull", "group": "C_again", "topic": topic}))
		})
	}
}

// TestNameServers has a broker at two name servers and clients that know
// both: when one is gone, topics are still made and found.
func TestNameServers(t *testing.T) {
	t.Parallel()
	heavy(t)
	other, err := harness.NewPlace(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := suite.split.StartNameServer(other)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	own, err := harness.NewPlace(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	own.Others = []string{other.NameServer()}
	c := startCluster(t, suite.split, own)
	for i, client := range clients() {
		a := newAgent(t, client, own.NameServers(), "agent")
		sendAndConsume(t, a, "Both"+client[:4]+client[5:6])
		if i == 0 {
			c.KillNameServer()
		}
		// A new client takes either to begin with, and what it asks of the dead one fails.
		topic, p := "One"+client[:4]+client[5:6], producer(t, a, nil)
		first := do(t, a, "send", harness.Args{"producer": p, "topic": topic, "name": "first", "rate": 5})
		await(t, first, "sent", soon)
		stop(t, first)
		await(t, first, "done", soon)
		sent := append(first.Events("sent"), send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": 20})...)
		for range 20 {
			s := do(t, a, "consume", harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic})
			if _, err = s.Await("ready", soon); err == nil {
				settle(t, sent, 0, s)
				break
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestAddressServer has clients that know no name server and ask for it by HTTP.
func TestAddressServer(t *testing.T) {
	t.Parallel()
	heavy(t)
	c := newCluster(t, suite.split, nil)
	for _, client := range clients() {
		sendAndConsume(t, newAgent(t, client, c.HTTP(), "agent"), "Http"+client[:4]+client[5:6])
	}
}

func sendAndConsume(t *testing.T, a *harness.Agent, topic string) {
	t.Helper()
	sent := send(t, a, producer(t, a, nil), harness.Args{"topic": topic, "name": topic, "count": 20})
	settle(t, sent, 0, consume(t, a, harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic}))
}

// TestBinaryHeaders has clients that write ROCKETMQ headers where others write JSON.
func TestBinaryHeaders(t *testing.T) {
	t.Parallel()
	for _, client := range clients() {
		if client == golang {
			continue // it has no such form
		}
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			a := newAgent(t, client+binaryHeaders, sharedCluster(t).NameServer(), "binary")
			topic := word(t)
			p := producer(t, a, nil)
			sent := send(t, a, p, harness.Args{"topic": topic, "name": "sync", "count": 50, "tags": "A", "keys": true})
			sent = append(sent, send(t, a, p, harness.Args{"topic": topic, "name": "batch", "count": 50, "mode": "batch", "batch": 10})...)
			for _, kind := range []string{"push", "litepull"} {
				settle(t, sent, 0, consume(t, a, harness.Args{"kind": kind, "group": "C_" + kind + topic, "topic": topic}))
			}
			found(t, sent[7], do(t, a, "query", harness.Args{"producer": p, "topic": topic, "key": "key-" + sent[7].Name}))
		})
	}
}
