package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/schedule"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/engine/timer"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// standBack is how long a slave does nothing for its master after that said that it comes back. By then the name servers
// know it.
const standBack = 15 * time.Second

// returnPatience bounds how long a master that comes back waits for the slave to end what it does, and to tell what it did.
const returnPatience = 3 * escapeTimeout

// acting has the slave with the smallest id do, while its master is gone, what is due of the master's: delayed messages,
// timers and half messages go to other masters of their topics, and what is popped and not acknowledged comes again there
// (Java's acting master with enableRemoteEscape). It is nil when the settings do not ask for it.
type acting struct {
	b      *Broker
	escape *escape
	kicked chan struct{}
	stop   chan struct{}
	done   sync.WaitGroup

	turning sync.Mutex
	until   int64       // Unix ms until which the slave stands back; under turning
	halfs   *transactor // sends half messages while the slave acts; under turning
	on      atomic.Bool
}

// newActing returns nil for a broker that never acts for another.
func newActing(b *Broker, o *Options) *acting {
	if o.BrokerRole != config.SlaveRole || !o.EnableSlaveActingMaster || !o.EnableRemoteEscape {
		return nil
	}
	return &acting{b: b, escape: newEscape(b), kicked: make(chan struct{}, 1), stop: make(chan struct{})}
}

func (a *acting) start() {
	a.done.Add(1)
	go a.run()
}

// close ends what is done for the master.
func (a *acting) close() {
	close(a.stop)
	a.done.Wait()
	a.escape.close()
}

// kick has the slave look at once who is there.
func (a *acting) kick() {
	select {
	case a.kicked <- struct{}{}:
	default:
	}
}

// run looks again and again who is there.
func (a *acting) run() {
	defer a.done.Done()
	defer func() { a.turn(false) }()
	for {
		timer := time.NewTimer(time.Duration(a.b.options().SyncBrokerMemberGroupPeriod) * time.Millisecond)
		select {
		case <-a.stop:
			timer.Stop()
			return
		case <-a.kicked:
			timer.Stop()
		case <-timer.C:
		}
		a.turn(a.due())
	}
}

// due tells whether the slave is to act: its master is gone, also for the name servers, and it is the first that is left.
func (a *acting) due() bool {
	if !a.b.replication.masterGone() {
		return false
	}
	ctx, cancel := context.WithTimeout(a.b.registrar.ctx, escapeTimeout)
	defer cancel()
	group, err := a.b.registrar.group(ctx)
	if err != nil {
		return a.on.Load() // nobody knows: all stays as it is
	}
	if _, back := group[protocol.MasterID]; back && !a.on.Load() {
		return false
	} else if back {
		a.b.registrar.kick() // the answer tells where it is
	}
	return first(group) == a.b.options().BrokerID
}

// turn begins or ends to act.
func (a *acting) turn(on bool) {
	a.turning.Lock()
	defer a.turning.Unlock()
	b := a.b
	on = on && b.now().UnixMilli() >= a.until
	if a.on.Load() == on {
		return
	}
	if on {
		// Before anybody is served: an acknowledgement that finds no checkpoint here goes where none will be.
		b.popper.log.load()
	}
	a.on.Store(on)
	if on {
		b.log.Warn("the master is gone: this slave delivers what is due of it to other brokers")
		b.schedule.Start()
		a.halfs = newTransactor(b)
		a.halfs.startEscape()
		b.popper.start()
	} else {
		b.schedule.Pause()
		b.popper.close()
		a.halfs.endEscape()
		a.halfs = nil
		b.log.Info("this slave does nothing any more for its master")
	}
	if err := b.timers.restart(); err != nil {
		b.log.Error("timers cannot be opened anew", "error", err)
	}
}

// announced takes in that the master is about to come back. When it returns nothing is delivered here any more.
func (a *acting) announced() {
	a.turning.Lock()
	a.until = a.b.now().Add(standBack).UnixMilli()
	a.turning.Unlock()
	a.turn(false)
}

// acts tells whether the broker does the work of a master that is gone.
func (b *Broker) acts() bool { return b.acting != nil && b.acting.on.Load() }

// actingStore is the store of a slave that acts for its master: what is put goes to other brokers.
type actingStore struct {
	guardedStore
	a *acting
}

// PutAsync puts the message to another broker.
func (s actingStore) PutAsync(m *message.Message, done engine.Completion) { s.a.escape.put(m, done) }

// minIDChanged takes in that the name server sees another first broker in the group (NOTIFY_MIN_BROKER_ID_CHANGE).
func (b *Broker) minIDChanged(c *call) error {
	if b.acting != nil {
		b.acting.kick()
	}
	return nil
}

// masterReturns has a master ask, before it serves, the slave that acted for it what it delivered meanwhile, after telling
// it that it is back (Java's BrokerPreOnlineService).
func (b *Broker) masterReturns(o *Options) {
	if !b.mayReturn(o) {
		return
	}
	defer func() {
		if err := b.timers.reopen(false); err != nil {
			b.log.Error("timers cannot be opened anew", "error", err)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), returnPatience)
	defer cancel()
	group, err := b.registrar.group(ctx)
	delete(group, protocol.MasterID) // what the name servers remember of this broker
	if err != nil || len(group) == 0 {
		return
	}
	addr := group[first(group)]
	announce := remoting.NewRequest(protocol.ExchangeBrokerHAInfo)
	(&protocol.ExchangeHAInfoRequestHeader{MasterHAAddress: b.haAddr(), MasterAddress: b.Addr()}).Encode(&announce.Fields)
	if _, err = b.registrar.client.Call(ctx, addr, announce); err == nil {
		err = b.takeProgress(ctx, addr)
	}
	if err != nil {
		b.log.Warn("what a slave delivered meanwhile is not known; it may be delivered again", "slave", addr, "error", err)
	}
}

// mayReturn tells of a master that a slave may have acted for it. Its timers deliver nothing before that is known.
func (b *Broker) mayReturn(o *Options) bool { return !b.isSlave() && o.EnableSlaveActingMaster }

// takeProgress goes on where a slave is, if that is further. Nothing is served yet, and nothing runs.
func (b *Broker) takeProgress(ctx context.Context, addr string) error {
	get := func(code protocol.RequestCode) (*remoting.Command, error) {
		resp, err := b.registrar.client.Call(ctx, addr, remoting.NewRequest(code))
		if err == nil && resp.ResponseCode() != protocol.Success {
			err = &refusal{resp.ResponseCode(), resp.Remark}
		}
		return resp, err
	}
	resp, err := get(protocol.GetAllConsumerOffset)
	if err != nil {
		return err
	}
	var offsets metadata.OffsetsFile
	if err := protocol.UnmarshalJSON(resp.Body, &offsets); err != nil {
		return err
	}
	offsets.Spread()
	b.offsets.Advance(offsets.OffsetTable, func(topic string, queue int32) int64 { return int64(b.store.MaxOffset(topic, queue)) })
	b.popper.log.load()
	if err := b.transactions.load(); err != nil {
		return err
	}
	resp, err = get(protocol.GetAllDelayOffset)
	if err != nil {
		return err
	}
	var delays schedule.OffsetsFile
	if err := protocol.UnmarshalJSON(resp.Body, &delays); err != nil {
		return err
	}
	b.schedule.Advance(delays.OffsetTable)
	resp, err = get(protocol.GetTimerCheckPoint)
	if err != nil {
		return noTimers(err)
	}
	check, err := timer.ParseCheckpoint(resp.Body)
	if err != nil {
		return err
	}
	return b.timers.catchUp(ctx, check)
}

// errTimerBehind says that the timer did not come to where a slave's is in time.
var errTimerBehind = errors.New("the timers did not come to where the slave's are")

// catchUp goes on where a slave is. The timer is still one that follows.
func (t *timers) catchUp(ctx context.Context, c timer.Checkpoint) error {
	opened := t.timer.Load()
	if opened == nil || c.ReadTime <= opened.Checkpoint().ReadTime {
		return nil
	}
	opened.Follow(c)
	poll := time.NewTicker(reachPoll)
	defer poll.Stop()
	for {
		if m := opened.Metrics(); m.ReadTime > c.ReadTime-t.b.options().TimerPrecisionMs && m.QueueOffset >= min(c.MasterQueueOffset, m.QueueMax) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errTimerBehind
		case <-poll.C:
		}
	}
}

// restart opens the timer in the part that the broker now has.
func (t *timers) restart() error { return t.reopen(t.b.isSlave() && !t.b.acts()) }

// reopen opens the timer anew, as one that follows a master's or delivers.
func (t *timers) reopen(following bool) error {
	opened := t.timer.Swap(nil)
	if opened == nil {
		return nil
	}
	if err := opened.Close(); err != nil {
		return err
	}
	return t.open(t.b.options(), following)
}
