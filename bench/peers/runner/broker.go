package runner

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/load"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
	backlog      = 400_000 // messages to pull at least; half a GiB
	idleTime     = 30 * time.Second
)

// server is a broker or the null server, running.
type server struct {
	cmd    *exec.Cmd
	exited chan error
	port   int
	output *syncBuffer
}

// start starts a program and waits until ready says so.
func (e *Env) start(port int, ready func(*server) bool, env []string, name string, args ...string) (*server, error) {
	s := &server{cmd: e.command(e.ctx, name, args), exited: make(chan error, 1), port: port, output: &syncBuffer{}}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.Env = append(os.Environ(), env...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.exited <- s.cmd.Wait() }()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		if ready(s) {
			return s, nil
		}
		select {
		case err := <-s.exited:
			return nil, fmt.Errorf("%s ended at once: %v: %s", filepath.Base(name), err, tail(s.output.Bytes()))
		default:
		}
		if time.Since(begin) > readyTimeout {
			s.stop()
			return nil, fmt.Errorf("%s is not ready after %v: %s", filepath.Base(name), readyTimeout, tail(s.output.Bytes()))
		}
	}
}

// stop asks the server to end, and ends it when it does not.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		s.cmd.Process.Kill()
		<-s.exited
	}
}

func (s *server) accepts() bool {
	c, err := net.Dial("tcp", s.addr())
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (s *server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// syncBuffer keeps the last of what a server prints.
type syncBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	const keep = 1 << 16
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = append(b.b, p...)
	if len(b.b) > 2*keep {
		b.b = append(b.b[:0], b.b[len(b.b)-keep:]...)
	}
	return len(p), nil
}

func (b *syncBuffer) Bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b)
}

// brokerPort finds a port with those free that brokers also take: the fast port, Java's replication, and
// the name server of ours.
func brokerPort() (int, error) {
	for port := 20911; port < 60000; port += 10 {
		if free(port-2) && free(port) && free(port+1) && free(port+5) {
			return port, nil
		}
	}
	return 0, errors.New("no four free ports")
}

func free(port int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err == nil {
		l.Close()
	}
	return err == nil
}

// configure writes a broker's properties.
func (e *Env) configure(lines ...string) (string, error) {
	return e.configureAs("broker.conf", lines...)
}

func (e *Env) configureAs(file string, lines ...string) (string, error) {
	name := filepath.Join(e.run, file)
	return name, os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

func (e *Env) startJavaBroker() (*server, error) {
	port, err := brokerPort()
	if err != nil {
		return nil, err
	}
	store := filepath.Join(e.run, "store")
	conf, err := e.configure("brokerName=broker-a", "brokerIP1=127.0.0.1", "listenPort="+strconv.Itoa(port),
		"enablePropertyFilter=true", "storePathRootDir="+store, "storePathCommitLog="+filepath.Join(store, "commitlog"))
	if err != nil {
		return nil, err
	}
	return e.startJava(port, conf)
}

// startJava starts a broker of Java's and waits until it says that it is there.
func (e *Env) startJava(port int, conf string) (*server, error) {
	booted := func(s *server) bool { return bytes.Contains(s.output.Bytes(), []byte("boot success")) }
	args := append(e.jvm("1g"), "org.apache.rocketmq.broker.BrokerStartup", "-c", conf)
	return e.start(port, booted, []string{"ROCKETMQ_HOME=" + e.run}, "java", args...)
}

// startOurBroker starts it with its name server inside. It is ready when a client can find it: when the
// name server knows the route of the topic that others are made from.
func (e *Env) startOurBroker() (*server, error) {
	port, err := brokerPort()
	if err != nil {
		return nil, err
	}
	nameServer := port + 5
	conf, err := e.configure("brokerName=broker-a", "brokerIP1=127.0.0.1", "listenPort="+strconv.Itoa(port),
		"namesrvListenPort="+strconv.Itoa(nameServer), "storePathRootDir="+filepath.Join(e.run, "store"))
	if err != nil {
		return nil, err
	}
	routed := func(s *server) bool {
		return load.Route("127.0.0.1:"+strconv.Itoa(nameServer)) == nil && s.accepts()
	}
	return e.start(port, routed, []string{"NAMESRV_ADDR="}, e.broker, "-c", conf)
}

func (e *Env) startNull() (*server, error) {
	port, err := brokerPort()
	if err != nil {
		return nil, err
	}
	return e.start(port, (*server).accepts, nil, e.self, "null", "-addr=127.0.0.1:"+strconv.Itoa(port))
}

// load runs the load generator in a process of its own.
func (e *Env) load(s *server, kind string, warmup time.Duration, more ...string) (measure.Result, error) {
	args := append([]string{"load", "-kind=" + kind, "-addr=" + s.addr(), "-pid=" + strconv.Itoa(s.cmd.Process.Pid),
		"-warmup=" + warmup.String(), "-measure=" + e.Measure.String()}, more...)
	r, err := e.own(args...)
	if err == nil && r.Messages == 0 {
		err = fmt.Errorf("%s: nothing came through, %d refused: %s", kind, r.Failed, r.FirstFailure)
	}
	return r, err
}

// brokerSide does something on a broker started for it.
func brokerSide(name string, missing func(*Env) string, start func(*Env) (*server, error), do func(*Env, *server) (Results, error)) Side {
	return Side{Name: name, Missing: missing, Run: func(e *Env) (Results, error) {
		s, err := start(e)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		return do(e, s)
	}}
}

// brokerSides are our broker and Java's, each doing the same.
func brokerSides(do func(*Env, *server) (Results, error)) []Side {
	return []Side{brokerSide(ours, nil, (*Env).startOurBroker, do), brokerSide("java", (*Env).missingJava, (*Env).startJavaBroker, do)}
}

// inTurn does one kind of load after the other.
func inTurn(kinds ...string) func(*Env, *server) (Results, error) {
	return func(e *Env, s *server) (results Results, err error) {
		results = Results{}
		for _, kind := range kinds {
			if kind == "pull" {
				if _, err := e.load(s, "send", 0, "-measure=1m", "-messages="+strconv.Itoa(backlog)); err != nil {
					return nil, err
				}
			}
			if results[kind], err = e.load(s, kind, e.Measure); err != nil {
				return nil, err
			}
		}
		return results, nil
	}
}

// besideJava makes bars that need the figures of Java's broker.
func besideJava(what string, bars func(ours, java Results) []Bar) func(Medians) []Bar {
	return func(m Medians) []Bar {
		java, ok := m["java"]
		if !ok {
			return []Bar{missing(what+" beside Java's broker", noJava)}
		}
		return bars(m[ours], java)
	}
}

// threeTimesJava wants three times the messages/s of Java's broker in a workload, at a third of the CPU a message.
func threeTimesJava(what, workload string) func(Medians) []Bar {
	return besideJava(what, func(ours, java Results) []Bar {
		return []Bar{
			atLeast(what+": msgs/s of Java's broker", "/s", ours[workload].Rate, java[workload].Rate, 3),
			atMost(what+": CPU a message of Java's broker", "µs", ours[workload].CPU, java[workload].CPU, 1.0/3),
		}
	})
}

func brokerStudy() Study {
	return Study{
		Name:  "broker",
		Title: "broker: sends and pulls of 1 KiB on 4 connections, end to end at 5,000 messages/s",
		Sides: append(brokerSides(inTurn("send", "pull", "endtoend")), brokerSide("null server", nil, (*Env).startNull, inTurn("send"))),
		Compare: []Figure{
			rate("send", "sends/s"), cpu("send"), rate("pull", "messages pulled/s"),
			p99("endtoend", "p99 end to end"),
		},
		Bars: brokerBars,
	}
}

func brokerBars(m Medians) []Bar {
	our := m[ours]
	bars := []Bar{atLeast("send: msgs/s of the null server", "/s", our["send"].Rate, m["null server"]["send"].Rate, 0.5)}
	java, ok := m["java"]
	if !ok {
		return append(bars, missing("send, pull, end to end beside Java's broker", noJava))
	}
	return append(bars,
		atLeast("send: msgs/s of Java's broker", "/s", our["send"].Rate, java["send"].Rate, 4),
		atMost("send: CPU a message of Java's broker", "µs", our["send"].CPU, java["send"].CPU, 0.2),
		atLeast("pull: msgs/s of Java's broker", "/s", our["pull"].Rate, java["pull"].Rate, 1.5),
		atMost("pull: CPU a message of Java's broker", "µs", our["pull"].CPU, java["pull"].CPU, 0.5),
		atMost("end to end: p50 of Java's broker", "µs", our["endtoend"].P50, java["endtoend"].P50, 1.0/3),
		atMost("end to end: p99 of Java's broker", "µs", our["endtoend"].P99, java["endtoend"].P99, 1.0/3))
}

// filterStudy pulls with filters that one message in a hundred passes; what is counted is what the broker looks at.
func filterStudy() Study {
	filters := []string{load.FilterTags, load.FilterSQL92}
	return Study{
		Name:  "filter",
		Title: "broker: pulls of 1 message in 100, by tag and by SQL92; messages looked at",
		Sides: brokerSides(func(e *Env, s *server) (results Results, err error) {
			if _, err := e.load(s, "send", 0, "-measure=1m", "-varied", "-messages="+strconv.Itoa(backlog)); err != nil {
				return nil, err
			}
			results = Results{}
			for _, filter := range filters {
				if results[filter], err = e.load(s, "pull", e.Measure, "-filter="+filter); err != nil {
					return nil, err
				}
			}
			return results, nil
		}),
		Compare: []Figure{rate(load.FilterTags, "messages looked at/s, by tag"), rate(load.FilterSQL92, "messages looked at/s, by SQL92")},
		Bars: besideJava("filtered pulls", func(ours, java Results) (bars []Bar) {
			for _, filter := range filters {
				bars = append(bars, atLeast(filter+": messages looked at by Java's broker", "/s", ours[filter].Rate, java[filter].Rate, 3))
			}
			return bars
		}),
	}
}

// idleStudy measures our broker, with its name server inside, doing nothing.
func idleStudy() Study {
	return Study{
		Name:  "idle",
		Title: "broker with embedded name server on an empty store, idle for 30 s",
		Sides: []Side{{Name: ours, Run: (*Env).idle}},
		Once:  true,
		Bars: func(m Medians) []Bar {
			our := m[ours]
			return []Bar{
				atMostFixed("ready on an empty store", "ms", our["ready"].Seconds*1000, 150),
				atMostFixed("idle: memory besides mapped files", "MiB", our["idle"].Anonymous, 40),
				atMostFixed("idle: CPU in percent of a core", "%", our["idle"].Idle, 0.5),
			}
		},
	}
}

// idle measures the time until the broker is ready, and then what it uses while nobody asks it anything.
func (e *Env) idle() (Results, error) {
	begin := time.Now()
	s, err := e.startOurBroker()
	if err != nil {
		return nil, err
	}
	defer s.stop()
	ready := measure.Result{Seconds: time.Since(begin).Seconds()}
	time.Sleep(2 * time.Second)
	before, err := bench.ProcessUsage(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	time.Sleep(idleTime)
	after, err := bench.ProcessUsage(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	return Results{"ready": ready, "idle": {
		Seconds:   idleTime.Seconds(),
		Idle:      100 * (after.CPU - before.CPU).Seconds() / idleTime.Seconds(),
		Anonymous: float64(after.Anonymous) / (1 << 20),
	}}, nil
}
