// Command peers puts rocketlog beside what it is measured against, on the same work, on one machine, in
// one interleaved run: Java's message store and broker, write-ahead logs, Pebble, NATS JetStream, and the
// limits of the machine. See bench/README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	pkgprofile "github.com/pkg/profile"
	"github.com/rocketlog/rocketlog/bench/peers/etcdwal"
	"github.com/rocketlog/rocketlog/bench/peers/jetstream"
	"github.com/rocketlog/rocketlog/bench/peers/limits"
	"github.com/rocketlog/rocketlog/bench/peers/load"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/bench/peers/nullserver"
	"github.com/rocketlog/rocketlog/bench/peers/pebblekv"
	"github.com/rocketlog/rocketlog/bench/peers/raftwal"
	"github.com/rocketlog/rocketlog/bench/peers/runner"
	"github.com/rocketlog/rocketlog/bench/peers/store"
	"github.com/rocketlog/rocketlog/bench/peers/writers"
)

// commands are what a process of this program can be; the runner starts the others as its children.
var commands = map[string]func(args []string) (measure.Result, error){
	"load":  runLoad,
	"log":   runLog,
	"limit": runLimit,
	"null":  runNull,
	"store": runStore,
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "run" {
		runRun(os.Args[2:])
		return
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: peers run|load|store|null|log|limit [flags]; peers run -h tells more")
		os.Exit(2)
	}
	result, err := commands[os.Args[1]](os.Args[2:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "peers %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		os.Exit(1)
	}
	if diesAfter {
		store.Die()
	}
}

// diesAfter is set by a command that is to end as if killed once its result is printed.
var diesAfter bool

func runRun(args []string) {
	f := flag.NewFlagSet("run", flag.ExitOnError)
	options := runner.Flags(f)
	f.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runner.Run(ctx, options, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "peers run: %v\n", err)
		os.Exit(1)
	}
}

// times adds the flags that every measuring command has.
func times(f *flag.FlagSet) (warmup, measured *time.Duration) {
	return f.Duration("warmup", 2*time.Second, "time before measuring"),
		f.Duration("measure", 3*time.Second, "time of measuring")
}

func runLoad(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("load", flag.ExitOnError)
	kind := f.String("kind", "send", "workload: "+strings.Join(slices.Sorted(maps.Keys(load.Workloads)), ", "))
	c := load.Config{}
	f.StringVar(&c.Addr, "addr", "127.0.0.1:10911", "address of the broker")
	f.StringVar(&c.Topic, "topic", "BenchLoad", "topic")
	f.IntVar(&c.Queues, "queues", 8, "queues of the topic, at most 10")
	f.IntVar(&c.BodySize, "body", 1024, "size of a body in bytes")
	f.IntVar(&c.Conns, "conns", 4, "connections")
	f.IntVar(&c.InFlight, "inflight", 32, "sends in flight on each connection")
	f.IntVar(&c.Rate, "rate", 5000, "messages/s of endtoend")
	f.IntVar(&c.ServerPID, "pid", 0, "process whose CPU time is counted")
	f.Int64Var(&c.Messages, "messages", 0, "stop send after so many messages, 0 is no limit; how many timers to put")
	f.StringVar(&c.Filter, "filter", "", "what a pull wants, of messages sent with -varied: tags or sql; all by default")
	f.BoolVar(&c.Varied, "varied", false, "send messages that a filter can tell apart")
	warmup, measured := times(f)
	f.Parse(args)
	c.Warmup, c.Measure = *warmup, *measured
	if run := load.Workloads[*kind]; run != nil {
		return run(c)
	}
	return measure.Result{}, fmt.Errorf("no such kind: %s", *kind)
}

func runLog(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("log", flag.ExitOnError)
	c := writers.Config{}
	kind := f.String("kind", "etcd", "etcd, raft-wal, pebble or jetstream")
	dir := f.String("dir", "", "directory to make and write to")
	sync := f.String("flush", "sync", "async or sync, for pebble and jetstream; the logs always sync")
	f.IntVar(&c.Writers, "writers", 64, "goroutines that put")
	f.IntVar(&c.EntrySize, "entry", 1229, "size of an entry in bytes")
	profile := f.String("profile", "", "write a CPU profile to this directory")
	warmup, measured := times(f)
	f.Parse(args)
	c.Warmup, c.Measure = *warmup, *measured
	if *profile != "" {
		defer pkgprofile.Start(pkgprofile.CPUProfile, pkgprofile.ProfilePath(*profile), pkgprofile.Quiet).Stop()
	}
	switch *kind {
	case "etcd":
		return etcdwal.Run(*dir, c)
	case "raft-wal":
		return raftwal.Run(*dir, c)
	case "pebble":
		return pebblekv.Run(*dir, *sync == "sync", c)
	case "jetstream":
		return jetstream.Run(*dir, *sync == "sync", c)
	}
	return measure.Result{}, fmt.Errorf("no such kind: %s", *kind)
}

func runLimit(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("limit", flag.ExitOnError)
	c := limits.Config{}
	do := f.String("do", "sync", "copy, encode, write or sync")
	f.StringVar(&c.Dir, "dir", "", "directory to write to")
	f.StringVar(&c.File, "file", "allocated", "the file is grown, allocated or written")
	f.IntVar(&c.RecordSize, "record", 1229, "size of a record in bytes")
	f.IntVar(&c.Group, "group", 1, "records of one sync")
	_, measured := times(f)
	f.Parse(args)
	c.Measure = *measured
	switch *do {
	case "copy":
		return limits.Copy(c)
	case "encode":
		return limits.Encode(c)
	case "write":
		return limits.Write(c)
	case "sync":
		return limits.Sync(c)
	}
	return measure.Result{}, fmt.Errorf("nothing called %s to do", *do)
}

func runNull(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("null", flag.ExitOnError)
	addr := f.String("addr", "127.0.0.1:10911", "address to listen on")
	follow := f.String("follow", "", "be a slave instead, of the master at this address")
	profile := f.String("profile", "", "write a CPU profile to this directory on interrupt")
	f.Parse(args)
	if *profile != "" {
		defer pkgprofile.Start(pkgprofile.CPUProfile, pkgprofile.ProfilePath(*profile), pkgprofile.Quiet).Stop()
	}
	if *follow != "" {
		return measure.Result{}, nullserver.Follow(*follow)
	}
	return measure.Result{}, nullserver.Serve(*addr)
}

func runStore(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("store", flag.ExitOnError)
	c := store.Config{}
	do := f.String("do", "put", "put, fill (and die), fill-clean, open, read, read-once, query or paced")
	flush := f.String("flush", "async", "async or sync")
	f.StringVar(&c.Dir, "dir", "", "directory of the store")
	f.BoolVar(&c.TransientPool, "pool", false, "with the transient store pool")
	f.BoolVar(&c.WithoutIndex, "without-index", false, "no index of keys")
	f.Int64Var(&c.FileSize, "file", 0, "bytes of a file of the log; 0 is the default")
	f.Int64Var(&c.Retain, "retain", 0, "delete what is behind the last so many bytes; 0 is nothing")
	f.BoolVar(&c.Scan, "scan", false, "a reader reads all from the beginning beside the writers")
	rate := f.Int("rate", 50_000, "messages/s of paced")
	f.IntVar(&c.Writers, "writers", 1, "goroutines that put")
	f.IntVar(&c.Queues, "queues", 4, "queues, eight a topic")
	f.IntVar(&c.BodySize, "body", 1024, "size of a body in bytes")
	f.Int64Var(&c.Messages, "messages", 2_000_000, "put at most so many while measuring, and half of it before; what query has to choose from")
	f.Int64Var(&c.Bytes, "bytes", 1<<30, "fill the log with so many bytes")
	profile := f.String("profile", "", "write a CPU profile to this directory")
	warmup, measured := times(f)
	f.Parse(args)
	c.Warmup, c.Measure, c.SyncFlush = *warmup, *measured, *flush == "sync"
	if *profile != "" {
		defer pkgprofile.Start(pkgprofile.CPUProfile, pkgprofile.ProfilePath(*profile), pkgprofile.Quiet).Stop()
	}
	switch *do {
	case "put":
		return store.Put(c)
	case "open":
		return store.Open(c)
	case "fill":
		diesAfter = true
		return store.Fill(c, false)
	case "fill-clean":
		return store.Fill(c, true)
	case "read":
		return store.Read(c, false)
	case "read-once":
		return store.Read(c, true)
	case "query":
		return store.Query(c)
	case "paced":
		return store.Paced(c, *rate)
	}
	return measure.Result{}, fmt.Errorf("nothing called %s to do", *do)
}
