package load

import (
	"time"

	"github.com/rocketlog/rocketlog/bench"
	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// meter measures time and CPU from start to finish.
type meter struct {
	pid    int
	begin  time.Time
	own    time.Duration
	server time.Duration
}

func startMeter(serverPID int) (*meter, error) {
	server, err := serverUsage(serverPID)
	return &meter{pid: serverPID, begin: time.Now(), own: bench.SelfCPU(), server: server.CPU}, err
}

// phases goes through the warm-up, forgets what was counted, and measures. It returns the running meter.
func phases(serverPID int, warmUp func() error, forget func(), work func() error) (*meter, error) {
	if err := warmUp(); err != nil {
		return nil, err
	}
	forget()
	m, err := startMeter(serverPID)
	if err != nil {
		return nil, err
	}
	return m, work()
}

func (m *meter) finish(r measure.Result, l *bench.Latency) (measure.Result, error) {
	r.Seconds = time.Since(m.begin).Seconds()
	own := bench.SelfCPU() - m.own
	server, err := serverUsage(m.pid)
	if err != nil {
		return r, err
	}
	r.Rate = float64(r.Messages) / r.Seconds
	r.SetCPU(server.CPU-m.server, own)
	r.SetLatency(l)
	r.Anonymous = float64(server.Anonymous) / (1 << 20)
	return r, nil
}

func serverUsage(pid int) (bench.Usage, error) {
	if pid == 0 {
		return bench.Usage{}, nil
	}
	return bench.ProcessUsage(pid)
}
