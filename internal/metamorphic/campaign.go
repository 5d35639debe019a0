package metamorphic

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Campaign is many histories. The zero value runs until its context ends.
type Campaign struct {
	Crashes bool          // crash within operations too, and under one option set a history
	Count   int           // histories; 0 is as many as there is time for
	Time    time.Duration // after which no new history begins; 0 is unbounded
	Seed    uint64        // of the first history; 0 draws one
	Keep    []int         // the operations of one history to run; nil is all
	Workers int           // processes; 0 is one for each core that Go may use
}

// silence is after how much time without a new history a worker hangs.
const silence = 5 * time.Minute

// A history that failed is run again to make it shorter, so often and so long.
const (
	shrinkTries   = 300
	shrinkSeconds = 15
)

// Failure is a history that did not agree.
type Failure struct {
	Seed   uint64
	Keep   []int // the operations that are left of it
	Reason string
	Ops    []string
}

// Error tells what failed, the operations that are left, and how to run them.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", f.Reason)
	for _, op := range f.Ops {
		fmt.Fprintf(&b, "\t%s\n", op)
	}
	fmt.Fprintf(&b, "again with: -args -seed=%d", f.Seed)
	if f.Keep != nil {
		fmt.Fprintf(&b, " -keep=%s", JoinNumbers(f.Keep))
	}
	return b.String()
}

// JoinNumbers writes numbers as ParseNumbers reads them.
func JoinNumbers(numbers []int) string {
	text := make([]string, len(numbers))
	for i, n := range numbers {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ",")
}

// ParseNumbers reads numbers split by commas; empty is nil.
func ParseNumbers(text string) (numbers []int, err error) {
	if text == "" {
		return nil, nil
	}
	for _, field := range strings.Split(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// report is what a worker tells: the seed that it begins with, and after the
// last one what it has done, or how one failed.
type report struct {
	Seed   uint64   `json:",omitempty"`
	Stats  *Stats   `json:",omitempty"`
	Failed *Failure `json:",omitempty"`
}

// job is what a worker is to do: Count histories or all, from Seed on in steps.
type job struct {
	Campaign
	Step uint64
}

// Run runs the campaign in processes of the test binary, each of which runs
// Work by the test that workerArgs name; the job is appended to them. It ends at
// the first history that fails.
func Run(ctx context.Context, c Campaign, workerArgs ...string) (*Stats, error) {
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	one := c.Keep != nil || c.Seed != 0 && c.Count == 0 && c.Time == 0
	if one {
		c.Count, c.Workers = 1, 1
	}
	if c.Seed == 0 {
		c.Seed = 1 + rand.Uint64()>>32
	}
	if c.Count > 0 {
		c.Workers = min(c.Workers, c.Count)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		stats *Stats
		err   error
	}
	results := make(chan result)
	for i := range c.Workers {
		j := job{c, uint64(c.Workers)}
		j.Seed += uint64(i)
		if c.Count > 0 {
			j.Count = (c.Count + c.Workers - 1 - i) / c.Workers
		}
		go func() {
			stats, err := runWorker(ctx, j, workerArgs)
			results <- result{stats, err}
		}()
	}
	sum, first := &Stats{}, error(nil)
	for range c.Workers {
		r := <-results
		sum.Add(r.stats)
		if first == nil && r.err != nil {
			first = r.err
			cancel()
		}
	}
	return sum, first
}

// runWorker runs one process until it has done its job, fails or falls silent.
func runWorker(ctx context.Context, j job, args []string) (*Stats, error) {
	stats := &Stats{}
	text, err := json.Marshal(j)
	if err != nil {
		return stats, err
	}
	cmd := exec.CommandContext(ctx, os.Args[0], append(args, string(text))...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	stop, err := cmd.StdinPipe()
	if err != nil {
		return stats, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return stats, err
	}
	defer from.Close()
	cmd.ExtraFiles = []*os.File{to}
	err = cmd.Start()
	to.Close()
	if err != nil {
		return stats, err
	}
	if j.Time > 0 {
		defer time.AfterFunc(j.Time, func() { stop.Close() }).Stop()
	}
	hangs := time.AfterFunc(silence, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	defer hangs.Stop()
	seed, failed := j.Seed, error(nil)
	for lines := bufio.NewReader(from); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		hangs.Reset(silence)
		var r report
		if err := json.Unmarshal(line, &r); err != nil {
			return stats, errors.Join(err, cmd.Wait())
		}
		switch {
		case r.Failed != nil:
			failed = r.Failed
		case r.Stats != nil:
			stats = r.Stats
		default:
			seed = r.Seed
		}
	}
	err = cmd.Wait()
	if failed == nil && err != nil && ctx.Err() == nil {
		failed = &Failure{Seed: seed, Keep: j.Keep, Reason: fmt.Sprintf("the process of the history ended: %v\n%s", err, tail(output.Bytes()))}
	}
	return stats, failed
}

// tail is the begin of an output, where a panic tells its reason.
func tail(output []byte) []byte { return output[:min(len(output), 16<<10)] }

// Work does the job of a worker, in the process that Run started for it.
func Work(t *testing.T, text string) {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	out := json.NewEncoder(os.NewFile(3, "reports"))
	tell := func(r report) {
		if err := out.Encode(r); err != nil {
			t.Error(err)
		}
	}
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	var seconds atomic.Int64 // of a clock outside of the bubble
	go func() {
		for range time.Tick(time.Second) {
			seconds.Add(1)
		}
	}()
	var stats Stats
	synctest.Test(t, func(*testing.T) {
		for n, seed := 0, j.Seed; (j.Count == 0 || n < j.Count) && !stop.Load(); n, seed = n+1, seed+j.Step {
			tell(report{Seed: seed})
			h, err := j.runHistory(seed, &stats)
			if err == nil {
				continue
			}
			tell(report{Failed: newFailure(h, err)})
			until := seconds.Load() + shrinkSeconds
			h, err = shrink(h, err, shrinkTries, func(part History) error {
				if seconds.Load() > until {
					return nil
				}
				return runAll(part, j.Crashes, new(Stats))
			})
			tell(report{Failed: newFailure(h, err)})
			break
		}
	})
	tell(report{Stats: &stats})
}

// runHistory runs the history of a seed, or what is to be kept of it.
func (j *job) runHistory(seed uint64, stats *Stats) (History, error) {
	h := newHistory(seed, j.Crashes)
	if j.Keep != nil {
		h = h.only(j.Keep)
	}
	return h, runAll(h, j.Crashes, stats)
}

// newFailure names what failed.
func newFailure(h History, err error) *Failure {
	f := &Failure{Seed: h.Seed, Reason: err.Error()}
	for _, op := range h.Ops {
		f.Keep = append(f.Keep, op.Number)
		f.Ops = append(f.Ops, op.String())
	}
	return f
}
