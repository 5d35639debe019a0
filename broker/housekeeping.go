package broker

import (
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/remoting"
)

const (
	// filterPersistDelay is the time from a change of a group's filter to its being durable, as in Java.
	filterPersistDelay = 10 * time.Second
	// lockPersistDelay is the time from the renewal of a lock to its being durable. A restart may end a lock that much too
	// early, which is still long after its owner has stopped consuming.
	lockPersistDelay = 10 * time.Second
)

// persister has a state file written some time after its table was armed, once the broker serves.
func (b *Broker) persister(name string, delay time.Duration, persist func() error) *state.Persister {
	p := state.NewPersister(delay, persist, func(err error) {
		b.log.Error("state file cannot be written; tried again", "file", name, "error", err)
	})
	b.persisters = append(b.persisters, p)
	return p
}

func (b *Broker) startPersisters() {
	for _, p := range b.persisters {
		b.done.Go(func() { p.Run(b.stop) })
	}
}

// runHousekeeping forgets clients that are silent and takes samples of the statistics.
func (b *Broker) runHousekeeping() {
	defer b.done.Done()
	tick := time.NewTicker(stats.SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
		}
		for _, ch := range append(b.consumers.Expire(), b.producers.Expire()...) {
			b.log.Info("client is silent and forgotten", "client", ch.RemoteAddr())
			if conn, ok := ch.(*remoting.Conn); ok {
				conn.Close()
			}
		}
		b.locks.Expire()
		b.filters.Expire(b.consumers.Online, b.options().FilterDataCleanTimeSpan)
		b.stats.Sample(b.now(), b.topics.Puts())
		if opened := b.timers.timer.Load(); opened != nil {
			taken, delivered := opened.Counts()
			b.stats.SampleTimer(b.now(), taken, delivered)
		}
	}
}
