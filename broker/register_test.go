package broker

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// fakeNameServer notes what brokers register with it.
type fakeNameServer struct {
	addr string

	mu       sync.Mutex
	last     protocol.RegisterBrokerBody
	header   protocol.RegisterBrokerRequestHeader
	count    int
	gone     int
	orderly  string // a topic that it says is ordered
	refusing bool
}

func newNameServer(t *testing.T) *fakeNameServer {
	n := new(fakeNameServer)
	srv := remoting.NewServer(nil)
	srv.Handle(protocol.RegisterBroker, n.register, remoting.Inline())
	srv.Handle(protocol.UnregisterBroker, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.gone++
		return remoting.NewResponse(protocol.Success, "")
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = ln.Addr().String()
	go srv.Serve(ln)                             //nolint:errcheck // closed with the test
	t.Cleanup(func() { srv.Close(t.Context()) }) //nolint:errcheck // as above
	return n
}

func (n *fakeNameServer) register(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refusing {
		return remoting.NewResponse(protocol.SystemError, "not today")
	}
	if err := n.header.Decode(&req.Fields); err != nil {
		return remoting.NewResponse(protocol.SystemError, err.Error())
	}
	n.last = protocol.RegisterBrokerBody{}
	if err := protocol.UnmarshalJSON(req.Body, &n.last); err != nil {
		return remoting.NewResponse(protocol.SystemError, err.Error())
	}
	if protocol.BodyCRC32(req.Body) != n.header.BodyCRC32 {
		return remoting.NewResponse(protocol.SystemError, "wrong checksum")
	}
	n.count++
	resp := remoting.NewResponse(protocol.Success, "")
	if n.orderly != "" {
		resp.Body, _ = protocol.MarshalJSON(&protocol.KVTable{Table: map[string]string{n.orderly: "broker-a:4"}})
	}
	return resp
}

func (n *fakeNameServer) knows(topic string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.last.TopicConfigSerializeWrapper.TopicConfigTable[topic]
	return ok
}

// A broker is known to every name server that is there when it is open, tells of new topics at once, and of its end.
func TestRegistration(t *testing.T) {
	one, two := newNameServer(t), newNameServer(t)
	o := testOptions(t.TempDir())
	o.NamesrvAddr = one.addr + ";" + two.addr + ";127.0.0.1:1"
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &bench{TB: t, Broker: b, client: remoting.NewClient(nil)}
	for _, n := range []*fakeNameServer{one, two} {
		s.await("the broker to be known", func() bool { return n.knows("TBW102") })
		n.mu.Lock()
		if h := n.header; h.BrokerName != "broker-a" || h.BrokerAddr != b.Addr() || h.ClusterName != "DefaultCluster" || h.HAServerAddr == "" {
			t.Errorf("header %+v", h)
		}
		n.mu.Unlock()
	}
	s.put("orders", 0, "x")
	if !one.knows("orders") || !two.knows("orders") {
		t.Error("a topic is not known when the first message to it is answered")
	}
	s.must(protocol.UpdateAndCreateTopic, &protocol.CreateTopicRequestHeader{
		Topic: "made", DefaultTopic: "TBW102", ReadQueueNums: 2, WriteQueueNums: 2, Perm: 6, TopicFilterType: "SINGLE_TAG",
	}, nil, nil)
	if !one.knows("made") || !two.knows("made") {
		t.Error("a topic is not known when the one who makes it is told")
	}
	s.client.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if one.gone != 1 || two.gone != 1 {
		t.Errorf("unregistered %d and %d times", one.gone, two.gone)
	}
}

// A name server that refuses is asked again soon; what it says of ordered topics is taken over.
func TestRegistrationIsTriedAgain(t *testing.T) {
	n := newNameServer(t)
	n.refusing, n.orderly = true, "orders"
	s := start(t, func(o *Options) { o.NamesrvAddr = n.addr })
	s.put("orders", 0, "x")
	n.mu.Lock()
	n.refusing = false
	n.mu.Unlock()
	begin := time.Now()
	s.await("the broker to be known", func() bool { return n.knows("orders") })
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("after %v", took)
	}
	s.await("the topic to be ordered", func() bool { return s.topics.Get("orders").Config().Order })
}

// With a permission taken from the broker its topics are registered without it.
func TestRegistrationMasksPermissions(t *testing.T) {
	n := newNameServer(t)
	s := start(t, func(o *Options) { o.NamesrvAddr = n.addr })
	s.must(protocol.UpdateBrokerConfig, nil, []byte("brokerPermission=4"), nil)
	s.await("the permission to be known", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.last.TopicConfigSerializeWrapper.TopicConfigTable["BenchmarkTest"].Perm == metadata.PermRead
	})
}

// A broker says whether its slave may be shown as the master.
func TestRegistrationOfActingMasters(t *testing.T) {
	for _, acts := range []bool{false, true} {
		n := newNameServer(t)
		s := start(t, func(o *Options) { o.NamesrvAddr, o.EnableSlaveActingMaster = n.addr, acts })
		s.await("the broker to be known", func() bool { return n.knows("TBW102") })
		n.mu.Lock()
		if got := n.header.EnableActingMaster; got != protocol.Some(acts) {
			t.Errorf("enableActingMaster is registered as %+v", got)
		}
		n.mu.Unlock()
	}
}
