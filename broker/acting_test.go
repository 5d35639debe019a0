package broker

import (
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// groupServer is a name server that says of the group broker-a what it is told, and of each topic that broker-b has it too.
type groupServer struct {
	addr string

	mu    sync.Mutex
	group map[int64]string
	other string // address of broker-b
}

func newGroupServer(t *testing.T) *groupServer {
	n := &groupServer{group: map[int64]string{}}
	srv := remoting.NewServer(nil)
	say := func(body func() any) func(*remoting.Conn, *remoting.Command) *remoting.Command {
		return func(*remoting.Conn, *remoting.Command) *remoting.Command {
			n.mu.Lock()
			defer n.mu.Unlock()
			resp := remoting.NewResponse(protocol.Success, "")
			if b := body(); b != nil {
				resp.Body, _ = protocol.MarshalJSON(b)
			}
			return resp
		}
	}
	srv.Handle(protocol.RegisterBroker, say(func() any { return nil }), remoting.Inline())
	srv.Handle(protocol.UnregisterBroker, say(func() any { return nil }), remoting.Inline())
	srv.Handle(protocol.GetBrokerMemberGroup, say(func() any {
		return &protocol.GetBrokerMemberGroupResponseBody{BrokerMemberGroup: protocol.BrokerMemberGroup{BrokerName: "broker-a", BrokerAddrs: maps.Clone(n.group)}}
	}), remoting.Inline())
	srv.Handle(protocol.GetRouteInfoByTopic, say(func() any {
		queues := func(name string) protocol.QueueData {
			return protocol.QueueData{BrokerName: name, ReadQueueNums: 4, WriteQueueNums: 4, Perm: protocol.PermRead | protocol.PermWrite}
		}
		return &protocol.TopicRouteData{
			QueueDatas: []protocol.QueueData{queues("broker-a"), queues("broker-b")},
			BrokerDatas: []protocol.BrokerData{
				{BrokerName: "broker-a", BrokerAddrs: map[int64]string{0: "127.0.0.1:1"}}, // the acting slave is shown as a master
				{BrokerName: "broker-b", BrokerAddrs: map[int64]string{0: n.other}},
			},
		}
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
	names := newGroupServer(t)
	acting := func(dir, role string, id int64) *Options {
		o := pairOptions(dir, role, id)
		o.EnableSlaveActingMaster, o.EnableRemoteEscape, o.NamesrvAddr, o.SyncBrokerMemberGroupPeriod = true, true, names.addr, 20
		o.MessageDelayLevel, o.TimerPrecisionMs = "1s 4s", 100
		return o
	}
	masterDir := t.TempDir()
	master := startWith(t, acting(masterDir, asyncMaster, 0))
	slave := startWith(t, acting(t.TempDir(), slaveRole, 1))
	otherOptions := testOptions(t.TempDir())
	otherOptions.BrokerName = "broker-b"
	other := startWith(t, otherOptions)
	names.other = other.Addr()
	names.set(map[int64]string{0: master.Addr(), 1: slave.Addr()})
	slave.follow(master)
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
		return slave.timers.timer.Load().Metrics().Pending == 1 && slave.schedule.offset(1) == 1
	})
	if slave.acts() {
		t.Fatal("the slave acts beside its master")
	}

	if err := master.Broker.Close(); err != nil {
		t.Fatal(err)
	}
	names.set(map[int64]string{1: slave.Addr()})
	other.await("what is due to come to the other master", func() bool { return len(other.all("Pair")) >= 2 })
	if took := time.Since(begin); took < 4*time.Second {
		t.Errorf("delivered after %v", took)
	}
	if !slave.acts() {
		t.Error("the slave does not act")
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
		return slave.schedule.offset(2) == 1 && slave.timers.timer.Load().Metrics().Pending == 0
	})

	back := startWith(t, acting(masterDir, asyncMaster, 0))
	if slave.acts() {
		t.Error("the slave acts beside the master that is back")
	}
	names.set(map[int64]string{0: back.Addr(), 1: slave.Addr()})
	if offset, pending := back.schedule.offset(2), back.timers.timer.Load().Metrics().Pending; offset != 1 || pending != 0 {
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
	o := pairOptions(t.TempDir(), slaveRole, 1)
	o.EnableSlaveActingMaster, o.EnableRemoteEscape, o.NamesrvAddr = true, true, names.addr
	slave := startWith(t, o)
	var d delivery
	d.put(slave.schedule.store, &message.Message{Topic: "Pair", Body: []byte("x")})
	if r := d.wait()[0]; r.Status.Stored() || r.Err == nil {
		t.Errorf("%v %v", r.Status, r.Err)
	}
}
