package stats

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// A Kind is what is counted for each group and topic.
type Kind int

const (
	Gets        Kind = iota // messages given out
	Pops                    // of them, popped
	Acks                    // popped messages that were acknowledged
	SendBacks               // messages given back
	DeadLetters             // messages that became dead letters
	kinds                   // how many there are
)

// Counters are a broker's, but for what is put to each topic: the topics have that.
type Counters struct {
	BootTime int64 // Unix milliseconds

	Put     Traffic // messages taken in from clients
	Get     Traffic // messages given out to consumers
	Found   atomic.Int64
	Missed  atomic.Int64
	Refused atomic.Int64 // sends that ended without being stored
	Revived atomic.Int64 // popped messages that came again

	all [kinds]Traffic // of all groups together; the gets are in Get

	mu struct {
		sync.RWMutex
		groups   [kinds]map[pair]*Traffic
		refusals map[string]int64 // requests refused, by cause

		found, missed              []sample // messages is the count
		taken, delivered           []sample // the same of the timer
		day                        int64    // the calendar day of the morning values
		putYesterday, getYesterday int64
		putMorning, getMorning     int64
	}
}

// A pair is what is counted apart: what a group does with a topic.
type pair struct{ topic, group string }

// New returns counters that count from now on.
func New(now time.Time) *Counters {
	s := &Counters{BootTime: now.UnixMilli()}
	for i := range s.mu.groups {
		s.mu.groups[i] = map[pair]*Traffic{}
	}
	s.mu.refusals = map[string]int64{}
	s.mu.day = calendarDay(now)
	s.Put.history, s.Get.history = &history{wide: true}, &history{wide: true}
	s.Sample(now, func(func(*Traffic) bool) {})
	return s
}

func calendarDay(t time.Time) int64 {
	y, m, d := t.Date()
	return int64(y)*10000 + int64(m)*100 + int64(d)
}

// NoteGroup counts messages of a group, and with those of all.
func (s *Counters) NoteGroup(stat Kind, topic, group string, messages, bytes int64) {
	s.all[stat].Add(messages, bytes)
	s.ofGroup(stat, topic, group).Add(messages, bytes)
}

// Total is what was counted of all groups.
func (s *Counters) Total(stat Kind) int64 { return s.all[stat].Messages() }

// Refuse counts a request that was refused, by its cause.
func (s *Counters) Refuse(cause string) {
	s.mu.Lock()
	s.mu.refusals[cause]++
	s.mu.Unlock()
}

// ofGroup returns the counters of the group in the topic. The names must outlive the call.
func (s *Counters) ofGroup(stat Kind, topic, group string) *Traffic {
	table := s.mu.groups[stat]
	key := pair{lightTogether(topic), lightTogether(group)}
	s.mu.RLock()
	t := table[key]
	s.mu.RUnlock()
	if t != nil {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t = table[key]; t == nil {
		t = &Traffic{}
		table[pair{strings.Clone(key.topic), strings.Clone(key.group)}] = t
	}
	return t
}

// lightTogether counts all light queues as one, as Java does (enableLmqStats=false): there may be a great many.
func lightTogether(name string) string {
	if message.IsLightQueue(name) {
		return message.LMQPrefix
	}
	return name
}

// Forget drops the counters for which the predicate holds.
func (s *Counters) Forget(drop func(topic, group string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, table := range s.mu.groups {
		for k := range table {
			if drop(k.topic, k.group) {
				delete(table, k)
			}
		}
	}
}

// Sample takes one sample of everything that has ever counted something. topics are what was put to each topic.
func (s *Counters) Sample(now time.Time, topics iter.Seq[*Traffic]) {
	at := now.UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	take := func(t *Traffic) {
		if t.history == nil {
			if t.times.Load() == 0 {
				return
			}
			t.history = &history{}
		}
		t.history.add(t.sample(at))
	}
	take(&s.Put)
	take(&s.Get)
	s.mu.found = push(s.mu.found, sample{at: at, messages: s.Found.Load()}, 61)
	s.mu.missed = push(s.mu.missed, sample{at: at, messages: s.Missed.Load()}, 61)
	for t := range topics {
		take(t)
	}
	for i, table := range s.mu.groups {
		take(&s.all[i])
		for _, t := range table {
			take(t)
		}
	}
	if day := calendarDay(now); day != s.mu.day {
		s.mu.day = day
		s.mu.putYesterday, s.mu.getYesterday = s.mu.putMorning, s.mu.getMorning
		s.mu.putMorning, s.mu.getMorning = s.Put.messages.Load(), s.Get.messages.Load()
	}
}

// SampleTimer takes one sample of what went into the timer and out of it.
func (s *Counters) SampleTimer(now time.Time, taken, delivered int64) {
	at := now.UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.taken = push(s.mu.taken, sample{at: at, messages: taken}, 61)
	s.mu.delivered = push(s.mu.delivered, sample{at: at, messages: delivered}, 61)
}

// Snapshot is what the runtime information tells of the counters.
type Snapshot struct {
	Put, Get, Found, Missed     Rates
	Taken, Delivered            Rates // of the timer, up to the last sample
	Puts, Gets                  int64
	PutMorning, PutYesterday    int64
	GetMorning, GetYesterday    int64
	PutTimes, PutBytes, Refused int64
}

// Snapshot is what the runtime information tells just now.
func (s *Counters) Snapshot(now int64) Snapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	put, get := s.Put.sample(now), s.Get.sample(now)
	return Snapshot{
		Put:    ratesOf(s.Put.history.ten, put),
		Get:    ratesOf(s.Get.history.ten, get),
		Found:  ratesOf(s.mu.found, sample{at: now, messages: s.Found.Load()}),
		Missed: ratesOf(s.mu.missed, sample{at: now, messages: s.Missed.Load()}),
		Taken:  lastRates(s.mu.taken), Delivered: lastRates(s.mu.delivered),
		Puts: put.messages, Gets: get.messages,
		PutMorning: s.mu.putMorning, PutYesterday: s.mu.putYesterday,
		GetMorning: s.mu.getMorning, GetYesterday: s.mu.getYesterday,
		PutTimes: put.times, PutBytes: put.bytes, Refused: s.Refused.Load(),
	}
}

// Refusals are the requests that were refused, by cause.
func (s *Counters) Refusals() map[string]int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.mu.refusals)
}

// GroupTraffic is what a group did with a topic since the counters were made, in messages.
type GroupTraffic struct {
	Topic, Group                                       string
	Gets, GetBytes, Pops, Acks, SendBacks, DeadLetters int64
}

// Consumption returns what groups did, in the order of topics and groups.
func (s *Counters) Consumption() []GroupTraffic {
	table := map[pair]*GroupTraffic{}
	s.mu.RLock()
	for stat, groups := range s.mu.groups {
		for key, t := range groups {
			g := table[key]
			if g == nil {
				g = &GroupTraffic{Topic: key.topic, Group: key.group}
				table[key] = g
			}
			n := t.messages.Load()
			switch Kind(stat) {
			case Gets:
				g.Gets, g.GetBytes = n, t.bytes.Load()
			case Pops:
				g.Pops = n
			case Acks:
				g.Acks = n
			case SendBacks:
				g.SendBacks = n
			case DeadLetters:
				g.DeadLetters = n
			}
		}
	}
	s.mu.RUnlock()
	list := make([]GroupTraffic, 0, len(table))
	for _, g := range table {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b GroupTraffic) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Group, b.Group))
	})
	return list
}
