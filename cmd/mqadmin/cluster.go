package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// runClusterList prints all brokers, one a line (Java: ClusterListSubCommand).
func runClusterList(args []string, stdout, stderr io.Writer) int {
	r := newRemote("clusterList", stdout, stderr)
	more := r.flags.Bool("m", false, "")
	complaint := func() string {
		if r.broker != "" {
			return "it is of all brokers: -b is not among its flags"
		}
		return ""
	}
	return r.run(args, complaint, func() error {
		info, err := r.clusters()
		if err != nil {
			return err
		}
		print := r.clusterLine
		if *more {
			print = r.totalsLine
			r.printf("%-16s  %-32s %14s %14s %14s %14s\n",
				"#Cluster Name", "#Broker Name", "#InTotalYest", "#OutTotalYest", "#InTotalToday", "#OutTotalToday")
		} else {
			r.printf("%-22s  %-22s  %-4s  %-22s %-16s  %16s  %30s  %-22s  %-11s  %-12s  %-8s  %-10s\n", "#Cluster Name", "#Broker Name", "#BID",
				"#Addr", "#Version", "#InTPS(LOAD)", "#OutTPS(LOAD)", "#Timer(Progress)", "#PCWait(ms)", "#Hour", "#SPACE", "#ACTIVATED")
		}
		for _, cluster := range slices.Sorted(maps.Keys(info.ClusterAddrTable)) {
			if r.cluster != "" && cluster != r.cluster {
				continue
			}
			for _, name := range slices.Sorted(slices.Values(info.ClusterAddrTable[cluster])) {
				addrs := info.BrokerAddrTable[name].BrokerAddrs
				for _, id := range slices.Sorted(maps.Keys(addrs)) {
					var kv protocol.KVTable
					if _, err := r.ask(addrs[id], protocol.GetBrokerRuntimeInfo, nil, &kv); err != nil {
						fmt.Fprintln(r.errs, "mqadmin:", err) // its line says that it is not active
					}
					print(clusterMember{cluster, name, id, addrs[id]}, figures(kv.Table))
				}
			}
		}
		return nil
	})
}

// clusterMember is a broker, as the name server knows it.
type clusterMember struct {
	cluster, name string
	id            int64
	addr          string
}

// clusterLine prints what a broker is at.
func (r *remote) clusterLine(m clusterMember, f figures) {
	queue := func(name string) string { // Java's brokers before 5 have none of acknowledgements
		size, wait := f[name+"ThreadPoolQueueSize"], f[name+"ThreadPoolQueueHeadWaitTimeMills"]
		if name == "ack" && len(f) > 0 && size == "" {
			size, wait = "N", "N"
		}
		return size + "," + wait + "ms"
	}
	hour := 0.0
	if earliest := f["earliestMessageTimeStamp"]; earliest != "" {
		hour = time.Since(time.UnixMilli(int64(f.number("earliestMessageTimeStamp")))).Hours()
	}
	r.printf("%-22s  %-22s  %-4d  %-22s %-16s  %16s  %30s  %-22s  %11s  %-12s  %-8s  %10t\n", m.cluster, m.name, m.id, m.addr, f["brokerVersionDesc"],
		fmt.Sprintf("%9.2f(%s)", f.number("putTps"), queue("send")),
		fmt.Sprintf("%9.2f(%s|%s)", f.number("getTransferredTps"), queue("pull"), queue("ack")),
		fmt.Sprintf("%.0f-%.0f(%.1fw, %.1f, %.1f)", f.number("timerReadBehind"), f.number("timerOffsetBehind"), f.number("timerCongestNum")/10000,
			f.number("timerEnqueueTps"), f.number("timerDequeueTps")),
		f["pageCacheLockTimeMills"], fmt.Sprintf("%2.2f", hour), fmt.Sprintf("%.4f", f.number("commitLogDiskRatio")), f["brokerActive"] == "true")
}

// totalsLine prints how many messages a broker had yesterday and today.
func (r *remote) totalsLine(m clusterMember, f figures) {
	between := func(kind, from, to string) float64 {
		return f.number("msg"+kind+"Total"+to) - f.number("msg"+kind+"Total"+from)
	}
	r.printf("%-16s  %-32s %14.0f %14.0f %14.0f %14.0f\n", m.cluster, m.name,
		between("Put", "YesterdayMorning", "TodayMorning"), between("Get", "YesterdayMorning", "TodayMorning"),
		between("Put", "TodayMorning", "TodayNow"), between("Get", "TodayMorning", "TodayNow"))
}

// figures are what a broker tells of itself.
type figures map[string]string

// number is the first number of a figure, 0 if there is none.
func (f figures) number(name string) float64 {
	first, _, _ := strings.Cut(f[name], " ")
	n, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return n
}
