package load

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// puller reads one queue over and over; one pull is outstanding.
type puller struct {
	queue  int
	offset int64
	end    int64 // the queue's max offset when the run began
	sentAt time.Duration
}

// pullRun is the state of all.
type pullRun struct {
	config   Config
	template *pullTemplate
	loop     *loop
	pullers  []puller // by queue, which is also the opaque
	latency  bench.Latency
	messages int64
}

// Pull reads the backlog of all queues, from their beginning again when it is at their end.
func Pull(c Config) (measure.Result, error) { return onLoop(c, measurePulls) }

func measurePulls(l *loop, c Config) (measure.Result, error) {
	kind, expression := "TAG", "*"
	switch c.Filter {
	case FilterTags:
		expression = filterTags
	case FilterSQL92:
		kind, expression = "SQL92", filterSQL92
	}
	r := &pullRun{config: c, loop: l, template: newPullTemplate(c.Topic, kind, expression)}
	if err := r.open(); err != nil {
		return measure.Result{}, err
	}
	m, err := phases(c.ServerPID,
		func() error { return r.runFor(c.Warmup) },
		func() { r.messages, r.latency = 0, bench.Latency{} },
		func() error { return r.runFor(c.Measure) })
	if err != nil {
		return measure.Result{}, err
	}
	return m.finish(measure.Result{Messages: r.messages}, &r.latency)
}

// open asks for the end of each queue, then starts one pull a queue, the queues dealt to the connections.
func (r *pullRun) open() error {
	conns := make([]*conn, r.config.Conns)
	for i := range conns {
		conn, err := r.loop.dial(r.config.Addr)
		if err != nil {
			return err
		}
		conns[i] = conn
	}
	if err := r.readEnds(conns[0]); err != nil {
		return err
	}
	for _, p := range r.pullers {
		if p.end < messagesPerPull {
			return fmt.Errorf("queue %d holds %d messages: no backlog", p.queue, p.end)
		}
	}
	for i, conn := range conns {
		conn.onFrame = func(frame []byte) error { return r.onAnswer(conn, frame) }
		for q := i; q < len(r.pullers); q += len(conns) {
			r.pull(conn, &r.pullers[q])
		}
	}
	return nil
}

func (r *pullRun) readEnds(conn *conn) error {
	r.pullers = make([]puller, r.config.Queues)
	for q := range r.pullers {
		frame := encode(codeMaxOffset, []field{
			{"queueId", strconv.Itoa(q)}, {"committed", "true"}, {"bname", "broker-a"}, {"topic", r.config.Topic},
		}, nil)
		putDecimal(frame[placeAfter(frame, `"opaque":`):][:len(placeOpaque)], int64(opaqueFirst+q))
		conn.out = append(conn.out, frame...)
	}
	known := 0
	conn.onFrame = func(frame []byte) error {
		a, err := parseAnswer(frame)
		if err != nil {
			return err
		}
		end, ok := number(a.header, nameOffset)
		if a.code != codeSuccess || !ok {
			return errors.New("max offset: " + a.describe())
		}
		q := a.opaque - opaqueFirst
		r.pullers[q] = puller{queue: q, end: end}
		known++
		return nil
	}
	return r.loop.run(func() bool { return known == len(r.pullers) })
}

func (r *pullRun) runFor(d time.Duration) error {
	deadline := r.loop.now + d
	return r.loop.run(func() bool { return r.loop.now >= deadline })
}

func (r *pullRun) pull(conn *conn, p *puller) {
	p.sentAt = r.loop.now
	conn.out = r.template.append(conn.out, opaqueFirst+p.queue, p.queue, p.offset)
}

func (r *pullRun) onAnswer(conn *conn, frame []byte) error {
	a, err := parseAnswer(frame)
	if err != nil {
		return err
	}
	p := &r.pullers[a.opaque-opaqueFirst]
	r.latency.Record(r.loop.now - p.sentAt)
	if r.config.Filter != "" {
		return r.onFiltered(conn, p, a)
	}
	if a.code != codeSuccess {
		return fmt.Errorf("pull of queue %d at %d: %s", p.queue, p.offset, a.describe())
	}
	count := eachRecord(a.body, nil)
	next, ok := number(a.header, nameNext)
	if !ok || count == 0 || next != p.offset+int64(count) {
		return fmt.Errorf("pull of queue %d at %d: %d messages and header %s", p.queue, p.offset, count, a.header)
	}
	r.messages += int64(count)
	if p.offset = next; p.offset >= p.end {
		p.offset = 0
	}
	r.pull(conn, p)
	return nil
}

// onFiltered counts what the broker looked at, whether it was found or not.
func (r *pullRun) onFiltered(conn *conn, p *puller, a answer) error {
	next, ok := number(a.header, nameNext)
	if !ok || a.code != codeSuccess && a.code != codeRetryAtOnce || next <= p.offset {
		return fmt.Errorf("filtered pull of queue %d at %d: %s", p.queue, p.offset, a.describe())
	}
	count := int64(0)
	if a.code == codeSuccess {
		count = int64(eachRecord(a.body, nil))
	}
	examined := next - p.offset
	if rare := examined / levels; count < rare/3 || count > 3*(rare+1) { // the connections' sends mix as they like
		return fmt.Errorf("filtered pull of queue %d at %d: %d of %d messages", p.queue, p.offset, count, examined)
	}
	r.messages += examined
	if p.offset = next; p.offset >= p.end {
		p.offset = 0
	}
	r.pull(conn, p)
	return nil
}
