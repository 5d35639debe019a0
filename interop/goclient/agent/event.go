package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// event is one line of output. A queue or an offset that has no meaning for
// the event stays nil.
type event struct {
	ID          string `json:"id"`
	Event       string `json:"event"`
	Name        string `json:"name,omitempty"`
	Topic       string `json:"topic,omitempty"`
	Queue       *int   `json:"queue,omitempty"`
	Offset      *int64 `json:"offset,omitempty"`
	Status      string `json:"status,omitempty"`
	MsgID       string `json:"msgId,omitempty"`
	OffsetMsgID string `json:"offsetMsgId,omitempty"`
	Tags        string `json:"tags,omitempty"`
	Keys        string `json:"keys,omitempty"`
	Reconsume   int32  `json:"reconsume"`
	CRC         uint32 `json:"crc,omitempty"`
	Phy         int64  `json:"phy,omitempty"`
	Born        int64  `json:"born,omitempty"`
	Store       int64  `json:"store,omitempty"`
	Error       string `json:"error,omitempty"`
}

var outMu sync.Mutex // events of several goroutines never mix

func emit(e event) {
	line, _ := json.Marshal(e)
	outMu.Lock()
	defer outMu.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// args is one command line: "id verb name=value ...", values URL-encoded.
type args struct {
	id, verb string
	values   map[string]string
}

func parseArgs(line string) (args, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return args{}, fmt.Errorf("want: id verb name=value ...; have: %q", line)
	}
	a := args{id: words[0], verb: words[1], values: map[string]string{}}
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, "=")
		v, err := url.QueryUnescape(value)
		if err != nil {
			return args{}, fmt.Errorf("argument %q: %w", w, err)
		}
		a.values[name] = v
	}
	return a, nil
}

func (a args) text(name, otherwise string) string {
	if v, ok := a.values[name]; ok {
		return v
	}
	return otherwise
}

func (a args) number(name string, otherwise int) int {
	if n, err := strconv.Atoi(a.values[name]); err == nil {
		return n
	}
	return otherwise
}

func (a args) flag(name string) bool { return a.values[name] == "true" }

// makeBody is the message's name, a space, and filling that no compression
// makes small.
func makeBody(name string, size int) []byte {
	head := name + " "
	body := make([]byte, max(size, len(head)))
	random := rand.NewPCG(uint64(crc32.ChecksumIEEE([]byte(name))), 0)
	for i := range body {
		body[i] = byte(random.Uint64())
	}
	copy(body, head)
	return body
}

func bodyName(body []byte) string {
	name, _, _ := strings.Cut(string(body[:min(len(body), 128)]), " ")
	return name
}

// stderrLogger sends what the client logs to standard error: standard output
// belongs to the events.
type stderrLogger struct{}

func (stderrLogger) Debug(string, map[string]any)       {}
func (stderrLogger) Info(string, map[string]any)        {}
func (stderrLogger) Warning(m string, f map[string]any) { logLine("warning", m, f) }
func (stderrLogger) Error(m string, f map[string]any)   { logLine("error", m, f) }
func (stderrLogger) Fatal(m string, f map[string]any)   { logLine("fatal", m, f) }
func (stderrLogger) Level(string)                       {}
func (stderrLogger) OutputPath(string) error            { return nil }

func logLine(level, m string, fields map[string]any) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", level, m)
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, " %s=%v", k, fields[k])
	}
	fmt.Fprintln(os.Stderr, b.String())
}
