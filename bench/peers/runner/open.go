package runner

import (
	"strconv"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// openStudy compares opening stores whose process was killed, and opening them again after a clean stop. Java's takes
// time by the size of the store: it is given a tenth of ours.
func openStudy() Study {
	const one, java = "ours 1 GiB", "java 1 GiB"
	side := func(name string, gib int, missing func(*Env) string, do func(*Env, string, ...string) (measure.Result, error)) Side {
		return Side{Name: name, Missing: missing, Run: func(e *Env) (Results, error) {
			if _, err := do(e, "fill", "-bytes="+strconv.Itoa(gib<<30)); err != nil {
				return nil, err
			}
			killed, err := do(e, "open") // which closes it
			if err != nil {
				return nil, err
			}
			clean, err := do(e, "open")
			return Results{"killed": killed, "clean": clean}, err
		}}
	}
	oursDo := func(e *Env, do string, more ...string) (measure.Result, error) {
		return e.oursDo(do, putWorkload(e, "async", 1), more...)
	}
	javaDo := func(e *Env, do string, more ...string) (measure.Result, error) {
		return e.javaDo(do, putWorkload(e, "async", 1), more...)
	}
	return Study{
		Name:  "open",
		Title: "engine: open after kill -9 and after a clean stop, ours with 10 GiB and with 1",
		Sides: []Side{
			side(ours, 10, nil, oursDo), side(one, 1, nil, oursDo), side(java, 1, (*Env).missingJava, javaDo),
		},
		Compare: []Figure{
			{Name: "killed", Label: "time after a kill", Unit: "s", Less: true, Value: measureSeconds},
			{Name: "clean", Label: "time after a clean stop", Unit: "s", Less: true, Value: measureSeconds},
		},
		Bars: func(m Medians) []Bar {
			killed := m[ours]["killed"].Seconds
			bars := []Bar{atMost("open after a kill: time with 1 GiB", "s", killed, m[one]["killed"].Seconds, 1.2)}
			const text = "open after a kill: time of Java's store with 1 GiB"
			if m[java] == nil {
				return append(bars, missing(text, noJava))
			}
			return append(bars, atMost(text, "s", killed, m[java]["killed"].Seconds, 0.1))
		},
	}
}

func measureSeconds(r measure.Result) float64 { return r.Seconds }
