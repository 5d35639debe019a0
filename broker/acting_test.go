package broker

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// groupServer is a name server that says of the group broker-a what it is told, and of each topic that broker-b has it too,
// unless its name begins with Only.
type groupServer struct {
	addr string

	mu    sync.Mutex
	group map[int64]string
	other string // address of broker-b
}

func newGroupServer(t *testing.T) *groupServer {
	n := &groupServer{group: map[int64]string{}}
	srv := remoting.NewServer(nil)
	say := func(body func(*remoting.Command) any) func(*remoting.Conn, *remoting.Command) *remoting.Command {
		return func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
			n.mu.Lock()
			defer n.mu.Unlock()
			resp := remoting.NewResponse(protocol.Success, "")
			if b := body(req); b != nil {
				resp.Body, _ = protocol.MarshalJSON(b)
			}
			return resp
		}
	}
	srv.Handle(protocol.RegisterBroker, say(func(*remoting.Command) any { return nil }), remoting.Inline())
	srv.Handle(protocol.UnregisterBroker, say(func(*remoting.Command) any { return nil }), remoting.Inline())
	srv.Handle(protocol.GetBrokerMemberGroup, say(func(*remoting.Command) any {
		return &protocol.GetBrokerMemberGroupResponseBody{BrokerMemberGroup: protocol.BrokerMemberGroup{BrokerName: "broker-a", BrokerAddrs: maps.Clone(n.group)}}
	}), remoting.Inline())
	srv.Handle(protocol.GetRouteInfoByTopic, say(func(req *remoting.Command) any {
		topic, _ := req.Fields.Get("topic")
		queues := func(name string) protocol.QueueData {
			return protocol.QueueData{BrokerName: name, ReadQueueNums: 4, WriteQueueNums: 4, Perm: protocol.PermRead | protocol.PermWrite}
		}
		first := n.group[protocol.MasterID]
		if first == "" {
			first = n.group[1] // the acting slave is shown as a master
		}
		route := &protocol.TopicRouteData{
			QueueDatas:  []protocol.QueueData{queues("broker-a")},
			BrokerDatas: []protocol.BrokerData{{BrokerName: "broker-a", BrokerAddrs: map[int64]string{0: first}}},
		}
		if !strings.HasPrefix(string(topic), "Only") {
			route.QueueDatas = append(route.QueueDatas, queues("broker-b"))
			route.BrokerDatas = append(route.BrokerDatas, protocol.BrokerData{BrokerName: "broker-b", BrokerAddrs: map[int64]string{0: n.other}})
		}
		return route
	}), remoting.Inline())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = ln.Addr().String()
	go srv.Serve(ln)                             //nolint:errcheck // closed with the test
	t.Cleanup(func() { srv.Close(t.Context()) }) //nolint:errcheck // as above
	return n
}

// An actingGroup is a master with a slave that acts for it, and another master, broker-b.
type actingGroup struct {
	*testing.T
	names *groupServer
	dir   string // of the master
	o     func(*Options)

	master, slave, other *bench
}

// startActing starts the three with options that change has had a look at.
func startActing(t *testing.T, change func(*Options)) *actingGroup {
	g := &actingGroup{T: t, names: newGroupServer(t), dir: t.TempDir(), o: change}
	g.master = startWith(t, g.options(g.dir, config.AsyncMaster, 0))
	g.slave = startWith(t, g.options(t.TempDir(), config.SlaveRole, 1))
	o := g.options(t.TempDir(), config.AsyncMaster, 0)
	o.BrokerName, o.EnableSlaveActingMaster, o.EnableRemoteEscape = "broker-b", false, false
	g.other = startWith(t, o)
	g.names.other = g.other.Addr()
	g.names.set(map[int64]string{0: g.master.Addr(), 1: g.slave.Addr()})
	g.slave.follow(g.master)
	return g
}

func (g *actingGroup) options(dir, role string, id int64) *Options {
	o := pairOptions(dir, role, id)
	o.EnableSlaveActingMaster, o.EnableRemoteEscape, o.NamesrvAddr, o.SyncBrokerMemberGroupPeriod = true, true, g.names.addr, 20
	g.o(o)
	return o
}

// lose ends the master, when the slave has all of it, and returns when the slave acts.
func (g *actingGroup) lose() {
	g.Helper()
	g.slave.copied(g.master)
	g.slave.await("the slave to know the topics", func() bool {
		g.slave.replication.sync.kick()
		return !slices.ContainsFunc(g.master.topics.List(), func(t *metadata.Topic) bool { return g.slave.topics.Get(t.Name) == nil })
	})
	if g.slave.acts() {
		g.Fatal("the slave acts beside its master")
	}
	if err := g.master.Broker.Close(); err != nil {
		g.Fatal(err)
	}
	g.names.set(map[int64]string{1: g.slave.Addr()})
	g.slave.await("the slave to act", g.slave.acts)
}

// comeBack starts the master anew.
func (g *actingGroup) comeBack() *bench {
	g.Helper()
	g.master = startWith(g.T, g.options(g.dir, config.AsyncMaster, 0))
	if g.slave.acts() {
		g.Error("the slave acts beside the master that is back")
	}
	g.names.set(map[int64]string{0: g.master.Addr(), 1: g.slave.Addr()})
	return g.master
}

func (n *groupServer) set(group map[int64]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.group = group
}

// all are the messages of a topic.
func (s *bench) all(topic string) (records []message.Record) {
	s.Helper()
	for queue := range int32(4) {
		for _, r := range s.pull(pullHeader("readers", topic, queue, 0)).records {
			records = append(records, slices.Clone(r))
		}
	}
	return records
}

// While its master is gone the first slave delivers what falls due to another master of the topic, never early; the master
// that comes back delivers none of it again, and goes on.
func TestSlaveActsForItsMaster(t *testing.T) {
	g := startActing(t, func(o *Options) { o.MessageDelayLevel, o.TimerPrecisionMs = "1s 4s", 100 })
	master, slave, other := g.master, g.slave, g.other
	master.put("Pair", 0, "now")
	master.put("Pair", 0, "soon", "DELAY", "1")
	master.dispatched("Pair", 0, 2)
	begin := time.Now()
	master.put("Pair", 0, "level", "DELAY", "2", "UNIQ_KEY", "K1")
	master.put("Pair", 1, "timer", "TIMER_DELAY_MS", "4000", "UNIQ_KEY", "K2")
	master.await("the timer to be taken in", func() bool { return master.timers.timer.Load().Metrics().Pending == 1 })
	slave.copied(master)
	slave.await("the slave to have the timer, and to know what is delivered", func() bool {
		slave.replication.sync.kick()
		return slave.timers.timer.Load().Metrics().Pending == 1 && slave.schedule.Snapshot().OffsetTable[1] == 1
	})
	g.lose()
	other.await("what is due to come to the other master", func() bool { return len(other.all("Pair")) >= 2 })
	if took := time.Since(begin); took < 4*time.Second {
		t.Errorf("delivered after %v", took)
	}
	var bodies []string
	for _, r := range other.all("Pair") {
		bodies = append(bodies, string(r.Body()))
		for _, name := range []string{"DELAY", "TIMER_DELAY_MS", "TIMER_OUT_MS", "REAL_TOPIC"} {
			if v, ok := r.Properties().Get(name); ok {
				t.Errorf("%s has %s=%s, by which it would wait again", r.Body(), name, v)
			}
		}
		if v, _ := r.Properties().Get("UNIQ_KEY"); len(v) != 2 {
			t.Errorf("%s has the unique key %q", r.Body(), v)
		}
	}
	if slices.Sort(bodies); !slices.Equal(bodies, []string{"level", "timer"}) {
		t.Fatalf("the other master has %q", bodies)
	}
	slave.await("the slave to note what it delivered", func() bool {
		return slave.schedule.Snapshot().OffsetTable[2] == 1 && slave.timers.timer.Load().Metrics().Pending == 0
	})

	back := g.comeBack()
	if offset, pending := back.schedule.Snapshot().OffsetTable[2], back.timers.timer.Load().Metrics().Pending; offset != 1 || pending != 0 {
		t.Errorf("the master is at %d of its level, and has %d timers pending", offset, pending)
	}
	back.put("Pair", 0, "again", "DELAY", "1")
	back.put("Pair", 0, "again too", "TIMER_DELAY_MS", "1000")
	back.dispatched("Pair", 0, 4)
	slave.copied(back) // it was told where the master is
	if n := len(other.all("Pair")); n != 2 {
		t.Errorf("the other master has %d messages", n)
	}
	bodies = nil
	for _, r := range back.all("Pair") {
		bodies = append(bodies, string(r.Body()))
	}
	if slices.Sort(bodies); !slices.Equal(bodies, []string{"again", "again too", "now", "soon"}) {
		t.Errorf("the master has %q", bodies)
	}
}

// While its master is gone the first slave sends half messages that are not settled to another master of their topic, which
// asks their producers. The master that comes back asks about none of them again, and still about what nobody else took.
func TestSlaveActsForTransactions(t *testing.T) {
	g := startActing(t, func(o *Options) {
		o.TransactionTimeOut, o.TransactionCheckInterval, o.TransactionOpBatchInterval = 200, 200, 10
	})
	master, slave, other := g.master, g.slave, g.other
	const never = "3600" // s: nobody asks before the slave acts
	open := master.half("Pair", "P", "open", "CHECK_IMMUNITY_TIME_IN_SECONDS", never, "KEYS", "k", "DELAY", "1")
	master.half("Pair", "P", "other", "CHECK_IMMUNITY_TIME_IN_SECONDS", never)
	done := master.half("Pair", "P", "done", "CHECK_IMMUNITY_TIME_IN_SECONDS", never)
	master.wantCode(master.end("P", done, committed, false), protocol.Success)
	only := master.half("OnlyHere", "P", "only", "CHECK_IMMUNITY_TIME_IN_SECONDS", never)
	master.await("the op message", func() bool { return master.store.MaxOffset(message.OpHalfTopic, 0) == 1 })
	g.lose()
	slave.wantCode(slave.end("P", open, committed, false), protocol.SlaveNotAvailable)
	other.await("the half messages to come to the other master", func() bool { return other.store.MaxOffset(message.HalfTopic, 0) == 2 })
	halfs := other.messagesIn(message.HalfTopic, 0)
	slices.SortFunc(halfs, func(a, b message.Record) int { return bytes.Compare(a.Body(), b.Body()) })
	for i, r := range halfs {
		got := string(r.Body())
		for _, name := range []string{"REAL_TOPIC", "UNIQ_KEY", "PGROUP", "TRAN_MSG", "__transactionId__", "DELAY"} {
			got += " " + property(r, name)
		}
		if want := [...]string{"body of open Pair open P true open 1", "body of other Pair other P true other none"}[i]; got != want {
			t.Errorf("half message %q, want %q", got, want)
		}
	}
	find := func(i int) halfSent {
		return halfSent{property(halfs[i], "UNIQ_KEY"), int64(halfs[i].PhyOffset()), int64(halfs[i].QueueOffset())}
	}
	other.wantCode(other.end("P", find(0), committed, true), protocol.Success)
	other.wantCode(other.end("P", find(1), rolledBack, true), protocol.Success)
	other.await("the committed message", func() bool { return len(other.all("Pair")) == 1 })
	if r := other.all("Pair")[0]; string(r.Body()) != "body of open" || property(r, "KEYS") != "k" {
		t.Errorf("committed is %s", r.Body())
	}
	slave.await("the slave to note it", func() bool {
		n, _ := slave.offsets.Committed(message.HalfTopic, transactionGroup, 0)
		return n == only.queue
	})

	back := g.comeBack()
	<-back.transactions.surveyed
	if open := back.transactions.open(); open != 1 {
		t.Errorf("%d transactions are open at the master that is back", open)
	}
	back.wantCode(back.end("P", only, committed, true), protocol.Success)
	if n := len(back.messagesIn("OnlyHere", 0)); n != 1 {
		t.Errorf("%d messages are committed", n)
	}
	if n := other.store.MaxOffset(message.HalfTopic, 0); n != 2 {
		t.Errorf("%d half messages were sent", n)
	}
}

// While its master is gone the first slave gives out messages to those who pop. What its master had given out, and nobody
// acknowledges, comes again at another master, and so does what the slave gives out; what is acknowledged at the slave does
// not. The master that comes back goes on behind all that.
func TestSlaveActsForPops(t *testing.T) {
	var ahead atomic.Int64 // ms
	g := startActing(t, func(o *Options) {
		o.TimerPrecisionMs = 100
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Millisecond) }
	})
	master, other := &popBench{bench: g.master}, g.other
	other.put("Pair", 0, "of the other")
	master.fill("Pair", "m", 4)
	short := popHeader("Pair")
	short.InvisibleTime, short.MaxMsgNums = 60_000, 4
	first := master.pop(short)
	if len(first) != 4 {
		t.Fatalf("popped %v", first)
	}
	slave := &popBench{bench: g.slave}
	slave.wantCode(slave.call(protocol.PopMessage, short, nil), protocol.ServiceNotAvailable)
	master.fill("Pair", "n", 3)
	master.put("OnlyHere", 0, "x")
	g.slave.await("offsets to be copied", func() bool {
		g.slave.replication.sync.kick()
		offset, _ := g.slave.offsets.Committed("Pair", "g", 0)
		return offset == 4
	})
	g.lose()

	slave.ack(first[0])
	slave.postpone(first[1], 50*time.Second, false)
	long := popHeader("Pair")
	long.InvisibleTime, long.MaxMsgNums = 600_000, 1
	if got := slave.pop(long); len(got) != 1 || got[0].body != "n0" {
		t.Fatalf("popped %v", got)
	}
	second := slave.pop(short)
	if len(second) != 2 || second[0].body != "n1" {
		t.Fatalf("popped %v", second)
	}
	slave.ack(second[0])
	if got := slave.pop(short); got != nil {
		t.Fatalf("popped %v again at once", got)
	}
	slave.wantCode(slave.call(protocol.PopMessage, popHeader("OnlyHere"), nil), protocol.SystemError)
	if offset, _ := g.slave.offsets.Committed("OnlyHere", "g", 0); offset != 0 {
		t.Errorf("what no other master can give out again is given out, up to %d", offset)
	}
	const retry = "%RETRY%g_Pair"
	if n := other.store.MaxOffset(retry, 0); n != 0 {
		t.Fatalf("%d messages come again before their time", n)
	}
	ahead.Add(65_000)
	g.slave.popper.log.kick()
	other.dispatched(retry, 0, 4)
	g.slave.await("the slave to note that its master's checkpoint is settled", func() bool { return g.slave.popper.log.open.Load() == 0 })

	back := &popBench{bench: g.comeBack()}
	if n := back.popper.log.open.Load(); n != 0 {
		t.Errorf("%d pops are open at the master that is back", n)
	}
	if got := back.pop(popHeader("Pair")); got != nil {
		t.Errorf("popped %v from the master that is back", got)
	}
	var bodies []string
	for _, r := range other.messagesIn(retry, 0) {
		bodies = append(bodies, string(r.Body()))
		if r.ReconsumeTimes() != 1 || property(r, "ORIGIN_GROUP") != "g" {
			t.Errorf("%s comes again the %d. time, for %s", r.Body(), r.ReconsumeTimes(), property(r, "ORIGIN_GROUP"))
		}
	}
	if slices.Sort(bodies); !slices.Equal(bodies, []string{"m1", "m2", "m3", "n2"}) {
		t.Errorf("%q come again", bodies)
	}
}

// A slave serves those who pop only when it knows what its master gave out: an acknowledgement of that goes nowhere else.
func TestSlaveActsWhenItKnowsWhatWasPopped(t *testing.T) {
	g := startActing(t, func(*Options) {})
	master := &popBench{bench: g.master}
	g.other.put("Pair", 0, "of the other")
	master.fill("Pair", "m", 1)
	if got := master.pop(popHeader("Pair")); len(got) != 1 {
		t.Fatalf("popped %v", got)
	}
	g.slave.copied(g.master)
	if err := g.master.Broker.Close(); err != nil {
		t.Fatal(err)
	}
	q := &g.slave.popper.log.queues[reviveQueues-1]
	q.mu.Lock()
	let := sync.OnceFunc(q.mu.Unlock)
	defer let()
	g.names.set(map[int64]string{1: g.slave.Addr()})
	g.slave.await("the slave to turn", func() bool {
		if !g.slave.acting.turning.TryLock() {
			return g.slave.popper.log.open.Load() == 1 || g.slave.acts()
		}
		g.slave.acting.turning.Unlock()
		return false
	})
	acts := g.slave.acts()
	let()
	if acts {
		t.Error("the slave acts before it knows what its master gave out")
	}
	g.slave.await("the slave to act", g.slave.acts)
	if n := g.slave.popper.log.open.Load(); n != 1 {
		t.Errorf("the slave knows of %d pops", n)
	}
}

// What is popped from a master comes again elsewhere by retry topics of the first form: those of the second have names that no
// broker takes a message for. It comes also when the slave has not yet copied the group.
func TestSlaveRevivesWhatItsMasterGaveOut(t *testing.T) {
	var ahead atomic.Int64 // ms
	g := startActing(t, func(o *Options) {
		o.EnableRetryTopicV2 = true
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load()) * time.Millisecond) }
	})
	master := &popBench{bench: g.master}
	g.other.put("Pair", 0, "of the other")
	master.fill("Pair", "m", 1)
	if got := master.pop(popHeader("Pair")); len(got) != 1 {
		t.Fatalf("popped %v", got)
	}
	g.lose()
	if err := g.slave.groups.Remove("g", 1); err != nil {
		t.Fatal(err)
	}
	ahead.Add(65_000)
	g.slave.popper.log.kick()
	g.other.dispatched("%RETRY%g_Pair", 0, 1)
}

// What is popped for long waits in the timer, and is brought to another master with what is acknowledged of it at the slave.
func TestSlaveActsForLongPops(t *testing.T) {
	var stopped atomic.Int64 // ms at which the clock stands, if it does
	g := startActing(t, func(o *Options) {
		o.TimerPrecisionMs = 100
		o.Now = func() time.Time {
			if at := stopped.Load(); at > 0 {
				return time.UnixMilli(at)
			}
			return time.Now()
		}
	})
	master, slave, other := &popBench{bench: g.master}, &popBench{bench: g.slave}, g.other
	other.put("Pair", 0, "of the other")
	master.fill("Pair", "m", 3)
	long := popHeader("Pair")
	long.InvisibleTime = 600_000
	popped := master.pop(long)
	if len(popped) != 3 {
		t.Fatalf("popped %v", popped)
	}
	slave.await("the slave to have the timer", func() bool {
		g.slave.copied(g.master)
		g.slave.replication.sync.kick()
		return g.slave.timers.timer.Load().Metrics().Pending == 1
	})
	g.lose()
	slave.ack(popped[1])
	receipt, err := pop.ParseHandle(popped[0].receipt)
	if err != nil {
		t.Fatal(err)
	}
	open := func() (n int) {
		for i := range other.popper.log.queues {
			q := &other.popper.log.queues[i]
			q.mu.Lock()
			for _, left := range q.mu.ledger.Left() {
				n += len(slices.Collect(left))
			}
			q.mu.Unlock()
		}
		return n
	}
	stopped.Store(receipt.VisibleAt() - 500)
	other.await("the checkpoint", func() bool { return open() == 3 })
	stopped.Store(receipt.VisibleAt() + 500)
	other.await("the acknowledgement", func() bool { return open() == 2 })
	if lag := other.popper.log.inFlight(); len(lag) > 0 {
		t.Errorf("in flight of the other master's own are %v", lag)
	}
	stopped.Store(receipt.VisibleAt() + 5_000)
	other.popper.log.kick()
	other.dispatched("%RETRY%g_Pair", 0, 2)
	if got := bodiesOf(other.messagesIn("%RETRY%g_Pair", 0)); !slices.Equal(got, []string{"m0", "m2"}) {
		t.Errorf("%q come again", got)
	}
}

// A checkpoint that names another broker is of messages there: a slave left it here that acted for its master. They come
// again from there, also when the broker answers only later.
func TestReviveOfAnotherBroker(t *testing.T) {
	g := startActing(t, func(*Options) {})
	for i := range 3 {
		g.master.put("Pair", 0, fmt.Sprint("a", i))
		g.other.put("Pair", 0, fmt.Sprint("b", i))
	}
	g.master.dispatched("Pair", 0, 3)
	now := time.Now().UnixMilli()
	key := pop.Key{Topic: "Pair", Group: "g", Queue: 0, Start: 0, PopTime: now - 10_000, BrokerName: "broker-a"}
	at := strconv.FormatInt(now, 10)
	g.other.put(g.other.popper.log.topic, 1, string(pop.AppendAck(nil, &pop.Ack{Key: key, Offsets: []int64{1}})), "TAGS", "ack", "TIMER_DELIVER_MS", at) // of none yet
	g.other.put(g.other.popper.log.topic, 1, string(pop.AppendCheckpoint(nil, &pop.Checkpoint{Key: key, InvisibleTime: 10_000, Offsets: []int64{0, 1, 2}})), "TAGS", "ck", "TIMER_DELIVER_MS", at)
	g.other.put(g.other.popper.log.topic, 1, string(pop.AppendAck(nil, &pop.Ack{Key: key, Offsets: []int64{1}})), "TAGS", "ack", "TIMER_DELIVER_MS", at)
	g.other.dispatched("%RETRY%g_Pair", 0, 2)
	list := g.other.messagesIn("%RETRY%g_Pair", 0)
	if got := bodiesOf(list); !slices.Equal(got, []string{"a0", "a2"}) || list[0].ReconsumeTimes() != 1 {
		t.Errorf("%q come again", got)
	}
}

// What consumers commit at a slave is of no older version than what its master knew: Java's goes by that when it comes back.
func TestSlaveOffsetsHaveTheirVersion(t *testing.T) {
	g := startActing(t, func(*Options) {})
	version := protocol.DataVersion{Timestamp: time.Now().UnixMilli(), Counter: 1000}
	g.master.offsets.Merge(&metadata.OffsetsFile{DataVersion: version}, func(string) bool { return true })
	g.slave.await("the version", func() bool {
		g.slave.replication.sync.kick()
		return g.slave.offsets.Snapshot().DataVersion == g.master.offsets.Snapshot().DataVersion
	})
}

// Consumers of a slave whose master is gone go on at the master that comes back where they were, from its first answer on.
func TestMasterTakesOverOffsets(t *testing.T) {
	g := startActing(t, func(*Options) {})
	for range 5 {
		g.master.put("Pair", 0, "x")
	}
	g.master.dispatched("Pair", 0, 5)
	g.lose()
	g.slave.pull(pullHeader("readers", "Pair", 0, 0))
	g.slave.must(protocol.UpdateConsumerOffset, &protocol.UpdateConsumerOffsetRequestHeader{Topic: "Pair", ConsumerGroup: "readers", QueueID: 0, CommitOffset: 3}, nil, nil)
	if offset, _ := g.comeBack().offsets.Committed("Pair", "readers", 0); offset != 3 {
		t.Errorf("the group goes on at %d", offset)
	}
}

// One that goes round in the wheel is sent as a timer to the other broker.
func TestEscapedGoesRoundElsewhere(t *testing.T) {
	m := &message.Message{Topic: message.TimerTopic}
	for _, p := range [][2]string{{"KEYS", "k"}, {"TIMER_DELAY_SEC", "900000"}, {"TIMER_OUT_MS", "1234000"}, {"TIMER_ROLL_TIMES", "1"}, {"REAL_TOPIC", "Pair"}, {"REAL_QID", "3"}} {
		m.Properties = message.AppendProperty(m.Properties, p[0], p[1])
	}
	topic, properties := escaped(m)
	want := message.AppendProperty(message.AppendProperty(nil, "KEYS", "k"), "TIMER_DELIVER_MS", "1234000")
	if topic != "Pair" || string(properties) != string(want) {
		t.Errorf("to %s with %q", topic, properties)
	}
}

// Without another master a message stays where it is, and is tried again.
func TestEscapeWithoutAnotherMaster(t *testing.T) {
	names := newGroupServer(t)
	o := pairOptions(t.TempDir(), config.SlaveRole, 1)
	o.EnableSlaveActingMaster, o.EnableRemoteEscape, o.NamesrvAddr = true, true, names.addr
	slave := startWith(t, o)
	var d engine.Puts
	d.Put(slave.scheduleStore(), &message.Message{Topic: "Pair", Body: []byte("x")})
	if r := d.Wait()[0]; r.Status.Stored() || r.Err == nil {
		t.Errorf("%v %v", r.Status, r.Err)
	}
}
