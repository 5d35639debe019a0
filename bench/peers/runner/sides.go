package runner

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// The names of sides that bars and tables ask for.
const (
	ours     = "ours"
	etcdWAL  = "etcd WAL"
	raftWAL  = "raft-wal"
	pebble   = "Pebble"
	natsName = "NATS JetStream"
)

// workload is what writers put, on every side.
type workload struct {
	flush   string // async or sync
	writers int
	queues  int
	body    int // bytes
	warmup  time.Duration
	measure time.Duration
	// messages bounds what is measured, and half of it what is put before; 0 is the default of 2 million.
	messages int
}

// recordSize is how many bytes of the log a message of the workload takes.
func (w workload) recordSize() int { return w.body + 205 }

// args are the flags that our harness and Java's have in common.
func (w workload) args(e *Env) []string {
	args := []string{"-dir=" + e.store(), "-flush=" + w.flush, "-writers=" + strconv.Itoa(w.writers),
		"-queues=" + strconv.Itoa(w.queues), "-body=" + strconv.Itoa(w.body)}
	if w.messages > 0 {
		args = append(args, "-messages="+strconv.Itoa(w.messages))
	}
	return args
}

// putWorkload is the usual one, which warms up as long as it measures.
func putWorkload(e *Env, flush string, writers int) workload {
	return workload{flush: flush, writers: writers, queues: 4, body: 1024, warmup: e.Measure, measure: e.Measure}
}

func (e *Env) store() string { return filepath.Join(e.run, "store") }

// oursDo has our harness do something.
func (e *Env) oursDo(do string, w workload, more ...string) (measure.Result, error) {
	args := append([]string{"store", "-do=" + do, "-warmup=" + w.warmup.String(), "-measure=" + w.measure.String()}, w.args(e)...)
	return e.own(append(args, more...)...)
}

// javaDo has Java's harness do something.
func (e *Env) javaDo(do string, w workload, more ...string) (measure.Result, error) {
	args := append([]string{do, "-warmup=" + seconds(w.warmup), "-seconds=" + seconds(w.measure)}, w.args(e)...)
	return e.javaStore(append(args, more...)...)
}

// as names what one child measured.
func as(name string, r measure.Result, err error) (Results, error) { return Results{name: r}, err }

func oursPut(name string, of func(*Env) workload, more ...string) Side {
	return Side{Name: name, Run: func(e *Env) (Results, error) {
		r, err := e.oursDo("put", of(e), more...)
		return as("put", r, err)
	}}
}

func javaPut(name string, of func(*Env) workload, more ...string) Side {
	return Side{Name: "java " + name, Missing: (*Env).missingJava, Run: func(e *Env) (Results, error) {
		r, err := e.javaDo("put", of(e), more...)
		return as("put", r, err)
	}}
}

// logSide is what writes entries and is no store of messages.
func logSide(name, kind string, of func(*Env) workload) Side {
	return Side{Name: name, Run: func(e *Env) (Results, error) {
		w := of(e)
		r, err := e.own("log", "-kind="+kind, "-dir="+e.store(), "-flush="+w.flush, "-writers="+strconv.Itoa(w.writers),
			"-entry="+strconv.Itoa(w.recordSize()), "-warmup="+(w.warmup/2).String(), "-measure="+w.measure.String())
		return as("put", r, err)
	}}
}

func limitSide(name string, more ...string) Side {
	return Side{Name: name, Run: func(e *Env) (Results, error) {
		r, err := e.own(append([]string{"limit", "-dir=" + e.run, "-measure=" + (e.Measure / 3).String()}, more...)...)
		return as("put", r, err)
	}}
}

// rival tells whether a side is another's product, neither ours in another setting nor a limit of the machine.
func rival(side string) bool {
	for _, prefix := range []string{ours, "our ", "copy", "limit ", "overwriting", "null server"} {
		if strings.HasPrefix(side, prefix) {
			return false
		}
	}
	return true
}
