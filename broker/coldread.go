package broker

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/flow"
	"github.com/rocketlog/rocketlog/broker/longpoll"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

const (
	// coldReaders is how many cold reads are under way at once: one for the device to do, one for it to do next.
	coldReaders = 2
	// coldPatience bounds how long a pull waits for its turn before its consumer is told to ask again.
	coldPatience = 5 * time.Second
	// coldHold is how long a pull of a group beyond its threshold is held (ColdDataPullRequestHoldService).
	coldHold = 3 * time.Second
	// coldLoadsMax is after how many loads a pull reads on whatever is in memory.
	coldLoadsMax = 3
)

// coldReads serve the pulls and pops whose messages are not in memory. The goroutine that reads a connection must not wait
// for them: a page fault keeps it, and the processor it runs on, from all others for as long as the device takes. Such
// requests wait in a queue for a few readers, which take turns at the pace of flow.Pace and read by system calls.
type coldReads struct {
	b        *Broker
	pace     *flow.Pace
	quota    *flow.Quota
	patience time.Duration
	queue    chan coldRequest // in the order in which they came
	held     atomic.Int64     // pulls of groups beyond their threshold

	pulls, refused, delayed atomic.Int64
}

// A coldRequest found nothing but messages to be read from disk. It is resumed when they are in memory.
type coldRequest interface {
	longpoll.Waiter
	cold() *coldState
	from() (conn *remoting.Conn, ticket remoting.Ticket, group string)
	// restrained makes it ask for one message, as its group has read too much; or is false when that is no use.
	restrained() bool
	later(why string) *remoting.Command // the answer that tells the consumer to ask again
}

// coldState is what the readers know of a request. It is embedded in it.
type coldState struct {
	get       engine.GetRequest // what it reads
	coldUntil time.Time         // when it has waited long enough; zero before it waits
	coldHeld  bool              // once, for its group read too much
	coldLoads int               // reads from disk for it
}

func (s *coldState) cold() *coldState { return s }

// hotOnly tells whether it leaves what is on disk only to the readers.
func (s *coldState) hotOnly() bool { return s.coldLoads < coldLoadsMax }

func newColdReads(b *Broker, o *Options) *coldReads {
	return &coldReads{b: b, pace: flow.NewPace(b.now), quota: flow.NewQuota(b.now), patience: coldPatience, queue: make(chan coldRequest, o.MaxColdPulls)}
}

func (c *coldReads) start() {
	c.b.done.Add(coldReaders)
	for range coldReaders {
		go c.run()
	}
}

// waiting is how many pulls wait.
func (c *coldReads) waiting() int { return len(c.queue) + int(c.held.Load()) }

// take has a request wait for its messages to be read. It has released what it read before, or files would stay mapped for
// those that wait. Without an error it is no longer the caller's.
func (c *coldReads) take(d coldRequest) error {
	o, now, state := c.b.options(), c.b.now(), d.cold()
	if state.coldUntil.IsZero() {
		c.pulls.Add(1)
		state.coldUntil = now.Add(c.patience)
	}
	_, _, group := d.from()
	if o.ColdDataFlowControlEnable && !state.coldHeld {
		if used, all, exceeded := c.quota.Exceeded(group, o.CgColdReadThreshold, o.GlobalColdReadThreshold); exceeded {
			return c.restrain(d, o, used, all)
		}
	}
	select {
	case c.queue <- d:
		return nil
	default:
		c.refused.Add(1)
		return refuse(protocol.SystemBusy, "[COLD_PULLS]system busy, start flow control for a while: %d pulls wait for messages that must be read from disk, at most %d may",
			c.waiting(), o.MaxColdPulls)
	}
}

// restrain does what Java does to a group that has read more from disk than it may: push consumers are refused, others
// held, and then given one message.
func (c *coldReads) restrain(d coldRequest, o *Options, used, all int64) error {
	if c.held.Load() >= int64(o.MaxColdPulls) || !d.restrained() {
		c.refused.Add(1)
		return refuse(protocol.SystemBusy, "[COLD_QUOTA]This consumer group is reading cold data. It has been flow control: "+
			"it read %d bytes from disk in %v, and all groups %d; %d and %d are allowed", used, flow.QuotaWindow, all, o.CgColdReadThreshold, o.GlobalColdReadThreshold)
	}
	c.held.Add(1)
	state := d.cold()
	state.coldHeld, state.coldUntil = true, state.coldUntil.Add(coldHold)
	c.b.done.Add(1)
	go c.runHeld(d)
	return nil
}

// runHeld queues a pull when it was held long enough.
func (c *coldReads) runHeld(d coldRequest) {
	defer c.b.done.Done()
	defer c.held.Add(-1)
	if !c.sleep(coldHold) {
		d.Free()
		return
	}
	if err := c.take(d); err != nil {
		c.b.stats.Refuse(refusalCause(err))
		refused := call{resp: remoting.NewResponse(protocol.Success, "")}
		refused.fail(err)
		answerCold(d, refused.resp)
	}
}

// answerCold ends a request with an answer.
func answerCold(d coldRequest, resp *remoting.Command) {
	conn, ticket, _ := d.from()
	d.Free()
	conn.ReplyTo(ticket, resp) //nolint:errcheck // a consumer that is gone does not care
}

func (c *coldReads) run() {
	defer c.b.done.Done()
	for {
		select {
		case <-c.b.stop:
			return
		case d := <-c.queue:
			c.serve(d)
		}
	}
}

// sleep is false when the broker ends.
func (c *coldReads) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c.b.stop:
		return false
	case <-timer.C:
		return true
	}
}

// serve reads what a request wants and has it go on.
func (c *coldReads) serve(d coldRequest) {
	conn, _, group := d.from()
	if conn.Err() != nil {
		d.Free()
		return
	}
	state := d.cold()
	for wait := c.pace.Delay(); wait > 0; wait = c.pace.Delay() {
		if !c.b.now().Before(state.coldUntil) {
			c.delayed.Add(1)
			s := c.pace.State()
			answerCold(d, d.later(fmt.Sprintf("[COLD_PACE]messages that must be read from disk are given out at %d bytes/s: those that are sent wait %v for the disk, and %v without such reads",
				s.Rate, s.Busy.Round(time.Microsecond), s.Calm.Round(time.Microsecond))))
			return
		}
		if !c.sleep(wait) {
			d.Free()
			return
		}
	}
	bytes, err := c.b.store.LoadCold(&state.get)
	c.pace.Spend(bytes)
	c.quota.Spend(group, bytes)
	if state.coldLoads++; err != nil {
		state.coldLoads = coldLoadsMax // the read says what is wrong
	}
	d.Resume(true)
}

// Get is the store's for goroutines of the broker's own. What is on disk only they wait for as well, but in system calls,
// which leave the processor to others; it counts for the pace of the consumers, who come after them.
func (c *coldReads) Get(req *engine.GetRequest, res *engine.GetResult) {
	for range coldLoadsMax {
		req.HotOnly = true
		c.b.store.Get(req, res)
		if !res.Cold || res.Count > 0 {
			return
		}
		next := *req
		next.Offset = res.NextOffset
		res.Release()
		bytes, err := c.b.store.LoadCold(&next)
		c.pace.Spend(bytes)
		if err != nil {
			break // the read says what is wrong
		}
	}
	req.HotOnly = false
	c.b.store.Get(req, res)
}

// recordAt is the store's RecordAt, as Get.
func (c *coldReads) recordAt(at message.PhyOffset) (engine.Ref, error) {
	if bytes, _ := c.b.store.LoadColdAt(at); bytes > 0 { // the read says what is wrong
		c.pace.Spend(bytes)
	}
	return c.b.store.RecordAt(at)
}
