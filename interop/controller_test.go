package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// controller is RocketMQ's own. A Java broker speaks to it; for one of ours a deputy does, which takes an id, sends
// heartbeats, and tells it of the in-sync set. Roles the controller gives to the brokers itself.
type controller struct {
	*javaProgram
	addr string
}

func startController(t *testing.T) *controller {
	t.Helper()
	process, addr, err := suite.java.StartController(t.TempDir())
	return &controller{startJavaProgram(t, "the controller", process, err), addr}
}

// join gives a broker of ours its deputy. Ids are given in the order of joining, and a Java broker joins by itself.
func (c *controller) join(t *testing.T, target harness.Target, place harness.Place, id int) {
	t.Helper()
	if target != suite.java {
		c.tell(t, fmt.Sprintf("joined %d", id), "join broker-a %s", place.Broker())
	}
}

// leave takes its deputy from a broker that is dead.
func (c *controller) leave(t *testing.T, target harness.Target, id int) {
	t.Helper()
	if target != suite.java {
		c.tell(t, "left", "leave %d", id)
	}
}

// rejoin gives a broker that comes back its deputy again.
func (c *controller) rejoin(t *testing.T, target harness.Target, place harness.Place, id int) {
	t.Helper()
	if target != suite.java {
		c.tell(t, fmt.Sprintf("joined %d", id), "join broker-a %s %d", place.Broker(), id)
	}
}

// awaitState waits until the controller has a broker as master, with so many in sync.
func (c *controller) awaitState(t *testing.T, p harness.Place, id, inSync int) {
	t.Helper()
	want := []string{fmt.Sprintf("#MasterBrokerId\t%d\n", id), fmt.Sprintf("#SyncStateSetNums\t%d\n", inSync)}
	var out string
	var err error
	awaitWindow(t, soon, func() bool {
		out, err = suite.split.Admin(p, "getSyncStateSet", "-a", c.addr, "-b", "broker-a")
		return err == nil && containsAll(out, want)
	}, func() string { return fmt.Sprintf("the controller: %v: no %q in\n%s", err, want, out) })
}

// replicateSwitching is replicate with epochs under RocketMQ's controller. It makes the first broker master and takes the
// slave into the in-sync set. While it is held the master dies, and the slave is read as a slave; then it makes that the
// master. At last the first broker comes back as its slave.
func replicateSwitching(t *testing.T, masterMake, slaveMake harness.Target) {
	ctl := startController(t)
	p := newPair(t, masterMake, slaveMake, map[string]string{
		"enableControllerMode": "true", "controllerAddr": ctl.addr, // Java's; a broker of ours knows nothing of a controller
		// The controller takes a broker for dead when it is silent, or closes the connection, which it does if an answer is late.
		"controllerHeartBeatTimeoutMills": "90000", "clientCloseSocketIfTimeout": "false",
		"enableAutoSwitchHA": "true", "brokerRole": "SLAVE", "brokerId": "1",
		"allAckInSyncStateSet": "true", "haSendHeartbeatInterval": "500",
		"slaveReadEnable": "true", "slaveTimeout": "15000", "mappedFileSizeCommitLog": fmt.Sprint(replicationFile),
	})
	ctl.join(t, masterMake, p.Place, 1)
	if masterMake != suite.java {
		ctl.tell(t, "elected 1", "elect 1") // under epoch 1, which all have by their settings
	}
	p.slave.place.Properties["brokerId"] = "2"
	ctl.join(t, slaveMake, p.slave.place, 2)
	p.slave.start(t)
	ctl.awaitState(t, p.Place, 1, 2)
	p.awaitJoin()
	p.copyMessages()
	p.sameEpochs()

	ctl.process.Pause()
	p.KillBroker()
	p.readAll()
	ctl.process.Resume()
	ctl.leave(t, masterMake, 1)
	ctl.awaitState(t, p.Place, 2, 1)
	p.sendMore("alone", nil)
	p.readAll()
	if masterMake == suite.java && !*longFlag {
		return // for a start of a Java broker more CI has no time
	}
	ctl.rejoin(t, masterMake, p.Place, 1)
	if err := p.StartBroker(); err != nil {
		t.Fatal(err)
	}
	ctl.awaitState(t, p.Place, 2, 2)
	p.sendMore("again", p.sameLogs)
	p.readAll()
	p.sameEpochs()
}

// sameEpochs compares the epoch files of both.
func (p *pair) sameEpochs() {
	p.t.Helper()
	first, err := os.ReadFile(filepath.Join(p.Store(), "epochFileCheckpoint"))
	if err != nil {
		p.t.Fatal(err)
	}
	slave, err := os.ReadFile(filepath.Join(p.slave.place.Store(), "epochFileCheckpoint"))
	if err != nil || string(first) != string(slave) {
		p.t.Errorf("%v; the first broker's epochs are\n%s\nthe slave's\n%s", err, first, slave)
	}
}

// sendMore sends to whoever is master now, and waits for what must hold thereafter.
func (p *pair) sendMore(name string, then func() bool) {
	t := p.t
	t.Helper()
	agent := p.consumer.Agent()
	id := producer(t, agent, harness.Args{"timeout": 30000, "group": "P_" + name})
	tries := 0
	awaitWindow(t, soon, func() bool {
		tries++
		s := do(t, agent, "send", harness.Args{"producer": id, "topic": "Warm", "name": fmt.Sprint(name, tries), "count": 1})
		await(t, s, "done", soon)
		sent := s.Events("sent")
		return len(sent) == 1 && sent[0].Status == "SEND_OK"
	}, func() string { return "the new master takes no messages:\n" + p.slave.process.Tail(2000) })
	p.sent = append(p.sent, send(t, agent, id, harness.Args{"topic": "Copied", "name": name, "count": 100, "size": 200})...)
	if then != nil {
		awaitWindow(t, soon, then, func() string { return "the logs differ" })
	}
}
