// Command peers puts rocketlog beside what it is measured against, on the same work, on one machine, in
// one interleaved run: Java's message store and broker, etcd's write-ahead log, and the limits of the
// machine. See bench/README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	pkgprofile "github.com/pkg/profile"
	"github.com/rocketlog/rocketlog/bench/peers/etcdwal"
	"github.com/rocketlog/rocketlog/bench/peers/limits"
	"github.com/rocketlog/rocketlog/bench/peers/load"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/bench/peers/nullserver"
	"github.com/rocketlog/rocketlog/bench/peers/runner"
	"github.com/rocketlog/rocketlog/bench/peers/store"
)

// commands are what a process of this program can be; the runner starts the others as its children.
var commands = map[string]func(args []string) (measure.Result, error){
	"load":  runLoad,
	"etcd":  runEtcd,
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
		fmt.Fprintln(os.Stderr, "usage: peers run|load|store|null|etcd|limit [flags]; peers run -h tells more")
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
	kind := f.String("kind", "send", "send, pull or endtoend")
	c := load.Config{}
	f.StringVar(&c.Addr, "addr", "127.0.0.1:10911", "address of the broker")
	f.StringVar(&c.Topic, "topic", "BenchLoad", "topic")
	f.IntVar(&c.Queues, "queues", 8, "queues of the topic, at most 10")
	f.IntVar(&c.BodySize, "body", 1024, "size of a body in bytes")
	f.IntVar(&c.Conns, "conns", 4, "connections")
	f.IntVar(&c.InFlight, "inflight", 32, "sends in flight on each connection")
	f.IntVar(&c.Rate, "rate", 5000, "messages/s of endtoend")
	f.IntVar(&c.ServerPID, "pid", 0, "process whose CPU time is counted")
	f.Int64Var(&c.Messages, "messages", 0, "stop send after so many messages; 0 is no limit")
	f.StringVar(&c.Filter, "filter", "", "what a pull wants, of messages sent with -varied: tags or sql; all by default")
	f.BoolVar(&c.Varied, "varied", false, "send messages that a filter can tell apart")
	warmup, measured := times(f)
	f.Parse(args)
	c.Warmup, c.Measure = *warmup, *measured
	switch *kind {
	case "send":
		return load.Send(c)
	case "pull":
		return load.Pull(c)
	case "endtoend":
		return load.EndToEnd(c)
	}
	return measure.Result{}, fmt.Errorf("no such kind: %s", *kind)
}

func runEtcd(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("etcd", flag.ExitOnError)
	c := etcdwal.Config{}
	f.StringVar(&c.Dir, "dir", "", "directory to make and write to")
	f.IntVar(&c.Writers, "writers", 64, "goroutines that put")
	f.IntVar(&c.EntrySize, "entry", 1229, "size of an entry in bytes")
	warmup, measured := times(f)
	f.Parse(args)
	c.Warmup, c.Measure = *warmup, *measured
	return etcdwal.Run(c)
}

func runLimit(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("limit", flag.ExitOnError)
	c := limits.Config{}
	f.StringVar(&c.Dir, "dir", "", "directory to write to")
	f.StringVar(&c.File, "file", "allocated", "the file is grown, allocated or written")
	f.IntVar(&c.RecordSize, "record", 1229, "size of a record in bytes")
	_, measured := times(f)
	f.Parse(args)
	c.Measure = *measured
	return limits.WriteSync(c)
}

func runNull(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("null", flag.ExitOnError)
	addr := f.String("addr", "127.0.0.1:10911", "address to listen on")
	profile := f.String("profile", "", "write a CPU profile to this directory on interrupt")
	f.Parse(args)
	if *profile != "" {
		defer pkgprofile.Start(pkgprofile.CPUProfile, pkgprofile.ProfilePath(*profile), pkgprofile.Quiet).Stop()
	}
	return measure.Result{}, nullserver.Serve(*addr)
}

func runStore(args []string) (measure.Result, error) {
	f := flag.NewFlagSet("store", flag.ExitOnError)
	c := store.Config{}
	do := f.String("do", "put", "put, fill (and die) or open")
	flush := f.String("flush", "async", "async or sync")
	f.StringVar(&c.Dir, "dir", "", "directory of the store")
	f.BoolVar(&c.TransientPool, "pool", false, "with the transient store pool")
	f.IntVar(&c.Writers, "writers", 1, "goroutines that put")
	f.IntVar(&c.Queues, "queues", 4, "queues, eight a topic")
	f.IntVar(&c.BodySize, "body", 1024, "size of a body in bytes")
	f.Int64Var(&c.Messages, "messages", 2_000_000, "put at most so many while measuring, and half of it before")
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
		return store.Fill(c)
	}
	return measure.Result{}, fmt.Errorf("nothing called %s to do", *do)
}
