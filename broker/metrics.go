package broker

import (
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// Metrics is a snapshot of a broker's counters and of what it holds. Counters count since the broker was opened.
type Metrics struct {
	Puts, PutBytes    int64            // messages taken in from clients, and their bytes in the log
	PutsRefused       int64            // sends that ended without being stored
	Gets, GetBytes    int64            // messages given out to consumers
	PullsFound        int64            // pulls that found messages
	PullsMissed       int64            // pulls that found none
	Pops, Acks        int64            // messages popped, and popped ones acknowledged
	Revived           int64            // popped messages that came again as their time was over
	SendBacks         int64            // messages that consumers gave back
	DeadLetters       int64            // messages that were given back too often
	Refusals          map[string]int64 // requests refused, by cause: sends, and pulls and pops that there is no room for
	TransactionsOpen  int64            // half messages that nobody has decided on
	Committed         int64            // transactions whose message was delivered
	RolledBack        int64            // transactions that were rolled back
	Checked           int64            // questions after a transaction that were due
	Unasked           int64            // those of them that no producer was online for
	GivenUp           int64            // transactions that were given up
	PullHolds         int              // pulls that wait for a message
	PopWaits          int              // pops that wait for one
	PopsInFlight      int64            // pops of which a message is not acknowledged, those left to the timer apart
	TimersPending     map[string]int64 // messages that wait for their time, by the topic they go to
	DelaysPending     map[int32]int64  // messages that wait, by delay level
	PendingPuts       int64            // messages that wait for the disk
	ColdPulls         int64            // pulls whose messages had to be read from disk
	ColdRefused       int64            // those of them that were refused
	ColdDelayed       int64            // those that were told to ask again, as messages waited too long for the disk
	ColdWaiting       int              // those that wait
	ColdRate          int64            // bytes/s that may be read for them
	Topics, Groups    int
	OnlineGroups      int // consumer groups with a member online
	ProducerGroups    int // producer groups with a member online
	Connections       int
	RequestsQueued    int   // requests that wait for a goroutine of a pool
	RequestsOffloaded int64 // requests that wait for state files
	Store             engine.Metrics
}

// Metrics returns a snapshot.
func (b *Broker) Metrics() Metrics {
	s := b.stats
	return Metrics{
		Puts: s.Put.Messages(), PutBytes: s.Put.Bytes(), PutsRefused: s.Refused.Load(),
		Gets: s.Get.Messages(), GetBytes: s.Get.Bytes(),
		PullsFound: s.Found.Load(), PullsMissed: s.Missed.Load(),
		Pops: s.Total(stats.Pops), Acks: s.Total(stats.Acks), Revived: s.Revived.Load(),
		SendBacks: s.Total(stats.SendBacks), DeadLetters: s.Total(stats.DeadLetters), Refusals: s.Refusals(),
		TransactionsOpen: b.transactions.open(), PopWaits: b.popper.waits.Len(), PopsInFlight: b.popper.log.open.Load(),
		TimersPending: b.timersPending(), DelaysPending: b.schedule.Pending(),
		Committed: b.transactions.stats.committed.Load(), RolledBack: b.transactions.stats.rolledBack.Load(),
		Checked: b.transactions.stats.checked.Load(), Unasked: b.transactions.stats.unasked.Load(), GivenUp: b.transactions.stats.givenUp.Load(),
		PullHolds: b.holds.Len(), PendingPuts: b.sender.gate.Waiting(),
		ColdPulls: b.cold.pulls.Load(), ColdRefused: b.cold.refused.Load(), ColdDelayed: b.cold.delayed.Load(),
		ColdWaiting: b.cold.waiting(), ColdRate: b.cold.pace.State().Rate,
		Topics: len(b.topics.List()), Groups: len(b.groups.Names()),
		OnlineGroups: b.consumers.Count(), ProducerGroups: len(b.producers.All()),
		Connections:    len(b.server.Conns()) + len(b.fast.Conns()),
		RequestsQueued: b.admin.Waiting() + b.calls.Waiting(), RequestsOffloaded: b.offloaded.Load(),
		Store: b.store.Metrics(),
	}
}

// timersPending counts the messages in the timer by topic.
func (b *Broker) timersPending() map[string]int64 {
	opened := b.timers.timer.Load()
	if opened == nil {
		return nil
	}
	topics, _ := opened.Topics()
	pending := make(map[string]int64, len(topics))
	for name, n := range topics {
		if n.Count != 0 {
			pending[name] = n.Count
		}
	}
	return pending
}

// open counts the half messages that nobody has decided on.
func (t *transactor) open() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.ledger == nil {
		return 0
	}
	return int64(t.mu.ledger.Open(t.b.store.MaxOffset(message.HalfTopic, 0)))
}

// TopicTraffic is what was put to a topic since the broker was opened.
type TopicTraffic struct {
	Topic           string
	Messages, Bytes int64
}

// Puts returns what was put, by topic; topics without a message are left out.
func (b *Broker) Puts() (list []TopicTraffic) {
	for _, t := range b.topics.List() {
		if n := t.Puts.Messages(); n > 0 {
			list = append(list, TopicTraffic{t.Name, n, t.Puts.Bytes()})
		}
	}
	return list
}

// Consumption returns what groups did, in the order of topics and groups.
func (b *Broker) Consumption() []stats.GroupTraffic { return b.stats.Consumption() }
