package broker

import (
	"container/list"
	"time"

	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/message"
)

// wholeTopic as the queue of a pop is all queues of the topic.
const wholeTopic = -1

// A popWait is a pop, or a notification, that waits for a message to its group. Its fields belong to the table while it is
// in there.
type popWait struct {
	waiting[*popWait]
	group string
	place *list.Element // in its line
}

// popWaits keeps the pops that wait (Java's PopLongPollingService). Unlike pulls, which all may read the message that wakes
// them, pops of a group share the messages: one arrival wakes one of each group, the one that has waited longest.
type popWaits struct {
	waitRoom[*popWait]
	lineMax int                             // of one line
	topics  map[string]map[string]*popLines // by topic and group
	retry   map[string]topicGroup           // the retry topics of those, of both versions
}

// popLines are the waits of one group for one topic, by queue, in the order in which they came.
type popLines struct {
	count int
	lines map[int32]*list.List
}

func newPopWaits(o *Options, now func() time.Time) *popWaits {
	w := &popWaits{lineMax: o.PopPollingSize, topics: map[string]map[string]*popLines{}, retry: map[string]topicGroup{}}
	w.open(o.MaxPopPollingSize, now, w.leaveLine)
	return w
}

// add takes the pop in, unless there is no room. When it returns true, the waiter is not the caller's any more.
func (w *popWaits) add(p *popWait) bool {
	w.Lock()
	defer w.Unlock()
	groups := w.topics[p.topic]
	lines := groups[p.group]
	if w.full() || lines != nil && lines.lines[p.queue] != nil && lines.lines[p.queue].Len() > w.lineMax {
		return false
	}
	if groups == nil {
		groups = map[string]*popLines{}
		w.topics[p.topic] = groups
	}
	if lines == nil {
		lines = &popLines{lines: map[int32]*list.List{}}
		groups[p.group] = lines
		for _, name := range retryTopics(p.topic, p.group) {
			w.retry[name] = topicGroup{p.topic, p.group}
		}
	}
	if lines.lines[p.queue] == nil {
		lines.lines[p.queue] = list.New()
	}
	p.place = lines.lines[p.queue].PushBack(p)
	lines.count++
	w.notePresent(p, 1)
	w.enter(p)
	return true
}

func retryTopics(topic, group string) [2]string {
	return [2]string{pop.RetryTopicV1(topic, group), pop.RetryTopicV2(topic, group)}
}

// notePresent counts a wait at its topic and at its retry topics.
func (w *popWaits) notePresent(p *popWait, n int32) {
	w.present.at(p.topic, 0).Add(n)
	for _, name := range retryTopics(p.topic, p.group) {
		w.present.at(name, 0).Add(n)
	}
}

func (w *popWaits) leaveLine(p *popWait) {
	lines := w.topics[p.topic][p.group]
	lines.lines[p.queue].Remove(p.place)
	if lines.lines[p.queue].Len() == 0 {
		delete(lines.lines, p.queue)
	}
	if lines.count--; lines.count == 0 {
		delete(w.topics[p.topic], p.group)
		for _, name := range retryTopics(p.topic, p.group) {
			delete(w.retry, name)
		}
		if len(w.topics[p.topic]) == 0 {
			delete(w.topics, p.topic)
		}
	}
	w.notePresent(p, -1)
	w.leave(p)
}

// arrived wakes one pop of each group that waits for this message. It is on the path of the dispatch.
func (w *popWaits) arrived(topic string, queue int32, tagsCode int64, r message.Record) {
	if w.count.Load() == 0 || w.present.at(topic, 0).Load() == 0 {
		return
	}
	w.Lock()
	var woken []*popWait
	for _, lines := range w.topics[topic] {
		for _, q := range [2]int32{wholeTopic, queue} {
			if p := lines.first(q, tagsCode, r); p != nil {
				woken = append(woken, p)
				break
			}
		}
	}
	if at, ok := w.retry[topic]; ok {
		if p := w.topics[at.topic][at.group].any(); p != nil {
			woken = append(woken, p)
		}
	}
	for _, p := range woken {
		w.leaveLine(p)
	}
	w.Unlock()
	w.wake(woken...)
}

// first is the pop at the queue that has waited longest, of those that want the message: nil is any.
func (l *popLines) first(queue int32, tagsCode int64, r message.Record) *popWait {
	line := l.lines[queue]
	if line == nil {
		return nil
	}
	for e := line.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*popWait); r == nil || p.wants(tagsCode, r) {
			return p
		}
	}
	return nil
}

// any is a pop at some queue, before others one that takes all.
func (l *popLines) any() *popWait {
	if p := l.first(wholeTopic, 0, nil); p != nil {
		return p
	}
	for queue := range l.lines {
		return l.first(queue, 0, nil)
	}
	return nil
}

// wakeGroup wakes one pop of the group at the queue, or at all queues: there may be something for it.
func (w *popWaits) wakeGroup(topic, group string, queue int32) {
	if w.count.Load() == 0 {
		return
	}
	w.Lock()
	var woken []*popWait
	if lines := w.topics[topic][group]; lines != nil {
		p := lines.first(wholeTopic, 0, nil)
		if p == nil {
			if p = lines.first(queue, 0, nil); p == nil && queue == wholeTopic {
				p = lines.any()
			}
		}
		if p != nil {
			w.leaveLine(p)
			woken = append(woken, p)
		}
	}
	w.Unlock()
	w.wake(woken...)
}

// recheck wakes this pop, if it still waits.
func (w *popWaits) recheck(p *popWait) {
	w.Lock()
	if !p.inside() {
		w.Unlock()
		return
	}
	w.leaveLine(p)
	w.Unlock()
	w.wake(p)
}

// waiting is the number of pops of the group at the queue.
func (w *popWaits) waiting(topic, group string, queue int32) int {
	w.Lock()
	defer w.Unlock()
	lines := w.topics[topic][group]
	if lines == nil || lines.lines[queue] == nil {
		return 0
	}
	return lines.lines[queue].Len()
}
