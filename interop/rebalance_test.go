package interop

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// rebalanceQueues is how many queues the topics of the rebalance tests have.
const rebalanceQueues = 4

// TestRebalance has a second consumer join a group under load, then leave it,
// then a third join and die by kill -9. The last alive ends up with all
// queues, nothing is lost, and what is twice was in hand at a change.
func TestRebalance(t *testing.T) {
	eachClient(t, func(t *testing.T, client string) {
		rebalance(t, sharedAgent(t, client), leaver(t, client), client)
	})
	t.Run("mixed", func(t *testing.T) {
		t.Parallel()
		rebalance(t, sharedAgent(t, java55), leaver(t, golang), java49)
	})
}

func rebalance(t *testing.T, a, b *harness.Agent, third string) {
	topic := word(t)
	const rate = 200
	p := producer(t, a, nil)
	load := do(t, a, "send", harness.Args{"producer": p, "topic": topic, "name": "m", "rate": rate})
	await(t, load, "sent", soon)
	args := harness.Args{"kind": "push", "group": "C_" + topic, "topic": topic}
	first := consume(t, a, args)
	awaitQueues(t, first, rebalanceQueues)

	second := consume(t, b, args)
	awaitQueues(t, second, rebalanceQueues/2)
	awaitQueues(t, first, rebalanceQueues/2)
	awaitDisjoint(t, first, second)
	leave(t, second)
	awaitQueues(t, first, rebalanceQueues)

	dying := newAgent(t, third, sharedCluster(t).NameServer(), "dying")
	last := consume(t, dying, args)
	awaitQueues(t, last, rebalanceQueues/2)
	dying.Kill()
	awaitQueues(t, first, rebalanceQueues)

	stop(t, load)
	await(t, load, "done", soon)
	if refused := load.Events("refused"); len(refused) > 0 {
		t.Fatalf("%d messages refused: %s", len(refused), refused[0].Error)
	}
	// A client tells the broker its offsets every five seconds and when it gives a queue away; of a killed
	// one that much comes again, and of a stopped one what it had in hand.
	got := settle(t, load.Events("sent"), rate*8, first, second, last)
	for _, s := range []*harness.Stream{first, second, last} {
		if again := repeats(s.Events("got")); again > rate {
			t.Errorf("%d messages came twice to the same consumer", again)
		}
	}
	t.Logf("%d messages, %d deliveries", len(load.Events("sent")), len(got))
}

func repeats(got []harness.Event) int { return len(got) - distinct(got) }

// awaitQueues waits until what the consumer gets now comes from n queues.
func awaitQueues(t *testing.T, s *harness.Stream, n int) {
	t.Helper()
	from := len(s.Events("got"))
	// Where the close of a connection is not noticed, a consumer is gone after two minutes.
	awaitWindow(t, 150*time.Second, func() bool {
		return len(queuesOf(s.Events("got")[from:])) >= n
	}, func() string {
		return fmt.Sprintf("a consumer gets messages of queues %v, want %d queues", queuesOf(s.Events("got")[from:]), n)
	})
}

// awaitDisjoint waits until the two share the queues and no queue is with both.
func awaitDisjoint(t *testing.T, a, b *harness.Stream) {
	t.Helper()
	awaitWindow(t, 60*time.Second, func() bool {
		since := time.Now().Add(-500 * time.Millisecond)
		qa, qb := queuesOf(after(a.Events("got"), since)), queuesOf(after(b.Events("got"), since))
		for q := range qa {
			if qb[q] {
				return false
			}
		}
		return len(qa) == rebalanceQueues/2 && len(qb) == rebalanceQueues/2
	}, func() string {
		return fmt.Sprintf("two consumers get messages of queues %v and %v in half a second", queuesOf(after(a.Events("got"), time.Now().Add(-time.Second/2))), queuesOf(after(b.Events("got"), time.Now().Add(-time.Second/2))))
	})
}

func awaitWindow(t *testing.T, timeout time.Duration, ok func() bool, complaint func() string) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s after %v", complaint(), timeout)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func after(events []harness.Event, when time.Time) []harness.Event {
	i := len(events)
	for i > 0 && events[i-1].Read.After(when) {
		i--
	}
	return events[i:]
}

func queuesOf(events []harness.Event) map[int]bool {
	queues := map[int]bool{}
	for _, e := range events {
		queues[e.Queue] = true
	}
	return queues
}
