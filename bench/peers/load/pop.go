package load

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

const (
	codePop            = 200050
	codeAck            = 200051
	codePollingTimeout = 210
	popInvisible       = 60 * time.Second
	// acksOutstanding is how many acks of a connection may be unanswered when it pops again.
	acksOutstanding = 2 * messagesPerPull
	brokerName      = "broker-a"
	popGroup        = "BenchPopper"
)

var (
	namePopTime     = []byte(`"popTime":"`)
	nameInvisible   = []byte(`"invisibleTime":"`)
	nameReviveQueue = []byte(`"reviveQid":"`)
	nameStarts      = `"startOffsetInfo":"`
)

// popRun pops a backlog and acks each message.
type popRun struct {
	config             Config
	loop               *loop
	ack                *ackTemplate
	pop                []byte // the request; these are places in it:
	popOpaque, popBorn int
	backlog            int64
	latency            bench.Latency // of the pops
	acked              int64         // since the run began
	failed             int64
	failure            string
}

// popper is the state of one connection: one pop outstanding, and the acks of those before.
type popper struct {
	run     *popRun
	conn    *conn
	popping bool
	sentAt  time.Duration
	unacked int
	opaque  int
	starts  []int64 // of each queue in the answer at hand
}

// Pop pops a backlog and acks each message, one by one as Java's consumer does; what counts is an ack answered. It ends
// early when the backlog is at its end.
func Pop(c Config) (measure.Result, error) { return onLoop(c, measurePops) }

func measurePops(l *loop, c Config) (measure.Result, error) {
	r := &popRun{config: c, loop: l, ack: newAckTemplate(c.Topic), pop: newPopRequest(c.Topic)}
	r.popOpaque, r.popBorn = placeAfter(r.pop, `"opaque":`), place(r.pop, placeTime)
	if err := r.open(); err != nil {
		return measure.Result{}, err
	}
	warm := int64(0)
	m, err := phases(c.ServerPID,
		func() error { return r.runFor(c.Warmup, r.backlog/3) },
		func() { warm, r.latency = r.acked, bench.Latency{} },
		func() error { return r.runFor(c.Measure, r.backlog*9/10) })
	if err != nil {
		return measure.Result{}, err
	}
	return m.finish(measure.Result{Messages: r.acked - warm, Failed: r.failed, FirstFailure: r.failure}, &r.latency)
}

func newPopRequest(topic string) []byte {
	return encode(codePop, []field{
		{"consumerGroup", popGroup}, {"topic", topic}, {"queueId", "-1"}, {"maxMsgNums", strconv.Itoa(messagesPerPull)},
		{"invisibleTime", strconv.FormatInt(popInvisible.Milliseconds(), 10)}, {"pollTime", strconv.Itoa(suspendMillis)},
		{"bornTime", placeTime}, {"initMode", "0"}, {"expType", "TAG"}, {"exp", "*"},
		{"order", "false"}, {"bname", brokerName},
	}, nil)
}

func (r *popRun) open() error {
	conns := make([]*conn, r.config.Conns)
	var err error
	for i := range conns {
		if conns[i], err = r.loop.dial(r.config.Addr); err != nil {
			return err
		}
	}
	ends := pullRun{config: r.config, loop: r.loop}
	if err := ends.readEnds(conns[0]); err != nil {
		return err
	}
	for _, p := range ends.pullers {
		r.backlog += p.end
	}
	for _, conn := range conns {
		p := &popper{run: r, conn: conn, starts: make([]int64, r.config.Queues)}
		conn.onFrame = p.onAnswer
		p.pop()
	}
	return nil
}

func (r *popRun) runFor(d time.Duration, upTo int64) error {
	deadline := r.loop.now + d
	return r.loop.run(func() bool { return r.loop.now >= deadline || r.acked >= upTo })
}

// ackTemplate is an ack whose changing parts have known places: those of the receipt handle too.
type ackTemplate struct {
	frame                                               []byte
	opaque, queue, offset                               int
	start, popTime, revive, receiptQueue, receiptOffset int
}

func newAckTemplate(topic string) *ackTemplate {
	const start, receiptOffset = "1000000000000000001", "1000000000000000002"
	frame := encode(codeAck, []field{
		{"consumerGroup", popGroup}, {"topic", topic}, {"queueId", placeQueue},
		{"extraInfo", fmt.Sprintf("%s %s %d 0 0 %s %s %s", start, placeTime, popInvisible.Milliseconds(), brokerName, placeQueue, receiptOffset)},
		{"offset", placeOffset}, {"bname", brokerName},
	}, nil)
	return &ackTemplate{
		frame:         frame,
		opaque:        placeAfter(frame, `"opaque":`),
		queue:         placeAfter(frame, `"queueId":"`),
		offset:        place(frame, placeOffset),
		start:         place(frame, start),
		popTime:       place(frame, placeTime),
		revive:        placeAfter(frame, fmt.Sprintf("%s %d ", placeTime, popInvisible.Milliseconds())),
		receiptQueue:  place(frame, receiptOffset) - 2,
		receiptOffset: place(frame, receiptOffset),
	}
}

// append appends the ack of one message. The numbers of its receipt keep their leading zeros.
func (t *ackTemplate) append(dst []byte, opaque int, r receipt) []byte {
	at := len(dst)
	dst = append(dst, t.frame...)
	f := dst[at:]
	putDecimal(f[t.opaque:t.opaque+len(placeOpaque)], int64(opaque))
	f[t.queue], f[t.receiptQueue], f[t.revive] = '0'+byte(r.queue), '0'+byte(r.queue), '0'+byte(r.revive)
	putDecimal(f[t.offset:t.offset+offsetDigits], r.offset)
	putDecimal(f[t.start:t.start+offsetDigits], r.start)
	putDecimal(f[t.popTime:t.popTime+len(placeTime)], r.popTime)
	putDecimal(f[t.receiptOffset:t.receiptOffset+offsetDigits], r.offset)
	return dst
}

// receipt is what a handle says of one popped message.
type receipt struct {
	start, popTime, offset int64
	queue, revive          int
}

// nextOpaque tells pops and acks apart by its last bit.
func (p *popper) nextOpaque(ack int) int {
	p.opaque = (p.opaque + 1) % (opaqueCount / 2)
	return opaqueFirst + 2*p.opaque + ack
}

func (p *popper) pop() {
	p.popping, p.sentAt = true, p.run.loop.now
	at := len(p.conn.out)
	p.conn.out = append(p.conn.out, p.run.pop...)
	frame := p.conn.out[at:]
	putDecimal(frame[p.run.popOpaque:][:len(placeOpaque)], int64(p.nextOpaque(0)))
	putDecimal(frame[p.run.popBorn:][:len(placeTime)], time.Now().UnixMilli())
}

func (p *popper) onAnswer(frame []byte) error {
	a, err := parseAnswer(frame)
	if err != nil {
		return err
	}
	r := p.run
	if (a.opaque-opaqueFirst)%2 == 1 {
		p.unacked--
		if a.code == codeSuccess {
			r.acked++
		} else if r.failed++; r.failure == "" {
			r.failure = "ack: " + a.describe()
		}
	} else {
		p.popping = false
		r.latency.Record(r.loop.now - p.sentAt)
		if err := p.onPopped(a); err != nil {
			return err
		}
	}
	if !p.popping && p.unacked <= acksOutstanding {
		p.pop()
	}
	return nil
}

// onPopped acks what was popped.
func (p *popper) onPopped(a answer) error {
	switch a.code {
	case codeSuccess:
	case codePullNotFound, codePollingTimeout: // others have all queues at hand
		return nil
	default:
		return errors.New("pop: " + a.describe())
	}
	popTime, ok1 := number(a.header, namePopTime)
	invisible, ok2 := number(a.header, nameInvisible)
	revive, ok3 := number(a.header, nameReviveQueue)
	if !ok1 || !ok2 || !ok3 || invisible != popInvisible.Milliseconds() || revive > 9 {
		return fmt.Errorf("pop answered with header %q", a.header)
	}
	if err := p.readStarts(string(a.header)); err != nil {
		return err
	}
	from := len(p.conn.out)
	var err error
	eachRecord(a.body, func(m record) {
		queue := m.queue()
		if queue >= len(p.starts) || p.starts[queue] < 0 {
			err = fmt.Errorf("popped from queue %d, which is not in %q", queue, a.header)
			return
		}
		p.unacked++
		p.conn.out = p.run.ack.append(p.conn.out, p.nextOpaque(1), receipt{p.starts[queue], popTime, m.offset(), queue, int(revive)})
	})
	if err == nil && len(p.conn.out) == from {
		err = errors.New("pop found messages and gave none")
	}
	return err
}

// readStarts reads the first offset of each queue in an answer: "0 queue offset", separated by semicolons.
func (p *popper) readStarts(header string) error {
	for q := range p.starts {
		p.starts[q] = -1
	}
	_, info, _ := strings.Cut(header, nameStarts)
	info, _, _ = strings.Cut(info, `"`)
	for one := range strings.SplitSeq(info, ";") {
		var kind string
		var queue int
		var start int64
		if _, err := fmt.Sscan(one, &kind, &queue, &start); err != nil || queue < 0 || queue >= len(p.starts) {
			return fmt.Errorf("start of a queue %q in %q", one, header)
		}
		p.starts[queue] = start
	}
	return nil
}
