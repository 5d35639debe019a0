package broker

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/longpoll"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Bounds of one pop.
const (
	popMessagesMax = 32                     // as many as a checkpoint covers
	popLateMax     = 500 * time.Millisecond // a pop that comes so much later than it wanted to wait is not answered with messages
)

// persistOrders is the time from a change of an ordered queue's batch to its being durable, Java's.
const persistOrders = 10 * time.Second

// popLocks is the number of locks that the queues of all groups share while messages are popped or done in order.
const popLocks = 1 << 10

// initModeMin as the init mode of a pop begins with the first message of a queue that the group has no offset in.
const initModeMin = 0

// A popper gives out messages that come again unless they are acknowledged in time (Java's PopMessageProcessor and those
// around it). The consumer offset of a queue says what was given out; what is not done of that is in the revive log, or for
// groups that consume in order, in their batches.
type popper struct {
	b      *Broker
	log    *reviveLog
	waits  *longpoll.Pops
	orders *orderTable

	seed  maphash.Seed
	locks [popLocks]sync.Mutex // over offset, read and checkpoint of a queue; before all other locks
}

func newPopper(b *Broker, o *Options, orders state.File, armed func()) *popper {
	p := &popper{b: b, log: newReviveLog(b, o), waits: longpoll.NewPops(o.MaxPopPollingSize, o.PopPollingSize, b.now), seed: maphash.MakeSeed()}
	p.orders = newOrderTable(b, orders, armed, p.waits.WakeGroup)
	return p
}

// start has what is due come again, until close.
func (p *popper) start() {
	p.log.start()
	p.orders.start()
}

func (p *popper) close() {
	p.orders.close()
	p.log.close()
}

// handleCodes registers what the server answers of pop consumption.
func (p *popper) handleCodes(s *remoting.Server) {
	s.Handle(protocol.PopMessage, p.served(p.message), remoting.Inline())
	s.Handle(protocol.Notification, p.notification, remoting.Inline())
	for code, h := range map[protocol.RequestCode]func(*call) error{
		protocol.AckMessage:                 p.ack,
		protocol.BatchAckMessage:            p.batchAck,
		protocol.ChangeMessageInvisibleTime: p.changeInvisible,
	} {
		s.Handle(code, p.served(p.ended(h)), remoting.Inline())
	}
	s.Handle(protocol.PeekMessage, answer(p.peek), remoting.Pooled(p.b.admin))
	s.Handle(protocol.PollingInfo, answer(p.pollingInfo), remoting.Pooled(p.b.admin))
}

// served refuses what a slave would have to note of pops, unless it acts for its master.
func (p *popper) served(handle remoting.Handler) remoting.Handler {
	return func(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
		if !p.b.isSlave() || p.b.acts() {
			return handle(conn, req)
		}
		c := call{resp: remoting.NewResponse(protocol.Success, "")}
		c.fail(errSlavePuts)
		return c.resp
	}
}

// writesWait tells whether what is noted of pops waits for the disk, or for another master.
func (p *popper) writesWait() bool { return p.b.options().FlushDiskType == "SYNC_FLUSH" || p.b.acts() }

// lock returns the lock of a queue as one group sees it.
func (p *popper) lock(topic, group string, queue int32) *sync.Mutex {
	h := maphash.String(p.seed, topic) ^ maphash.String(p.seed, group)*31 ^ uint64(queue)*0x9e3779b97f4a7c15
	return &p.locks[h>>40%popLocks]
}

// A popping is one pop on its way: from its request to the write of what it found. It is used again.
type popping struct {
	p      *popper
	conn   *remoting.Conn
	ticket remoting.Ticket

	group     *protocol.SubscriptionGroupConfig
	topic     *metadata.Topic
	queue     int32
	most      int
	invisible int64 // ms
	initMode  int32
	order     bool
	attempt   string
	filter    *filter.Expression // nil takes all
	until     time.Time          // it waits until then

	coldState
	onDisk    bool  // some of its messages must be read from disk, as get says
	now       int64 // of this round, ms
	revive    int32
	rest      int64
	count     int
	bytes     int
	starts    []byte
	offsets   []byte
	orderInfo []byte
	failed    error   // why messages that are there were not given out
	found     []int64 // offsets of one queue
	segments  [][]byte

	results []*engine.GetResult // all that were used, for use again
	used    int
	release func() // d.free, made once
}

var poppings sync.Pool

func newPopping() *popping {
	if d, ok := poppings.Get().(*popping); ok {
		return d
	}
	d := new(popping)
	d.release = d.Free
	return d
}

// Free ends the pop: what it has borrowed from the store goes back.
func (d *popping) Free() {
	d.reset()
	*d = popping{results: d.results, release: d.release, starts: d.starts, offsets: d.offsets, orderInfo: d.orderInfo, found: d.found, segments: d.segments}
	poppings.Put(d)
}

// reset forgets what was found.
func (d *popping) reset() {
	for _, r := range d.results[:d.used] {
		r.Release()
	}
	clear(d.segments)
	d.used, d.segments, d.rest, d.count, d.bytes, d.failed, d.onDisk = 0, d.segments[:0], 0, 0, 0, nil, false
	d.starts, d.offsets, d.orderInfo, d.found = d.starts[:0], d.offsets[:0], d.orderInfo[:0], d.found[:0]
}

// result returns a result to read into.
func (d *popping) result() *engine.GetResult {
	if d.used == len(d.results) {
		d.results = append(d.results, new(engine.GetResult))
	}
	d.used++
	return d.results[d.used-1]
}

// message handles POP_MESSAGE.
func (p *popper) message(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return p.handle(conn, req, false)
}

func (p *popper) slowMessage(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	return p.handle(conn, req, true)
}

func (p *popper) handle(conn *remoting.Conn, req *remoting.Command, mayWait bool) *remoting.Command {
	if !mayWait && p.writesWait() {
		return p.b.offload(conn, req, p.slowMessage)
	}
	d := newPopping()
	d.p, d.conn, d.ticket = p, conn, req.Ticket()
	resp := remoting.NewResponse(protocol.Success, "")
	if err := d.prepare(req, mayWait); err != nil {
		d.Free()
		if err == errMustWait {
			return p.b.offload(conn, req, p.slowMessage)
		}
		c := call{resp: resp}
		c.fail(err)
		return resp
	}
	return d.run(resp)
}

// prepare checks the request, or says why it is refused.
func (d *popping) prepare(req *remoting.Command, mayWait bool) error {
	var h protocol.PopMessageRequestHeader
	if err := h.Decode(&req.Fields); err != nil {
		return err
	}
	b := d.p.b
	o := b.options()
	now := b.now()
	d.until = now
	if h.BornTime > 0 {
		d.until = time.UnixMilli(h.BornTime)
	}
	patience := time.Duration(min(max(h.PollTime, 0), holdMax.Milliseconds())) * time.Millisecond
	d.until = d.until.Add(patience)
	switch {
	case now.Sub(d.until) > popLateMax:
		return refuse(protocol.PollingTimeout, "the broker[%s] pop message is timeout too much", o.BrokerIP1)
	case o.BrokerPermission&metadata.PermRead == 0:
		return refuse(protocol.NoPermission, "the broker[%s] pop message is forbidden", o.BrokerIP1)
	case h.MaxMsgNums > popMessagesMax:
		return refuse(protocol.InvalidParameter, "the broker[%s] pop message's num is greater than %d", o.BrokerIP1, popMessagesMax)
	case h.InvisibleTime < 0 || h.InvisibleTime > invisibleMax:
		return refuse(protocol.InvalidParameter, "invisibleTime %d is illegal, it may be 0 to %d ms", h.InvisibleTime, invisibleMax)
	}
	d.until = minTime(d.until, now.Add(holdMax))
	var err error
	if d.topic, d.group, err = b.popTarget(h.Topic, h.ConsumerGroup, h.QueueID, "pop message", mayWait); err != nil {
		return err
	}
	if d.filter, err = b.popFilter(d.group.GroupName, d.topic, h.ExpType, h.Exp); err != nil {
		return err
	}
	d.queue, d.most, d.invisible, d.initMode = h.QueueID, int(max(h.MaxMsgNums, 1)), h.InvisibleTime, h.InitMode
	d.order, d.attempt = h.Order.Or(false), h.AttemptID
	return nil
}

// invisibleMax bounds the time for which a message may be put off, ms: a hundred days.
const invisibleMax = 100 * 24 * 3600 * 1000

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// run pops, and returns the answer; or nil when the pop waits, in which case d is no longer the caller's.
func (d *popping) run(resp *remoting.Command) *remoting.Command {
	b := d.p.b
	err := d.collect()
	if err == nil && d.count == 0 && d.onDisk {
		d.reset()
		if err = b.cold.take(d); err == nil {
			return nil // it is answered when its messages are read
		}
	}
	if err != nil {
		b.stats.Refuse(refusalCause(err))
		d.Free()
		c := call{resp: resp}
		c.fail(err)
		return resp
	}
	if d.count == 0 {
		if code := d.wait(); code == protocol.Success {
			return nil
		} else {
			resp.Code, resp.Remark = int32(code), "NO_MESSAGE_IN_QUEUE"
		}
		b.stats.Missed.Add(1)
	} else {
		resp.Remark = "FOUND"
		b.stats.Found.Add(1)
		b.stats.Get.Add(int64(d.count), int64(d.bytes))
		b.stats.NoteGroup(stats.Gets, d.topic.Name, d.group.GroupName, int64(d.count), int64(d.bytes))
		b.stats.NoteGroup(stats.Pops, d.topic.Name, d.group.GroupName, int64(d.count), int64(d.bytes))
		if d.rest > 0 {
			d.p.waits.WakeGroup(d.topic.Name, d.group.GroupName, d.queue)
		}
	}
	d.addHeader(resp)
	if d.count > 0 {
		resp.Segments, resp.Release = d.segments, d.release
	} else {
		d.Free()
	}
	return resp
}

func (d *popping) addHeader(resp *remoting.Command) {
	f := &resp.Fields
	f.AddInt("popTime", d.now)
	f.AddInt("invisibleTime", d.invisible)
	f.AddInt("reviveQid", int64(d.revive))
	f.AddInt("restNum", d.rest)
	f.AddBytes("startOffsetInfo", d.starts)
	f.AddBytes("msgOffsetInfo", d.offsets)
	if d.order {
		f.AddBytes("orderCountInfo", d.orderInfo)
	}
}

// wait lets the pop wait for messages, and returns Success; else why it does not. When it waits, d belongs to the wait.
func (d *popping) wait() protocol.ResponseCode {
	p, b := d.p, d.p.b
	if d.ticket.Oneway || !b.now().Before(d.until) {
		return protocol.PollingTimeout
	}
	group, t, queue, order, attempt, conn := d.group.GroupName, d.topic, d.queue, d.order, d.attempt, d.conn
	d.coldState = coldState{}
	w := &longpoll.Pop{Group: group, Request: longpoll.Request{
		Topic: t.Name, Queue: queue, Filter: d.filter, Until: d.until, Owner: conn, Waiter: d,
	}}
	d.reset()
	if !p.waits.Hold(w) {
		return protocol.PollingFull
	}
	// From here on d is the wait's. What came between the read and the wait has woken nobody.
	if b.popReady(t, group, queue, order, attempt) {
		p.waits.Recheck(w)
	}
	if conn.Err() != nil {
		p.waits.Drop(conn)
	}
	return protocol.Success
}

// Resume serves a pop that waits: a message may be there for it, or its time is over.
func (d *popping) Resume(writes bool) {
	resp := remoting.NewResponse(protocol.Success, "")
	conn, ticket, b := d.conn, d.ticket, d.p.b
	t, g, err := b.popTarget(d.topic.Name, d.group.GroupName, d.queue, "pop message", true)
	if err != nil {
		d.Free()
		c := call{resp: resp}
		c.fail(err)
	} else {
		d.topic, d.group = t, g
		if resp = d.run(resp); resp == nil {
			return // it waits again
		}
	}
	replyWaiting(conn, ticket, resp, writes)
}

func (d *popping) from() (conn *remoting.Conn, ticket remoting.Ticket, group string) {
	return d.conn, d.ticket, d.group.GroupName
}

// restrained is false: a consumer that pops asks again as soon as it is answered, as push consumers do.
func (d *popping) restrained() bool { return false }

func (d *popping) later(why string) *remoting.Command {
	d.p.b.stats.Missed.Add(1)
	resp := remoting.NewResponse(protocol.PollingTimeout, why)
	d.addHeader(resp)
	return resp
}
