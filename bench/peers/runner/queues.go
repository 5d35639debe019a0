package runner

import "fmt"

// queuesStudy compares puts spread over 10,000 queues with puts to few.
func queuesStudy() Study {
	of := func(queues int) func(*Env) workload {
		return func(e *Env) workload {
			w := putWorkload(e, "async", 1)
			if w.queues = queues; queues > 1000 {
				w.warmup *= 2 // for the first file of each
			}
			return w
		}
	}
	few := func(n int) Side { return oursPut(fmt.Sprintf("ours %d", n), of(n)) }
	return Study{
		Name:      "queues",
		ManyFiles: true,
		Title:     "engine: put, flush=async, writers=1, 10,000 queues; ours with 1, 4 and 100 too",
		Sides:     []Side{oursPut(ours, of(10_000)), few(1), few(4), few(100), javaPut("default", of(10_000))},
		Compare:   []Figure{rate("put", "messages/s"), cpu("put")},
		Bars: func(m Medians) []Bar {
			our, text := m[ours]["put"], "10,000 queues: msgs/s of Java's store"
			bars := []Bar{
				atMostFixed("10,000 queues: anonymous memory", "MiB", our.Anonymous, 128),
				atLeast("10,000 queues: msgs/s with 4 queues", "/s", our.Rate, m["ours 4"]["put"].Rate, 0.6),
			}
			_, java, ok := m.best("java ", "put")
			if !ok {
				return append(bars, missing(text, noJava))
			}
			return append(bars, atLeast(text, "/s", our.Rate, java.Rate, 4))
		},
	}
}

// manyQueuesStudy puts to 100,000 queues: that it runs, and in bounds, is what is wanted. Making the first file of
// each is the warm-up, two messages to each queue.
func manyQueuesStudy() Study {
	const queues = 100_000
	of := func(e *Env) workload {
		w := putWorkload(e, "async", 1)
		w.queues, w.messages, w.warmup = queues, 4*queues, childTimeout
		return w
	}
	return Study{
		Name:      "queues-100000",
		Once:      true,
		ManyFiles: true,
		Title:     "engine: put, flush=async, writers=1, 100,000 queues",
		Sides:     []Side{oursPut(ours, of)},
		Bars: func(m Medians) []Bar {
			our := m[ours]["put"]
			return []Bar{
				atMostFixed("100,000 queues: anonymous memory", "MiB", our.Anonymous, 256),
				atMostFixed("100,000 queues: open files", "", our.Files, 1200),
			}
		},
	}
}
