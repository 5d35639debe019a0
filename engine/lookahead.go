package engine

import (
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/message"
)

// readAhead is how many records are in hand at most. Of what a record needs nearly
// nothing is in the processor's caches once there are thousands of queues: its own
// text, its queue, the queue's tail and the slots of the index. Each is asked for
// some records ahead and has come when it is used.
const readAhead = 8

// pending is a record that was read ahead of its turn.
type pending struct {
	record   message.Record
	off      message.PhyOffset
	tagsCode int64
	light    bool                       // it counts in light queues
	queue    *consumequeue.ConsumeQueue // nil where there is none yet
	keys     index.Keys                 // if it goes to the index
}

func (p *pending) end() message.PhyOffset { return p.off + message.PhyOffset(len(p.record)) }

// lookahead is the records in hand, a ring.
type lookahead struct {
	ring         [readAhead]pending
	first, count int
}

// at returns the i-th record in hand.
func (l *lookahead) at(i int) *pending { return &l.ring[(l.first+i)%readAhead] }

func (l *lookahead) pop() { l.first, l.count = (l.first+1)%readAhead, l.count-1 }

// next returns the record whose turn it is, nil when there is none that ends at
// visible or before. It is done with when it is popped.
func (d *dispatcher) next(visible message.PhyOffset) *pending {
	l := &d.ahead
	if l.count == 0 {
		r, ok := d.nextOfLog(visible)
		if !ok {
			return nil
		}
		d.prepare(r)
	}
	for l.count < readAhead && !d.alone {
		r, ok := d.it.Ahead(visible)
		if !ok {
			break
		}
		d.prepare(r)
	}
	if l.count > 1 {
		if q := l.at(1).queue; q != nil {
			q.PrefetchTail()
		}
	}
	return l.at(0)
}

// nextOfLog reads on in the log, whichever file comes next.
func (d *dispatcher) nextOfLog(visible message.PhyOffset) (message.Record, bool) {
	if d.it.Offset() >= visible {
		return nil, false
	}
	d.hand = d.it.Offset() // behind what was dispatched, or cut and begun anew
	r, ok := d.it.Next()
	if ok && d.it.Offset() > visible {
		d.rewind(d.it.Offset() - message.PhyOffset(len(r)))
		return nil, false
	}
	return r, ok
}

// prepare takes a record in hand.
func (d *dispatcher) prepare(r message.Record) {
	s, l := d.store, &d.ahead
	p := l.at(l.count)
	p.record, p.off = r, d.it.Offset()-message.PhyOffset(len(r))
	topic, props := r.Topic(), r.Properties().Dispatch()
	p.tagsCode = tagsCode(s, topic, r, props)
	p.light = props.MultiQueueOffset != nil && s.opts.LightQueues
	p.queue = s.queues.QueueBytes(topic, r.QueueID())
	if p.queue != nil {
		p.queue.Prefetch()
	}
	if d.indexes(p) {
		s.index.Prepare(&p.keys, topic, props.UniqueKey, props.Keys, props.Tags)
	}
	l.count++
}

// indexes tells whether the index takes in a record.
func (d *dispatcher) indexes(p *pending) bool {
	return d.store.index != nil && p.off >= d.indexFrom && p.record.SysFlag().Transaction() != message.TransactionRollback
}

// rewind goes back to the record at off, with none in hand.
func (d *dispatcher) rewind(off message.PhyOffset) {
	d.ahead.count = 0
	d.it.Rewind(off)
	d.publish(off)
}
