package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// callTimeout bounds how long a server may take to answer.
const callTimeout = 10 * time.Second

// remote is a command that asks running servers. What it prints has the columns of RocketMQ's own.
type remote struct {
	out, errs io.Writer
	client    *remoting.Client
	flags     *flag.FlagSet

	nameServers string
	cluster     string
	broker      string
	interval    time.Duration // between two turns; 0 is one turn
	failed      error         // of writing
}

// newRemote returns a command with the flags that nearly all have: -n, -c, -b and -i.
func newRemote(name string, stdout, stderr io.Writer) *remote {
	r := &remote{out: stdout, errs: stderr, flags: flag.NewFlagSet(name, flag.ContinueOnError)}
	r.flags.SetOutput(stderr)
	r.flags.Usage = func() { fmt.Fprint(stderr, usage) }
	r.flags.StringVar(&r.nameServers, "n", os.Getenv("NAMESRV_ADDR"), "")
	r.flags.StringVar(&r.cluster, "c", "", "")
	r.flags.StringVar(&r.broker, "b", "", "")
	r.flags.Func("i", "", func(text string) error {
		seconds, err := time.ParseDuration(text + "s")
		if err == nil && seconds <= 0 {
			err = errors.New("not above 0")
		}
		r.interval = seconds
		return err
	})
	return r
}

// run parses the arguments and does one turn, or with -i one after the other until the process is ended, or nobody reads
// what it prints.
func (r *remote) run(args []string, complaint func() string, turn func() error) int {
	switch err := r.flags.Parse(args); {
	case err == flag.ErrHelp:
		return daemon.ExitOK
	case err != nil:
		return daemon.ExitUsage
	}
	said := complaint()
	if r.flags.NArg() > 0 {
		said = "nothing may follow the flags"
	}
	if said != "" {
		fmt.Fprintf(r.errs, "mqadmin %s: %s\n", r.flags.Name(), said)
		r.flags.Usage()
		return daemon.ExitUsage
	}
	r.client = remoting.NewClient(nil)
	defer r.client.Close()
	for {
		if err := cmp.Or(turn(), r.failed); err != nil {
			fmt.Fprintln(r.errs, "mqadmin:", err)
			return daemon.ExitFailed
		}
		if r.interval == 0 {
			return daemon.ExitOK
		}
		time.Sleep(r.interval)
	}
}

func (r *remote) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(r.out, format, args...); err != nil {
		r.failed = cmp.Or(r.failed, err)
	}
}

// ask sends a request and reads the answer's body into v, unless that is nil.
func (r *remote) ask(addr string, code protocol.RequestCode, body, v any) (*remoting.Command, error) {
	req := remoting.NewRequest(code)
	if body != nil {
		var err error
		if req.Body, err = protocol.MarshalJSON(body); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	resp, err := r.client.Call(ctx, addr, req)
	if err != nil {
		return nil, err
	}
	if resp.ResponseCode() != protocol.Success {
		return nil, fmt.Errorf("%s: answer %d to %v: %s", addr, resp.Code, code, resp.Remark)
	}
	if v != nil {
		if err := protocol.UnmarshalJSON(resp.Body, v); err != nil {
			return nil, fmt.Errorf("%s: answer to %v: %w", addr, code, err)
		}
	}
	return resp, nil
}

// anyOf asks servers, separated by semicolons, one after the other until one answers.
func anyOf(addrs string, ask func(addr string) error) error {
	var errs error
	for addr := range strings.SplitSeq(addrs, ";") {
		if addr = strings.TrimSpace(addr); addr == "" {
			continue
		}
		err := ask(addr)
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, err)
	}
	return cmp.Or(errs, errors.New("no server is given"))
}

// clusters asks the name servers which brokers there are.
func (r *remote) clusters() (*protocol.ClusterInfo, error) {
	if r.nameServers == "" {
		return nil, errors.New("no name server is known: -n or NAMESRV_ADDR tells")
	}
	info := new(protocol.ClusterInfo)
	return info, anyOf(r.nameServers, func(addr string) error {
		_, err := r.ask(addr, protocol.GetBrokerClusterInfo, nil, info)
		return err
	})
}

// brokerNames are those of the cluster asked for, in order.
func (r *remote) brokerNames(info *protocol.ClusterInfo) ([]string, error) {
	names, ok := info.ClusterAddrTable[r.cluster]
	if !ok {
		return nil, fmt.Errorf("the name server knows no cluster %q", r.cluster)
	}
	return slices.Sorted(slices.Values(names)), nil
}

// brokerAddrs are the addresses of all brokers of a name, by their ids.
func brokerAddrs(info *protocol.ClusterInfo, name string) (addrs []string) {
	b := info.BrokerAddrTable[name]
	for _, id := range slices.Sorted(maps.Keys(b.BrokerAddrs)) {
		addrs = append(addrs, b.BrokerAddrs[id])
	}
	return addrs
}

// chosen says what is missing when neither a broker nor a cluster is asked for.
func (r *remote) chosen() string {
	if r.broker == "" && r.cluster == "" {
		return "-b or -c must be given"
	}
	return ""
}
