package ha

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// Leader is the state machine of a master.
type Leader struct {
	opts  *MasterOptions
	group uint64
	conns []*follower // in the order in which they came
	reign *reign      // nil in the classic protocol

	waiting []waiting // by end
}

// NewLeader returns a master without slaves; the defaults of opts must be set.
func NewLeader(opts *MasterOptions) *Leader {
	return &Leader{opts: opts, group: GroupHash(opts.Group)}
}

// NewSwitchLeader returns a master that reigns under the last of its epochs.
func NewSwitchLeader(opts *MasterOptions, r Reign, now time.Time) *Leader {
	l := NewLeader(opts)
	l.reign = newReign(r, now)
	return l
}

// Acks are the ends of the log that the slaves are known to have, by connection.
func (l *Leader) Acks() map[ConnID]message.PhyOffset {
	acks := map[ConnID]message.PhyOffset{}
	for _, f := range l.conns {
		if f.asked {
			acks[f.id] = f.ack
		}
	}
	return acks
}

// follower is a slave as its master sees it.
type follower struct {
	id      ConnID
	hello   Hello
	named   bool // it has said who it is
	asked   bool // its first report has come: next and ack are set
	sending bool // an DoSend is under way

	next message.PhyOffset // of the next byte to send
	upTo message.PhyOffset // what may have been sent; ack ≤ upTo
	ack  message.PhyOffset

	lastRead, lastWrote time.Time
	windowBegan         time.Time // flow control: of the running second
	windowBytes         int64

	// With epochs: the log's end when bytes were sent last, and what was told of
	// the confirm offset.
	endSent, told message.PhyOffset
	sentAt        time.Time
}

type waiting struct {
	end    message.PhyOffset
	need   int // slaves
	until  time.Time
	waiter Waiter
}

const (
	// burst is how many frames are written at once to a slave that lags.
	burst = 16
	// lump is of how many such frames the one is that is written at once to a slave of ours: each write less is two
	// goroutines less to wake.
	lump = 256
)

// Step takes in an event and appends what is to be done to out.
func (l *Leader) Step(e Input, out []Effect) []Effect {
	f := l.follower(e.Conn)
	if f == nil && (e.Kind == Greeted || e.Kind == Reported || e.Kind == Sent) {
		return out // of a connection that was closed meanwhile
	}
	switch e.Kind {
	case Connected:
		l.conns = append(l.conns, &follower{id: e.Conn, lastRead: e.Now, lastWrote: e.Now})
	case Greeted:
		if l.reign != nil {
			return l.meet(f, e, out)
		}
		return l.greet(f, e, out)
	case Reported:
		return l.report(f, e, out)
	case Ruled:
		return l.rule(e, out)
	case Sent:
		f.sending = false
		if e.Size > 0 {
			f.next += message.PhyOffset(e.Size)
			f.windowBytes += int64(e.Size)
		}
		f.lastWrote = e.Now
		return l.send(f, e, out)
	case Grown:
		for _, f := range l.conns {
			out = l.send(f, e, out)
		}
	case Waited:
		return l.wait(e, out)
	case Ticked:
		return l.tick(e, out)
	case Disconnected:
		l.forget(e.Conn)
		if l.reign != nil {
			return l.govern(e, out)
		}
	}
	return out
}

func (l *Leader) follower(id ConnID) *follower {
	for _, f := range l.conns {
		if f.id == id {
			return f
		}
	}
	return nil
}

func (l *Leader) forget(id ConnID) {
	l.conns = slices.DeleteFunc(l.conns, func(f *follower) bool { return f.id == id })
}

// drop closes a connection. From here on it counts for nothing.
func (l *Leader) drop(f *follower, out []Effect, err error) []Effect {
	l.forget(f.id)
	return append(out, Effect{Kind: DoClose, Conn: f.id, Err: err})
}

// greet notes who a slave is. A slave that is there already has come back
// before its old connection was found dead: only the new one counts.
func (l *Leader) greet(f *follower, e Input, out []Effect) []Effect {
	if e.Hello.Group != l.group {
		return l.drop(f, out, errors.New("it is a slave of another master: brokerClusterName and brokerName must be equal"))
	}
	return l.name(f, e, out)
}

// name notes who a slave is, and drops an older connection of it.
func (l *Leader) name(f *follower, e Input, out []Effect) []Effect {
	for _, other := range l.conns {
		if other != f && other.named && other.hello.ID == e.Hello.ID {
			out = l.drop(other, out, fmt.Errorf("slave %d has connected anew", e.Hello.ID))
			break
		}
	}
	f.hello, f.named, f.lastRead = e.Hello, true, e.Now
	return out
}

// OffsetError says that a slave asks for what its master does not have, which
// Java's leave waiting forever.
type OffsetError struct {
	Asked, Min, Max message.PhyOffset
}

func (e *OffsetError) Error() string {
	if e.Asked > e.Max {
		return fmt.Sprintf("its log ends at %d, ahead of ours, which ends at %d: one of the two has lost or kept what the other has not", e.Asked, e.Max)
	}
	return fmt.Sprintf("its log ends at %d, before ours, which begins at %d: it must be emptied to begin anew", e.Asked, e.Min)
}

// errDiverged says that a slave's log has other bytes than ours.
var errDiverged = errors.New("its log has other bytes than ours before its end: it must be emptied to begin anew")

// report takes in what a slave has.
func (l *Leader) report(f *follower, e Input, out []Effect) []Effect {
	f.lastRead = e.Now
	if !f.asked {
		if err := l.begin(f, e); err != nil {
			return l.drop(f, out, err)
		}
	} else if e.Offset > f.upTo {
		return l.drop(f, out, fmt.Errorf("it reports offset %d, but was sent the log up to %d only", e.Offset, f.upTo))
	}
	if e.Offset > f.ack {
		f.ack = e.Offset
		out = l.serve(out)
	}
	if l.reign != nil {
		l.reign.caughtUp(f, e)
		out = l.govern(e, out)
	}
	return l.send(f, e, out)
}

// begin sets where a slave's copy begins: where its log ends, and if that is
// empty at the last file, as Java's, or at the first for one that asks for it.
func (l *Leader) begin(f *follower, e Input) error {
	switch {
	case e.Offset == 0 && f.named && f.hello.FromStart:
		f.next = e.Begin
	case e.Offset == 0:
		f.next = max(e.End-e.End%message.PhyOffset(l.opts.FileSize), e.Begin)
	case e.Offset < e.Begin || e.Offset > e.End:
		return &OffsetError{Asked: e.Offset, Min: e.Begin, Max: e.End}
	case f.named && !e.Valid && l.reign == nil:
		return errDiverged
	default:
		f.next = e.Offset
	}
	if l.reign != nil {
		if _, _, ok := l.reign.Epochs.at(f.next); !ok {
			return fmt.Errorf("no epoch is known of the log at %d, where its copy goes on", f.next)
		}
	}
	f.asked, f.upTo = true, f.next
	return nil
}

// send has the next bytes sent, if there are any and the last are written.
func (l *Leader) send(f *follower, e Input, out []Effect) []Effect {
	if !f.asked || f.sending || f.next >= e.End {
		return out
	}
	most, frame := l.portion(f)
	size := min(int64(e.End-f.next), int64(most))
	if l.opts.FlowControl {
		if e.Now.Sub(f.windowBegan) >= time.Second {
			f.windowBegan, f.windowBytes = e.Now, 0
		}
		if size = min(size, l.opts.BytesPerSecond-f.windowBytes); size <= 0 {
			return out // until a tick in the next second
		}
	}
	do := Effect{Kind: DoSend, Conn: f.id, Offset: f.next, Size: int(size), Frame: frame}
	if l.reign != nil {
		l.label(&do, e)
		f.endSent, f.sentAt, f.told = e.End, e.Now, do.Confirm
	}
	f.sending, f.upTo = true, max(f.upTo, f.next+message.PhyOffset(do.Size))
	return append(out, do)
}

// portion is how much is sent to a slave at once, and in frames of how much. One of ours takes a body in as it comes, so that it
// may be large; Java's has each frame in memory as a whole. With epochs a slave of either says who it is.
func (l *Leader) portion(f *follower) (size, frame int) {
	if f.named && l.reign == nil {
		size = lump * l.opts.BatchSize
		return size, size
	}
	return burst * l.opts.BatchSize, l.opts.BatchSize
}

// heartbeat has a frame without a body sent.
func (l *Leader) heartbeat(f *follower, e Input, out []Effect) []Effect {
	do := Effect{Kind: DoSend, Conn: f.id, Offset: f.next}
	if l.reign != nil {
		l.label(&do, e)
		f.told = do.Confirm
	}
	f.sending = true
	return append(out, do)
}

// idle tells whether a slave waits for the log to grow.
func (l *Leader) idle() bool {
	return slices.ContainsFunc(l.conns, func(f *follower) bool { return f.asked && !f.sending })
}

// inSync counts the slaves that are not far behind.
func (l *Leader) inSync(end message.PhyOffset) (n int) {
	for _, f := range l.conns {
		if f.inSync(end, l.opts) {
			n++
		}
	}
	return n
}

func (f *follower) inSync(end message.PhyOffset, o *MasterOptions) bool {
	return f.asked && int64(end-f.ack) < o.MaxGapNotInSync
}

// needed is how many slaves a put waits for. It is fewer than asked for, down
// to the least allowed, where that adapts to those that are there.
func (l *Leader) needed(inSync int) int {
	need := l.opts.InSyncReplicas
	if l.opts.AutoInSyncReplicas {
		need = max(l.opts.MinInSyncReplicas, min(need, inSync+1))
	}
	return need - 1
}

// wait answers a put when enough slaves have it.
func (l *Leader) wait(e Input, out []Effect) []Effect {
	inSync := l.inSync(e.End)
	need := l.needed(inSync)
	switch {
	case l.confirms():
		if l.reign.covers(e.Offset) {
			return append(out, Effect{Kind: DoAnswer, Waiter: e.Waiter, Err: l.tooFew()})
		}
	case need <= 0 || l.replicated(need) >= e.Offset:
		return append(out, Effect{Kind: DoAnswer, Waiter: e.Waiter})
	case inSync < need:
		return append(out, Effect{Kind: DoAnswer, Waiter: e.Waiter, Err: ErrSlaveNotAvailable})
	}
	w := waiting{end: e.Offset, need: need, until: e.Now.Add(l.opts.SlaveTimeout), waiter: e.Waiter}
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].end > w.end {
		at--
	}
	l.waiting = slices.Insert(l.waiting, at, w)
	return out
}

// replicated is the offset up to which so many slaves have the log.
func (l *Leader) replicated(slaves int) message.PhyOffset {
	var few [8]message.PhyOffset
	acks := few[:0]
	for _, f := range l.conns {
		if f.asked {
			acks = append(acks, f.ack)
		}
	}
	if slaves > len(acks) {
		return -1
	}
	slices.Sort(acks)
	return acks[len(acks)-slaves]
}

// serve answers the puts that enough slaves have.
func (l *Leader) serve(out []Effect) []Effect {
	if len(l.waiting) == 0 || l.confirms() {
		return out
	}
	most := l.replicated(1)
	need, upTo := 1, most
	n, kept := 0, 0
	for ; n < len(l.waiting) && l.waiting[n].end <= most; n++ {
		w := l.waiting[n]
		if w.need != need {
			need, upTo = w.need, l.replicated(w.need)
		}
		if w.end <= upTo {
			out = append(out, Effect{Kind: DoAnswer, Waiter: w.waiter})
		} else {
			l.waiting[kept] = w
			kept++
		}
	}
	l.waiting = slices.Delete(l.waiting, kept, n)
	return out
}

// tick closes connections that are silent, sends heartbeats, goes on where flow
// control held back, and tells puts that wait too long.
func (l *Leader) tick(e Input, out []Effect) []Effect {
	for _, f := range slices.Clone(l.conns) {
		if silent := e.Now.Sub(f.lastRead); silent > l.opts.HousekeepingInterval {
			out = l.drop(f, out, fmt.Errorf("it was silent for %s", silent))
			continue
		}
		out = l.send(f, e, out)
		if f.asked && !f.sending && (e.Now.Sub(f.lastWrote) > l.opts.HeartbeatInterval || l.reign != nil && f.told < l.Confirmed(e.End)) {
			out = l.heartbeat(f, e, out)
		}
	}
	if l.reign != nil {
		out = l.govern(e, l.keep(e, out))
	}
	late := func(w waiting) bool { return !e.Now.Before(w.until) }
	for _, w := range l.waiting {
		if late(w) {
			out = append(out, Effect{Kind: DoAnswer, Waiter: w.waiter, Err: ErrSlaveTimeout})
		}
	}
	l.waiting = slices.DeleteFunc(l.waiting, late)
	return out
}
