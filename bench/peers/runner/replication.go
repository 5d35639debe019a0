package runner

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/nameserver"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

const (
	pairTimeout = 60 * time.Second // until a slave is there; Java's is silent for its first five seconds
	// memberSample and lagSample are the times between two looks at how far the slave is. A look wakes the master and the runner, and
	// with one each millisecond or two those that are measured had a tenth less of the processors.
	memberSample = 10 * time.Millisecond
	lagSample    = 4 * time.Millisecond
)

// replicationStudy has masters with one slave each, of one make.
func replicationStudy() Study {
	return Study{
		Name:  "replication",
		Title: "replication: a master with a slave, 1 KiB",
		Sides: []Side{
			{Name: "ours", Run: withApart(func(e *Env) (Results, error) { return e.replicate((*Env).startOurMember) },
				apart{coresApart, (*Env).startOurSlave}, apart{toNullSlave, (*Env).startNullSlave})},
			{Name: "java", Missing: (*Env).missingJava, Run: func(e *Env) (Results, error) { return e.replicate((*Env).startJavaMember) }},
			{Name: "our master alone", Run: withApart((*Env).masterAlone, apart{coresApart, nil})},
		},
		Compare: []Figure{
			rate("sync", "sends/s, SYNC_MASTER"), rate("async", "sends/s, ASYNC_MASTER"),
		},
		Bars: replicationBars,
	}
}

// replicationFigures are what the bars judge.
var replicationFigures = []string{"sync", "sync, slave", "async", coresApart, toNullSlave, "lag at half load"}

func replicationBars(m Medians) []Bar {
	ours := m["ours"]
	bars := []Bar{atMostFixed("async replication: p99 of the lag at half load", "ms", ours["lag at half load"].P99/1000, 20)}
	if alone, ok := m["our master alone"]; ok {
		const text = "async replication, slave on another core: msgs/s of the master alone"
		if _, ok := alone[coresApart]; ok {
			bars = append(bars, atLeast(text, "/s", ours[coresApart].Rate, alone[coresApart].Rate, 0.9))
		} else {
			bars = append(bars, missing(text, "no taskset, or one core"))
		}
		if sent, ok := ours[toNullSlave]; ok {
			bars = append(bars, atLeast("async replication, the slave's work elsewhere: msgs/s of the master alone", "/s", sent.Rate, alone[coresApart].Rate, 0.9))
		}
	}
	java, ok := m["java"]
	if !ok {
		return append(bars, missing("replication beside a pair of Java's brokers", "no Java"))
	}
	return append(bars,
		atLeast("sync replication: msgs/s of Java's pair", "/s", ours["sync"].Rate, java["sync"].Rate, 3),
		atMost("sync replication: p99 of Java's pair", "µs", ours["sync"].P99, java["sync"].P99, 1.0/3),
		atMost("sync replication: CPU a message of Java's master", "µs", ours["sync"].CPU, java["sync"].CPU, 1.0/3),
		atMost("sync replication: CPU a message of Java's slave", "µs", ours["sync, slave"].CPU, java["sync, slave"].CPU, 1.0/3))
}

// member is a broker of a pair to be started.
type member struct {
	name       string // of its files
	properties []string
}

// nameServer starts one, by which a slave finds its master: a Java broker 5.5.0 forgets its haMasterAddress before it starts.
func (e *Env) nameServer() (property string, stop func(), err error) {
	o := nameserver.DefaultOptions()
	o.ListenPort, o.BindAddress, o.KVConfigPath = -1, "127.0.0.1", filepath.Join(e.run, "kvConfig.json")
	s, err := nameserver.New(o)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		return "", nil, err
	}
	return "namesrvAddr=" + s.Addr().String(), func() { s.Close(e.ctx) }, nil //nolint:errcheck // nothing is lost
}

// replicate measures a pair.
func (e *Env) replicate(start func(*Env, member) (*server, error)) (Results, error) {
	names, stop, err := e.nameServer()
	if err != nil {
		return nil, err
	}
	defer stop()
	registered := func(e *Env, m member) (*server, error) {
		m.properties = append(m.properties, names)
		return start(e, m)
	}
	results := Results{}
	for _, part := range []func(func(*Env, member) (*server, error), Results) error{e.replicateSync, e.replicateAsync} {
		if err := e.clear("master", "slave"); err != nil { // of what was measured before
			return nil, err
		}
		if err := part(registered, results); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// slave is that of the master which the name server knows, told by a property.
func slave(names ...string) member {
	return member{"slave", append([]string{"brokerRole=SLAVE", "brokerId=1"}, names...)}
}

// replicateSync sends to a master that answers when its slave has it too.
func (e *Env) replicateSync(start func(*Env, member) (*server, error), results Results) error {
	master, err := start(e, member{"master", []string{"brokerRole=SYNC_MASTER", "inSyncReplicas=2"}})
	if err != nil {
		return err
	}
	defer master.stop()
	slave, err := start(e, slave())
	if err != nil {
		return err
	}
	defer slave.stop()
	if err := e.awaitSlave(master); err != nil {
		return err
	}
	results["sync"], results["sync, slave"], err = e.loadPair(master, slave)
	return err
}

// loadPair sends, and counts the CPU time of both.
func (e *Env) loadPair(master, slave *server) (r, ofSlave measure.Result, err error) {
	if _, err = e.load(master, "send", e.Measure); err != nil { // the warm-up of both
		return
	}
	before, err := bench.ProcessUsage(slave.cmd.Process.Pid)
	if err != nil {
		return
	}
	if r, err = e.load(master, "send", 0); err != nil {
		return
	}
	after, err := bench.ProcessUsage(slave.cmd.Process.Pid)
	ofSlave = measure.Result{Messages: r.Messages}
	ofSlave.SetCPU(after.CPU-before.CPU, 0)
	ofSlave.Anonymous = float64(after.Anonymous) / (1 << 20)
	return r, ofSlave, err
}

// replicateAsync sends to a master that does not wait for its slave, and at last half as fast.
func (e *Env) replicateAsync(start func(*Env, member) (*server, error), results Results) error {
	master, err := start(e, member{"master", []string{"brokerRole=ASYNC_MASTER"}})
	if err != nil {
		return err
	}
	defer master.stop()
	slave, err := start(e, slave())
	if err != nil {
		return err
	}
	defer slave.stop()
	if err := e.awaitSlave(master); err != nil {
		return err
	}
	if results["async"], results["async, slave"], err = e.loadPair(master, slave); err != nil {
		return err
	}
	results["lag at half load"], err = e.lag(master, results["async"].Rate/2)
	return err
}

// masterAlone sends to a master that has no slave.
func (e *Env) masterAlone() (Results, error) {
	master, err := e.startOurMember(member{"master", []string{"brokerRole=ASYNC_MASTER"}})
	if err != nil {
		return nil, err
	}
	defer master.stop()
	r, err := e.load(master, "send", e.Measure)
	return Results{"async": r}, err
}

const (
	// coresApart is sending while master and load generator share one core, and the slave if there is one has another: where slaves
	// have machines of their own.
	coresApart = "async, cores apart"
	// toNullSlave is the same with a slave that takes the log and does nothing with it: what is left of its master where the rest of a
	// slave's work is another machine's, and not only another core's, which shares caches, memory and the host's favour.
	toNullSlave = "async, null slave"
)

// canPin tells whether processes can be bound to cores.
func canPin() bool {
	_, err := exec.LookPath("taskset")
	return err == nil && runtime.NumCPU() > 1
}

// on is e with its processes bound to a core.
func (e *Env) on(core int) *Env {
	bound := *e
	bound.core = strconv.Itoa(core)
	return &bound
}

// apart is sending with cores apart: what it is called, and what starts the slave of a master that the name server of a property
// knows; nil where there is none.
type apart struct {
	figure string
	follow func(e *Env, master *server, names string) (*server, error)
}

// withApart adds sending with cores apart to the results of a side.
func withApart(run func(*Env) (Results, error), parts ...apart) func(*Env) (Results, error) {
	return func(e *Env) (Results, error) {
		results, err := run(e)
		if err != nil || !canPin() {
			return results, err
		}
		for _, p := range parts {
			if results[p.figure], err = e.sendApart(p.follow); err != nil {
				return nil, err
			}
		}
		return results, nil
	}
}

func (e *Env) startOurSlave(_ *server, names string) (*server, error) {
	return e.startOurMember(slave(names))
}

func (e *Env) startNullSlave(master *server, _ string) (*server, error) {
	started := func(*server) bool { return true }
	return e.start(0, started, nil, e.self, "null", "-follow=127.0.0.1:"+strconv.Itoa(master.port+1))
}

// sendApart sends to a master on one core, with a slave on another, or with none.
func (e *Env) sendApart(follow func(e *Env, master *server, names string) (*server, error)) (r measure.Result, err error) {
	if err := e.clear("master", "slave"); err != nil { // of what was measured before
		return r, err
	}
	names, stop, err := e.nameServer()
	if err != nil {
		return r, err
	}
	defer stop()
	near, far := e.on(0), e.on(1)
	master, err := near.startOurMember(member{"master", []string{"brokerRole=ASYNC_MASTER", names}})
	if err != nil {
		return r, err
	}
	defer master.stop()
	if follow != nil {
		s, err := follow(far, master, names)
		if err != nil {
			return r, err
		}
		defer s.stop()
		if err := e.awaitSlave(master); err != nil {
			return r, err
		}
	}
	return near.load(master, "send", e.Measure)
}

// haStatus asks a master for its slaves.
func haStatus(ctx context.Context, client *remoting.Client, master *server) (*protocol.HARuntimeInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := client.Call(ctx, master.addr(), remoting.NewRequest(protocol.GetBrokerHAStatus))
	if err != nil {
		return nil, err
	}
	var info protocol.HARuntimeInfo
	if err := protocol.UnmarshalJSON(resp.Body, &info); err != nil {
		return nil, fmt.Errorf("answer %d to GET_BROKER_HA_STATUS: %w", resp.Code, err)
	}
	return &info, nil
}

// watch looks at the only slave of a master as often as every says, until enough says so.
func (e *Env) watch(master *server, every func() time.Duration, timeout time.Duration, enough func(end, ack int64) bool) error {
	client := remoting.NewClient(nil)
	defer client.Close()
	for begin := time.Now(); ; time.Sleep(every()) {
		info, err := haStatus(e.ctx, client, master)
		if err != nil {
			return err
		}
		if len(info.HAConnectionInfo) == 1 && enough(info.MasterCommitLogMaxOffset, info.HAConnectionInfo[0].SlaveAckOffset) {
			return nil
		}
		if time.Since(begin) > timeout {
			return fmt.Errorf("the slave does not come, or does not keep up, for %v: the master's log ends at %d, its slaves are %+v",
				timeout, info.MasterCommitLogMaxOffset, info.HAConnectionInfo)
		}
	}
}

// steadily has it look at equal times.
func steadily(every time.Duration) func() time.Duration { return func() time.Duration { return every } }

// awaitSlave waits until the slave has all of the log. An empty log is one that it may not have reported yet.
func (e *Env) awaitSlave(master *server) error {
	e.load(master, "send", 0, "-measure=1m", "-messages=1") //nolint:errcheck // it may be refused as long as there is no slave
	return e.watch(master, steadily(memberSample), pairTimeout, func(end, ack int64) bool { return ack > 0 && ack == end })
}

// lag measures how long after the master the slave has a message: the bytes that it has not reported are those of so
// much time, at a steady rate.
func (e *Env) lag(master *server, rate float64) (measure.Result, error) {
	loaded := make(chan error, 1)
	var r measure.Result
	go func() {
		var err error
		r, err = e.load(master, "endtoend", e.Measure, "-rate="+strconv.Itoa(int(rate)))
		loaded <- err
	}()
	type sample struct {
		at       time.Time
		end, ack int64
	}
	var samples []sample
	var loadErr error
	err := e.watch(master, steadily(lagSample), childTimeout, func(end, ack int64) bool {
		samples = append(samples, sample{time.Now(), end, ack})
		select {
		case loadErr = <-loaded:
			return true
		default:
			return false
		}
	})
	if err := errors.Join(err, loadErr); err != nil {
		return r, err
	}
	// The time of warming up, and that of starting and ending the load, does not count.
	n := len(samples)
	samples = slices.DeleteFunc(samples[n/2:], func(s sample) bool { return s.end == samples[n-1].end })
	if len(samples) < 2 {
		return r, errors.New("the load ended too soon for its lag to be measured")
	}
	a, b := samples[0], samples[len(samples)-1]
	perSecond := float64(b.end-a.end) / b.at.Sub(a.at).Seconds()
	var lags bench.Latency
	for _, s := range samples {
		lags.Record(time.Duration(float64(s.end-s.ack) / perSecond * float64(time.Second)))
	}
	of := measure.Result{Messages: r.Messages, Rate: r.Rate}
	of.SetLatency(&lags)
	return of, nil
}

// memberConf writes the properties of a member.
func (e *Env) memberConf(m member, port int, more ...string) (string, error) {
	store := filepath.Join(e.run, m.name)
	return e.configureAs(m.name+".conf", slices.Concat([]string{"brokerName=broker-a", "brokerIP1=127.0.0.1", "brokerIP2=127.0.0.1",
		"listenPort=" + strconv.Itoa(port), "haListenPort=" + strconv.Itoa(port+1), "storePathRootDir=" + store,
		"storePathCommitLog=" + filepath.Join(store, "commitlog")}, more, m.properties)...)
}

func (e *Env) startOurMember(m member) (*server, error) {
	port, err := brokerPort()
	if err != nil {
		return nil, err
	}
	conf, err := e.memberConf(m, port, "namesrvListenPort="+strconv.Itoa(port+5)) // of one that has no other
	if err != nil {
		return nil, err
	}
	return e.start(port, (*server).accepts, []string{"NAMESRV_ADDR="}, e.broker, "-c", conf)
}

func (e *Env) startJavaMember(m member) (*server, error) {
	port, err := brokerPort()
	if err != nil {
		return nil, err
	}
	// Java's master refuses what waited for 200 ms, which it does for as long as there is no slave.
	conf, err := e.memberConf(m, port, "brokerFastFailureEnable=false")
	if err != nil {
		return nil, err
	}
	return e.startJava(port, conf)
}
