package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestQuickstart runs the first programs that a newcomer writes, plain as
// RocketMQ's documentation shows them: the producer, then the consumer, then
// the producer again while the consumer listens. They have RocketMQ's default
// of three seconds for a send, starting Java included, so they run before the
// tests that share the machine.
func TestQuickstart(t *testing.T) {
	const count = 25
	for _, client := range clients() {
		t.Run(client, func(t *testing.T) { quickstart(t, client, count) })
	}
}

func quickstart(t *testing.T, client string, count int) {
	c, cluster, topic, dir := suite.clients[client], sharedCluster(t), word(t), t.TempDir()
	produce := func() string {
		p, err := c.Quickstart("producer", cluster.NameServer(), dir, cluster.NameServer(), topic, fmt.Sprint(count))
		if err != nil {
			t.Fatal(err)
		}
		await := p.Ended()
		awaitWindow(t, soon, func() bool {
			select {
			case <-await:
				return true
			default:
				return strings.Contains(p.Tail(1<<20), "Exception") // which does not end a Java program with threads
			}
		}, func() string { return "the producer does not end: " + p.Tail(2000) })
		out := p.Tail(1 << 20)
		if n := strings.Count(out, "sent "); n == 0 || n%count != 0 || strings.Contains(out, "Exception") {
			t.Fatalf("the producer did not send all:\n%s", out)
		}
		return out
	}
	produce()
	consumer, err := c.Quickstart("consumer", cluster.NameServer(), dir, topic, "C_"+topic)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Kill()
	awaitLines(t, consumer, "received ", count)
	sent := produce()
	awaitLines(t, consumer, "received ", 2*count)

	out, err := os.ReadFile(consumer.Log)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(sent, "\n") {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "sent" {
			if want := fmt.Sprintf("received %s Hello RocketMQ %s\n", f[3], f[1]); strings.Count(string(out), want) != 1 {
				t.Errorf("%d lines %q", strings.Count(string(out), want), want)
			}
		}
	}
}

func awaitLines(t *testing.T, p *harness.Process, word string, n int) {
	t.Helper()
	awaitWindow(t, soon, func() bool { return strings.Count(p.Tail(1<<20), word) >= n },
		func() string { return fmt.Sprintf("no %d lines %q of %s: %s", n, word, p.Name, p.Tail(2000)) })
}
