package load

import (
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// idleBufferSize is enough for the answer to a pull that found nothing.
const idleBufferSize = 4 << 10

// Idle has as many consumers as connections, each of which long-polls the end of one queue, where nothing comes: what counts
// is what that costs the broker. Messages are the polls answered.
func Idle(c Config) (measure.Result, error) { return onLoop(c, measureIdle) }

func measureIdle(l *loop, c Config) (measure.Result, error) {
	r := pullRun{config: c, loop: l, template: newPullTemplate(c.Topic, "TAG", "*")}
	first, err := l.dial(c.Addr)
	if err != nil {
		return measure.Result{}, err
	}
	if err := r.readEnds(first); err != nil {
		return measure.Result{}, err
	}
	answered := int64(0)
	l.bufferSize = idleBufferSize
	for i := range c.Conns {
		conn, err := l.dial(c.Addr)
		if err != nil {
			return measure.Result{}, err
		}
		p := &puller{queue: i % len(r.pullers), offset: r.pullers[i%len(r.pullers)].end}
		conn.onFrame = func(frame []byte) error {
			a, err := parseAnswer(frame)
			if err != nil {
				return err
			}
			if a.code != codePullNotFound {
				return fmt.Errorf("an idle pull: %s", a.describe())
			}
			answered++
			r.pull(conn, p)
			return nil
		}
		r.pull(conn, p)
		if err := conn.flush(); err != nil {
			return measure.Result{}, err
		}
	}
	m, err := phases(c.ServerPID,
		func() error { return r.runFor(c.Warmup) },
		func() { answered = 0 },
		func() error { return r.runFor(c.Measure) })
	if err != nil {
		return measure.Result{}, err
	}
	result, err := m.finish(measure.Result{Messages: answered}, &bench.Latency{})
	result.Idle = 100 * result.CPU * float64(answered) / 1e6 / max(result.Seconds, time.Nanosecond.Seconds())
	return result, err
}
