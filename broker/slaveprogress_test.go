package broker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// openBench opens a broker that the test closes itself.
func openBench(t *testing.T, o *Options) *bench {
	t.Helper()
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	t.Cleanup(s.client.Close)
	t.Cleanup(func() { s.Broker.Close() }) //nolint:errcheck // closed by then, unless the test has failed
	return s
}

// reopen closes a broker and opens its data with other options.
func (s *bench) reopen(change func(*Options)) *bench {
	s.Helper()
	if err := s.Broker.Close(); err != nil {
		s.Fatal(err)
	}
	o := *s.options()
	o.ListenPort = config.AnyPort
	change(&o)
	return openBench(s.TB.(*testing.T), &o)
}

// TestSlaveTakesOverTimers has a slave that is made a master deliver what its master had not, and nothing again.
func TestSlaveTakesOverTimers(t *testing.T) {
	options := func(role string, id int64) *Options {
		o := pairOptions(t.TempDir(), role, id)
		o.TimerPrecisionMs = 100
		return o
	}
	master := openBench(t, options(config.AsyncMaster, 0))
	slave := openBench(t, options(config.SlaveRole, 1))
	slave.follow(master)
	master.put("T", 0, "warm up")
	later := strconv.FormatInt(time.Now().UnixMilli()+3600_000, 10)
	for range 5 {
		master.put("T", 1, "now", message.PropertyTimerDelayMilliseconds, "100")
		master.put("T", 2, "later", message.PropertyTimerDeliverTime, later)
	}
	master.dispatched("T", 1, 5)
	master.await("the master to have it on disk", func() bool {
		return master.timers.timer.Load().Checkpoint().QueueOffset == 10
	})
	slave.await("the slave to be as far", func() bool {
		slave.replication.sync.kick()
		own := slave.timers.timer.Load().Metrics()
		return own.QueueOffset == 10 && own.Pending == 5
	})
	var counts, copied timerMetrics
	master.must(protocol.GetTimerMetrics, nil, nil, &counts)
	slave.must(protocol.GetTimerMetrics, nil, nil, &copied)
	if counts.TimingCount["T"].Count != 5 || copied.TimingCount["T"] != counts.TimingCount["T"] {
		t.Errorf("the master counts %+v, the slave %+v", counts.TimingCount, copied.TimingCount)
	}
	if err := master.Broker.Close(); err != nil {
		t.Fatal(err)
	}
	now := slave.reopen(func(o *Options) { o.BrokerRole, o.BrokerID = config.AsyncMaster, 0 })
	if m := now.timers.timer.Load().Metrics(); m.Pending != 5 || m.Delivered != 0 {
		t.Fatalf("after the takeover %+v", m)
	}
	now.put("T", 1, "after", message.PropertyTimerDelayMilliseconds, "200")
	now.dispatched("T", 1, 6) // five of the master's, and no more before this one
	if got := now.pull(pullHeader("g", "T", 1, 5)).bodies(); len(got) != 1 || got[0] != "after" {
		t.Fatalf("delivered %q", got)
	}
	now.must(protocol.GetTimerMetrics, nil, nil, &counts)
	if n := counts.TimingCount["T"].Count; n != 5 {
		t.Errorf("it counts %d that wait", n)
	}
}

// TestProgressWaitsForTheLog has a slave believe how far its master is only when it has the log up to there.
func TestProgressWaitsForTheLog(t *testing.T) {
	master := openBench(t, pairOptions(t.TempDir(), config.AsyncMaster, 0))
	o := pairOptions(t.TempDir(), config.SlaveRole, 1)
	o.HAMasterAddress = "127.0.0.1:1" // nobody is there: the log does not come
	slave := openBench(t, o)
	slave.follow(master)
	master.put("T", 0, "delayed", message.PropertyDelayLevel, "1")
	master.dispatched("T", 0, 1)
	master.pull(pullHeader("readers", "T", 0, 0))
	master.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{Topic: "T", ConsumerGroup: "readers", QueueID: 0, CommitOffset: 1}, nil, nil)
	master.offsets.Commit(message.HalfTopic, transactionGroup, 0, 7)
	slave.await("offsets to be copied", func() bool {
		slave.replication.sync.kick()
		offset, _ := slave.offsets.Committed("T", "readers", 0)
		return offset == 1
	})
	if n := slave.schedule.Snapshot().OffsetTable[1]; n != 0 {
		t.Errorf("delay level 1 is delivered up to %d, and the slave has no delivery", n)
	}
	if n, ok := slave.offsets.Committed(message.HalfTopic, transactionGroup, 0); ok {
		t.Errorf("half messages are worked off up to %d, and the slave has nothing of it", n)
	}
	addr := master.haAddr()
	slave.replication.slave.SetMaster(addr)
	slave.copied(master)
	slave.await("the progress", func() bool {
		slave.replication.sync.kick()
		half, _ := slave.offsets.Committed(message.HalfTopic, transactionGroup, 0)
		return slave.schedule.Snapshot().OffsetTable[1] == 1 && half == 7
	})
}

// TestRequestModesFollow has a slave know how groups consume, also when it is made a master.
func TestRequestModesFollow(t *testing.T) {
	master := openBench(t, pairOptions(t.TempDir(), config.AsyncMaster, 0))
	slave := openBench(t, pairOptions(t.TempDir(), config.SlaveRole, 1))
	slave.follow(master)
	master.put("T", 0, "x")
	mode := protocol.SetMessageRequestModeRequestBody{Topic: "T", ConsumerGroup: "g", Mode: protocol.RequestModePop, PopShareQueueNum: 3}
	master.must(protocol.SetMessageRequestMode, nil, &mode, nil)
	slave.await("the mode", func() bool {
		slave.replication.sync.kick()
		return slave.assigner.mode("T", "g") == mode
	})
	now := slave.reopen(func(o *Options) { o.BrokerRole, o.BrokerID = config.AsyncMaster, 0 })
	if got := now.assigner.mode("T", "g"); got != mode {
		t.Errorf("%+v", got)
	}
}

// TestReturningMasterKeepsNewerOffsets has a master come back with offsets of some time before: those that its slave copied
// from it since, and those that consumers committed at the slave, also before the slave was restarted itself, are newer.
func TestReturningMasterKeepsNewerOffsets(t *testing.T) {
	master := openBench(t, pairOptions(t.TempDir(), config.AsyncMaster, 0))
	slave := openBench(t, pairOptions(t.TempDir(), config.SlaveRole, 1))
	slave.follow(master)
	commit := func(b *bench, queue int32, offset int64) {
		b.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{Topic: "T", ConsumerGroup: "g", QueueID: queue, CommitOffset: offset}, nil, nil)
	}
	at := func(b *bench, queue int32) int64 {
		offset, _ := b.offsets.Committed("T", "g", queue)
		return offset
	}
	for range 9 {
		for queue := range int32(3) {
			master.put("T", queue, "x")
		}
	}
	master.pull(pullHeader("g", "T", 0, 0))
	commit(master, 0, 1)
	if err := master.offsets.Persist(); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(filepath.Join(master.options().StorePathRootDir, "config", "consumerOffset.json"))
	if err != nil {
		t.Fatal(err)
	}
	commit(master, 0, 5) // to be lost by the master
	slave.copied(master)
	slave.await("the offset", func() bool {
		slave.replication.sync.kick()
		return at(slave, 0) == 5
	})
	back := func(b *bench) *bench {
		return b.reopen(func(o *Options) {
			if err := os.WriteFile(filepath.Join(o.StorePathRootDir, "config", "consumerOffset.json"), old, 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
	master = back(master)
	slave.follow(master)
	master.await("the offset to come back", func() bool { return at(master, 0) == 5 })
	if got := at(slave, 0); got != 5 {
		t.Fatalf("the slave's went back to %d", got)
	}

	if err := master.Broker.Close(); err != nil {
		t.Fatal(err)
	}
	commit(slave, 1, 7)
	slave = slave.reopen(func(*Options) {})
	if got := at(slave, 1); got != 7 {
		t.Fatalf("the slave has %d after its restart", got)
	}
	master = back(master)
	slave.follow(master)
	master.await("the offset to come back", func() bool { return at(master, 1) == 7 })

	// An offset that an administrator sets back is not undone.
	slave.await("the master to have them", func() bool {
		slave.replication.sync.kick()
		return len(slave.offsets.Snapshot().Local) == 0
	})
	master.offsets.Reset("T", "g", 1, 2)
	slave.await("the offset to go back", func() bool {
		slave.replication.sync.kick()
		return at(slave, 1) == 2
	})
	if got := at(master, 1); got != 2 {
		t.Errorf("the master's is %d", got)
	}
}

// TestOffsetsForASlaveAreReadable has the answer to a slave be what Java's can read: it fails at members that it does
// not know and whose own are named by numbers.
func TestOffsetsForASlaveAreReadable(t *testing.T) {
	b := start(t, nil)
	b.put("T", 0, "x")
	b.pull(pullHeader("g", "T", 0, 0))
	b.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{Topic: "T", ConsumerGroup: "g", CommitOffset: 1}, nil, nil)
	body := string(b.must(protocol.GetAllConsumerOffset, nil, nil, nil).Body)
	if !strings.Contains(body, `"T@g"`) || !strings.Contains(body, `"pullOffsetTable":{}`) {
		t.Errorf("the answer is %s", body)
	}
}
