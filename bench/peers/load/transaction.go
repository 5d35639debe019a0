package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

const (
	codeEndTransaction  = 37
	sysFlagHalf         = 4
	sysFlagCommit       = 8
	producerGroup       = "BenchProducer"
	propertiesHalf      = "TRAN_MSG\x01true\x02PGROUP\x01" + producerGroup + "\x02"
	messageIDSize       = 32 // hex digits; the last 16 are the place in the log
	messageIDPlaceAt    = 16
	deliveryStallAfter  = 20 * time.Second
	bodyTimeAt, bodyWho = 0, 8 // places in a body: when it was sent, and by which connection
)

var nameMessageID = []byte(`"msgId":"`)

// endTemplate is the commit of a transaction whose changing parts have known places.
type endTemplate struct {
	frame                               []byte
	opaque, queueOffset, place, msg, tx int
}

// newEndTemplate makes a one-way commit, as the Java client sends it.
func newEndTemplate(topic string) *endTemplate {
	const placeTransaction, placePlace = "0000000000000000000", "1111111111111111111"
	frame := encodeFlagged(codeEndTransaction, flagOneway, []field{
		{"topic", topic}, {"producerGroup", producerGroup}, {"tranStateTableOffset", placeTransaction},
		{"commitLogOffset", placePlace}, {"commitOrRollback", strconv.Itoa(sysFlagCommit)},
		{"fromTransactionCheck", "false"}, {"msgId", "7F000001" + placeUnique},
		{"transactionId", "7F000001" + placeUnique}, {"bname", "broker-a"},
	}, nil)
	return &endTemplate{
		frame:       frame,
		opaque:      placeAfter(frame, `"opaque":`),
		queueOffset: placeAfter(frame, `"tranStateTableOffset":"`),
		place:       placeAfter(frame, `"commitLogOffset":"`),
		msg:         placeAfter(frame, `"msgId":"7F000001`),
		tx:          placeAfter(frame, `"transactionId":"7F000001`),
	}
}

// append appends the commit of the n-th half message of a connection.
func (t *endTemplate) append(dst []byte, opaque int, conn, n uint64, queueOffset, place int64) []byte {
	at := len(dst)
	dst = append(dst, t.frame...)
	f := dst[at:]
	putDecimal(f[t.opaque:t.opaque+len(placeOpaque)], int64(opaque))
	putDecimal(f[t.queueOffset:t.queueOffset+offsetDigits], queueOffset)
	putDecimal(f[t.place:t.place+offsetDigits], place)
	putKey(f[t.msg:t.msg+len(placeUnique)], conn, n)
	putKey(f[t.tx:t.tx+len(placeUnique)], conn, n)
	return dst
}

// transactionRun keeps so many transactions under way: half message, commit, delivery; each delivery begins the next.
type transactionRun struct {
	config    Config
	loop      *loop
	half      *sendTemplate
	end       *endTemplate
	senders   []*transactor
	millis    int64
	latency   bench.Latency
	delivered int64
	lastAt    time.Duration // of a delivery
	failed    int64         // half messages that were refused
	failure   string
}

// transactor is the state of one producer's connection.
type transactor struct {
	run  *transactionRun
	conn *conn
	id   uint64
	next uint64
}

// Transactions measures from a half message's send to its delivery.
func Transactions(c Config) (measure.Result, error) { return onLoop(c, measureTransactions) }

func measureTransactions(l *loop, c Config) (measure.Result, error) {
	r := &transactionRun{config: c, loop: l, millis: time.Now().UnixMilli(),
		half: newTemplate(c.Topic, c.BodySize, sysFlagHalf, propertiesHalf), end: newEndTemplate(c.Topic)}
	consumer, err := follow(l, c, r.onRecord)
	if err != nil {
		return measure.Result{}, err
	}
	consumer.conn.onFrame = func(frame []byte) error { return errors.Join(consumer.onAnswer(frame), r.flush()) }
	for i := range c.Conns {
		if err := r.open(uint64(i)); err != nil {
			return measure.Result{}, err
		}
	}
	m, err := phases(c.ServerPID,
		func() error { return r.runFor(c.Warmup) },
		func() { r.delivered, r.latency, r.failed, r.failure = 0, bench.Latency{}, 0, "" },
		func() error { return r.runFor(c.Measure) })
	if err != nil {
		return measure.Result{}, err
	}
	return m.finish(measure.Result{Messages: r.delivered, Failed: r.failed, FirstFailure: r.failure}, &r.latency)
}

func (r *transactionRun) open(id uint64) error {
	conn, err := r.loop.dial(r.config.Addr)
	if err != nil {
		return err
	}
	t := &transactor{run: r, conn: conn, id: id, next: uint64(r.millis) << 20 & (1<<40 - 1)}
	conn.onFrame = t.onAnswer
	r.senders = append(r.senders, t)
	for range r.config.InFlight {
		t.send()
	}
	return nil
}

// runFor ends early, and says so, when nothing is delivered any more.
func (r *transactionRun) runFor(d time.Duration) error {
	deadline := r.loop.now + d
	r.lastAt = r.loop.now
	stalled := false
	err := r.loop.run(func() bool {
		stalled = r.loop.now-r.lastAt > deliveryStallAfter
		return stalled || r.loop.now >= deadline
	})
	if err == nil && stalled {
		err = fmt.Errorf("nothing was delivered for %v, after %d transactions", deliveryStallAfter, r.delivered)
	}
	return err
}

// flush sends what the deliveries of one answer began.
func (r *transactionRun) flush() error {
	for _, t := range r.senders {
		if err := t.conn.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (t *transactor) send() {
	r := t.run
	n := t.next
	t.next++
	at := len(t.conn.out)
	t.conn.out = r.half.append(t.conn.out, opaqueFirst+int(n%opaqueCount), int(n)%r.config.Queues, t.id, n, r.millis)
	body := t.conn.out[at+r.half.body:]
	binary.BigEndian.PutUint64(body[bodyTimeAt:], uint64(r.loop.now))
	binary.BigEndian.PutUint64(body[bodyWho:], t.id)
}

// onAnswer commits the transaction whose half message is stored.
func (t *transactor) onAnswer(frame []byte) error {
	a, err := parseAnswer(frame)
	if err != nil {
		return err
	}
	if a.code != codeSuccess { // a broker that is too busy: another one
		if t.run.failed++; t.run.failure == "" {
			t.run.failure = "half message: " + a.describe()
		}
		t.send()
		return nil
	}
	queueOffset, ok := number(a.header, nameQueueOffset)
	at := bytes.Index(a.header, nameMessageID)
	if !ok || at < 0 || len(a.header) < at+len(nameMessageID)+messageIDSize {
		return errors.New("half message: " + a.describe())
	}
	id := a.header[at+len(nameMessageID):][:messageIDSize]
	place, err := strconv.ParseInt(string(id[messageIDPlaceAt:]), 16, 64)
	if err != nil {
		return fmt.Errorf("half message's id %q: %w", id, err)
	}
	behind := (int(t.next%opaqueCount) - (a.opaque - opaqueFirst) + opaqueCount) % opaqueCount
	t.conn.out = t.run.end.append(t.conn.out, a.opaque, t.id, t.next-uint64(behind), queueOffset, place)
	return nil
}

func (r *transactionRun) onRecord(m record) {
	body := m.body()
	who := binary.BigEndian.Uint64(body[bodyWho:])
	if who >= uint64(len(r.senders)) {
		return // what made the topic, dispatched late
	}
	r.latency.Record(r.loop.now - time.Duration(binary.BigEndian.Uint64(body[bodyTimeAt:])))
	r.delivered++
	r.lastAt = r.loop.now
	r.senders[who].send()
}
