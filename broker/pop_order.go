package broker

import (
	"container/heap"
	"strings"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/broker/state"
)

// orderIdle is the time after which the batch of a queue that nobody consumes is forgotten.
const orderIdle = 24 * time.Hour

// orderTable holds the batches of groups that pop in order (Java's ConsumerOrderInfoManager), kept in
// config/consumerOrderInfo.json. What is newer than the file is lost by a crash: the queue then begins again with the first
// message that its committed offset does not cover, in order.
type orderTable struct {
	b     *Broker
	saver *state.Saver
	armed func() // called without lock when a clean table gets dirty
	wake  func(topic, group string, queue int32)

	mu struct {
		sync.Mutex
		orders *pop.Orders
		dirty  bool
		frees  freeHeap // queues that pops may wait for
		queued map[pop.OrderKey]int64
	}
	sooner chan struct{}
	stop   chan struct{} // nil: it does not run
	done   sync.WaitGroup
}

// ordersFile is the shape of consumerOrderInfo.json.
type ordersFile struct {
	Count int                             `json:"orderInfoCount"`
	Level string                          `json:"orderedConsumptionLevel"`
	Table map[string]map[int32]*pop.Batch `json:"table"`
}

func newOrderTable(b *Broker, file state.File, armed func(), wake func(string, string, int32)) *orderTable {
	t := &orderTable{b: b, armed: armed, wake: wake, sooner: make(chan struct{}, 1)}
	t.mu.orders = pop.NewOrders()
	t.mu.queued = map[pop.OrderKey]int64{}
	t.saver = state.NewSaver(file, func() any { return t.snapshot() })
	return t
}

func (t *orderTable) load() error {
	file, err := state.Load[ordersFile](t.saver.File)
	if file == nil {
		return err
	}
	for key, queues := range file.Table {
		topic, group, ok := strings.Cut(key, metadata.GroupSeparator)
		if !ok {
			continue
		}
		for queue, batch := range queues {
			if batch != nil {
				t.mu.orders.Restore(pop.OrderKey{Topic: topic, Group: group, Queue: queue}, batch)
			}
		}
	}
	return err
}

func (t *orderTable) snapshot() *ordersFile {
	now := t.b.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.orders.Clean(func(k pop.OrderKey, batch *pop.Batch) bool {
		topic := t.b.topics.Get(k.Topic)
		return topic == nil || k.Queue >= topic.Config().ReadQueueNums || t.b.groups.Get(k.Group) == nil ||
			now.Sub(time.UnixMilli(batch.LastConsumed)) > orderIdle
	})
	file := &ordersFile{Level: "QUEUE", Table: map[string]map[int32]*pop.Batch{}}
	t.mu.orders.All(func(k pop.OrderKey, batch *pop.Batch) {
		name := k.Topic + metadata.GroupSeparator + k.Group
		if file.Table[name] == nil {
			file.Table[name] = map[int32]*pop.Batch{}
			file.Count++
		}
		file.Table[name][k.Queue] = batch.Clone()
	})
	return file
}

// persist makes what changed so far durable, if anything did since the last time.
func (t *orderTable) persist() error {
	return t.saver.SaveDirty(&t.mu, &t.mu.dirty)
}

// unlock ends a change of the queue's batch: it is to be persisted, and pops that wait for the queue are woken when it is
// free.
func (t *orderTable) unlock(k pop.OrderKey) {
	arm := !t.mu.dirty
	t.mu.dirty = true
	first := false
	if at, ok := t.mu.orders.FreeAt(k); ok && t.mu.queued[k] != at {
		t.mu.queued[k] = at
		heap.Push(&t.mu.frees, freeing{at, k})
		first = t.mu.frees[0].key == k
	}
	t.mu.Unlock()
	if arm {
		t.armed()
	}
	if first {
		select {
		case t.sooner <- struct{}{}:
		default:
		}
	}
}

func (t *orderTable) blocked(topic, group string, queue int32, attempt string, now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.orders.Blocked(pop.OrderKey{Topic: topic, Group: group, Queue: queue}, attempt, now)
}

// give makes messages the queue's batch, and adds to info how often they were given out before.
func (t *orderTable) give(info []byte, source pop.Source, k pop.OrderKey, attempt string, offsets []int64, now, invisible int64) []byte {
	t.mu.Lock()
	counts, least := t.mu.orders.Give(k, attempt, offsets, now, invisible, now)
	t.unlock(k)
	for _, c := range counts {
		info = pop.AppendOrderCount(info, source, k.Queue, c.Offset, c.Times)
	}
	return pop.AppendQueueOrderCount(info, source, k.Queue, least)
}

func (t *orderTable) ack(k pop.OrderKey, offset, popTime int64) (next int64, v pop.Verdict) {
	t.mu.Lock()
	next, v = t.mu.orders.Ack(k, offset, popTime)
	t.unlock(k)
	return next, v
}

func (t *orderTable) postpone(k pop.OrderKey, offset, popTime, visibleAt int64) {
	t.mu.Lock()
	t.mu.orders.Postpone(k, offset, popTime, visibleAt)
	t.unlock(k)
}

func (t *orderTable) forget(topic, group string, queue int32) {
	k := pop.OrderKey{Topic: topic, Group: group, Queue: queue}
	t.mu.Lock()
	t.mu.orders.Forget(k)
	t.unlock(k)
}

func (t *orderTable) start() {
	t.stop = make(chan struct{})
	t.done.Add(1)
	go t.runFree()
}

func (t *orderTable) close() {
	if t.stop == nil {
		return
	}
	close(t.stop)
	t.done.Wait()
	t.stop = nil
}

// runFree wakes the pops that wait for a queue when its batch blocks it no more. It sleeps until then.
func (t *orderTable) runFree() {
	defer t.done.Done()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := t.b.now().UnixMilli()
		var free []pop.OrderKey
		wait := time.Hour
		t.mu.Lock()
		for len(t.mu.frees) > 0 {
			f := t.mu.frees[0]
			if f.at > now {
				wait = time.Duration(f.at-now) * time.Millisecond
				break
			}
			heap.Pop(&t.mu.frees)
			if t.mu.queued[f.key] == f.at { // else there is another time for it
				delete(t.mu.queued, f.key)
				free = append(free, f.key)
			}
		}
		t.mu.Unlock()
		for _, k := range free {
			t.wake(k.Topic, k.Group, k.Queue)
		}
		timer.Reset(wait)
		select {
		case <-t.stop:
			return
		case <-t.sooner:
		case <-timer.C:
		}
	}
}

// freeing says when a queue is free.
type freeing struct {
	at  int64 // ms
	key pop.OrderKey
}

// freeHeap orders queues by the time at which they are free (container/heap).
type freeHeap []freeing

func (h freeHeap) Len() int           { return len(h) }
func (h freeHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h freeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push appends a queue.
func (h *freeHeap) Push(x any) { *h = append(*h, x.(freeing)) }

// Pop removes the last queue.
func (h *freeHeap) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	*h = (*h)[:last]
	return f
}
