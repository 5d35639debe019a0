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
// the producer again while the consumer listens.
func TestQuickstart(t *testing.T) {
	const count = 25
	eachClient(t, func(t *testing.T, client string) {
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
					return false
				}
			}, func() string { return "the producer did not end" })
			out := p.Tail(1 << 20)
			if n := strings.Count(out, "sent "); n == 0 || n%count != 0 || p.ExitCode() != 0 {
				t.Fatalf("the producer ended with code %d:\n%s", p.ExitCode(), out)
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
	})
}

func awaitLines(t *testing.T, p *harness.Process, word string, n int) {
	t.Helper()
	awaitWindow(t, soon, func() bool { return strings.Count(p.Tail(1<<20), word) >= n },
		func() string { return fmt.Sprintf("no %d lines %q of %s", n, word, p.Name) })
}
