package remoting

import (
	"sync"
	"sync/atomic"
)

// Pool is a bounded number of goroutines that run handlers, with a bounded queue before them. They start when there is work.
type Pool struct {
	queue   chan task
	workers int
	waiting atomic.Int64 // bytes of the requests in the queue

	mu struct {
		sync.Mutex
		started, idle int
		closed        bool
	}
	wg sync.WaitGroup
}

// queueBytesMax bounds the bytes that wait in a pool's queue.
const queueBytesMax = 256 << 20

type task struct {
	conn   *Conn
	req    *Command // owned
	handle Handler
}

// NewPool returns a pool of so many goroutines, and a queue for so many requests.
func NewPool(workers, queueMax int) *Pool {
	return &Pool{queue: make(chan task, max(queueMax, 1)), workers: max(workers, 1)}
}

// Waiting is the number of requests in the queue.
func (p *Pool) Waiting() int { return len(p.queue) }

// submit queues a task; false when the queue is full or the pool closed.
func (p *Pool) submit(t task) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := int64(len(t.req.owned))
	if p.mu.closed || p.waiting.Load()+size > queueBytesMax {
		return false
	}
	select {
	case p.queue <- t:
	default:
		return false
	}
	p.waiting.Add(size)
	if p.mu.idle < len(p.queue) && p.mu.started < p.workers {
		p.mu.started++
		p.wg.Add(1)
		go p.runWorker()
	}
	return true
}

func (p *Pool) runWorker() {
	defer p.wg.Done()
	for {
		p.setIdle(1)
		t, ok := <-p.queue
		p.setIdle(-1)
		if !ok {
			return
		}
		p.waiting.Add(-int64(len(t.req.owned)))
		resp := t.conn.call(t.handle, t.req)
		t.conn.handled(t.req.Ticket(), resp)
		t.conn.inFlight.Add(-1) // it counted since it was queued
		t.req.recycle()
	}
}

func (p *Pool) setIdle(n int) {
	p.mu.Lock()
	p.mu.idle += n
	p.mu.Unlock()
}

// Close runs what is queued and waits for it. Requests that come later are answered with SYSTEM_BUSY.
func (p *Pool) Close() {
	p.mu.Lock()
	if !p.mu.closed {
		p.mu.closed = true
		close(p.queue)
	}
	p.mu.Unlock()
	p.wg.Wait()
}
