package stats

import (
	"fmt"
	"sync/atomic"
	"time"
)

// SampleEvery is the time between two samples of the statistics. Rates over ten seconds are therefore over ten to
// twenty; in return an idle broker wakes up seldom.
const SampleEvery = 10 * time.Second

// Samples kept for each window, and how many samples apart they are.
const (
	minuteSamples, minuteStep = 7, 1
	hourSamples, hourStep     = 7, 60
	daySamples, dayStep       = 25, 360
)

// Traffic counts messages of one kind: how often, how many, how large. Any goroutine may add.
type Traffic struct {
	times, messages, bytes atomic.Int64

	history *history // the sampler's
}

// Messages is how many messages were counted.
func (t *Traffic) Messages() int64 { return t.messages.Load() }

// Bytes is how many bytes they had.
func (t *Traffic) Bytes() int64 { return t.bytes.Load() }

// Add counts one occasion, with so many messages and bytes.
func (t *Traffic) Add(messages, bytes int64) {
	t.times.Add(1)
	t.messages.Add(messages)
	t.bytes.Add(bytes)
}

func (t *Traffic) sample(at int64) sample {
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

// Rate is what happened between two samples.
type Rate struct {
	Sum   int64 // messages, or bytes
	Times int64 // on so many occasions

	millis int64
}

// PerSecond is the sum by time.
func (r Rate) PerSecond() float64 {
	if r.millis <= 0 {
		return 0
	}
	return float64(r.Sum) * 1000 / float64(r.millis)
}

// PerTime is the sum by occasion.
func (r Rate) PerTime() float64 {
	if r.Times <= 0 {
		return 0
	}
	return float64(r.Sum) / float64(r.Times)
}

// Rates are messages or events per second over ten seconds, a minute and ten minutes.
type Rates [3]float64

var rateSpans = [3]time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}

// String is the three rates as Java's tools split them.
func (r Rates) String() string { return fmt.Sprintf("%v %v %v", r[0], r[1], r[2]) }

func ratesOf(list []sample, last sample) (r Rates) {
	for i, span := range rateSpans {
		first := since(list, last, span)
		r[i] = Rate{Sum: last.messages - first.messages, millis: last.at - first.at}.PerSecond()
	}
	return r
}

// lastRates are the rates up to the last sample.
func lastRates(list []sample) (r Rates) {
	if len(list) == 0 {
		return r
	}
	return ratesOf(list, list[len(list)-1])
}
