package broker

import "github.com/rocketlog/rocketlog/engine"

// Metrics is a snapshot of a broker's counters and of what it holds. Counters count since the broker was opened.
type Metrics struct {
	Puts, PutBytes    int64 // messages taken in from clients, and their bytes in the log
	PutsRefused       int64 // sends that ended without being stored
	Gets, GetBytes    int64 // messages given out to consumers
	PullsFound        int64 // pulls that found messages
	PullsMissed       int64 // pulls that found none
	SendBacks         int64 // messages that consumers gave back
	Committed         int64 // transactions whose message was delivered
	RolledBack        int64 // transactions that were rolled back
	Checked           int64 // questions after a transaction that were due
	Unasked           int64 // those of them that no producer was online for
	GivenUp           int64 // transactions that were given up
	PullHolds         int   // pulls that wait for a message
	PendingPuts       int64 // messages that wait for the disk
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
		Puts: s.put.messages.Load(), PutBytes: s.put.bytes.Load(), PutsRefused: s.refused.Load(),
		Gets: s.get.messages.Load(), GetBytes: s.get.bytes.Load(),
		PullsFound: s.found.Load(), PullsMissed: s.missed.Load(), SendBacks: s.sendBack.Load(),
		Committed: b.transactions.stats.committed.Load(), RolledBack: b.transactions.stats.rolledBack.Load(),
		Checked: b.transactions.stats.checked.Load(), Unasked: b.transactions.stats.unasked.Load(), GivenUp: b.transactions.stats.givenUp.Load(),
		PullHolds: b.holds.len(), PendingPuts: b.sender.gate.pending.Load(),
		Topics: len(b.topics.list()), Groups: len(b.groups.names()),
		OnlineGroups: b.consumers.count(), ProducerGroups: len(b.producers.all()),
		Connections:    len(b.server.Conns()) + len(b.fast.Conns()),
		RequestsQueued: b.admin.Waiting() + b.calls.Waiting(), RequestsOffloaded: b.offloaded.Load(),
		Store: b.store.Metrics(),
	}
}
