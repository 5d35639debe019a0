package broker

import (
	"fmt"
	"sync/atomic"
	"time"

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

// coldReads serve the pulls whose messages are not in memory. The goroutine that reads a connection must not wait for them: a
// page fault keeps it, and the processor it runs on, from all others for as long as the device takes. Such pulls wait
// in a queue for a few readers, which take turns at the pace of coldPace and read by system calls.
type coldReads struct {
	b        *Broker
	pace     *coldPace
	quota    *coldQuota
	patience time.Duration
	queue    chan *pulling // in the order in which they came
	held     atomic.Int64  // pulls of groups beyond their threshold

	pulls, refused, delayed atomic.Int64
}

func newColdReads(b *Broker, o *Options) *coldReads {
	return &coldReads{b: b, pace: newColdPace(b.now), quota: newColdQuota(b.now), patience: coldPatience, queue: make(chan *pulling, o.MaxColdPulls)}
}

func (c *coldReads) start() {
	c.b.done.Add(coldReaders)
	for range coldReaders {
		go c.run()
	}
}

// waiting is how many pulls wait.
func (c *coldReads) waiting() int { return len(c.queue) + int(c.held.Load()) }

// take has a pull wait for its messages to be read. Without an error it is no longer the caller's.
func (c *coldReads) take(d *pulling) error {
	o := c.b.options()
	now := c.b.now()
	if d.coldUntil.IsZero() {
		c.pulls.Add(1)
		d.coldUntil = now.Add(c.patience)
	}
	d.res.Release() // or files stay mapped for those that wait
	if used, all, exceeded := c.quota.exceeded(d.group.GroupName, o); exceeded && !d.coldHeld {
		return c.restrain(d, o, used, all)
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
func (c *coldReads) restrain(d *pulling, o *Options, used, all int64) error {
	view := c.b.consumers.view(d.group.GroupName, d.topic.name)
	if view.passive || c.held.Load() >= int64(o.MaxColdPulls) {
		c.refused.Add(1)
		return refuse(protocol.SystemBusy, "[COLD_QUOTA]This consumer group is reading cold data. It has been flow control: "+
			"it read %d bytes from disk in %v, and all groups %d; %d and %d are allowed", used, coldQuotaWindow, all, o.CgColdReadThreshold, o.GlobalColdReadThreshold)
	}
	c.held.Add(1)
	d.coldHeld, d.most, d.coldUntil = true, 1, d.coldUntil.Add(coldHold)
	c.b.done.Add(1)
	go c.runHeld(d)
	return nil
}

// runHeld queues a pull when it was held long enough.
func (c *coldReads) runHeld(d *pulling) {
	defer c.b.done.Done()
	defer c.held.Add(-1)
	if !c.sleep(coldHold) {
		d.free()
		return
	}
	if err := c.take(d); err != nil {
		c.b.stats.refusal(err)
		d.answerError(err)
	}
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

// serve reads what a pull wants and answers it.
func (c *coldReads) serve(d *pulling) {
	if d.conn.Err() != nil {
		d.free()
		return
	}
	for wait := c.pace.delay(); wait > 0; wait = c.pace.delay() {
		if !c.b.now().Before(d.coldUntil) {
			c.delayed.Add(1)
			s := c.pace.state()
			d.answerLater(fmt.Sprintf("[COLD_PACE]messages that must be read from disk are given out at %d bytes/s: those that are sent wait %v for the disk, and %v without such reads",
				s.rate, s.busy.Round(time.Microsecond), s.calm.Round(time.Microsecond)))
			return
		}
		if !c.sleep(wait) {
			d.free()
			return
		}
	}
	bytes, err := c.b.store.LoadCold(&d.get)
	c.pace.spend(bytes)
	c.quota.spend(d.group.GroupName, bytes)
	if d.coldLoads++; err != nil {
		d.coldLoads = coldLoadsMax // the read says what is wrong
	}
	d.resume(true)
}

// cold tells whether a pull found nothing but messages to be read from disk. A pull that got past some messages has its
// consumer go on from there.
func (d *pulling) cold() bool {
	return d.res.Cold && d.res.Count == 0 && d.res.NextOffset == message.QueueOffset(d.offset) && !d.ticket.Oneway
}

// answerLater tells the consumer to ask again.
func (d *pulling) answerLater(why string) {
	resp := remoting.NewResponse(protocol.PullRetryImmediately, why)
	d.count(protocol.PullRetryImmediately)
	d.addHeader(resp)
	conn, ticket := d.conn, d.ticket
	d.free()
	conn.ReplyTo(ticket, resp) //nolint:errcheck // a consumer that is gone does not care
}

func (d *pulling) answerError(err error) {
	c := call{resp: remoting.NewResponse(protocol.Success, "")}
	c.fail(err)
	conn, ticket := d.conn, d.ticket
	d.free()
	conn.ReplyTo(ticket, c.resp) //nolint:errcheck // a consumer that is gone does not care
}
