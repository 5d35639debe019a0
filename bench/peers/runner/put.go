package runner

import (
	"fmt"
	"strconv"
)

// javaVariants are the ways to run Java's store; the transient pool exists under ASYNC_FLUSH only.
var javaVariants = map[string][]string{"async": {"default", "pool", "warm"}, "sync": {"default", "warm"}}

// putStudy compares puts into the stores alone, dispatch and index included, and what others write as much with.
func putStudy(flush string, writers int) Study {
	of := func(e *Env) workload { return putWorkload(e, flush, writers) }
	s := Study{
		Name:    fmt.Sprintf("put-%s-%d", flush, writers),
		Title:   fmt.Sprintf("engine: put, flush=%s, writers=%d, 1 KiB with tags, keys, unique key", flush, writers),
		Sides:   []Side{oursPut(ours, of)},
		Compare: []Figure{rate("put", "messages/s")},
	}
	for _, v := range javaVariants[flush] {
		s.Sides = append(s.Sides, javaPut(v, of, "-variant="+v))
	}
	s.Sides = append(s.Sides, logSide(pebble, "pebble", of), logSide(natsName, "jetstream", of))
	if flush == "async" {
		s.Compare = append(s.Compare, cpu("put"))
		if writers == 1 {
			s.Sides = append(s.Sides, limitSide("limit copy", "-do=copy"), limitSide("limit encode", "-do=encode"),
				limitSide("limit write", "-do=write"))
		}
		s.Bars = func(m Medians) []Bar { return asyncBars(m, writers) }
		return s
	}
	group := "-group=" + strconv.Itoa(writers)
	s.Sides = append(s.Sides, logSide(etcdWAL, "etcd", of), logSide(raftWAL, "raft-wal", of),
		limitSide("limit grown", group, "-file=grown"), limitSide("limit allocated", group, "-file=allocated"),
		// Overwriting blocks that were written before is for orientation: a log has none.
		limitSide("overwriting", group, "-file=written"))
	s.Bars = func(m Medians) []Bar { return syncBars(m, writers) }
	return s
}

func asyncBars(m Medians, writers int) []Bar {
	our, of := m[ours]["put"], fmt.Sprintf("async put, %d writers: ", writers)
	bars := []Bar{atMostFixed(of+"allocations a put", "", our.Allocs, 0.01)}
	if writers == 1 {
		bars = append(bars,
			atLeast(of+"msgs/s of encoding with CRC", "/s", our.Rate, m["limit encode"]["put"].Rate, 0.2),
			atMost(of+"CPU a message of Pebble without an index", "µs", our.CPU, m[pebble]["put"].CPU, 1.2))
	}
	side, java, ok := m.best("java ", "put")
	switch {
	case !ok:
		return append(bars, missing(of+"messages/s, CPU, p999", noJava))
	case writers > 8: // more than the bars speak of
		return append(bars, atLeast(of+"msgs/s of "+side, "/s", our.Rate, java.Rate, 1))
	}
	return append(bars,
		atLeast(of+"msgs/s of "+side, "/s", our.Rate, java.Rate, 3),
		atMost(of+"CPU a message of "+side, "µs", our.CPU, java.CPU, 0.25),
		atMost(of+"p999 of "+side, "µs", our.P999, java.P999, 1))
}

func syncBars(m Medians, writers int) []Bar {
	our, of := m[ours]["put"], fmt.Sprintf("sync put, %d writers: ", writers)
	limitName, limit, _ := m.best("limit ", "put")
	if writers == 1 {
		return []Bar{atLeast(of+"msgs/s of "+limitName, "/s", our.Rate, limit.Rate, 0.9)}
	}
	bars := []Bar{atLeast(of+"msgs/s of "+limitName+" in groups", "/s", our.Rate, limit.Rate, 0.5)}
	for _, log := range []string{etcdWAL, raftWAL, pebble} {
		bars = append(bars, atLeast(of+"msgs/s of "+log, "/s", our.Rate, m[log]["put"].Rate, 1))
	}
	side, java, ok := m.best("java ", "put")
	if !ok {
		return append(bars, missing(of+"messages/s", noJava))
	}
	return append(bars, atLeast(of+"msgs/s of "+side, "/s", our.Rate, java.Rate, 2.5))
}

// bodyStudy compares puts of other sizes. As many bytes are put as with 1 KiB, not as many messages.
func bodyStudy(body int) Study {
	of := func(e *Env) workload {
		w := putWorkload(e, "async", 1)
		w.body = body
		w.messages = min(2_000_000, 2_500_000_000/w.recordSize())
		return w
	}
	return Study{
		Name:    fmt.Sprintf("body-%d", body),
		Title:   fmt.Sprintf("engine: put, flush=async, writers=1, bodies of %d bytes", body),
		Sides:   []Side{oursPut(ours, of), javaPut("default", of), logSide(pebble, "pebble", of)},
		Compare: []Figure{rate("put", "messages/s"), cpu("put")},
		Bars:    func(Medians) []Bar { return nil },
	}
}

// indexStudy compares puts with the index of keys and without.
func indexStudy() Study {
	of := func(e *Env) workload { return putWorkload(e, "async", 1) }
	const without = "ours without index"
	return Study{
		Name:  "index",
		Title: "engine: put, flush=async, writers=1, with the index of keys and without",
		Sides: []Side{
			oursPut(ours, of), oursPut(without, of, "-without-index"),
			javaPut("default", of), javaPut("without index", of, "-index=false"),
		},
		Compare: []Figure{rate("put", "messages/s"), cpu("put")},
		Bars: func(m Medians) []Bar {
			return []Bar{
				atMost("index: CPU a message without", "µs", m[ours]["put"].CPU, m[without]["put"].CPU, 1.15),
				atLeast("index: msgs/s without", "/s", m[ours]["put"].Rate, m[without]["put"].Rate, 1/1.15),
			}
		},
	}
}
