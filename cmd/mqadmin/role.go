package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rocketlog/rocketlog/broker"
	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/remoting"
)

// runSetRole tells a broker who is master.
func runSetRole(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("setBrokerRole", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	addr := flags.String("b", "", "")
	masterID := flags.Int64("m", 0, "")
	epoch := flags.Int64("e", 0, "")
	masterAddr := flags.String("a", "", "")
	inSync := flags.String("s", "", "")
	switch err := flags.Parse(args); {
	case err == flag.ErrHelp:
		return daemon.ExitOK
	case err != nil:
		return daemon.ExitUsage
	}
	members, err := parseIDs(*inSync)
	if err != nil || flags.NArg() > 0 || *addr == "" || *masterID <= 0 || *epoch <= 0 || *epoch > 1<<31-1 {
		fmt.Fprintln(stderr, "mqadmin setBrokerRole: -b, -m and -e must be given, with numbers above 0, and -s as 1,2")
		flags.Usage()
		return daemon.ExitUsage
	}
	client := remoting.NewClient(nil)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	if err := broker.NotifyRole(ctx, client, *addr, *masterID, *masterAddr, int32(*epoch), members); err != nil {
		fmt.Fprintln(stderr, "mqadmin:", err)
		return daemon.ExitFailed
	}
	fmt.Fprintf(stdout, "%s: the master is %d under epoch %d\n", *addr, *masterID, *epoch)
	return daemon.ExitOK
}

func parseIDs(text string) (ids []int64, err error) {
	if text == "" {
		return nil, nil
	}
	for field := range strings.SplitSeq(text, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(field), 10, 64)
		if err != nil || id <= 0 {
			return nil, fmt.Errorf("%q is no broker id", field)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
