package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// environment variables that make the test program fill a store and die.
const (
	fillDirEnv   = "ROCKETLOG_BENCH_FILL_DIR"
	fillBytesEnv = "ROCKETLOG_BENCH_FILL_BYTES"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(fillDirEnv); dir != "" {
		fmt.Fprintln(os.Stderr, fillAndDie(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fillAndDie puts without pause until the log is long enough and kills its own process in the midst of it.
func fillAndDie(dir string) error {
	bytes, err := strconv.ParseInt(os.Getenv(fillBytesEnv), 10, 64)
	if err != nil {
		return err
	}
	s, err := engine.Open(dir, nil)
	if err != nil {
		return err
	}
	source := NewSource(0, 4, bodySize)
	for s.MaxPhyOffset() < message.PhyOffset(bytes) {
		if r := s.Put(source.Next()); r.Status != engine.PutOK {
			return r.Err
		}
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// killedStore returns the directory of a store whose process was killed.
func killedStore(tb testing.TB, bytes int64) string {
	tb.Helper()
	dir := tb.TempDir()
	fill := exec.Command(os.Args[0])
	fill.Env = append(os.Environ(), fillDirEnv+"="+dir, fillBytesEnv+"="+strconv.FormatInt(bytes, 10))
	out, err := fill.CombinedOutput()
	if status, ok := fill.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		tb.Fatalf("the process that fills was to be killed: %v: %s", err, out)
	}
	return dir
}

// BenchmarkOpen opens a store of so many MiB after its process was killed, or after a clean stop, and waits until all is
// dispatched. One op is one open. Filling is not timed, but takes longer than opening: -benchtime 5x is enough.
func BenchmarkOpen(b *testing.B) {
	for _, after := range []string{"kill", "stop"} {
		for _, mib := range []int64{64, 1024} {
			b.Run(fmt.Sprintf("after=%s/mib=%d", after, mib), func(b *testing.B) {
				benchmarkOpen(b, after == "kill", mib)
			})
		}
	}
}

func benchmarkOpen(b *testing.B, killed bool, mib int64) {
	b.ReportAllocs()
	cpu := time.Duration(0)
	for range b.N {
		b.StopTimer()
		dir := killedStore(b, mib<<20)
		if !killed {
			closeStore(b, openIn(b, dir))
		}
		begin := SelfCPU()
		b.StartTimer()
		s := openIn(b, dir)
		AwaitDispatch(s)
		b.StopTimer()
		cpu += SelfCPU() - begin
		if s.MaxPhyOffset() < message.PhyOffset(mib<<20) {
			b.Errorf("%d bytes of log are left", s.MaxPhyOffset())
		}
		closeStore(b, s)
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
}

func openIn(b *testing.B, dir string) *engine.Store {
	b.Helper()
	s, err := engine.Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func closeStore(b *testing.B, s *engine.Store) {
	b.Helper()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
