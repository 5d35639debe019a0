package interop

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestClusters runs RocketMQ's example layouts of two masters and two slaves,
// at two name servers, and restarts every process in turn under load.
func TestClusters(t *testing.T) {
	t.Parallel()
	for _, layout := range []struct{ name, role string }{{"2m-2s-async", "ASYNC_MASTER"}, {"2m-2s-sync", "SYNC_MASTER"}} {
		t.Run(layout.name, func(t *testing.T) {
			t.Parallel()
			heavy(t)
			runLayout(t, layout.role)
		})
	}
}

// exampleProperties are those of conf/2m-2s-*/broker-*.properties.
func exampleProperties(name, id, role string) map[string]string {
	return map[string]string{
		"brokerClusterName": "DefaultCluster", "brokerName": name, "brokerId": id, "deleteWhen": "04", "fileReservedTime": "48",
		"brokerRole": role, "flushDiskType": "ASYNC_FLUSH",
	}
}

// layout is a cluster of several brokers and name servers.
type layout struct {
	t       *testing.T
	names   []*layoutNames
	brokers []*harness.Cluster // a master, its slave, the other master, its slave
}

type layoutNames struct {
	place   harness.Place
	process *harness.Process
}

func runLayout(t *testing.T, role string) {
	l := &layout{t: t}
	for range 2 {
		n := &layoutNames{place: l.place(nil)}
		l.names = append(l.names, n)
		l.startNames(n)
	}
	for _, name := range []string{"broker-a", "broker-b"} {
		for _, b := range []struct{ id, role string }{{"0", role}, {"1", "SLAVE"}} {
			place := l.place(exampleProperties(name, b.id, b.role))
			place.NameServerPort = l.names[0].place.NameServerPort
			place.Others = []string{l.names[1].place.NameServer()}
			c := &harness.Cluster{Place: place, Target: suite.split}
			l.brokers = append(l.brokers, c)
			l.startBroker(c)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("log of a broker:\n%s", c.Tails(2000))
				}
				c.Close()
			})
		}
	}
	l.admin()
	a := newAgent(t, java55, l.brokers[0].NameServers(), "clients")
	p := producer(t, a, harness.Args{"timeout": 10000})
	sends := do(t, a, "send", harness.Args{"producer": p, "topic": "Rolling", "name": "m", "rate": 100})
	await(t, sends, "sent", soon)
	consumer := consume(t, a, harness.Args{"kind": "push", "group": "C_rolling", "topic": "Rolling"})
	for _, c := range l.brokers {
		if err := c.StopBroker(); err != nil {
			t.Fatal(err)
		}
		l.flows(sends, "a broker is down")
		l.startBroker(c)
		l.flows(sends, "it is back")
	}
	for _, n := range l.names {
		if err := n.process.Stop(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		l.flows(sends, "a name server is down")
		l.startNames(n)
		l.known(n)
	}
	stop(t, sends)
	await(t, sends, "done", soon)
	want := map[string]harness.Event{}
	for _, e := range acknowledged(sends) {
		want[e.Name] = e
	}
	awaitWindow(t, 2*time.Minute, func() bool { return missing(want, consumer.Events("got")) == 0 },
		func() string {
			return fmt.Sprintf("%d of %d acknowledged messages are not consumed", missing(want, consumer.Events("got")), len(want))
		})
	for i := 0; i < len(l.brokers); i += 2 {
		awaitWindow(t, soon, func() bool { return logSum(t, l.brokers[i].Place) == logSum(t, l.brokers[i+1].Place) },
			func() string { return "a slave does not have its master's log" })
	}
	t.Logf("%d acknowledged, %d refused", len(want), len(sends.Events("refused")))
}

func (l *layout) place(properties map[string]string) harness.Place {
	l.t.Helper()
	place, err := harness.NewPlace(l.t.TempDir(), maps.Clone(properties))
	if err != nil {
		l.t.Fatal(err)
	}
	return place
}

func (l *layout) startBroker(c *harness.Cluster) {
	l.t.Helper()
	if err := c.StartBroker(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *layout) startNames(n *layoutNames) {
	l.t.Helper()
	var err error
	if n.process, err = suite.split.StartNameServer(n.place); err != nil {
		l.t.Fatal(err)
	}
	process := n.process
	l.t.Cleanup(process.Kill)
}

// flows waits until several messages more are acknowledged: there is always another master.
func (l *layout) flows(sends *harness.Stream, when string) {
	l.t.Helper()
	before := len(acknowledged(sends))
	awaitWindow(l.t, soon, func() bool { return len(acknowledged(sends)) >= before+20 },
		func() string { return "no messages are acknowledged when " + when })
}

// known waits until a name server that was started anew knows all brokers again.
func (l *layout) known(n *layoutNames) {
	l.t.Helper()
	for _, c := range l.brokers {
		if err := c.KnownAt(n.place.NameServer()); err != nil {
			l.t.Fatal(err)
		}
	}
}

// admin has the official tool look at the cluster.
func (l *layout) admin() {
	l.t.Helper()
	admin, err := suite.java.StartAdmin(l.brokers[0].Place)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(admin.Kill)
	all := []string{"DefaultCluster", "broker-a", "broker-b"}
	for _, c := range l.brokers {
		all = append(all, c.Broker())
	}
	for _, command := range []struct {
		line string
		want []string
	}{
		{"clusterList", all},
		{"clusterList -m", all[:3]},
		{"haStatus -c DefaultCluster", []string{l.brokers[0].Broker(), l.brokers[2].Broker(), "#InSyncSlaveNum\t1", "#SlaveAckOffset", "OK"}},
		{"haStatus -b " + l.brokers[1].Broker(), []string{"#MasterAddr", "#CommitLogMaxOffset", "#LastReadTime"}},
		{"brokerStatus -b " + l.brokers[1].Broker(), []string{"commitLogMaxOffset"}},
	} {
		var out string
		awaitWindow(l.t, soon, func() bool { // the slaves may still be about to come
			out = runAdmin(l.t, admin, command.line)
			return containsAll(out, command.want) && !strings.Contains(out, "Exception")
		}, func() string {
			return fmt.Sprintf("mqadmin %s: not all of %q in\n%.2000s", command.line, command.want, out)
		})
		if !strings.HasPrefix(command.line, "brokerStatus") {
			ourAdminToo(l.t, admin, l.brokers[0].Place, command.line)
		}
	}
}
