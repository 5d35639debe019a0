package load

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// endToEnd measures from just before a message is written to the socket to just after it was read.
type endToEnd struct {
	config   Config
	loop     *loop // of the consumer
	latency  bench.Latency
	sent     int64
	failed   atomic.Int64
	stop     atomic.Bool
	counting atomic.Bool
	start    time.Time
	received int64
}

// EndToEnd sends Rate messages each second, evenly, and consumes them by long polling: one pull
// outstanding for each queue, as a push consumer does.
func EndToEnd(c Config) (measure.Result, error) {
	l, err := newLoop()
	if err != nil {
		return measure.Result{}, err
	}
	defer l.close()
	e := &endToEnd{config: c, loop: l, start: time.Now()}
	if _, err := follow(l, c, e.onRecord); err != nil {
		return measure.Result{}, err
	}
	var producer sync.WaitGroup
	var sendErr error
	producer.Go(func() {
		if sendErr = e.runProducer(); sendErr != nil {
			e.stop.Store(true)
		}
	})
	result, err := e.consume()
	e.stop.Store(true)
	producer.Wait()
	if err == nil {
		err = sendErr
	}
	result.Failed = e.failed.Load()
	return result, err
}

func (e *endToEnd) onRecord(r record) {
	if sent := time.Duration(binary.BigEndian.Uint64(r.body())); e.counting.Load() && sent > 0 {
		e.latency.Record(time.Since(e.start) - sent)
		e.received++
	}
}

func (e *endToEnd) consume() (measure.Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	deadline := time.Now().Add(e.config.Warmup)
	done := func() bool { return e.stop.Load() || !time.Now().Before(deadline) }
	if err := e.loop.run(done); err != nil {
		return measure.Result{}, err
	}
	m, err := startMeter(e.config.ServerPID)
	if err != nil {
		return measure.Result{}, err
	}
	e.counting.Store(true)
	deadline = time.Now().Add(e.config.Measure)
	if err := e.loop.run(done); err != nil {
		return measure.Result{}, err
	}
	return m.finish(measure.Result{Messages: e.received}, &e.latency)
}

// runProducer sends by the clock: what is due is sent, however late the last sleep ended. Answers are
// read between the sends.
func (e *endToEnd) runProducer() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l, err := newLoop()
	if err != nil {
		return err
	}
	defer l.close()
	conn, err := l.dial(e.config.Addr)
	if err != nil {
		return err
	}
	conn.onFrame = func(frame []byte) error {
		a, err := parseAnswer(frame)
		if err == nil && a.code != codeSuccess {
			e.failed.Add(1)
		}
		return err
	}
	template := newSendTemplate(e.config.Topic, e.config.BodySize, false)
	millis := time.Now().UnixMilli()
	first := uint64(millis) << 20 & (1<<40 - 1)
	interval := time.Second / time.Duration(e.config.Rate)
	for begin := time.Now(); !e.stop.Load(); {
		for due := int64(time.Since(begin) / interval); e.sent < due; e.sent++ {
			n := first + uint64(e.sent)
			at := len(conn.out)
			opaque := opaqueFirst + int(n%opaqueCount)
			conn.out = template.append(conn.out, opaque, int(n)%e.config.Queues, 0xffff, n, millis)
			binary.BigEndian.PutUint64(conn.out[at+template.body:], uint64(time.Since(e.start)))
		}
		if err := conn.flush(); err != nil {
			return err
		}
		if err := conn.read(); err != nil {
			return err
		}
		pause := syscall.NsecToTimespec(int64(interval / 2))
		if err := syscall.Nanosleep(&pause, nil); err != nil && err != syscall.EINTR {
			return err
		}
	}
	return nil
}
