package broker

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// sampleEvery is the time between two samples of the statistics. Rates over ten seconds are therefore over ten to
// twenty; in return an idle broker wakes up seldom.
const sampleEvery = 10 * time.Second

// Samples kept for each window, and how many samples apart they are.
const (
	minuteSamples, minuteStep = 7, 1
	hourSamples, hourStep     = 7, 60
	daySamples, dayStep       = 25, 360
)

// traffic counts messages of one kind: how often, how many, how large. Any goroutine may add.
type traffic struct {
	times, messages, bytes atomic.Int64

	history *history // the sampler's
}

func (t *traffic) add(messages, bytes int64) {
	t.times.Add(1)
	t.messages.Add(messages)
	t.bytes.Add(bytes)
}

func (t *traffic) sample(at int64) sample {
	return sample{at: at, times: t.times.Load(), messages: t.messages.Load(), bytes: t.bytes.Load()}
}

// A sample is what a traffic had counted at a time, in milliseconds.
type sample struct{ at, times, messages, bytes int64 }

// history keeps old samples for rates over a minute, an hour and a day, and where wide is set over ten minutes.
type history struct {
	wide                   bool
	ticks                  int
	minute, ten, hour, day []sample
}

func (h *history) add(s sample) {
	if h.ticks%minuteStep == 0 {
		h.minute = push(h.minute, s, minuteSamples)
	}
	if h.wide {
		h.ten = push(h.ten, s, 10*(minuteSamples-1)+1)
	}
	if h.ticks%hourStep == 0 {
		h.hour = push(h.hour, s, hourSamples)
	}
	if h.ticks%dayStep == 0 {
		h.day = push(h.day, s, daySamples)
	}
	h.ticks++
}

// push appends to a list that keeps the last limit samples.
func push(list []sample, s sample, limit int) []sample {
	if len(list) >= limit {
		copy(list, list[1:])
		list = list[:limit-1]
	}
	return append(list, s)
}

// since returns the sample of the list that is at least age old, or else its oldest.
func since(list []sample, now sample, age time.Duration) sample {
	for i := len(list) - 1; i >= 0; i-- {
		if now.at-list[i].at >= age.Milliseconds() {
			return list[i]
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	return now
}

// rate is what happened between two samples.
type rate struct{ sum, times, millis int64 }

func (r rate) perSecond() float64 {
	if r.millis <= 0 {
		return 0
	}
	return float64(r.sum) * 1000 / float64(r.millis)
}

func (r rate) perTime() float64 {
	if r.times <= 0 {
		return 0
	}
	return float64(r.sum) / float64(r.times)
}

// The statistics that mqadmin and the dashboard ask for by name (Java's Stats).
const (
	statTopicPutNums  = "TOPIC_PUT_NUMS"
	statTopicPutSize  = "TOPIC_PUT_SIZE"
	statGroupGetNums  = "GROUP_GET_NUMS"
	statGroupGetSize  = "GROUP_GET_SIZE"
	statGroupPopNums  = "GROUP_CK_NUMS"
	statGroupAckNums  = "GROUP_ACK_NUMS"
	statSendBackNums  = "SNDBCK_PUT_NUMS"
	statDeadNums      = "DLQ_PUT_NUMS"
	statBrokerPutNums = "BROKER_PUT_NUMS"
	statBrokerGetNums = "BROKER_GET_NUMS"
	statBrokerPopNums = "BROKER_CK_NUMS"
	statBrokerAckNums = "BROKER_ACK_NUMS"
)

// A groupStat is what is counted for each group and topic.
type groupStat int

const (
	groupGets  groupStat = iota // messages given out
	groupPops                   // of them, popped
	groupAcks                   // popped messages that were acknowledged
	groupBacks                  // messages given back
	groupDead                   // messages that became dead letters
	groupStats                  // how many there are
)

// groupStatNames are the statistics by name that messages are counted for.
var groupStatNames = map[string]groupStat{
	statGroupGetNums: groupGets, statGroupGetSize: groupGets, statGroupPopNums: groupPops, statGroupAckNums: groupAcks,
	statSendBackNums: groupBacks, statDeadNums: groupDead,
}

// stats holds the counters of a broker that belong to no table of their own.
type stats struct {
	bootTime int64 // Unix milliseconds

	put     traffic // messages taken in from clients
	get     traffic // messages given out to consumers
	found   atomic.Int64
	missed  atomic.Int64
	refused atomic.Int64        // sends that ended without being stored
	revived atomic.Int64        // popped messages that came again
	all     [groupStats]traffic // of all groups together; the gets are in get

	mu struct {
		sync.RWMutex
		groups   [groupStats]map[topicGroup]*traffic
		refusals map[string]int64 // requests refused, by cause

		found, missed              []sample // messages is the count
		taken, delivered           []sample // the same of the timer
		day                        int64    // the calendar day of the morning values
		putYesterday, getYesterday int64
		putMorning, getMorning     int64
	}
}

func newStats(now time.Time) *stats {
	s := &stats{bootTime: now.UnixMilli()}
	for i := range s.mu.groups {
		s.mu.groups[i] = map[topicGroup]*traffic{}
	}
	s.mu.refusals = map[string]int64{}
	s.mu.day = calendarDay(now)
	s.put.history, s.get.history = &history{wide: true}, &history{wide: true}
	s.sample(now, nil)
	return s
}

func calendarDay(t time.Time) int64 {
	y, m, d := t.Date()
	return int64(y)*10000 + int64(m)*100 + int64(d)
}

// noteGroup counts messages of a group, and with those of all.
func (s *stats) noteGroup(stat groupStat, topic, group string, messages, bytes int64) {
	s.all[stat].add(messages, bytes)
	s.ofGroup(stat, topic, group).add(messages, bytes)
}

// refusal counts a request that was refused, by the cause that its answer names in brackets, or else by its code.
func (s *stats) refusal(err error) {
	cause := "SYSTEM_ERROR"
	var r *refusal
	if errors.As(err, &r) {
		cause = r.code.String()
		if named, _, ok := strings.Cut(strings.TrimPrefix(r.remark, "["), "]"); ok && strings.HasPrefix(r.remark, "[") {
			cause = named
		}
	}
	s.mu.Lock()
	s.mu.refusals[cause]++
	s.mu.Unlock()
}

// ofGroup returns the counters of the group in the topic. The names must outlive the call.
func (s *stats) ofGroup(stat groupStat, topic, group string) *traffic {
	table := s.mu.groups[stat]
	key := topicGroup{lightTogether(topic), lightTogether(group)}
	s.mu.RLock()
	t := table[key]
	s.mu.RUnlock()
	if t != nil {
		return t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t = table[key]; t == nil {
		t = &traffic{}
		table[topicGroup{strings.Clone(key.topic), strings.Clone(key.group)}] = t
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

// forget drops the counters for which the predicate holds.
func (s *stats) forget(drop func(topic, group string) bool) {
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

// sample takes one sample of everything that has ever counted something.
func (s *stats) sample(now time.Time, topics []*topic) {
	at := now.UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	take := func(t *traffic) {
		if t.history == nil {
			if t.times.Load() == 0 {
				return
			}
			t.history = &history{}
		}
		t.history.add(t.sample(at))
	}
	take(&s.put)
	take(&s.get)
	s.mu.found = push(s.mu.found, sample{at: at, messages: s.found.Load()}, 61)
	s.mu.missed = push(s.mu.missed, sample{at: at, messages: s.missed.Load()}, 61)
	for _, t := range topics {
		take(&t.puts)
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
		s.mu.putMorning, s.mu.getMorning = s.put.messages.Load(), s.get.messages.Load()
	}
}

// sampleTimer takes one sample of what went into the timer and out of it.
func (s *stats) sampleTimer(now time.Time, taken, delivered int64) {
	at := now.UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.taken = push(s.mu.taken, sample{at: at, messages: taken}, 61)
	s.mu.delivered = push(s.mu.delivered, sample{at: at, messages: delivered}, 61)
}

// windows returns what the named statistic says of the last minute, hour and day.
func (s *stats) windows(name, key string, topics *topicTable, now int64) (minute, hour, day rate, ok bool) {
	t, bytes := s.named(name, key, topics)
	if t == nil {
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t.history == nil && t.times.Load() == 0 {
		return
	}
	last := t.sample(now)
	between := func(list []sample) rate {
		first := last
		if len(list) > 0 {
			first = list[0]
		}
		r := rate{sum: last.messages - first.messages, times: last.times - first.times, millis: last.at - first.at}
		if bytes {
			r.sum = last.bytes - first.bytes
		}
		return r
	}
	if t.history != nil {
		return between(t.history.minute), between(t.history.hour), between(t.history.day), true
	}
	return rate{}, rate{}, rate{}, true
}

// named finds the traffic of a statistic, and whether its bytes are meant.
func (s *stats) named(name, key string, topics *topicTable) (t *traffic, bytes bool) {
	switch name {
	case statTopicPutNums, statTopicPutSize:
		if e := topics.get(key); e != nil {
			return &e.puts, name == statTopicPutSize
		}
	case statBrokerPutNums:
		return &s.put, false
	case statBrokerGetNums:
		return &s.get, false
	case statBrokerPopNums:
		return &s.all[groupPops], false
	case statBrokerAckNums:
		return &s.all[groupAcks], false
	}
	stat, known := groupStatNames[name]
	topic, group, two := strings.Cut(key, groupSeparator)
	if !known || !two {
		return nil, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.groups[stat][topicGroup{lightTogether(topic), lightTogether(group)}], name == statGroupGetSize
}

// rates are messages or events per second over ten seconds, a minute and ten minutes.
type rates [3]float64

var rateSpans = [3]time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}

func ratesOf(list []sample, last sample) (r rates) {
	for i, span := range rateSpans {
		first := since(list, last, span)
		r[i] = rate{sum: last.messages - first.messages, millis: last.at - first.at}.perSecond()
	}
	return r
}

// lastRates are the rates up to the last sample.
func lastRates(list []sample) (r rates) {
	if len(list) == 0 {
		return r
	}
	return ratesOf(list, list[len(list)-1])
}

// statsSnapshot is what the runtime information tells of the counters.
type statsSnapshot struct {
	put, get, found, missed     rates
	taken, delivered            rates // of the timer, up to the last sample
	puts, gets                  int64
	putMorning, putYesterday    int64
	getMorning, getYesterday    int64
	putTimes, putBytes, refused int64
}

func (s *stats) snapshot(now int64) statsSnapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	put, get := s.put.sample(now), s.get.sample(now)
	return statsSnapshot{
		put:    ratesOf(s.put.history.ten, put),
		get:    ratesOf(s.get.history.ten, get),
		found:  ratesOf(s.mu.found, sample{at: now, messages: s.found.Load()}),
		missed: ratesOf(s.mu.missed, sample{at: now, messages: s.missed.Load()}),
		taken:  lastRates(s.mu.taken), delivered: lastRates(s.mu.delivered),
		puts: put.messages, gets: get.messages,
		putMorning: s.mu.putMorning, putYesterday: s.mu.putYesterday,
		getMorning: s.mu.getMorning, getYesterday: s.mu.getYesterday,
		putTimes: put.times, putBytes: put.bytes, refused: s.refused.Load(),
	}
}
