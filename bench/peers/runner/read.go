package runner

import (
	"strconv"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// readStudy compares reading a store from its beginning to its end, from the disk and from memory, and looking up keys
// in it.
func readStudy() Study {
	of := func(e *Env) workload { return putWorkload(e, "async", 1) }
	oursRun := func(e *Env) (Results, error) {
		r := Results{}
		filled, err := e.oursDo("fill-clean", of(e), "-bytes="+strconv.Itoa(1<<30))
		steps := []step{
			{"cold", func() (measure.Result, error) { return e.oursDo("read-once", of(e)) }},
			{"warm", func() (measure.Result, error) { return e.oursDo("read", of(e)) }},
			{"query", func() (measure.Result, error) {
				return e.oursDo("query", of(e), "-messages="+strconv.FormatInt(filled.Messages, 10))
			}},
		}
		return r, e.runSteps(r, err, steps)
	}
	javaRun := func(e *Env) (Results, error) {
		r := Results{}
		filled, err := e.javaDo("fill-clean", of(e), "-bytes="+strconv.Itoa(1<<30))
		steps := []step{
			{"cold", func() (measure.Result, error) { return e.javaDo("read", of(e), "-once=true", "-copy=true") }},
			{"warm", func() (measure.Result, error) { return e.javaDo("read", of(e)) }},
			{"warm copied", func() (measure.Result, error) { return e.javaDo("read", of(e), "-copy=true") }},
			{"query", func() (measure.Result, error) {
				return e.javaDo("query", of(e), "-messages="+strconv.FormatInt(filled.Messages, 10))
			}},
		}
		return r, e.runSteps(r, err, steps)
	}
	copied := rate("warm", "messages/s, from memory, Java copying")
	copied.Other = "warm copied"
	return Study{
		Name:  "read",
		Title: "engine: sequential read of 1 GiB, cold and warm, 32 messages a get; query by key",
		Sides: []Side{{Name: ours, Run: oursRun}, {Name: "java", Missing: (*Env).missingJava, Run: javaRun}},
		Compare: []Figure{
			rate("cold", "messages/s, from disk"), rate("warm", "messages/s, from memory"), copied,
			rate("query", "queries/s by key"),
		},
		Bars: func(m Medians) []Bar {
			our := m[ours]
			bars := []Bar{atMostFixed("read warm: allocations a message", "", our["warm"].Allocs, 0.01)}
			java, ok := m["java"]
			if !ok {
				return append(bars, missing("read and query beside Java's store", noJava))
			}
			return append(bars,
				atLeast("read warm: msgs/s of Java's zero-copy path", "/s", our["warm"].Rate, java["warm"].Rate, 1),
				atLeast("read warm: msgs/s of Java's copying path", "/s", our["warm"].Rate, java["warm copied"].Rate, 3),
				atLeast("query by key: queries/s of Java", "/s", our["query"].Rate, java["query"].Rate, 1.5))
		},
	}
}

// step is one child among those that make up a run.
type step struct {
	name string
	run  func() (measure.Result, error)
}

// runSteps runs them in turn on the store that was filled, which is on disk only when the first begins.
func (e *Env) runSteps(r Results, err error, steps []step) error {
	if err != nil {
		return err
	}
	if err := evict(e.store()); err != nil {
		return err
	}
	for _, s := range steps {
		if r[s.name], err = s.run(); err != nil {
			return err
		}
	}
	return nil
}

// lagStudy compares writing as fast as can be while a reader comes after, from a backlog on disk.
func lagStudy() Study {
	of := func(e *Env) workload { return putWorkload(e, "async", 1) }
	return Study{
		Name:  "lag",
		Title: "engine: put, flush=async, writers=1, while a reader comes from 1 GiB behind, on disk",
		Sides: []Side{
			{Name: ours, Run: func(e *Env) (Results, error) {
				r := Results{}
				_, err := e.oursDo("fill-clean", of(e), "-bytes="+strconv.Itoa(1<<30))
				return r, e.runSteps(r, err, []step{{"put", func() (measure.Result, error) { return e.oursDo("put", e.brief(of(e)), "-scan") }}})
			}},
			{Name: "java default", Missing: (*Env).missingJava, Run: func(e *Env) (Results, error) {
				r := Results{}
				_, err := e.javaDo("fill-clean", of(e), "-bytes="+strconv.Itoa(1<<30))
				return r, e.runSteps(r, err, []step{{"put", func() (measure.Result, error) {
					return e.javaDo("put", e.brief(of(e)), "-scan=true", "-copy=true")
				}}})
			}},
		},
		Compare: []Figure{
			rate("put", "messages/s written"),
			{Name: "put", Label: "messages/s read", Unit: "/s", Value: func(r measure.Result) float64 { return r.ReadRate }},
		},
		Bars: func(Medians) []Bar { return nil },
	}
}

// brief is a workload with a warm-up that leaves the backlog the greater part of what is read.
func (e *Env) brief(w workload) workload {
	w.warmup /= 6
	return w
}
