package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Event is one line that an agent printed. Which fields are set depends on
// the event.
type Event struct {
	ID          string            `json:"id"`
	Event       string            `json:"event"`
	Name        string            `json:"name"`
	Topic       string            `json:"topic"`
	Queue       int               `json:"queue"`
	Offset      int64             `json:"offset"`
	Max         int64             `json:"max"`
	At          int64             `json:"at"`
	Earliest    int64             `json:"earliest"`
	Status      string            `json:"status"`
	MsgID       string            `json:"msgId"`
	OffsetMsgID string            `json:"offsetMsgId"`
	Tags        string            `json:"tags"`
	Keys        string            `json:"keys"`
	Reconsume   int               `json:"reconsume"`
	CRC         uint32            `json:"crc"`
	Phy         int64             `json:"phy"`
	Born        int64             `json:"born"`
	Store       int64             `json:"store"`
	Error       string            `json:"error"`
	Code        int               `json:"code"`
	Handle      string            `json:"handle"`
	SysFlag     int               `json:"sysFlag"`
	Properties  map[string]string `json:"properties"`

	// Read is when the harness read the line.
	Read time.Time `json:"-"`
}

// Args are a command's arguments; values are printed by fmt.Sprint.
type Args map[string]any

// Agent is a running client program.
type Agent struct {
	Client  string // names the client and its version
	process *Process

	mu      sync.Mutex
	next    int
	streams map[string]*Stream
}

// StartAgent starts the client program and waits until it listens to commands.
func StartAgent(client string, c Command) (*Agent, error) {
	r, w := io.Pipe()
	c.Stdin, c.Stdout = true, w
	p, err := c.Start()
	if err != nil {
		return nil, err
	}
	a := &Agent{Client: client, process: p, streams: map[string]*Stream{}}
	ready := a.stream("agent")
	go a.runReader(r)
	if _, err := ready.Await("ready", 30*time.Second); err != nil {
		a.Kill()
		return nil, fmt.Errorf("agent %s: %w\n%s", client, err, p.Tail(4000))
	}
	return a, nil
}

func (a *Agent) runReader(r io.Reader) {
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		var e Event
		if json.Unmarshal(line, &e) != nil || e.ID == "" {
			continue // a client library that prints on its own
		}
		e.Read = time.Now()
		a.stream(e.ID).add(e)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.streams {
		s.end()
	}
}

func (a *Agent) stream(id string) *Stream {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.streams[id]
	if s == nil {
		s = &Stream{ID: id, agent: a, changed: make(chan struct{})}
		a.streams[id] = s
	}
	return s
}

// Do sends a command and returns the stream of what comes of it.
func (a *Agent) Do(verb string, args Args) (*Stream, error) {
	a.mu.Lock()
	a.next++
	id := fmt.Sprintf("%s%d_%d", verb[:1], a.next, a.process.Pid())
	a.mu.Unlock()
	s := a.stream(id)
	line := id + " " + verb
	for k, v := range args {
		line += " " + k + "=" + url.QueryEscape(fmt.Sprint(v))
	}
	_, err := io.WriteString(a.process.Stdin, line+"\n")
	if err != nil {
		return nil, fmt.Errorf("agent %s is gone: %w\n%s", a.Client, err, a.process.Tail(2000))
	}
	return s, nil
}

// Kill is kill -9 of the client program.
func (a *Agent) Kill() { a.process.Kill() }

// Tail shows the end of the agent's log.
func (a *Agent) Tail(n int64) string { return a.process.Tail(n) }

// Stream is all that one command of an agent has said so far.
type Stream struct {
	ID    string
	agent *Agent

	mu      sync.Mutex
	events  []Event
	ended   bool
	changed chan struct{} // closed and replaced at each change
}

func (s *Stream) add(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	s.wakeLocked()
}

func (s *Stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.wakeLocked()
}

func (s *Stream) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Agent is the client program that the stream comes from.
func (s *Stream) Agent() *Agent { return s.agent }

// Events returns the events of these names so far, in order; all without a name.
func (s *Stream) Events(names ...string) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Event
	for _, e := range s.events {
		if len(names) == 0 || containsWord(names, e.Event) {
			found = append(found, e)
		}
	}
	return found
}

func containsWord(words []string, w string) bool {
	for _, x := range words {
		if x == w {
			return true
		}
	}
	return false
}

// Await waits for the first event of the name. A "failed" event is an error.
func (s *Stream) Await(name string, timeout time.Duration) (Event, error) {
	var found Event
	err := s.Until(timeout, func(events []Event) bool {
		for _, e := range events {
			if e.Event == name {
				found = e
				return true
			}
		}
		return false
	})
	if err != nil {
		err = fmt.Errorf("waiting for %q of %s: %w", name, s.ID, err)
	}
	return found, err
}

// Until waits until enough has been said. A "failed" event ends the wait.
func (s *Stream) Until(timeout time.Duration, enough func([]Event) bool) error {
	deadline := time.After(timeout)
	for {
		s.mu.Lock()
		events, ended, changed := s.events, s.ended, s.changed
		s.mu.Unlock()
		if enough(events) {
			return nil
		}
		if n := len(events); n > 0 && events[n-1].Event == "failed" {
			return fmt.Errorf("client %s: %s", s.agent.Client, events[n-1].Error)
		}
		if ended {
			return fmt.Errorf("client %s ended", s.agent.Client)
		}
		select {
		case <-changed:
		case <-deadline:
			return fmt.Errorf("client %s: not in %v; %s", s.agent.Client, timeout, tally(events))
		}
	}
}

// tally counts events by name, for messages.
func tally(events []Event) string {
	counts := map[string]int{}
	for _, e := range events {
		counts[e.Event]++
	}
	said := strings.TrimPrefix(fmt.Sprint(counts), "map")
	if n := len(events); n > 0 && events[n-1].Error != "" {
		said += ", last: " + events[n-1].Error
	}
	return "it said " + said
}
