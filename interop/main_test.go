package interop

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

var (
	targetFlag  = flag.String("target", "ours", "what the clients use: ours (broker with its own name server), split (name server and broker apart), java (the real one), java-broker or java-namesrv (that one real, the other ours)")
	killsFlag   = flag.Int("kills", 5, "how often the broker is killed in each kill test")
	longFlag    = flag.Bool("long", false, "also run what CI has no time for")
	clientsFlag = flag.String("clients", "java-5.5.0,java-4.9.8,go-2.1.2", "the clients to use")
)

// suite is what all tests share: programs built once, one cluster at which
// the scenarios run side by side, and one agent a client at that cluster.
var suite struct {
	dir     string
	java    *harness.Java
	ours    *harness.Ours
	split   *harness.Ours
	target  harness.Target
	clients map[string]*harness.Client

	cluster func() (*harness.Cluster, error)

	mu     sync.Mutex
	agents map[string]*harness.Agent
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runSuite(m))
}

func runSuite(m *testing.M) int {
	if why := harness.HaveJava(); why != "" {
		fmt.Printf("interop: nothing to run: %s; these tests need a JDK 11 or newer and Maven\n", why)
		return 0
	}
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Scenarios mostly wait: far more of them than cores run well at a time.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("16")
	}
	bin := filepath.Join(dir, "bin")
	root, err := filepath.Abs("java") // the Java programs run elsewhere
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suite.dir = dir
	suite.java = harness.NewJava(root)
	suite.ours = harness.NewOurs("..", bin, false)
	suite.split = harness.NewOurs("..", bin, true)
	suite.target = map[string]harness.Target{"ours": suite.ours, "split": suite.split, "java": suite.java,
		"java-broker": ourNameServer(), "java-namesrv": ourBroker()}[*targetFlag]
	if suite.target == nil {
		fmt.Fprintf(os.Stderr, "interop: no target %q\n", *targetFlag)
		return 2
	}
	suite.clients = map[string]*harness.Client{
		java55: harness.JavaClient(root, "client55", "5.5.0"),
		java49: harness.JavaClient(root, "client49", "4.9.8"),
		golang: harness.GoClient(".", bin, "2.1.2"),
	}
	for _, client := range []string{java55, java49} {
		suite.clients[client+binaryHeaders] = suite.clients[client].With(client+binaryHeaders, "rocketmq.serialize.type=ROCKETMQ")
	}
	suite.agents = map[string]*harness.Agent{}
	suite.cluster = sync.OnceValues(func() (*harness.Cluster, error) {
		clusterDir := filepath.Join(dir, "cluster")
		if err := os.Mkdir(clusterDir, 0o755); err != nil {
			return nil, err
		}
		place, err := harness.NewPlace(clusterDir, nil)
		if err != nil {
			return nil, err
		}
		return harness.StartCluster(suite.target, place)
	})
	return m.Run()
}

// ourNameServer has a Java broker at our name server.
func ourNameServer() harness.Target {
	return harness.Mixed{Title: "java-broker", NameServer: suite.split, Broker: suite.java}
}

// ourBroker has our broker at a Java name server.
func ourBroker() harness.Target {
	return harness.Mixed{Title: "java-namesrv", NameServer: suite.java, Broker: suite.split}
}

const (
	java55 = "java-5.5.0"
	java49 = "java-4.9.8"
	golang = "go-2.1.2"

	// binaryHeaders ends the name of a client that speaks the protocol's second header form.
	binaryHeaders = "-binary"
)

// clients are those that the flag asks for.
func clients() []string { return strings.Split(*clientsFlag, ",") }

// eachClient runs the scenario once a client, side by side.
func eachClient(t *testing.T, f func(t *testing.T, client string)) {
	t.Parallel()
	for _, client := range clients() {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			f(t, client)
		})
	}
}

// heavySlots are as many as heavy tests may run at a time.
var heavySlots = make(chan struct{}, 2)

// heavy waits for its turn: a test that keeps a core busy for long, with
// servers of its own, would else make the others time out.
func heavy(t *testing.T) {
	heavySlots <- struct{}{}
	t.Cleanup(func() { <-heavySlots })
}

// sharedCluster is the cluster of all tests that do not restart it.
func sharedCluster(t *testing.T) *harness.Cluster {
	t.Helper()
	c, err := suite.cluster()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs of the servers:\n%s", c.Tails(3000))
		}
	})
	return c
}

// sharedAgent is the one agent of this client at the shared cluster.
func sharedAgent(t *testing.T, client string) *harness.Agent {
	t.Helper()
	cluster := sharedCluster(t)
	suite.mu.Lock()
	defer suite.mu.Unlock()
	a := suite.agents[client]
	if a == nil {
		var err error
		if a, err = suite.clients[client].Start(cluster.NameServer(), suite.dir, "agent"); err != nil {
			t.Fatal(err)
		}
		suite.agents[client] = a
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of client %s:\n%s", client, a.Tail(3000))
		}
	})
	return a
}

// newAgent is an agent that ends with the test.
func newAgent(t *testing.T, client, nameServer, name string) *harness.Agent {
	t.Helper()
	a, err := suite.clients[client].Start(nameServer, t.TempDir(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of client %s:\n%s", client, a.Tail(3000))
		}
		a.Kill()
	})
	return a
}

// newCluster is a cluster of the test's own.
func newCluster(t *testing.T, target harness.Target, properties map[string]string) *harness.Cluster {
	t.Helper()
	place, err := harness.NewPlace(t.TempDir(), properties)
	if err != nil {
		t.Fatal(err)
	}
	return startCluster(t, target, place)
}

func startCluster(t *testing.T, target harness.Target, place harness.Place) *harness.Cluster {
	t.Helper()
	c, err := harness.StartCluster(target, place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("logs of the servers:\n%s", c.Tails(4000))
		}
		c.Close()
	})
	return c
}

// soon bounds the waits for what takes a second or two on a machine that has nothing else to do.
const soon = 60 * time.Second

// do gives a command to an agent.
func do(t *testing.T, a *harness.Agent, verb string, args harness.Args) *harness.Stream {
	t.Helper()
	s, err := a.Do(verb, args)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func await(t *testing.T, s *harness.Stream, event string, timeout time.Duration) harness.Event {
	t.Helper()
	e, err := s.Await(event, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// producer starts a producer; it is stopped with the test.
func producer(t *testing.T, a *harness.Agent, args harness.Args) string {
	t.Helper()
	if args == nil {
		args = harness.Args{}
	}
	if args["group"] == nil {
		args["group"] = "P_" + word(t)
	}
	s := do(t, a, "producer", args)
	await(t, s, "ready", soon)
	t.Cleanup(func() { _, _ = a.Do("stop", harness.Args{"target": s.ID}) })
	return s.ID
}

// send sends and waits for all answers; a refused message fails the test.
func send(t *testing.T, a *harness.Agent, producer string, args harness.Args) []harness.Event {
	t.Helper()
	args["producer"] = producer
	s := do(t, a, "send", args)
	await(t, s, "done", 60*time.Second)
	if refused := s.Events("refused"); len(refused) > 0 {
		t.Fatalf("%s: %d messages refused, first %s: %s", a.Client, len(refused), refused[0].Name, refused[0].Error)
	}
	sent := s.Events("sent")
	for _, e := range sent {
		if e.Status != "SEND_OK" && e.Status != "ONEWAY" {
			t.Fatalf("%s: message %s answered %s", a.Client, e.Name, e.Status)
		}
	}
	return sent
}

// consume starts a consumer and waits until it is ready.
func consume(t *testing.T, a *harness.Agent, args harness.Args) *harness.Stream {
	t.Helper()
	s := do(t, a, "consume", args)
	await(t, s, "ready", soon)
	t.Cleanup(func() { _, _ = a.Do("stop", harness.Args{"target": s.ID}) })
	return s
}

// stop stops what runs and waits for it.
func stop(t *testing.T, s *harness.Stream) {
	t.Helper()
	await(t, do(t, s.Agent(), "stop", harness.Args{"target": s.ID}), "done", soon)
}

// leaver is an agent whose consumers are to leave their group before the test
// ends. The Go client tells no broker that a consumer leaves: the group hears
// of it when the connection closes, at the latest with its process.
func leaver(t *testing.T, client string) *harness.Agent {
	t.Helper()
	if client == golang {
		return newAgent(t, client, sharedCluster(t).NameServer(), "leaver")
	}
	return sharedAgent(t, client)
}

// leave stops a leaver's consumer.
func leave(t *testing.T, s *harness.Stream) {
	t.Helper()
	stop(t, s)
	if s.Agent().Client == golang {
		s.Agent().Kill()
	}
}

// distinct counts the different messages among events.
func distinct(events []harness.Event) int {
	names := map[string]bool{}
	for _, e := range events {
		if e.Event == "got" || e.Event == "found" {
			names[e.Name] = true
		}
	}
	return len(names)
}

// awaitDistinct waits until n different messages arrived, at one or more consumers.
func awaitDistinct(t *testing.T, n int, timeout time.Duration, streams ...*harness.Stream) []harness.Event {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		all := gather(streams...)
		if distinct(all) >= n {
			return all
		}
		left := time.Until(deadline)
		if left <= 0 {
			t.Fatalf("%d of %d messages arrived in %v; last error: %s", distinct(all), n, timeout, lastError(streams))
		}
		have := len(streams[0].Events())
		_ = streams[0].Until(min(left, 200*time.Millisecond), func(e []harness.Event) bool { return len(e) > have })
	}
}

func gather(streams ...*harness.Stream) []harness.Event {
	var all []harness.Event
	for _, s := range streams {
		all = append(all, s.Events("got", "found")...)
	}
	return all
}

func lastError(streams []*harness.Stream) string {
	for _, s := range streams {
		if e := s.Events("error", "failed"); len(e) > 0 {
			return e[len(e)-1].Error
		}
	}
	return "none"
}

// settle waits a moment for what should not come, and then accounts for all.
func settle(t *testing.T, sent []harness.Event, twiceMax int, streams ...*harness.Stream) []harness.Event {
	t.Helper()
	awaitDistinct(t, len(sent), soon, streams...)
	time.Sleep(300 * time.Millisecond)
	got := gather(streams...)
	if err := harness.Settle(sent, got).Err(twiceMax); err != nil {
		t.Fatal(err)
	}
	return got
}

// word makes a topic or group name of the test's name.
func word(t *testing.T) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, t.Name())
}
