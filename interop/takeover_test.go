package interop

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestTakeover is the drill of the README: a slave of ours joins a live Java
// master, catches up and takes over; then a Java slave joins it, and Java
// takes over again. The clients are the same all the time. They lose nothing:
// no message, no delayed one, no timer, and a group goes on where it was.
func TestTakeover(t *testing.T) {
	t.Parallel()
	heavy(t)
	d := newDrill(t)
	java := d.member(suite.java, "ASYNC_MASTER")
	d.start(java)
	d.startClients()
	d.sendAll("java", 0)

	ours := d.member(suite.split, "SLAVE")
	d.start(ours)
	d.handOver(java, ours)
	d.sendAll("ours", 0)
	d.sendAll("pending", 100) // due after the way back

	back := d.member(suite.java, "SLAVE")
	d.start(back)
	d.handOver(ours, back)
	d.sendAll("back", 0)
	d.account()
}

// drill is a broker that goes from hand to hand, with its clients.
type drill struct {
	t        *testing.T
	names    harness.Place
	agent    *harness.Agent
	producer string
	consumer *harness.Stream
	sent     map[string]harness.Event
	due      map[string]time.Time // not to be delivered before
}

// drillMember is one of those who are the broker, or its slave.
type drillMember struct {
	*harness.Cluster
	slave bool
}

const drillTopic, drillGroup = "Drill", "C_drill"

func newDrill(t *testing.T) *drill {
	d := &drill{t: t, sent: map[string]harness.Event{}, due: map[string]time.Time{}}
	d.names = d.place(nil)
	p, err := suite.split.StartNameServer(d.names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return d
}

func (d *drill) place(properties map[string]string) harness.Place {
	d.t.Helper()
	place, err := harness.NewPlace(d.t.TempDir(), properties)
	if err != nil {
		d.t.Fatal(err)
	}
	if d.names.NameServerPort != 0 {
		place.NameServerPort = d.names.NameServerPort
	}
	return place
}

// member is a broker with a store of its own, which does not run yet.
func (d *drill) member(target harness.Target, role string) *drillMember {
	properties := map[string]string{"brokerRole": role, "slaveReadEnable": "true"}
	m := &drillMember{slave: role == "SLAVE"}
	if m.slave {
		properties["brokerId"] = "1"
	}
	m.Cluster = &harness.Cluster{Place: d.place(properties), Target: target}
	return m
}

func (d *drill) start(m *drillMember) {
	d.t.Helper()
	if err := m.StartBroker(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("log of a broker:\n%s", m.Tails(3000))
		}
		m.Close()
	})
}

func (d *drill) startClients() {
	d.agent = newAgent(d.t, java55, d.names.NameServer(), "clients")
	d.producer = producer(d.t, d.agent, harness.Args{"timeout": 10000, "retries": 5})
	d.consumer = consume(d.t, d.agent, harness.Args{"kind": "push", "group": drillGroup, "topic": drillTopic})
}

// sendAll sends some of each kind; those that wait are due in seconds more than others.
func (d *drill) sendAll(name string, seconds int) {
	d.t.Helper()
	for _, args := range []harness.Args{
		{"name": name + "-now", "count": 200},
		{"name": name + "-level", "count": 20, "delay": 5},               // a minute
		{"name": name + "-timer", "count": 20, "delaySec": 60 + seconds}, // and as much, or more
	} {
		args["topic"] = drillTopic
		begin := time.Now()
		for _, e := range send(d.t, d.agent, d.producer, args) {
			d.sent[e.Name] = e
			switch {
			case args["delay"] != nil:
				d.due[e.Name] = begin.Add(time.Minute)
			case args["delaySec"] != nil:
				d.due[e.Name] = begin.Add(time.Duration(60+seconds) * time.Second)
			}
		}
	}
	d.awaitConsumed(func(m string) bool { return d.due[m].IsZero() }, soon)
}

func (d *drill) awaitConsumed(which func(string) bool, timeout time.Duration) {
	d.t.Helper()
	want := maps.Clone(d.sent)
	maps.DeleteFunc(want, func(m string, _ harness.Event) bool { return !which(m) })
	awaitWindow(d.t, timeout, func() bool { return missing(want, d.consumer.Events("got")) == 0 },
		func() string {
			return fmt.Sprintf("%d of %d messages are not consumed", missing(want, d.consumer.Events("got")), len(want))
		})
}

// handOver has a slave catch up, and makes it the master when the master is stopped.
func (d *drill) handOver(master, slave *drillMember) {
	d.t.Helper()
	// Nobody sends, so the master comes to rest but for what falls due.
	awaitWindow(d.t, 5*time.Minute, func() bool {
		return logSum(d.t, master.Place) == logSum(d.t, slave.Place) && slices.Equal(d.offsets(master), d.offsets(slave)) && len(d.offsets(slave)) > 0
	}, func() string {
		return fmt.Sprintf("the slave does not have the master's log and offsets: log %s and %s, offsets %v and %v", logSum(d.t, master.Place),
			logSum(d.t, slave.Place), d.offsets(master), d.offsets(slave))
	})
	for _, m := range []*drillMember{master, slave} {
		if err := m.StopBroker(); err != nil {
			d.t.Fatal(err)
		}
	}
	slave.Properties["brokerRole"], slave.Properties["brokerId"] = "ASYNC_MASTER", "0"
	d.start(slave)
	// A producer looks every half minute where its brokers are.
	probe := do(d.t, d.agent, "send", harness.Args{"producer": d.producer, "topic": drillTopic, "name": slave.Target.Name() + "-first", "rate": 2})
	await(d.t, probe, "sent", 2*time.Minute)
	stop(d.t, probe)
	await(d.t, probe, "done", soon)
	for _, e := range acknowledged(probe) {
		d.sent[e.Name] = e
	}
}

// bareNumber is a number that names a member.
var bareNumber = regexp.MustCompile(`([{,]\s*)(\d+)(\s*:)`)

// offsets are those of the group, as the state file has them: each queue's by number, in order.
func (d *drill) offsets(m *drillMember) (list []string) {
	b, err := os.ReadFile(filepath.Join(m.Store(), "config", "consumerOffset.json"))
	if err != nil {
		return nil
	}
	var file struct {
		OffsetTable map[string]json.RawMessage
	}
	// Java writes the numbers of queues bare, which no JSON is: they are quoted before it is read.
	if json.Unmarshal(bareNumber.ReplaceAll(b, []byte(`$1"$2"$3`)), &file) != nil {
		return nil
	}
	var queues map[string]int64
	if json.Unmarshal(file.OffsetTable[drillTopic+"@"+drillGroup], &queues) != nil {
		return nil
	}
	for queue, offset := range queues {
		list = append(list, queue+":"+fmt.Sprint(offset))
	}
	slices.Sort(list)
	return list
}

// account waits for what is due by now, and settles.
func (d *drill) account() {
	d.t.Helper()
	d.awaitConsumed(func(string) bool { return true }, 4*time.Minute)
	got := d.consumer.Events("got")
	times := map[string]int{}
	for _, e := range got {
		times[e.Name]++
		if early := d.due[e.Name].Sub(e.Read); early > 0 {
			d.t.Errorf("%s comes %v early", e.Name, early)
		}
		if _, ok := d.sent[e.Name]; !ok {
			d.t.Errorf("%s was never sent", e.Name)
		}
	}
	twice := 0
	for _, n := range times {
		if n > 1 {
			twice++
		}
	}
	d.t.Logf("%d messages, %d of them delayed, %d came more than once", len(d.sent), len(d.due), twice)
	// A hand-over repeats what was under way at most: a batch of what fell due, and what the group had not committed.
	if most := len(d.sent) / 4; twice > most {
		d.t.Errorf("%d messages came more than once", twice)
	}
}
