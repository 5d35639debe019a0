package runner

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// pacedRate is messages/s of the studies that look at single puts: 60 MB/s, which leaves time to see what else holds a
// put up.
const pacedRate = 50_000

// fileSize of the log in them, so that there is a new file every second.
const pacedFile = 64 << 20

// pacedStudy compares how long single puts take while something else goes on, with when nothing does.
func pacedStudy(what, title string, fill bool, oursArgs, javaArgs []string) Study {
	of := func(e *Env) workload { return putWorkload(e, "async", 1) }
	pace := "-rate=" + strconv.Itoa(pacedRate)
	side := func(name string, missing func(*Env) string, fill bool, do func(*Env, string, workload, ...string) (measure.Result, error), args []string) Side {
		return Side{Name: name, Missing: missing, Run: func(e *Env) (Results, error) {
			w := of(e)
			if fill {
				if _, err := do(e, "fill-clean", w, "-bytes="+strconv.Itoa(2<<30)); err != nil {
					return nil, err
				}
				// The memory that the fill had is free now, and goes back to the host unless it is taken as that of a quiet run is.
				if err := cmp.Or(evict(e.store()), e.clear()); err != nil {
					return nil, err
				}
			}
			r, err := do(e, "paced", w, append([]string{pace}, args...)...)
			return as("put", r, err)
		}}
	}
	return Study{
		Name:  "put-" + what,
		Title: fmt.Sprintf("engine: put, flush=async, %d messages/s, %s; each from when it was due", pacedRate, title),
		Sides: []Side{
			side(ours, nil, fill, (*Env).oursDo, oursArgs), side("ours quiet", nil, false, (*Env).oursDo, nil),
			side("java default", (*Env).missingJava, fill, (*Env).javaDo, javaArgs),
			side("java quiet", (*Env).missingJava, false, (*Env).javaDo, nil),
		},
		Compare: []Figure{{Name: "put", Label: "p999 of a put", Unit: "µs", Less: true, Value: func(r measure.Result) float64 { return r.P999 }}},
		Bars: func(m Medians) []Bar {
			return []Bar{atMost(fmt.Sprintf("put while %s: p999 beside the quiet one", title), "µs", m[ours]["put"].P999, m["ours quiet"]["put"].P999, 3)}
		},
	}
}

func rollStudy() Study {
	file := []string{fmt.Sprintf("-file=%d", pacedFile)}
	return pacedStudy("roll", "a file of the log ends every second", false, file, file)
}

func retentionStudy() Study {
	args := []string{fmt.Sprintf("-file=%d", pacedFile), fmt.Sprintf("-retain=%d", pacedFile)}
	return pacedStudy("retention", "files end and are deleted every second", false, args, args)
}

func scanStudy() Study {
	return pacedStudy("scan", "a reader goes through 2 GiB on disk", true, []string{"-scan"}, []string{"-scan=true", "-copy=true"})
}
