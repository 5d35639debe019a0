package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

const (
	codeRuntimeInfo = 28
	// pendingFor is when the first of many timers is due, and pendingOver the time over which they are spread.
	pendingFor, pendingOver = time.Hour, 10 * time.Hour
	// leadTime is how long before they are due the timers of Lateness are sent; they come in the second after.
	leadTime      = 6 * time.Second
	latenessLimit = 60 * time.Second
	wheelLimit    = 2 * time.Minute
)

var (
	nameTimerBehind = []byte(`"timerOffsetBehind":"`)
	nameQueueOffset = []byte(`"queueOffset":"`)
)

// newTimerTemplate makes a send with a time to deliver it at, and says where that is in the frame.
func newTimerTemplate(topic string, bodySize int) (t *sendTemplate, due int) {
	t = newTemplate(topic, bodySize, 0, "TIMER_DELIVER_MS\x01"+placeTime+"\x02")
	return t, placeAfter(t.frame, `TIMER_DELIVER_MS\u0001`)
}

// Timers puts so many messages that are due in an hour and later, and then awaits that all are in the wheel. PutRate
// counts to the last answer, Rate until the wheel has them all.
func Timers(c Config) (measure.Result, error) { return onLoop(c, measureTimers) }

func measureTimers(l *loop, c Config) (measure.Result, error) {
	r := &sendRun{config: c, loop: l, millis: time.Now().UnixMilli(), sendMax: c.Messages}
	var at int
	r.template, at = newTimerTemplate(c.Topic, c.BodySize)
	first := time.UnixMilli(r.millis).Add(pendingFor).UnixMilli()
	r.vary = func(frame []byte, n uint64) {
		// Neighbours are due at times far from each other: a multiplier spreads them.
		putDecimal(frame[at:at+len(placeTime)], first+int64(n*7_919_003%uint64(pendingOver.Milliseconds())))
	}
	m, err := startMeter(c.ServerPID)
	if err != nil {
		return measure.Result{}, err
	}
	if err := r.openAll(); err != nil {
		return measure.Result{}, err
	}
	if err := r.runFor(c.Measure, c.Messages); err != nil {
		return measure.Result{}, err
	}
	put := time.Since(m.begin).Seconds()
	result := r.result()
	result.PutRate = float64(result.Messages) / put
	latency := r.latency()
	if err := awaitWheel(l, c.Addr); err != nil {
		return result, err
	}
	return m.finish(result, latency)
}

// awaitWheel asks the broker until its timer has taken in all that was put.
func awaitWheel(l *loop, addr string) error {
	conn, err := l.dial(addr)
	if err != nil {
		return err
	}
	frame := encode(codeRuntimeInfo, nil, nil)
	behind := int64(1)
	conn.onFrame = func(answered []byte) error {
		a, err := parseAnswer(answered)
		if err != nil {
			return err
		}
		var ok bool
		if behind, ok = number(a.body, nameTimerBehind); !ok {
			return errors.New("runtime info: " + a.describe())
		}
		if behind > 0 {
			time.Sleep(20 * time.Millisecond)
			conn.out = append(conn.out, frame...)
		}
		return nil
	}
	conn.out = append(conn.out, frame...)
	deadline := l.now + wheelLimit
	if err := l.run(func() bool { return behind == 0 || l.now > deadline }); err != nil {
		return err
	}
	if behind > 0 {
		return fmt.Errorf("after %v the timer has %d messages before it", wheelLimit, behind)
	}
	return nil
}

// Lateness has so many messages fall due evenly over one second, and measures how long after its time each is with a
// long-polling consumer. Failed are those that came early.
func Lateness(c Config) (measure.Result, error) { return onLoop(c, measureLateness) }

func measureLateness(l *loop, c Config) (measure.Result, error) {
	var latency bench.Latency
	received, early := int64(0), int64(0)
	due := int64(0)
	if _, err := follow(l, c, func(m record) {
		mine := int64(binary.BigEndian.Uint64(m.body()))
		if mine < due || mine >= due+1000 {
			return // what made the topic, dispatched late
		}
		late := time.Since(time.UnixMilli(mine))
		if late < 0 {
			early++
		}
		latency.Record(max(late, 0))
		received++
	}); err != nil {
		return measure.Result{}, err
	}
	r := &sendRun{config: c, loop: l, millis: time.Now().UnixMilli(), sendMax: c.Messages}
	var at int
	r.template, at = newTimerTemplate(c.Topic, c.BodySize)
	due = time.Now().Add(leadTime).Truncate(time.Second).UnixMilli()
	sent := int64(0)
	r.vary = func(frame []byte, _ uint64) {
		mine := due + sent*1000/c.Messages
		sent++
		putDecimal(frame[at:at+len(placeTime)], mine)
		binary.BigEndian.PutUint64(frame[r.template.body:], uint64(mine))
	}
	if err := r.openAll(); err != nil {
		return measure.Result{}, err
	}
	m, err := startMeter(c.ServerPID)
	if err != nil {
		return measure.Result{}, err
	}
	deadline := l.now + latenessLimit
	if err := l.run(func() bool { return received >= c.Messages || l.now > deadline }); err != nil {
		return measure.Result{}, err
	}
	if received < c.Messages {
		return measure.Result{}, fmt.Errorf("%d of %d timers came within %v; %d sends failed: %s", received, c.Messages, latenessLimit, r.failed, r.failure)
	}
	return m.finish(measure.Result{Messages: received, Failed: early + r.failed, FirstFailure: r.failure}, &latency)
}
