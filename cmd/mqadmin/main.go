package main

import (
	"fmt"
	"io"
	"os"

	"github.com/rocketlog/rocketlog/internal/daemon"
)

const usage = `Usage: mqadmin store check  [flags] DIR
       mqadmin store repair [flags] DIR
       mqadmin store dump   [flags] DIR
       mqadmin clusterList     [-n ADDRS] [-c CLUSTER] [-m] [-i SECONDS]
       mqadmin haStatus        -b ADDR | -c CLUSTER [-n ADDRS] [-i SECONDS]
       mqadmin getBrokerEpoch  -b NAME | -c CLUSTER [-n ADDRS] [-i SECONDS]
       mqadmin getSyncStateSet -a ADDRS -b NAME | -c CLUSTER [-n ADDRS] [-i SECONDS]
       mqadmin setBrokerRole   -b ADDR -m ID -e EPOCH [-a ADDR] [-s IDS]

check proves the files of a stopped store against each other: every record of
the log, the entries of all consume queues, the index, the checkpoints, the
timers, and whether the files below config can be read. Exit code 1 says that
something is wrong.

  -c FILE        the broker's settings: file sizes that cannot be seen from the
                 files themselves, other folders, delay levels
  --json         the report as JSON

repair checks a stopped store too, and says what it would build again from the
log, or put right: queues, index, checkpoints, timers and files below config that
have problems. With --apply it does so, and keeps what was there in a folder of
its own in the store, which nobody reads. It never touches the log.

  -c FILE        the same
  --apply        do it

dump prints checkpoint, records, queues and index, a line each.

  -c FILE        the same
  --json         each line as a JSON object
  --only KINDS   some of checkpoint,records,queues,index
  --topic TOPIC  only records and queues of this topic
  --from OFFSET  records from this place of the log on
  --max N        at most N records
  --body         with the records' bodies

The next four look at running brokers, ours or RocketMQ's, and print what
RocketMQ's own do: clusterList all brokers and what they are at, haStatus how
far the slaves of a master are, or of a slave what it has, getBrokerEpoch the
epochs of logs, getSyncStateSet who is in sync with a master.

  -n ADDRS       name servers, separated by semicolons; default $NAMESRV_ADDR
  -c CLUSTER     a cluster's brokers; of haStatus its masters
  -b             one broker, of haStatus by host:port, else by name
  -a ADDRS       controllers, or a master with enableAutoSwitchHA
  -m             messages in and out of yesterday and today instead
  -i SECONDS     again and again, with so long in between

setBrokerRole tells a broker with enableAutoSwitchHA who is master of its name.
It notes that, takes up its role within a second, and refuses an epoch that is
not above all that it knows. Tell the new master first, then the others.

  -b ADDR        the broker that is told, host:port
  -m ID          the brokerId of the new master; the broker's own makes it master
  -e EPOCH       the epoch under which this holds
  -a ADDR        where the master serves clients, by which a slave finds it; if
                 not given, name servers or the slave's haMasterAddress tell
  -s IDS         who is in sync with the new master from the begin, as 1,2;
                 default the master alone
`

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr))
}

// onBrokers are the commands that ask running servers.
var onBrokers = map[string]func(args []string, stdout, stderr io.Writer) int{
	"clusterList":     runClusterList,
	"haStatus":        runHAStatus,
	"getBrokerEpoch":  runBrokerEpoch,
	"getSyncStateSet": runSyncStateSet,
	"setBrokerRole":   runSetRole,
}

// run is main without the process: it gives the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 1 && onBrokers[args[1]] != nil {
		return onBrokers[args[1]](args[2:], stdout, stderr)
	}
	command := ""
	if len(args) > 2 {
		command = args[1] + " " + args[2]
	}
	var tool func(*arguments, io.Writer, io.Writer) (int, error)
	switch command {
	case "store check":
		tool = runCheck
	case "store repair":
		tool = runRepair
	case "store dump":
		tool = runDump
	default:
		fmt.Fprint(stderr, usage)
		if len(args) > 1 && (args[1] == "-h" || args[1] == "--help" || args[1] == "help") {
			return daemon.ExitOK
		}
		return daemon.ExitUsage
	}
	parsed, code := parseArguments(args[3:], stderr)
	if parsed == nil {
		return code
	}
	code, err := tool(parsed, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "mqadmin:", err)
		return daemon.ExitFailed
	}
	return code
}
