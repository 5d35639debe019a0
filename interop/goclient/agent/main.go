// Command agent drives github.com/apache/rocketmq-client-go/v2 by commands on
// standard input and tells what happens as JSON lines on standard output, in
// the same words as the Java program rocketlog.interop.Agent.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// running is what a command leaves behind, known by its id until "stop".
type running interface{ stop() error }

// agent holds what runs, by the id of the command that started it.
type agent struct {
	nameServer string

	mu      sync.Mutex
	running map[string]running
}

func main() {
	rlog.SetLogLevel("error")
	rlog.SetLogger(stderrLogger{})
	a := &agent{nameServer: os.Args[1], running: map[string]running{}}
	emit(event{ID: "agent", Event: "ready"})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		args, err := parseArgs(in.Text())
		if err != nil {
			emit(event{ID: "agent", Event: "failed", Error: err.Error()})
			continue
		}
		go a.run(args)
	}
}

// resolver finds the name servers in the addresses given, or at the URL.
func (a *agent) resolver() primitive.NsResolver {
	if strings.HasPrefix(a.nameServer, "http://") {
		return primitive.NewHttpResolver("DEFAULT", a.nameServer)
	}
	return primitive.NewPassthroughResolver(strings.Split(a.nameServer, ";"))
}

func (a *agent) run(args args) {
	err := a.do(args)
	if err != nil {
		emit(event{ID: args.id, Event: "failed", Error: err.Error()})
	}
}

func (a *agent) do(args args) error {
	switch args.verb {
	case "producer":
		return startSender(a, args)
	case "send":
		s, ok := a.find(args.text("producer", "")).(*sender)
		if !ok {
			return fmt.Errorf("no producer %q", args.text("producer", ""))
		}
		return s.send(a, args)
	case "transact":
		return startTransactions(a, args)
	case "consume":
		return startConsumer(a, args)
	case "stop":
		r := a.remove(args.text("target", ""))
		if r == nil {
			return fmt.Errorf("nothing runs as %q", args.text("target", ""))
		}
		err := r.stop()
		if err == nil {
			emit(event{ID: args.id, Event: "done"})
		}
		return err
	}
	return fmt.Errorf("unknown command %q", args.verb)
}

func (a *agent) keep(id string, r running) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running[id] = r
}

func (a *agent) find(id string) running {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running[id]
}

func (a *agent) remove(id string) running {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.running[id]
	delete(a.running, id)
	return r
}
