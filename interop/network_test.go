package interop

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

var (
	networkTime = flag.Duration("network-time", 0, "how long the network test goes on; 0 is once through its faults, each as short as it can be")
	networkSeed = flag.Uint64("network-seed", 0, "which faults come when in a long one; 0 takes any")
)

// TestNetwork has a master, its slave, their name server and clients in
// network namespaces of their own. Packets between them are lost and come
// late, in one direction or both, processes are killed and stopped, the
// slave's disk fills up. What was acknowledged, each message by both brokers,
// is on both at the end, and their logs are the same.
func TestNetwork(t *testing.T) {
	heavy(t)
	w := newNetwork(t)
	w.startLoad()
	rng := rand.New(rand.NewPCG(w.seed, 0))
	faults := w.faults()
	for begin, n := time.Now(), 0; n < len(faults) || time.Since(begin) < *networkTime; n++ {
		f, hold := faults[n%len(faults)], time.Second
		if *networkTime > 0 {
			f = faults[rng.IntN(len(faults))]
			hold = time.Second + time.Duration(rng.Int64N(int64(15*time.Second)))
		}
		w.suffer(f, hold)
		if t.Failed() {
			return
		}
	}
	w.account()
}

// network is the cluster, and the load on it.
type network struct {
	t    *testing.T
	seed uint64
	wire *harness.Wire

	nameServer, master, slave, clients *harness.Node
	names                              harness.Place
	pair                               [2]*networkBroker // master and slave
	load                               *harness.Agent
	sends                              []*harness.Stream
	consumer                           *harness.Stream
	times                              map[string]int // how often each fault came
}

// networkBroker is one of the brokers.
type networkBroker struct {
	place   harness.Place
	process *harness.Process
}

const (
	networkTopic = "Network"
	// networkFile is the size of a file of the log: small, so that a full disk is soon met.
	networkFile = 512 << 10
	// networkDisk is the size of the slave's disk for each minute, and for four more.
	networkDisk = 16 << 20
)

func newNetwork(t *testing.T) *network {
	wire, err := harness.NewWire(fmt.Sprintf("rl%d-", os.Getpid()))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(wire.Close)
	w := &network{t: t, seed: *networkSeed, wire: wire, times: map[string]int{}}
	if w.seed == 0 {
		w.seed = rand.Uint64()
	}
	t.Logf("seed %d", w.seed)
	for _, n := range []struct {
		node **harness.Node
		name string
	}{{&w.nameServer, "names"}, {&w.master, "master"}, {&w.slave, "slave"}, {&w.clients, "clients"}} {
		if *n.node, err = wire.Node(n.name); err != nil {
			t.Skip(err)
		}
	}
	w.names = w.newPlace(w.nameServer, nil)
	p, err := suite.split.StartNameServer(w.names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	properties := map[string]string{
		"brokerRole": "SYNC_MASTER", "inSyncReplicas": "2", "slaveReadEnable": "true", "mappedFileSizeCommitLog": fmt.Sprint(networkFile),
		// So that what is cut off is noticed within a test.
		"haSendHeartbeatInterval": "500", "haHousekeepingInterval": "3000",
		"maxHashSlotNum": "1000", "maxIndexNum": "4000", "mappedFileSizeConsumeQueue": "200000",
		"cleanFileForciblyEnable": "false", "diskMaxUsedSpaceRatio": "99", "fileReservedTime": "720",
		"diskSpaceWarningLevelRatio": "100", "diskSpaceCleanForciblyRatio": "99",
	}
	for i, node := range []*harness.Node{w.master, w.slave} {
		own := maps.Clone(properties)
		if node == w.slave {
			own["brokerRole"], own["brokerId"] = "SLAVE", "1"
		}
		b := &networkBroker{place: w.newPlace(node, own)}
		w.pair[i] = b
		if node == w.slave {
			mountSmall(t, b.place.Store(), networkDisk*(4+int(*networkTime/time.Minute)))
		}
		w.start(b)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("log of %s:\n%s", node.Addr, b.process.Tail(4000))
			}
			b.process.Kill()
		})
	}
	return w
}

func (w *network) newPlace(node *harness.Node, properties map[string]string) harness.Place {
	w.t.Helper()
	place, err := harness.NewPlace(w.t.TempDir(), properties)
	if err != nil {
		w.t.Fatal(err)
	}
	place.Node = node
	if w.names.Node != nil {
		place.Others = []string{w.names.NameServer()}
	}
	return place
}

func (w *network) start(b *networkBroker) {
	w.t.Helper()
	var err error
	if b.process, err = suite.split.StartBroker(b.place); err != nil {
		w.t.Fatal(err)
	}
}

// agent is a client program at the clients' node.
func (w *network) agent(client, name string) *harness.Agent {
	w.t.Helper()
	a, err := suite.clients[client].At(w.clients).Start(w.names.NameServer(), w.t.TempDir(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("log of client %s:\n%s", client, a.Tail(2000))
		}
		a.Kill()
	})
	return a
}

// startLoad has two clients send and one consume.
func (w *network) startLoad() {
	w.load = w.agent(java55, "load")
	for _, l := range []struct {
		a    *harness.Agent
		args harness.Args
	}{
		{w.load, harness.Args{"name": "java", "rate": 60}},
		{w.agent(golang, "load"), harness.Args{"name": "go", "rate": 60}},
	} {
		l.args["producer"] = producer(w.t, l.a, harness.Args{"group": "P_" + l.args["name"].(string), "timeout": 5000})
		l.args["topic"], l.args["size"] = networkTopic, 1000
		w.sends = append(w.sends, do(w.t, l.a, "send", l.args))
	}
	w.awaitAcknowledged("the pair to begin")
	w.consumer = consume(w.t, w.load, harness.Args{"kind": "push", "group": "C_network", "topic": networkTopic})
}

// acknowledged are the messages of a stream that both brokers are said to have.
func acknowledged(s *harness.Stream) (list []harness.Event) {
	for _, e := range s.Events("sent") {
		if e.Status == "SEND_OK" {
			list = append(list, e)
		}
	}
	return list
}

// answered waits until a message of the stream is answered as ok wants it, from now on.
func (w *network) answered(s *harness.Stream, timeout time.Duration, ok func(harness.Event) bool) error {
	begin := time.Now()
	return s.Until(timeout, func(all []harness.Event) bool {
		for i := len(all) - 1; i >= 0 && all[i].Read.After(begin); i-- {
			if ok(all[i]) {
				return true
			}
		}
		return false
	})
}

// awaitAcknowledged waits until a message of each producer is, from now on.
func (w *network) awaitAcknowledged(what string) {
	w.t.Helper()
	for _, s := range w.sends {
		if err := w.answered(s, 2*time.Minute, func(e harness.Event) bool { return e.Event == "sent" && e.Status == "SEND_OK" }); err != nil {
			w.t.Fatalf("waited in vain for %s: no message is acknowledged: %v", what, err)
		}
	}
}

// unacknowledged waits until a message is answered by something else, or not at all.
func (w *network) unacknowledged(what string) {
	w.t.Helper()
	if err := w.answered(w.sends[0], 2*time.Minute, func(e harness.Event) bool { return e.Event == "refused" || e.Event == "sent" && e.Status != "SEND_OK" }); err != nil {
		w.t.Fatalf("%s, and every message is acknowledged all the same: %v", what, err)
	}
}

// A trouble is something that goes wrong for a while.
type trouble struct {
	name string
	// blocks says that no message can be acknowledged meanwhile.
	blocks bool
	begin  func()
	end    func()
}

func (w *network) faults() []trouble {
	both := func(a, b *harness.Node, f harness.Fault) func() {
		return func() {
			w.wire.Set(a, b, f)
			w.wire.Set(b, a, f)
		}
	}
	one := func(a, b *harness.Node, f harness.Fault) func() { return func() { w.wire.Set(a, b, f) } }
	master, slave := w.pair[0], w.pair[1]
	ballast := filepath.Join(slave.place.Store(), "ballast")
	cut := harness.Fault{Cut: true}
	kill := func(b *networkBroker) trouble {
		return trouble{blocks: true, begin: func() { b.process.Kill() }, end: func() { w.start(b) }}
	}
	pause := func(b *networkBroker) trouble {
		return trouble{blocks: true, begin: func() { b.process.Pause() }, end: func() { b.process.Resume() }}
	}
	named := func(name string, f trouble) trouble {
		f.name = name
		return f
	}
	return []trouble{
		{name: "master and slave are cut off", blocks: true, begin: both(w.master, w.slave, cut), end: w.wire.Heal},
		{name: "nothing reaches the slave from its master", blocks: true, begin: one(w.master, w.slave, cut), end: w.wire.Heal},
		{name: "nothing reaches the master from its slave", blocks: true, begin: one(w.slave, w.master, cut), end: w.wire.Heal},
		{name: "packets between them are late", begin: both(w.master, w.slave, harness.Fault{Delay: 40 * time.Millisecond, Jitter: 40 * time.Millisecond}), end: w.wire.Heal},
		{name: "packets between them are lost", begin: both(w.master, w.slave, harness.Fault{Loss: 0.1, Delay: time.Millisecond}), end: w.wire.Heal},
		{name: "packets of the clients are lost and late", begin: both(w.master, w.clients, harness.Fault{Loss: 0.05, Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond}), end: w.wire.Heal},
		{name: "the master is cut off from all but its slave", blocks: true, begin: func() {
			both(w.master, w.clients, cut)()
			both(w.master, w.nameServer, cut)()
		}, end: w.wire.Heal},
		named("the slave is killed", kill(slave)),
		named("the master is killed", kill(master)),
		named("the slave is stopped for a while", pause(slave)),
		named("the master is stopped for a while", pause(master)),
		{name: "the slave's disk is full", blocks: true, begin: func() { fill(w.t, ballast) }, end: func() {
			if err := os.Remove(ballast); err != nil {
				w.t.Error(err)
			}
		}},
	}
}

// suffer has something go wrong for a while, and waits until it is overcome.
func (w *network) suffer(f trouble, hold time.Duration) {
	w.t.Helper()
	begin := time.Now()
	w.times[f.name]++
	f.begin()
	if f.blocks {
		w.unacknowledged(f.name)
	}
	time.Sleep(hold)
	f.end()
	healed := time.Now()
	w.awaitAcknowledged("messages after: " + f.name)
	w.t.Logf("%s: %.1f s, overcome in %.1f s", f.name, healed.Sub(begin).Seconds(), time.Since(healed).Seconds())
}

// account has all that was acknowledged be on either broker.
func (w *network) account() {
	t := w.t
	var sent []harness.Event
	other := 0
	for _, s := range w.sends {
		stop(t, s)
		await(t, s, "done", soon)
		sent = append(sent, acknowledged(s)...)
		other += len(s.Events("sent", "refused")) - len(acknowledged(s))
	}
	master, slave := w.pair[0], w.pair[1]
	awaitWindow(t, 2*time.Minute, func() bool { return logSum(t, master.place) == logSum(t, slave.place) },
		func() string { return "the logs differ" })
	want := map[string]harness.Event{}
	for _, e := range sent {
		want[e.Name] = e
	}
	w.awaitAll("the consumer of the whole time", want, w.consumer)
	w.settle("master", want, w.read("master", want))
	master.process.Kill()
	w.settle("slave", want, w.read("slave", want))
	carried, lost := w.wire.Packets()
	t.Logf("%d messages acknowledged, %d not; %d packets, %d of them lost; log %s; faults: %v", len(sent), other, carried+lost, lost, logSum(t, slave.place), w.times)
}

// read has a new group read the topic from its begin.
func (w *network) read(from string, want map[string]harness.Event) []harness.Event {
	w.t.Helper()
	s := consume(w.t, w.agent(java55, "reader-"+from), harness.Args{"kind": "push", "group": "C_" + from, "topic": networkTopic})
	w.awaitAll(from, want, s)
	got := s.Events("got")
	stop(w.t, s)
	return got
}

// awaitAll waits until a consumer has all of want. It looks seldom: there may be many.
func (w *network) awaitAll(who string, want map[string]harness.Event, s *harness.Stream) {
	w.t.Helper()
	for begin := time.Now(); missing(want, s.Events("got")) > 0; time.Sleep(time.Second) {
		if time.Since(begin) > 5*time.Minute {
			w.t.Fatalf("%s: %d of %d acknowledged messages are not consumed", who, missing(want, s.Events("got")), len(want))
		}
	}
}

// settle has each acknowledged message be where its producer was told that it is, and no place be that of two.
func (w *network) settle(who string, want map[string]harness.Event, got []harness.Event) {
	w.t.Helper()
	owner, found := map[place]string{}, map[string][]place{}
	for _, e := range got {
		at := place{e.Queue, e.Offset}
		if before, ok := owner[at]; ok && before != e.Name {
			w.t.Errorf("%s: offset %d of queue %d is %s and %s", who, e.Offset, e.Queue, before, e.Name)
		}
		owner[at] = e.Name
		found[e.Name] = append(found[e.Name], at)
	}
	lost := 0
	for name, e := range want {
		if !slices.Contains(found[name], place{e.Queue, e.Offset}) {
			if lost++; lost <= 5 {
				w.t.Errorf("%s: acknowledged message %s is not at offset %d of queue %d but at %v", who, name, e.Offset, e.Queue, found[name])
			}
		}
	}
	if lost > 0 {
		w.t.Errorf("%s: %d of %d acknowledged messages are missing", who, lost, len(want))
	}
}
