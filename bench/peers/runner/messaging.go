package runner

import (
	"slices"
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

const (
	// primed is how many messages make a topic with all its queues before something else is done to it.
	primed = 800
	// popBacklog is as many messages as the fastest broker pops in the time that is measured; the bodies are small.
	popBacklog  = 1_500_000
	smallBody   = "-body=256"
	idlers      = 10_000
	timersAhead = 1_000_000
	timersDue   = 20_000
)

// messagingStudies compare what is done with messages besides sending and pulling them.
func messagingStudies() []Study {
	return []Study{longPollStudy(), idlersStudy(), transactionStudy(), popStudy(), timerStudy(), coldStudy()}
}

// needsBroker tells whether our broker must be built.
func (s Study) needsBroker() bool {
	return slices.Contains([]string{"broker", "filter", "idle", "replication", "catch-up"}, s.Name) ||
		slices.ContainsFunc(messagingStudies(), func(m Study) bool { return m.Name == s.Name })
}

// send puts so many messages and measures nothing.
func (e *Env) send(s *server, messages int, more ...string) error {
	_, err := e.load(s, "send", 0, append([]string{"-measure=2m", "-messages=" + strconv.Itoa(messages)}, more...)...)
	return err
}

// one does one workload on a topic that is there, warmed up as long as it is measured.
func one(kind string, more ...string) func(*Env, *server) (Results, error) {
	return func(e *Env, s *server) (Results, error) {
		if err := e.send(s, primed); err != nil {
			return nil, err
		}
		r, err := e.load(s, kind, e.Measure, more...)
		return Results{kind: r}, err
	}
}

// longPollStudy has a message come now and then to a system that does nothing else.
func longPollStudy() Study {
	return Study{
		Name:    "longpoll",
		Title:   "broker: delivery to a long-polling consumer, 100 messages/s and nothing else",
		Sides:   brokerSides(one("endtoend", "-rate=100")),
		Compare: []Figure{p99("endtoend", "p99 of a delivery")},
		Bars: besideJava("long-poll delivery", func(ours, java Results) []Bar {
			return []Bar{
				atMost("long poll: p50 of Java's broker", "µs", ours["endtoend"].P50, java["endtoend"].P50, 1.0/3),
				atMost("long poll: p99 of Java's broker", "µs", ours["endtoend"].P99, java["endtoend"].P99, 1.0/3),
			}
		}),
	}
}

// idlersStudy has many consumers wait for messages that do not come.
func idlersStudy() Study {
	return Study{
		Name:  "idlers",
		Title: "broker: 10,000 connections that long-poll and get nothing, for 30 s",
		Sides: brokerSides(func(e *Env, s *server) (Results, error) {
			if err := e.send(s, primed); err != nil {
				return nil, err
			}
			r, err := e.load(s, "idle", 5*time.Second, "-conns="+strconv.Itoa(idlers), "-measure="+idleTime.String())
			return Results{"idle": r}, err
		}),
		Once: true,
		Compare: []Figure{
			{Name: "idle", Label: "CPU", Unit: "%", Less: true, Value: func(r measure.Result) float64 { return r.Idle }},
			{Name: "idle", Label: "memory", Unit: "MiB", Less: true, Value: func(r measure.Result) float64 { return r.Anonymous }},
		},
		Bars: func(m Medians) []Bar {
			ours := m["ours"]["idle"]
			return []Bar{
				atMostFixed("10,000 long polls: memory besides mapped files", "MiB", ours.Anonymous, 150),
				atMostFixed("10,000 long polls: CPU in percent of a core", "%", ours.Idle, 2),
			}
		},
	}
}

// transactionStudy has 128 transactions under way: half message, commit, delivery.
func transactionStudy() Study {
	return Study{
		Name:    "transactions",
		Title:   "broker: transactions of 1 KiB on 4 connections: half message, commit, delivered",
		Sides:   brokerSides(one("transactions")),
		Compare: []Figure{rate("transactions", "transactions/s"), cpu("transactions")},
		Bars:    threeTimesJava("transactions", "transactions"),
	}
}

// popStudy pops a backlog and acks each message.
func popStudy() Study {
	return Study{
		Name:  "pop",
		Title: "broker: pop and ack of 256 bytes on 4 connections; messages acked",
		Sides: brokerSides(func(e *Env, s *server) (Results, error) {
			if err := e.send(s, popBacklog, smallBody); err != nil {
				return nil, err
			}
			r, err := e.load(s, "pop", e.Measure)
			return Results{"pop": r}, err
		}),
		Compare: []Figure{rate("pop", "messages popped and acked/s"), cpu("pop")},
		Bars:    threeTimesJava("pop and ack", "pop"),
	}
}

// timerStudy puts a million timers that stay, and then has many fall due in one second.
func timerStudy() Study {
	return Study{
		Name:  "timers",
		Title: "broker: 1 million timers of 256 bytes are put and pending, then 20,000 fall due in one second",
		Sides: brokerSides(func(e *Env, s *server) (Results, error) {
			if err := e.send(s, primed); err != nil {
				return nil, err
			}
			results := Results{}
			var err error
			if results["put"], err = e.load(s, "timers", 0, smallBody, "-measure=2m", "-messages="+strconv.Itoa(timersAhead)); err != nil {
				return nil, err
			}
			results["lateness"], err = e.load(s, "lateness", 0, smallBody, "-messages="+strconv.Itoa(timersDue))
			return results, err
		}),
		Compare: []Figure{rate("put", "timers into the wheel/s"), cpu("put"), p99("lateness", "p99 of the lateness")},
		Bars: func(m Medians) []Bar {
			ours := m["ours"]
			bars := []Bar{
				atMostFixed("1 million timers: memory besides mapped files", "MiB", ours["put"].Anonymous, 100),
				atMostFixed("timers: p99 of the lateness of 20,000 in one second", "µs", ours["lateness"].P99, 1_020_000),
				atMostFixed("timers: early ones", "", float64(ours["lateness"].Failed), 0),
			}
			java, ok := m["java"]
			if !ok {
				return append(bars, missing("timers beside Java's broker", noJava))
			}
			return append(bars,
				atLeast("timers: puts/s of Java's broker", "/s", ours["put"].PutRate, java["put"].PutRate, 3),
				atLeast("timers: msgs/s into the wheel of Java's broker", "/s", ours["put"].Rate, java["put"].Rate, 3))
		},
	}
}
