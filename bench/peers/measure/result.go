// Package measure is what the processes of a comparison tell each other: each child, ours or a
// peer's, in Go or in Java, ends with one line of JSON on its standard output, a [Result].
//
// Invariant 1: a field that a study does not measure is zero and is left out of the line.
package measure

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/bench"
)

// Result is what one run of one side measured.
type Result struct {
	// Messages were handled in Seconds; Failed are those besides that were answered with a refusal.
	Messages int64   `json:"messages,omitempty"`
	Failed   int64   `json:"failed,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`
	// Rate is messages per second until all was done, dispatch included; PutRate until the last put.
	Rate    float64 `json:"rate,omitempty"`
	PutRate float64 `json:"put_rate,omitempty"`
	// ReadRate is messages per second of a reader beside the writers.
	ReadRate float64 `json:"read_rate,omitempty"`
	// CPU is microseconds a message of the process under study, LoadCPU of the load generator.
	CPU     float64 `json:"cpu_us,omitempty"`
	LoadCPU float64 `json:"load_cpu_us,omitempty"`
	// P50 to Max are microseconds.
	P50  float64 `json:"p50_us,omitempty"`
	P99  float64 `json:"p99_us,omitempty"`
	P999 float64 `json:"p999_us,omitempty"`
	Max  float64 `json:"max_us,omitempty"`
	// Allocs is heap allocations a message (Go only).
	Allocs float64 `json:"allocs,omitempty"`
	// AllocBytes is bytes allocated on the heap a message.
	AllocBytes float64 `json:"alloc_bytes,omitempty"`
	// Files is how many descriptors are open at the end (Go only).
	Files float64 `json:"files,omitempty"`
	// Anonymous is the memory that belongs to no file, in MiB, at the end.
	Anonymous float64 `json:"rss_anon_mib,omitempty"`
	// Bytes is the length of the log.
	Bytes int64 `json:"bytes,omitempty"`
	// Idle is CPU in percent of one core.
	Idle float64 `json:"idle_percent,omitempty"`
	// Stolen is ms of the machine's processors that its host gave to others while the process ran.
	Stolen float64 `json:"stolen_ms,omitempty"`
	// FirstFailure is the answer to the first message that failed.
	FirstFailure string `json:"first_failure,omitempty"`
}

// SetLatency fills the percentiles.
func (r *Result) SetLatency(l *bench.Latency) {
	r.P50, r.P99, r.P999 = micros(l.Quantile(0.5)), micros(l.Quantile(0.99)), micros(l.Quantile(0.999))
	r.Max = micros(l.Max())
}

// SetCPU divides CPU time over the messages.
func (r *Result) SetCPU(process, load time.Duration) {
	if r.Messages > 0 {
		r.CPU, r.LoadCPU = micros(process)/float64(r.Messages), micros(load)/float64(r.Messages)
	}
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// Parse returns the result in the output of a child: its last line that is a JSON object. Java's
// logging writes other lines before it.
func Parse(output []byte) (Result, error) {
	var last []byte
	lines := bufio.NewScanner(bytes.NewReader(output))
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("{")) {
			last = append(last[:0], lines.Bytes()...)
		}
	}
	if err := lines.Err(); err != nil {
		return Result{}, err
	}
	if last == nil {
		return Result{}, errors.New("no line of JSON in the output")
	}
	var r Result
	if err := json.Unmarshal(last, &r); err != nil {
		return Result{}, fmt.Errorf("result %s: %w", last, err)
	}
	return r, nil
}
