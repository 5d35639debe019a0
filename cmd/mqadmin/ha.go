package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// runHAStatus prints how far slaves are (Java: HAStatusSubCommand).
func runHAStatus(args []string, stdout, stderr io.Writer) int {
	r := newRemote("haStatus", stdout, stderr)
	return r.run(args, r.chosen, func() error {
		addrs := []string{r.broker}
		if r.broker == "" {
			info, err := r.clusters()
			if err != nil {
				return err
			}
			names, err := r.brokerNames(info)
			if err != nil {
				return err
			}
			addrs = addrs[:0]
			for _, name := range names {
				if master, ok := info.BrokerAddrTable[name].BrokerAddrs[protocol.MasterID]; ok {
					addrs = append(addrs, master)
				}
			}
		}
		for _, addr := range addrs {
			var status protocol.HARuntimeInfo
			if _, err := r.ask(addr, protocol.GetBrokerHAStatus, nil, &status); err != nil {
				return err
			}
			if status.Master {
				r.masterStatus(addr, &status)
			} else {
				r.slaveStatus(&status.HAClientRuntimeInfo)
			}
		}
		return nil
	})
}

func (r *remote) masterStatus(addr string, status *protocol.HARuntimeInfo) {
	r.printf("\n#MasterAddr\t%s\n#MasterCommitLogMaxOffset\t%d\n#SlaveNum\t%d\n#InSyncSlaveNum\t%d\n",
		addr, status.MasterCommitLogMaxOffset, len(status.HAConnectionInfo), status.InSyncSlaveNums)
	r.printf("%-32s  %-16s %16s %16s %16s %16s\n", "#SlaveAddr", "#SlaveAckOffset", "#Diff", "#TransferSpeed(KB/s)", "#Status", "#TransferFromWhere")
	for _, s := range status.HAConnectionInfo {
		state := "Fall Behind"
		if s.InSync {
			state = "OK"
		}
		r.printf("%-32s  %-16d %16d %16.2f %16s %16d\n", s.Addr, s.SlaveAckOffset, s.Diff, float64(s.TransferredByteInSecond)/1024, state, s.TransferFromWhere)
	}
}

func (r *remote) slaveStatus(s *protocol.HAClientRuntimeInfo) {
	r.printf("\n#MasterAddr\t%s\n", s.MasterAddr)
	r.printf("#CommitLogMaxOffset\t%d\n", s.MaxOffset)
	r.printf("#TransferSpeed(KB/s)\t%.2f\n", float64(s.TransferredByteInSecond)/1024)
	r.printf("#LastReadTime\t%s\n", timeText(s.LastReadTimestamp))
	r.printf("#LastWriteTime\t%s\n", timeText(s.LastWriteTimestamp))
	r.printf("#MasterFlushOffset\t%d\n", s.MasterFlushOffset)
}

// timeText is a time in Unix milliseconds as RocketMQ's tools show it.
func timeText(millis int64) string { return time.UnixMilli(millis).Format("2006-01-02 15:04:05,000") }

// runBrokerEpoch prints the epochs of brokers' logs (Java: GetBrokerEpochSubCommand).
func runBrokerEpoch(args []string, stdout, stderr io.Writer) int {
	r := newRemote("getBrokerEpoch", stdout, stderr)
	return r.run(args, r.chosen, func() error {
		info, err := r.clusters()
		if err != nil {
			return err
		}
		names := []string{r.broker}
		if r.broker == "" {
			if names, err = r.brokerNames(info); err != nil {
				return err
			}
		}
		for _, name := range names {
			for _, addr := range brokerAddrs(info, name) {
				var cache protocol.EpochEntryCache
				if _, err := r.ask(addr, protocol.GetBrokerEpochCache, nil, &cache); err != nil {
					return err
				}
				r.printf("\n#clusterName\t%s\n#brokerName\t%s\n#brokerAddr\t%s\n#brokerId\t%d", cache.ClusterName, cache.BrokerName, addr, cache.BrokerID)
				for i, e := range cache.EpochList {
					if i == len(cache.EpochList)-1 {
						e.EndOffset = cache.MaxOffset
					}
					r.printf("\n#Epoch: EpochEntry{epoch=%d, startOffset=%d, endOffset=%d}", e.Epoch, e.StartOffset, e.EndOffset)
				}
				r.printf("\n")
			}
		}
		return nil
	})
}

// runSyncStateSet prints who is in sync with masters (Java: GetSyncStateSetSubCommand). Who decides on that is asked: a
// controller, or a master that has none.
func runSyncStateSet(args []string, stdout, stderr io.Writer) int {
	r := newRemote("getSyncStateSet", stdout, stderr)
	controller := r.flags.String("a", "", "")
	complaint := func() string {
		if *controller == "" {
			return "-a must be given"
		}
		return r.chosen()
	}
	return r.run(args, complaint, func() error {
		names := []string{r.broker}
		if r.broker == "" {
			info, err := r.clusters()
			if err != nil {
				return err
			}
			if names, err = r.brokerNames(info); err != nil {
				return err
			}
		}
		leader, err := r.controllerLeader(*controller)
		if err != nil {
			return err
		}
		var replicas protocol.BrokerReplicasInfo
		if _, err := r.ask(leader, protocol.ControllerGetSyncStateData, names, &replicas); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(replicas.ReplicasInfoTable)) {
			s := replicas.ReplicasInfoTable[name]
			r.printf("\n#brokerName\t%s\n#MasterBrokerId\t%d\n#MasterAddr\t%s\n#MasterEpoch\t%d\n#SyncStateSetEpoch\t%d\n#SyncStateSetNums\t%d\n",
				name, s.MasterBrokerID, s.MasterAddress, s.MasterEpoch, s.SyncStateSetEpoch, len(s.InSyncReplicas))
			for _, member := range s.InSyncReplicas {
				r.replica("InSyncReplica", member)
			}
			for _, other := range s.NotInSyncReplicas {
				r.replica("NotInSyncReplica", other)
			}
		}
		return nil
	})
}

func (r *remote) replica(kind string, m protocol.ReplicaIdentity) {
	r.printf("\n%s:\tReplicaIdentity{brokerName='%s', brokerId=%d, brokerAddress='%s', alive=%t}\n", kind, m.BrokerName, m.BrokerID, m.BrokerAddress, m.Alive)
}

// controllerLeader asks controllers who leads them.
func (r *remote) controllerLeader(controllers string) (leader string, err error) {
	return leader, anyOf(controllers, func(addr string) error {
		resp, err := r.ask(addr, protocol.ControllerGetMetadataInfo, nil, nil)
		if err != nil {
			return err
		}
		var h protocol.GetMetaDataResponseHeader
		if err := h.Decode(&resp.Fields); err != nil {
			return err
		}
		if leader = h.ControllerLeaderAddress; leader == "" {
			return fmt.Errorf("%s knows no leader of the controllers", addr)
		}
		return nil
	})
}
