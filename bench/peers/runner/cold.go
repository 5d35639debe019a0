package runner

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// coldBacklog is how many messages of 1 KiB are on disk only: about 1.8 GiB, so that no scan that is measured is at their end.
const coldBacklog = 1_500_000

// coldStudy sends while a consumer reads what is on disk only. Sends go one at a time on each connection: what is measured is
// how long one takes.
func coldStudy() Study {
	side := func(name string, missing func(*Env) string, start func(*Env) (*server, error)) Side {
		return Side{Name: name, Missing: missing, Run: func(e *Env) (Results, error) { return e.cold(start) }}
	}
	return Study{
		Name:    "cold",
		Title:   "broker: sends one at a time on 4 connections, alone and beside the scan of a backlog on disk",
		Sides:   []Side{side("ours", nil, (*Env).startOurBroker), side("java", (*Env).missingJava, (*Env).startJavaBroker)},
		Compare: []Figure{p99("send", "p99 of a send, alone"), p99("send, cold scan", "p99 of a send beside a scan")},
		Bars: func(m Medians) []Bar {
			ours := m["ours"]
			return []Bar{
				atMost("sends beside a cold scan: p99 of those alone", "µs", ours["send, cold scan"].P99, ours["send"].P99, 2),
				atMost("sends beside a cold scan: p999 of those alone", "µs", ours["send, cold scan"].P999, ours["send"].P999, 3),
			}
		},
	}
}

func (e *Env) cold(start func(*Env) (*server, error)) (Results, error) {
	s, err := start(e)
	if err != nil {
		return nil, err
	}
	err = e.send(s, coldBacklog, "-topic=BenchCold")
	s.stop()
	if err := errors.Join(err, e.dropCaches()); err != nil {
		return nil, err
	}
	if s, err = start(e); err != nil {
		return nil, err
	}
	defer s.stop()
	send := func() (measure.Result, error) { return e.load(s, "send", e.Measure, "-inflight=1") }
	results := Results{}
	if results["send"], err = send(); err != nil {
		return nil, err
	}
	var scan measure.Result
	scanned := make(chan error, 1)
	go func() {
		var err error
		// As long as the sends, with their warm-up.
		scan, err = e.load(s, "pull", 0, "-topic=BenchCold", "-measure="+(2*e.Measure).String())
		scanned <- err
	}()
	results["send, cold scan"], err = send()
	err = errors.Join(err, <-scanned)
	results["scan"] = scan
	return results, err
}

// dropCaches writes the log to disk and has the kernel forget it; nobody has it mapped.
func (e *Env) dropCaches() error {
	names, err := filepath.Glob(filepath.Join(e.run, "store", "commitlog", "*"))
	if err == nil && len(names) == 0 {
		err = errors.New("no log")
	}
	for _, name := range names {
		err = errors.Join(err, dropCache(name))
	}
	return err
}

func dropCache(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
