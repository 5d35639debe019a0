package ha

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// leader is the state machine of a master.
type leader struct {
	opts  *MasterOptions
	group uint64
	conns []*follower // in the order in which they came

	waiting []waiting // by end
}

// follower is a slave as its master sees it.
type follower struct {
	id      connID
	hello   hello
	named   bool // it has said who it is
	asked   bool // its first report has come: next and ack are set
	sending bool // an effectSend is under way

	next message.PhyOffset // of the next byte to send
	upTo message.PhyOffset // what may have been sent; ack ≤ upTo
	ack  message.PhyOffset

	lastRead, lastWrote time.Time
	windowBegan         time.Time // flow control: of the running second
	windowBytes         int64
}

type waiting struct {
	end    message.PhyOffset
	need   int // slaves
	until  time.Time
	waiter Waiter
}

// burst is how many frames are written at once to a slave that lags.
const burst = 16

// step takes in an event and appends what is to be done to out.
func (l *leader) step(e event, out []effect) []effect {
	f := l.follower(e.conn)
	if f == nil && (e.kind == greeted || e.kind == reported || e.kind == sent) {
		return out // of a connection that was closed meanwhile
	}
	switch e.kind {
	case connected:
		l.conns = append(l.conns, &follower{id: e.conn, lastRead: e.now, lastWrote: e.now})
	case greeted:
		return l.greet(f, e, out)
	case reported:
		return l.report(f, e, out)
	case sent:
		f.sending = false
		if e.size > 0 {
			f.next += message.PhyOffset(e.size)
			f.windowBytes += int64(e.size)
		}
		f.lastWrote = e.now
		return l.send(f, e, out)
	case grown:
		for _, f := range l.conns {
			out = l.send(f, e, out)
		}
	case waited:
		return l.wait(e, out)
	case ticked:
		return l.tick(e, out)
	case disconnected:
		l.forget(e.conn)
	}
	return out
}

func (l *leader) follower(id connID) *follower {
	for _, f := range l.conns {
		if f.id == id {
			return f
		}
	}
	return nil
}

func (l *leader) forget(id connID) {
	l.conns = slices.DeleteFunc(l.conns, func(f *follower) bool { return f.id == id })
}

// drop closes a connection. From here on it counts for nothing.
func (l *leader) drop(f *follower, out []effect, err error) []effect {
	l.forget(f.id)
	return append(out, effect{kind: effectClose, conn: f.id, err: err})
}

// greet notes who a slave is. A slave that is there already has come back
// before its old connection was found dead: only the new one counts.
func (l *leader) greet(f *follower, e event, out []effect) []effect {
	if e.hello.group != l.group {
		return l.drop(f, out, errors.New("it is a slave of another master: brokerClusterName and brokerName must be equal"))
	}
	for _, other := range l.conns {
		if other != f && other.named && other.hello.id == e.hello.id {
			out = l.drop(other, out, fmt.Errorf("slave %d has connected anew", e.hello.id))
			break
		}
	}
	f.hello, f.named, f.lastRead = e.hello, true, e.now
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
func (l *leader) report(f *follower, e event, out []effect) []effect {
	f.lastRead = e.now
	if !f.asked {
		if err := l.begin(f, e); err != nil {
			return l.drop(f, out, err)
		}
	} else if e.offset > f.upTo {
		return l.drop(f, out, fmt.Errorf("it reports offset %d, but was sent the log up to %d only", e.offset, f.upTo))
	}
	if e.offset > f.ack {
		f.ack = e.offset
		out = l.serve(out)
	}
	return l.send(f, e, out)
}

// begin sets where a slave's copy begins: where its log ends, and if that is
// empty at the last file, as Java's, or at the first for one that asks for it.
func (l *leader) begin(f *follower, e event) error {
	switch {
	case e.offset == 0 && f.named && f.hello.fromStart:
		f.next = e.begin
	case e.offset == 0:
		f.next = max(e.end-e.end%message.PhyOffset(l.opts.FileSize), e.begin)
	case e.offset < e.begin || e.offset > e.end:
		return &OffsetError{Asked: e.offset, Min: e.begin, Max: e.end}
	case f.named && !e.valid:
		return errDiverged
	default:
		f.next = e.offset
	}
	f.asked, f.upTo = true, f.next
	return nil
}

// send has the next bytes sent, if there are any and the last are written.
func (l *leader) send(f *follower, e event, out []effect) []effect {
	if !f.asked || f.sending || f.next >= e.end {
		return out
	}
	size := min(int64(e.end-f.next), int64(burst*l.opts.BatchSize))
	if l.opts.FlowControl {
		if e.now.Sub(f.windowBegan) >= time.Second {
			f.windowBegan, f.windowBytes = e.now, 0
		}
		if size = min(size, l.opts.BytesPerSecond-f.windowBytes); size <= 0 {
			return out // until a tick in the next second
		}
	}
	f.sending, f.upTo = true, max(f.upTo, f.next+message.PhyOffset(size))
	return append(out, effect{kind: effectSend, conn: f.id, offset: f.next, size: int(size)})
}

// idle tells whether a slave waits for the log to grow.
func (l *leader) idle() bool {
	return slices.ContainsFunc(l.conns, func(f *follower) bool { return f.asked && !f.sending })
}

// inSync counts the slaves that are not far behind.
func (l *leader) inSync(end message.PhyOffset) (n int) {
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
func (l *leader) needed(inSync int) int {
	need := l.opts.InSyncReplicas
	if l.opts.AutoInSyncReplicas {
		need = max(l.opts.MinInSyncReplicas, min(need, inSync+1))
	}
	return need - 1
}

// wait answers a put when enough slaves have it.
func (l *leader) wait(e event, out []effect) []effect {
	inSync := l.inSync(e.end)
	need := l.needed(inSync)
	switch {
	case need <= 0 || l.replicated(need) >= e.offset:
		return append(out, effect{kind: effectAnswer, waiter: e.waiter})
	case inSync < need:
		return append(out, effect{kind: effectAnswer, waiter: e.waiter, err: ErrSlaveNotAvailable})
	}
	w := waiting{end: e.offset, need: need, until: e.now.Add(l.opts.SlaveTimeout), waiter: e.waiter}
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].end > w.end {
		at--
	}
	l.waiting = slices.Insert(l.waiting, at, w)
	return out
}

// replicated is the offset up to which so many slaves have the log.
func (l *leader) replicated(slaves int) message.PhyOffset {
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
func (l *leader) serve(out []effect) []effect {
	if len(l.waiting) == 0 {
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
			out = append(out, effect{kind: effectAnswer, waiter: w.waiter})
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
func (l *leader) tick(e event, out []effect) []effect {
	for _, f := range slices.Clone(l.conns) {
		if silent := e.now.Sub(f.lastRead); silent > l.opts.HousekeepingInterval {
			out = l.drop(f, out, fmt.Errorf("it was silent for %s", silent))
			continue
		}
		if out = l.send(f, e, out); f.asked && !f.sending && e.now.Sub(f.lastWrote) > l.opts.HeartbeatInterval {
			f.sending = true
			out = append(out, effect{kind: effectSend, conn: f.id, offset: f.next})
		}
	}
	late := func(w waiting) bool { return !e.now.Before(w.until) }
	for _, w := range l.waiting {
		if late(w) {
			out = append(out, effect{kind: effectAnswer, waiter: w.waiter, err: ErrSlaveTimeout})
		}
	}
	l.waiting = slices.DeleteFunc(l.waiting, late)
	return out
}
