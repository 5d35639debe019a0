package load

import (
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// The filters of a pull.
const (
	FilterTags  = "tags"
	FilterSQL92 = "sql"
)

// Workloads are what can be done to a broker, by name.
var Workloads = map[string]func(Config) (measure.Result, error){
	"send": Send, "pull": Pull, "endtoend": EndToEnd, "transactions": Transactions, "pop": Pop, "idle": Idle,
	"timers": Timers, "lateness": Lateness,
}

// Config is a workload.
type Config struct {
	Addr     string
	Topic    string
	Queues   int // at most 10
	BodySize int
	Conns    int
	InFlight int // sends in flight on each connection
	Rate     int // messages/s of EndToEnd
	// ServerPID is the process whose CPU time is counted; 0 counts none.
	ServerPID       int
	Warmup, Measure time.Duration
	// Filter chooses one message in a hundred, which must have been sent with Varied: FilterTags or FilterSQL92; none by
	// default.
	Filter string
	Varied bool // give messages levels and tags to filter by
	// Messages ends Send early when so many were sent; so many timers are put by Timers and Lateness.
	Messages int64
}

// latencyWindow bounds how many requests may be between the oldest in flight and the newest on a connection.
const latencyWindow = 1 << 14

// sender is the state of one connection.
type sender struct {
	run     *sendRun
	conn    *conn
	id      uint64 // of the connection, in its keys
	next    uint64 // sends so far
	sentAt  [latencyWindow]time.Duration
	latency bench.Latency
}

// sendRun is the state of all.
type sendRun struct {
	config   Config
	template *sendTemplate
	loop     *loop
	senders  []*sender
	millis   int64
	answered int64
	failed   int64
	failure  string

	vary    func(frame []byte, n uint64) // finishes the n-th send of a connection; nil leaves it as it is
	sent    int64
	sendMax int64 // send no more than so many; 0 is no bound
}

// Send keeps sends in flight and measures what comes back after the warm-up.
func Send(c Config) (measure.Result, error) { return onLoop(c, measureSends) }

func measureSends(l *loop, c Config) (measure.Result, error) {
	r := &sendRun{config: c, loop: l, template: newSendTemplate(c.Topic, c.BodySize, c.Varied), millis: time.Now().UnixMilli()}
	if c.Varied {
		r.vary = func(frame []byte, n uint64) { r.template.vary(frame, int64(n)/int64(c.Queues)%levels) }
	}
	if err := r.openAll(); err != nil {
		return measure.Result{}, err
	}
	m, err := phases(c.ServerPID,
		func() error { return r.runFor(c.Warmup, 0) },
		r.reset,
		func() error { return r.runFor(c.Measure, c.Messages) })
	if err != nil {
		return measure.Result{}, err
	}
	return m.finish(r.result(), r.latency())
}

// openAll opens the connections and begins to send.
func (r *sendRun) openAll() error {
	for i := range r.config.Conns {
		if err := r.open(uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

func (r *sendRun) result() measure.Result {
	return measure.Result{Messages: r.answered - r.failed, Failed: r.failed, FirstFailure: r.failure}
}

// latency is that of all senders together. It is taken once, at the end.
func (r *sendRun) latency() *bench.Latency {
	all := new(bench.Latency)
	for _, s := range r.senders {
		all.Add(&s.latency)
	}
	return all
}

func (r *sendRun) open(id uint64) error {
	conn, err := r.loop.dial(r.config.Addr)
	if err != nil {
		return err
	}
	// Keys start at the time, so that two runs on one store do not make the same.
	s := &sender{run: r, conn: conn, id: id, next: uint64(r.millis) << 20 & (1<<40 - 1)}
	conn.onFrame = s.onAnswer
	r.senders = append(r.senders, s)
	for range r.config.InFlight {
		s.send()
	}
	return nil
}

func (r *sendRun) runFor(d time.Duration, messages int64) error {
	deadline := r.loop.now + d
	return r.loop.run(func() bool {
		if messages > 0 && r.answered >= messages {
			return true
		}
		return r.loop.now >= deadline
	})
}

func (r *sendRun) reset() {
	r.answered, r.failed, r.failure = 0, 0, ""
	r.millis = time.Now().UnixMilli()
	for _, s := range r.senders {
		s.latency = bench.Latency{}
	}
}

func (s *sender) send() {
	if s.run.sendMax > 0 && s.run.sent == s.run.sendMax {
		return
	}
	s.run.sent++
	n := s.next
	s.next++
	s.sentAt[n%latencyWindow] = s.run.loop.now
	opaque := opaqueFirst + int(n%opaqueCount)
	at, queues := len(s.conn.out), s.run.config.Queues
	s.conn.out = s.run.template.append(s.conn.out, opaque, int(n)%queues, s.id, n, s.run.millis)
	if s.run.vary != nil {
		s.run.vary(s.conn.out[at:], n)
	}
}

func (s *sender) onAnswer(frame []byte) error {
	a, err := parseAnswer(frame)
	if err != nil {
		return err
	}
	// n mod latencyWindow is all that is needed, and opaqueCount is no multiple of it: go by the distance.
	behind := (int(s.next%opaqueCount) - (a.opaque - opaqueFirst) + opaqueCount) % opaqueCount
	s.latency.Record(s.run.loop.now - s.sentAt[(s.next-uint64(behind))%latencyWindow])
	s.run.answered++
	if a.code != codeSuccess {
		s.run.failed++
		if s.run.failure == "" {
			s.run.failure = a.describe()
		}
	}
	s.send()
	return nil
}
