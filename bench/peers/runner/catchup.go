package runner

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// catchUp is how many messages a fresh slave has to copy: half a GiB, in one file of the log, since a
// Java master gives a fresh slave its last file only.
const catchUp = 400_000

// lookLeast and lookMost bound the time between two looks at how far the slave is.
const (
	lookLeast = 3 * time.Millisecond
	lookMost  = 100 * time.Millisecond
)

// catchUpStudy has a fresh slave copy the log of a master that has nothing else to do, and the kernel a file of that size.
func catchUpStudy() Study {
	return Study{
		Name:  "catch-up",
		Title: "catch-up of a fresh slave, and copying its file over the loopback, in MB/s",
		Sides: []Side{
			{Name: ours, Run: func(e *Env) (Results, error) { return e.freshSlave((*Env).startOurMember) }},
			{Name: "java", Missing: (*Env).missingJava, Run: func(e *Env) (Results, error) { return e.freshSlave((*Env).startJavaMember) }},
			{Name: "copy", Run: (*Env).copyFile},
		},
		Compare: []Figure{{Name: "catch-up", Label: "a fresh slave's catch-up", Unit: "MB/s", Value: func(r measure.Result) float64 { return r.Rate }}},
		Bars: func(m Medians) []Bar {
			rate := m[ours]["catch-up"].Rate
			var bars []Bar
			if copied, ok := m["copy"]; ok {
				bars = append(bars, atLeast("catch-up: MB/s of a file's copy over the loopback", "MB/s", rate, copied["catch-up"].Rate, 0.6))
			}
			if java, ok := m["java"]; ok {
				return append(bars, atLeast("catch-up: MB/s of Java's pair", "MB/s", rate, java["catch-up"].Rate, 2))
			}
			return append(bars, missing("catch-up beside a pair of Java's brokers", noJava))
		},
	}
}

// freshSlave fills a master's log and has a slave copy it.
func (e *Env) freshSlave(start func(*Env, member) (*server, error)) (Results, error) {
	names, stop, err := e.nameServer()
	if err != nil {
		return nil, err
	}
	defer stop()
	master, err := start(e, member{"master", []string{"brokerRole=ASYNC_MASTER", names}})
	if err != nil {
		return nil, err
	}
	defer master.stop()
	if _, err := e.load(master, "send", 0, "-measure=1m", "-messages="+strconv.Itoa(catchUp)); err != nil {
		return nil, err
	}
	settleDisk()
	fresh, err := start(e, slave(names))
	if err != nil {
		return nil, err
	}
	defer fresh.stop()
	r, err := e.catchUp(master)
	return as("catch-up", r, err)
}

// catchUp measures how fast a fresh slave gets the log, from the last look at which it had nothing, or else the first.
func (e *Env) catchUp(master *server) (measure.Result, error) {
	var first, last, missing int64
	var begin time.Time
	every := func() time.Duration { return nextLook(time.Since(begin), last-first, missing) }
	err := e.watch(master, every, childTimeout, func(end, ack int64) bool {
		if ack <= 0 || begin.IsZero() {
			begin, first = time.Now(), max(ack, 0)
		}
		last, missing = max(ack, 0), end-ack
		return ack > 0 && missing == 0
	})
	r := measure.Result{Bytes: last - first, Seconds: time.Since(begin).Seconds()}
	r.Rate = float64(r.Bytes) / r.Seconds / 1e6
	return r, err
}

// nextLook is when to look next at a slave that has got so much in some time, and misses so much: seldom in between, as a look takes from
// both sides what it costs, and often where it decides, at the beginning and in the end.
func nextLook(since time.Duration, got, missing int64) time.Duration {
	if got == 0 {
		return lookLeast
	}
	left := time.Duration(float64(since) * float64(missing) / float64(got))
	return min(max(left/2, lookLeast), lookMost)
}

// copyFile copies a file of the size that a slave catches up with over the loopback, as fast as the kernel does.
func (e *Env) copyFile() (Results, error) {
	const size = catchUp * 1229
	source, err := os.Create(filepath.Join(e.run, "source"))
	if err != nil {
		return nil, err
	}
	defer source.Close()
	block := make([]byte, 1<<20)
	for at := 0; at < size; at += len(block) {
		if _, err := source.Write(block[:min(len(block), size-at)]); err != nil {
			return nil, err
		}
	}
	if _, err := source.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	settleDisk()
	target, err := os.Create(filepath.Join(e.run, "target"))
	if err != nil {
		return nil, err
	}
	defer target.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	sent := make(chan error, 1)
	begin := time.Now()
	go func() {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_, err = io.Copy(conn, source)
			err = errors.Join(err, conn.Close())
		}
		sent <- err
	}()
	conn, err := ln.Accept()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	n, err := io.Copy(target, conn)
	if err := errors.Join(err, <-sent); err != nil {
		return nil, err
	}
	r := measure.Result{Bytes: n, Seconds: time.Since(begin).Seconds()}
	r.Rate = float64(n) / r.Seconds / 1e6
	return Results{"catch-up": r}, nil
}
