package harness

import (
	"slices"
	"testing"
	"time"
)

func TestSettle(t *testing.T) {
	sent := []Event{{Name: "a", CRC: 1, Queue: 0, Offset: 0}, {Name: "b", CRC: 2, Queue: 1, Offset: 0}, {Name: "oneway", CRC: 3, Queue: -1, Offset: -1}}
	all := []Event{{Name: "a", CRC: 1}, {Name: "b", CRC: 2, Queue: 1}, {Name: "oneway", CRC: 3, Queue: 2, Offset: 7}}
	with := func(i int, change func(*Event)) []Event {
		got := slices.Clone(all)
		change(&got[i])
		return got
	}
	for _, c := range []struct {
		name  string
		got   []Event
		twice int
		fine  bool
	}{
		{"all", all, 0, true},
		{"one missing", all[1:], 0, false},
		{"one strange", append(slices.Clone(all), Event{Name: "c"}), 9, false},
		{"twice where once is asked for", append(slices.Clone(all), all[0]), 0, false},
		{"twice where that is allowed", append(slices.Clone(all), all[0]), 1, true},
		{"another body", with(0, func(e *Event) { e.CRC = 9 }), 0, false},
		{"another body sent one-way", with(2, func(e *Event) { e.CRC = 9 }), 0, false},
		{"another offset", with(1, func(e *Event) { e.Offset = 1 }), 0, false},
		{"another queue", with(1, func(e *Event) { e.Queue = 0 }), 0, false},
		{"by way of the retry topic", with(1, func(e *Event) { e.Offset, e.Reconsume = 5, 1 }), 0, true},
		{"none", nil, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Settle(sent, c.got).Err(c.twice); (err == nil) != c.fine {
				t.Errorf("error %v, want fine=%v", err, c.fine)
			}
		})
	}
}

const soon = 10 * time.Second

// A stream's waits end by the event, by the failure and by the time.
func TestStreamAwait(t *testing.T) {
	s := &Stream{agent: &Agent{Client: "none"}, changed: make(chan struct{})}
	go s.add(Event{Event: "ready"})
	if _, err := s.Await("ready", soon); err != nil {
		t.Error(err)
	}
	if _, err := s.Await("done", 1); err == nil {
		t.Error("no error at the end of the time")
	}
	go s.add(Event{Event: "failed", Error: "why"})
	if _, err := s.Await("done", soon); err == nil {
		t.Error("no error of a failure")
	}
}
