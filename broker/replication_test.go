package broker

import (
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// pairOptions are those of a master or of its slave.
func pairOptions(dir, role string, id int64) *Options {
	o := testOptions(dir)
	o.BrokerRole, o.BrokerID, o.SlaveReadEnable = role, id, true
	return o
}

// follow tells a slave where its master is, as an answer of a name server does.
func (s *bench) follow(master *bench) {
	s.replication.learnMaster(&protocol.RegisterBrokerResponseHeader{HAServerAddr: master.haAddr(), MasterAddr: master.Addr()})
}

func (s *bench) copied(master *bench) {
	s.Helper()
	s.await("the slave to have the log", func() bool {
		return s.store.MaxPhyOffset() == master.store.MaxPhyOffset() && s.store.ReputOffset() == s.store.MaxPhyOffset()
	})
}

func TestSlaveServesWhenItsMasterIsGone(t *testing.T) {
	master := startWith(t, pairOptions(t.TempDir(), config.SyncMaster, 0))
	slaveDir := t.TempDir()
	slave := startWith(t, pairOptions(slaveDir, config.SlaveRole, 1))
	slave.follow(master)
	for i := range 50 {
		master.put("Pair", int32(i%4), fmt.Sprint("m", i))
	}
	master.dispatched("Pair", 0, 13)
	if p := master.pull(pullHeader("readers", "Pair", 0, 0)); p.header.SuggestWhichBrokerID != 0 || len(p.records) == 0 {
		t.Fatalf("the master suggests broker %d, and has %d messages", p.header.SuggestWhichBrokerID, len(p.records))
	}
	master.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{Topic: "Pair", ConsumerGroup: "readers", QueueID: 1, CommitOffset: 3}, nil, nil)
	slave.copied(master)
	slave.replication.sync.kick()
	slave.await("topics, groups and offsets to be copied", func() bool {
		offset, _ := slave.offsets.Committed("Pair", "readers", 1)
		return offset == 3 && slave.topics.Get("Pair") != nil && slave.groups.Get("readers") != nil
	})
	if got, want := len(slave.groups.Snapshot().SubscriptionGroupTable), len(master.groups.Snapshot().SubscriptionGroupTable); got != want {
		t.Errorf("the slave has %d groups, the master %d", got, want)
	}
	if resp := slave.call(protocol.SendMessageV2, v2{sendHeader("Pair", 0)}, []byte("x")); resp.ResponseCode() != protocol.ServiceNotAvailable {
		t.Errorf("the slave takes a message: %d %s", resp.Code, resp.Remark)
	}
	if resp := slave.call(protocol.PopMessage, &protocol.PopMessageRequestHeader{ConsumerGroup: "readers", Topic: "Pair", QueueID: -1, MaxMsgNums: 1, InvisibleTime: 1000}, nil); resp.ResponseCode() != protocol.ServiceNotAvailable {
		t.Errorf("the slave gives out messages that it would have to note: %d %s", resp.Code, resp.Remark)
	}
	if p := slave.pull(pullHeader("readers", "Pair", 1, 3)); len(p.records) == 0 || p.header.SuggestWhichBrokerID != 0 {
		t.Errorf("the slave has %d messages and suggests %d", len(p.records), p.header.SuggestWhichBrokerID)
	}
	if p := slave.pull(pullHeader("readers", "Pair", 1, 1000)); p.ResponseCode() != protocol.PullRetryImmediately {
		t.Errorf("who finds nothing at the slave is answered %d", p.Code)
	}
	var status protocol.HARuntimeInfo
	master.must(protocol.GetBrokerHAStatus, nil, nil, &status)
	if !status.Master || len(status.HAConnectionInfo) != 1 || status.InSyncSlaveNums != 1 || status.HAConnectionInfo[0].SlaveAckOffset == 0 {
		t.Errorf("the master shows %+v", status)
	}

	// The master goes. Consumers go on at the slave, and commit there.
	masterOptions := pairOptions(master.options().StorePathRootDir, config.SyncMaster, 0)
	if err := master.Broker.Close(); err != nil {
		t.Fatal(err)
	}
	slave.await("the slave to notice", slave.replication.masterGone)
	if p := slave.pull(pullHeader("readers", "Pair", 2, 0)); len(p.records) == 0 || p.header.SuggestWhichBrokerID != 1 {
		t.Errorf("without its master the slave has %d messages and suggests %d", len(p.records), p.header.SuggestWhichBrokerID)
	}
	slave.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{Topic: "Pair", ConsumerGroup: "readers", QueueID: 1, CommitOffset: 9}, nil, nil)
	slave.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{Topic: "Pair", ConsumerGroup: "readers", QueueID: 2, CommitOffset: 4}, nil, nil)

	// It comes back, and learns what it missed.
	back := startWith(t, masterOptions)
	slave.follow(back)
	back.put("Pair", 0, "more")
	slave.copied(back)
	back.await("the offsets to come back", func() bool {
		own, _ := back.offsets.Committed("Pair", "readers", 1)
		others, _ := back.offsets.Committed("Pair", "readers", 2)
		return own == 9 && others == 4
	})
	if own, _ := slave.offsets.Committed("Pair", "readers", 1); own != 9 {
		t.Errorf("the slave's offset went back to %d", own)
	}
}

// TestSlaveTakesOver opens the slave's data as a master's.
func TestSlaveTakesOver(t *testing.T) {
	master := startWith(t, pairOptions(t.TempDir(), config.AsyncMaster, 0))
	dir := t.TempDir()
	o := pairOptions(dir, config.SlaveRole, 1)
	slave, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: slave, client: remoting.NewClient(nil)}
	t.Cleanup(s.client.Close)
	s.follow(master)
	for i := range 20 {
		master.put("Pair", 0, fmt.Sprint("m", i))
	}
	master.put("Pair", 0, "later", "DELAY", "1")
	s.copied(master)
	s.replication.sync.kick()
	s.await("the topic", func() bool { return s.topics.Get("Pair") != nil })
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	now := startWith(t, pairOptions(dir, config.AsyncMaster, 0))
	if h := now.put("Pair", 0, "after"); h.QueueOffset != 20 {
		t.Fatalf("the first message after the takeover is at %d", h.QueueOffset)
	}
	now.dispatched("Pair", 0, 22) // the delayed one is delivered here
	if n := len(now.pull(pullHeader("readers", "Pair", 0, 0)).records); n != 22 {
		t.Fatalf("%d messages", n)
	}
}

func TestSyncMasterWaits(t *testing.T) {
	o := pairOptions(t.TempDir(), config.SyncMaster, 0)
	o.InSyncReplicas, o.SlaveTimeout = 2, 2000
	master := startWith(t, o)
	send := func(properties ...string) protocol.ResponseCode {
		return master.call(protocol.SendMessageV2, v2{sendHeader("Pair", 0, properties...)}, []byte("x")).ResponseCode()
	}
	if code := send(); code != protocol.SlaveNotAvailable {
		t.Fatalf("without a slave: %d", code)
	}
	if code := send("WAIT", "false"); code != protocol.Success {
		t.Fatalf("one that does not wait: %d", code)
	}
	slave := startWith(t, pairOptions(t.TempDir(), config.SlaveRole, 3))
	slave.follow(master)
	slave.copied(master)
	master.await("the slave to be in sync", func() bool { return len(master.replication.master.Slaves()) == 1 })
	for i := range 20 {
		h := master.put("Pair", 0, fmt.Sprint(i))
		if slave.store.MaxPhyOffset() != master.store.MaxPhyOffset() {
			t.Fatalf("message %d is answered before the slave has it", h.QueueOffset)
		}
	}
}

func TestTooFewReplicas(t *testing.T) {
	o := pairOptions(t.TempDir(), config.SyncMaster, 0)
	o.InSyncReplicas, o.MinInSyncReplicas = 2, 2
	master := startWith(t, o)
	before := master.store.MaxPhyOffset()
	if resp := master.call(protocol.SendMessageV2, v2{sendHeader("Pair", 0)}, []byte("x")); resp.ResponseCode() != protocol.SystemError || master.store.MaxPhyOffset() != before {
		t.Fatalf("%d %q, and the log grew by %d bytes", resp.Code, resp.Remark, master.store.MaxPhyOffset()-before)
	}
}

func TestSlaveReadsAreOffByDefault(t *testing.T) {
	o := pairOptions(t.TempDir(), config.SlaveRole, 1)
	o.SlaveReadEnable = false
	slave := startWith(t, o)
	if resp := slave.call(protocol.PullMessage, pullHeader("readers", "Pair", 0, 0), nil); resp.ResponseCode() != protocol.SystemBusy {
		t.Fatalf("%d %s", resp.Code, resp.Remark)
	}
}
