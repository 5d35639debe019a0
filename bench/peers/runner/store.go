package runner

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// javaVariants are the ways to run Java's store; the transient pool exists under ASYNC_FLUSH only.
var javaVariants = map[string][]string{"async": {"default", "pool", "warm"}, "sync": {"default", "warm"}}

// putStudy compares puts into the stores alone, dispatch and index included.
func putStudy(flush string, writers int) Study {
	name := fmt.Sprintf("put-%s-%d", flush, writers)
	s := Study{
		Name:  name,
		Title: fmt.Sprintf("engine: put, flush=%s, writers=%d, 1 KiB with tags, keys, unique key", flush, writers),
		Sides: []Side{oursPut(flush, writers, 4)},
	}
	for _, v := range javaVariants[flush] {
		s.Sides = append(s.Sides, javaPut(flush, v, writers, 4))
	}
	switch {
	case flush == "async":
		s.Bars = func(m Medians) []Bar { return asyncBars(m, writers) }
	case writers == 1:
		s.Sides = append(s.Sides, limitSide("grown"), limitSide("allocated"),
			// Overwriting blocks that were written before is for orientation: a log has none.
			Side{Name: "overwriting", Run: limitSide("written").Run})
		s.Bars = func(m Medians) []Bar {
			side, limit, _ := m.best("limit ", "put")
			return []Bar{atLeast("sync put, 1 writers: msgs/s of "+side, "/s", m["ours"]["put"].Rate, limit.Rate, 0.9)}
		}
	default:
		s.Sides = append(s.Sides, etcdSide(writers))
		s.Bars = func(m Medians) []Bar { return syncBars(m, writers) }
	}
	return s
}

func asyncBars(m Medians, writers int) []Bar {
	ours, of := m["ours"]["put"], fmt.Sprintf("async put, %d writers: ", writers)
	bars := []Bar{atMost(of+"allocations a put", "", ours.Allocs, 0, 0.01)}
	side, java, ok := m.best("java ", "put")
	if !ok {
		return append(bars, missing(of+"messages/s, CPU, p999", "no Java"))
	}
	return append(bars,
		atLeast(of+"msgs/s of "+side, "/s", ours.Rate, java.Rate, 3),
		atMost(of+"CPU a message of "+side, "µs", ours.CPU, java.CPU, 0.25),
		atMost(of+"p999 of "+side, "µs", ours.P999, java.P999, 1))
}

func syncBars(m Medians, writers int) []Bar {
	ours, of := m["ours"]["put"], fmt.Sprintf("sync put, %d writers: ", writers)
	bars := []Bar{atLeast(of+"msgs/s of etcd's WAL", "/s", ours.Rate, m["etcd WAL"]["put"].Rate, 1)}
	side, java, ok := m.best("java ", "put")
	if !ok {
		return append(bars, missing(of+"messages/s", "no Java"))
	}
	return append(bars, atLeast(of+"msgs/s of "+side, "/s", ours.Rate, java.Rate, 2.5))
}

// queuesStudy compares puts spread over 10,000 queues.
func queuesStudy() Study {
	const queues = 10_000
	return Study{
		Name:      "queues",
		ManyFiles: true,
		Title:     "engine: put, flush=async, writers=1, 10,000 queues",
		Sides:     []Side{oursPut("async", 1, queues), javaPut("async", "default", 1, queues)},
		Bars: func(m Medians) []Bar {
			ours, text := m["ours"]["put"], "10,000 queues: msgs/s of Java's store"
			bars := []Bar{atMost("10,000 queues: anonymous memory", "MiB", ours.Anonymous, 0, 128)}
			_, java, ok := m.best("java ", "put")
			if !ok {
				return append(bars, missing(text, "no Java"))
			}
			return append(bars, atLeast(text, "/s", ours.Rate, java.Rate, 4))
		},
	}
}

// openStudy compares opening a store of 1 GiB whose process was killed.
func openStudy() Study {
	fillAndOpen := func(run func(*Env, ...string) (Results, error)) func(*Env) (Results, error) {
		return func(e *Env) (Results, error) {
			dir := "-dir=" + filepath.Join(e.run, "store")
			if _, err := run(e, "fill", dir, "-bytes="+strconv.Itoa(1<<30)); err != nil {
				return nil, err
			}
			return run(e, "open", dir)
		}
	}
	return Study{
		Name:  "open",
		Title: "engine: open after kill -9 with 1 GiB behind it",
		Sides: []Side{
			{Name: "ours", Run: fillAndOpen(func(e *Env, args ...string) (Results, error) {
				r, err := e.own(append([]string{"store", "-do=" + args[0]}, args[1:]...)...)
				return Results{"open": r}, err
			})},
			{Name: "java default", Missing: (*Env).missingJava, Run: fillAndOpen(func(e *Env, args ...string) (Results, error) {
				r, err := e.javaStore(args...)
				return Results{"open": r}, err
			})},
		},
		Bars: func(m Medians) []Bar {
			const text = "open after a kill: time of Java's store"
			java, ok := m["java default"]
			if !ok {
				return []Bar{missing(text, "no Java")}
			}
			return []Bar{atMost(text, "s", m["ours"]["open"].Seconds, java["open"].Seconds, 0.1)}
		},
	}
}

func oursPut(flush string, writers, queues int) Side {
	return Side{Name: "ours", Run: func(e *Env) (Results, error) {
		r, err := e.own("store", "-do=put", "-dir="+filepath.Join(e.run, "store"), "-flush="+flush,
			"-writers="+strconv.Itoa(writers), "-queues="+strconv.Itoa(queues),
			"-warmup="+putWarmup(e, queues).String(), "-measure="+e.Measure.String())
		return Results{"put": r}, err
	}}
}

func javaPut(flush, variant string, writers, queues int) Side {
	return Side{Name: "java " + variant, Missing: (*Env).missingJava, Run: func(e *Env) (Results, error) {
		r, err := e.javaStore("put", "-dir="+filepath.Join(e.run, "store"), "-flush="+flush,
			"-variant="+variant, "-writers="+strconv.Itoa(writers), "-queues="+strconv.Itoa(queues),
			"-warmup="+seconds(putWarmup(e, queues)), "-seconds="+seconds(e.Measure))
		return Results{"put": r}, err
	}}
}

// putWarmup is long enough for Java's compiler, and with many queues for the first file of each.
func putWarmup(e *Env, queues int) time.Duration {
	if queues > 1000 {
		return 2 * e.Measure
	}
	return e.Measure
}

func limitSide(file string) Side {
	return Side{Name: "limit " + file, Run: func(e *Env) (Results, error) {
		r, err := e.own("limit", "-dir="+e.run, "-file="+file, "-measure="+(e.Measure/2).String())
		return Results{"put": r}, err
	}}
}

func etcdSide(writers int) Side {
	return Side{Name: "etcd WAL", Run: func(e *Env) (Results, error) {
		r, err := e.own("etcd", "-dir="+filepath.Join(e.run, "wal"), "-writers="+strconv.Itoa(writers),
			"-warmup="+(e.Measure/2).String(), "-measure="+e.Measure.String())
		return Results{"put": r}, err
	}}
}
