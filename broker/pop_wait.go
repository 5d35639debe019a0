package broker

import (
	"container/heap"
	"container/list"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/message"
)

// wholeTopic as the queue of a pop is all queues of the topic.
const wholeTopic = -1

// A popWait is a pop, or a notification, that waits for a message to its group. Its fields belong to the table while it is
// in there.
type popWait struct {
	topic, group string
	queue        int32
	filter       *filter.Expression // nil: any message will do
	owner        any                // whose close ends the wait
	waiter       waiter
	deadline                   // where is -1 when the wait is not in the table
	place        *list.Element // in its line
}

// popWaits keeps the pops that wait (Java's PopLongPollingService). Unlike pulls, which all may read the message that wakes
// them, pops of a group share the messages: one arrival wakes one of each group, the one that has waited longest.
type popWaits struct {
	now     func() time.Time
	max     int // in all
	lineMax int // of one line

	count   atomic.Int64
	present [presentSlots]atomic.Int32 // waits by a hash of the topic, so that the dispatch passes by without the lock
	seed    maphash.Seed

	mu struct {
		sync.Mutex
		closed bool
		topics map[string]map[string]*popLines // by topic and group
		retry  map[string]topicGroup           // the retry topics of those, of both versions
		owners map[any]map[*popWait]struct{}
		byEnd  deadlineHeap[*popWait]
	}
	expiry chan struct{}

	ready struct {
		sync.Mutex
		cond   sync.Cond
		list   []*popWait
		closed bool
	}
	done sync.WaitGroup
}

// popLines are the waits of one group for one topic, by queue, in the order in which they came.
type popLines struct {
	count int
	lines map[int32]*list.List
}

// popWakers is the number of goroutines that serve woken pops.
const popWakers = 2

func newPopWaits(o *Options, now func() time.Time) *popWaits {
	w := &popWaits{now: now, max: o.MaxPopPollingSize, lineMax: o.PopPollingSize, seed: maphash.MakeSeed(), expiry: make(chan struct{}, 1)}
	w.mu.topics = map[string]map[string]*popLines{}
	w.mu.retry = map[string]topicGroup{}
	w.mu.owners = map[any]map[*popWait]struct{}{}
	w.ready.cond.L = &w.ready
	w.done.Add(1 + popWakers)
	go w.runExpire()
	for range popWakers {
		go w.runWake()
	}
	return w
}

func (w *popWaits) slot(topic string) *atomic.Int32 {
	return &w.present[maphash.String(w.seed, topic)>>32%presentSlots]
}

// add takes the pop in, unless there is no room. When it returns true, the waiter is not the caller's any more.
func (w *popWaits) add(p *popWait) bool {
	w.mu.Lock()
	groups := w.mu.topics[p.topic]
	var lines *popLines
	if groups != nil {
		lines = groups[p.group]
	}
	if w.mu.closed || len(w.mu.byEnd) >= w.max || lines != nil && lines.lines[p.queue] != nil && lines.lines[p.queue].Len() > w.lineMax {
		w.mu.Unlock()
		return false
	}
	if groups == nil {
		groups = map[string]*popLines{}
		w.mu.topics[p.topic] = groups
	}
	if lines == nil {
		lines = &popLines{lines: map[int32]*list.List{}}
		groups[p.group] = lines
		for _, name := range retryTopics(p.topic, p.group) {
			w.mu.retry[name] = topicGroup{p.topic, p.group}
		}
	}
	if lines.lines[p.queue] == nil {
		lines.lines[p.queue] = list.New()
	}
	p.place = lines.lines[p.queue].PushBack(p)
	lines.count++
	if w.mu.owners[p.owner] == nil {
		w.mu.owners[p.owner] = map[*popWait]struct{}{}
	}
	w.mu.owners[p.owner][p] = struct{}{}
	heap.Push(&w.mu.byEnd, p)
	w.notePresent(p, 1)
	first := p.where == 0
	w.count.Store(int64(len(w.mu.byEnd)))
	w.mu.Unlock()
	if first {
		w.rearm()
	}
	return true
}

func retryTopics(topic, group string) [2]string {
	return [2]string{pop.RetryTopicV1(topic, group), pop.RetryTopicV2(topic, group)}
}

// notePresent counts a wait at its topic and at its retry topics.
func (w *popWaits) notePresent(p *popWait, n int32) {
	w.slot(p.topic).Add(n)
	for _, name := range retryTopics(p.topic, p.group) {
		w.slot(name).Add(n)
	}
}

func (w *popWaits) rearm() {
	select {
	case w.expiry <- struct{}{}:
	default:
	}
}

func (w *popWaits) removeLocked(p *popWait) {
	lines := w.mu.topics[p.topic][p.group]
	lines.lines[p.queue].Remove(p.place)
	if lines.lines[p.queue].Len() == 0 {
		delete(lines.lines, p.queue)
	}
	if lines.count--; lines.count == 0 {
		delete(w.mu.topics[p.topic], p.group)
		for _, name := range retryTopics(p.topic, p.group) {
			delete(w.mu.retry, name)
		}
		if len(w.mu.topics[p.topic]) == 0 {
			delete(w.mu.topics, p.topic)
		}
	}
	delete(w.mu.owners[p.owner], p)
	if len(w.mu.owners[p.owner]) == 0 {
		delete(w.mu.owners, p.owner)
	}
	heap.Remove(&w.mu.byEnd, p.where)
	w.notePresent(p, -1)
	w.count.Store(int64(len(w.mu.byEnd)))
}

// arrived wakes one pop of each group that waits for this message. It is on the path of the dispatch.
func (w *popWaits) arrived(topic string, queue int32, tagsCode int64, r message.Record) {
	if w.count.Load() == 0 || w.slot(topic).Load() == 0 {
		return
	}
	w.mu.Lock()
	var woken []*popWait
	for _, lines := range w.mu.topics[topic] {
		for _, q := range [2]int32{wholeTopic, queue} {
			if p := lines.first(q, tagsCode, r); p != nil {
				woken = append(woken, p)
				break
			}
		}
	}
	if at, ok := w.mu.retry[topic]; ok {
		if p := w.mu.topics[at.topic][at.group].any(); p != nil {
			woken = append(woken, p)
		}
	}
	for _, p := range woken {
		w.removeLocked(p)
	}
	w.mu.Unlock()
	w.enqueue(woken)
}

// first is the pop at the queue that has waited longest, of those that want the message: nil is any.
func (l *popLines) first(queue int32, tagsCode int64, r message.Record) *popWait {
	line := l.lines[queue]
	if line == nil {
		return nil
	}
	for e := line.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*popWait); r == nil || p.filter == nil || p.filter.MatchTags(tagsCode) && p.filter.MatchRecord(r) {
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
	w.mu.Lock()
	var woken []*popWait
	if lines := w.mu.topics[topic][group]; lines != nil {
		p := lines.first(wholeTopic, 0, nil)
		if p == nil {
			if p = lines.first(queue, 0, nil); p == nil && queue == wholeTopic {
				p = lines.any()
			}
		}
		if p != nil {
			w.removeLocked(p)
			woken = append(woken, p)
		}
	}
	w.mu.Unlock()
	w.enqueue(woken)
}

// wake wakes this pop, if it still waits.
func (w *popWaits) wake(p *popWait) {
	w.mu.Lock()
	if p.where < 0 {
		w.mu.Unlock()
		return
	}
	w.removeLocked(p)
	w.mu.Unlock()
	w.enqueue([]*popWait{p})
}

// waiting is the number of pops of the group at the queue.
func (w *popWaits) waiting(topic, group string, queue int32) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.mu.topics[topic][group]
	if lines == nil || lines.lines[queue] == nil {
		return 0
	}
	return lines.lines[queue].Len()
}

// len returns the number of pops that wait.
func (w *popWaits) len() int { return int(w.count.Load()) }

// drop ends all waits of an owner that is gone.
func (w *popWaits) drop(owner any) {
	w.mu.Lock()
	var gone []*popWait
	for p := range w.mu.owners[owner] {
		gone = append(gone, p)
	}
	for _, p := range gone {
		w.removeLocked(p)
	}
	w.mu.Unlock()
	for _, p := range gone {
		p.waiter.free()
	}
}

func (w *popWaits) enqueue(woken []*popWait) {
	if len(woken) == 0 {
		return
	}
	w.ready.Lock()
	w.ready.list = append(w.ready.list, woken...)
	w.ready.Unlock()
	w.ready.cond.Broadcast()
}

// runWake serves woken pops, in the order in which they woke.
func (w *popWaits) runWake() {
	defer w.done.Done()
	w.ready.Lock()
	for {
		for len(w.ready.list) == 0 && !w.ready.closed {
			w.ready.cond.Wait()
		}
		if len(w.ready.list) == 0 {
			w.ready.Unlock()
			return
		}
		p := w.ready.list[0]
		w.ready.list[0] = nil
		w.ready.list = w.ready.list[1:]
		w.ready.Unlock()
		p.waiter.resume(true)
		w.ready.Lock()
	}
}

// runExpire wakes the pops whose time is over. It sleeps until the first end.
func (w *popWaits) runExpire() {
	defer w.done.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := w.now()
		w.mu.Lock()
		var due []*popWait
		for len(w.mu.byEnd) > 0 && !now.Before(w.mu.byEnd[0].until) {
			due = append(due, w.mu.byEnd[0])
			w.removeLocked(w.mu.byEnd[0])
		}
		next := time.Hour
		if len(w.mu.byEnd) > 0 {
			next = w.mu.byEnd[0].until.Sub(now)
		}
		closed := w.mu.closed
		w.mu.Unlock()
		w.enqueue(due)
		if closed {
			return
		}
		timer.Reset(max(next, time.Millisecond))
		select {
		case <-timer.C:
		case <-w.expiry:
		}
	}
}

// close ends all waits as if their time were over, answers them, and stops the goroutines.
func (w *popWaits) close() {
	w.mu.Lock()
	w.mu.closed = true
	var rest []*popWait
	for len(w.mu.byEnd) > 0 {
		rest = append(rest, w.mu.byEnd[0])
		w.removeLocked(w.mu.byEnd[0])
	}
	w.mu.Unlock()
	w.enqueue(rest)
	w.rearm()
	w.ready.Lock()
	w.ready.closed = true
	w.ready.Unlock()
	w.ready.cond.Broadcast()
	w.done.Wait()
}
