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
