package longpoll

import (
	"container/list"
	"time"

	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/message"
)

// A Pop is a pop, or a notification, that waits for a message to its group. Its fields belong to the table while it is
// in there.
type Pop struct {
	Request
	waiting[*Pop]
	Group string
	place *list.Element // in its line
}

// Pops keeps the pops that wait (Java's PopLongPollingService). Unlike pulls, which all may read the message that wakes
// them, pops of a group share the messages: one arrival wakes one of each group, the one that has waited longest.
type Pops struct {
	room[*Pop]
	lineMax int                           // of one line
	topics  map[string]map[string]*lineup // by topic and group
	retry   map[string]target             // the retry topics of those, of both versions
}

// target is a topic that a group pops from.
type target struct{ topic, group string }

// A lineup are the waits of one group for one topic, by queue, in the order in which they came.
type lineup struct {
	count int
	lines map[int32]*list.List
}

// NewPops returns a table of pops, limit at most, about lineMax of one group at one queue.
func NewPops(limit, lineMax int, now func() time.Time) *Pops {
	w := &Pops{lineMax: lineMax, topics: map[string]map[string]*lineup{}, retry: map[string]target{}}
	w.open(limit, now, w.leaveLine)
	return w
}

// Hold takes the pop in, unless there is no room. When it returns true, the waiter is not the caller's any more.
func (w *Pops) Hold(p *Pop) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	groups := w.topics[p.Topic]
	lines := groups[p.Group]
	if w.full() || lines != nil && lines.lines[p.Queue] != nil && lines.lines[p.Queue].Len() > w.lineMax {
		return false
	}
	if groups == nil {
		groups = map[string]*lineup{}
		w.topics[p.Topic] = groups
	}
	if lines == nil {
		lines = &lineup{lines: map[int32]*list.List{}}
		groups[p.Group] = lines
		for _, name := range pop.RetryTopics(p.Topic, p.Group) {
			w.retry[name] = target{p.Topic, p.Group}
		}
	}
	if lines.lines[p.Queue] == nil {
		lines.lines[p.Queue] = list.New()
	}
	p.place = lines.lines[p.Queue].PushBack(p)
	lines.count++
	w.notePresent(p, 1)
	w.enter(p)
	return true
}

// notePresent counts a wait at its topic and at its retry topics.
func (w *Pops) notePresent(p *Pop, n int32) {
	w.present.at(p.Topic, 0).Add(n)
	for _, name := range pop.RetryTopics(p.Topic, p.Group) {
		w.present.at(name, 0).Add(n)
	}
}

func (w *Pops) leaveLine(p *Pop) {
	lines := w.topics[p.Topic][p.Group]
	lines.lines[p.Queue].Remove(p.place)
	if lines.lines[p.Queue].Len() == 0 {
		delete(lines.lines, p.Queue)
	}
	if lines.count--; lines.count == 0 {
		delete(w.topics[p.Topic], p.Group)
		for _, name := range pop.RetryTopics(p.Topic, p.Group) {
			delete(w.retry, name)
		}
		if len(w.topics[p.Topic]) == 0 {
			delete(w.topics, p.Topic)
		}
	}
	w.notePresent(p, -1)
	w.leave(p)
}

// Arrived wakes one pop of each group that waits for this message. It is on the path of the dispatch.
func (w *Pops) Arrived(topic string, queue int32, tagsCode int64, r message.Record) {
	if w.count.Load() == 0 || w.present.at(topic, 0).Load() == 0 {
		return
	}
	w.mu.Lock()
	var woken []*Pop
	for _, lines := range w.topics[topic] {
		for _, q := range [2]int32{pop.WholeTopic, queue} {
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
	w.mu.Unlock()
	w.wake(woken...)
}

// first is the pop at the queue that has waited longest, of those that want the message: nil is any.
func (l *lineup) first(queue int32, tagsCode int64, r message.Record) *Pop {
	line := l.lines[queue]
	if line == nil {
		return nil
	}
	for e := line.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*Pop); r == nil || p.wants(tagsCode, r) {
			return p
		}
	}
	return nil
}

// any is a pop at some queue, before others one that takes all.
func (l *lineup) any() *Pop {
	if p := l.first(pop.WholeTopic, 0, nil); p != nil {
		return p
	}
	for queue := range l.lines {
		return l.first(queue, 0, nil)
	}
	return nil
}

// WakeGroup wakes one pop of the group at the queue, or at all queues: there may be something for it.
func (w *Pops) WakeGroup(topic, group string, queue int32) {
	if w.count.Load() == 0 {
		return
	}
	w.mu.Lock()
	var woken []*Pop
	if lines := w.topics[topic][group]; lines != nil {
		p := lines.first(pop.WholeTopic, 0, nil)
		if p == nil {
			if p = lines.first(queue, 0, nil); p == nil && queue == pop.WholeTopic {
				p = lines.any()
			}
		}
		if p != nil {
			w.leaveLine(p)
			woken = append(woken, p)
		}
	}
	w.mu.Unlock()
	w.wake(woken...)
}

// Recheck wakes this pop, if it still waits.
func (w *Pops) Recheck(p *Pop) {
	w.mu.Lock()
	if !p.inside() {
		w.mu.Unlock()
		return
	}
	w.leaveLine(p)
	w.mu.Unlock()
	w.wake(p)
}

// Waiting is the number of pops of the group at the queue.
func (w *Pops) Waiting(topic, group string, queue int32) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.topics[topic][group]
	if lines == nil || lines.lines[queue] == nil {
		return 0
	}
	return lines.lines[queue].Len()
}
