// Package broker serves RocketMQ's remoting protocol over a message store: it takes in messages, gives them to consumers
// and knows topics, groups, offsets and who is online. It is what Java has in BrokerController and the processors below it.
//
// # Main types
//
//   - [Broker] is a running broker: Open to Close. A [Host] keeps one open whatever its role becomes.
//   - [Options] are its settings, by the keys of RocketMQ's broker.conf.
//
// What can be understood without a broker has a package below this one, which docs/design/0020-broker-packages.md lists: tables
// under one lock each, and what decides. Here are the services that tie them to the store and to connections, a file or a few
// for each (send, pull, pop, transaction, timer, register, replication, slavesync, acting), and the administrators' requests
// (admin_*). A request comes by codes.go and is a call (handle.go).
//
// # Invariants
//
//  1. A send is answered with success only when the store says that the message is stored as durably as asked.
//  2. A message that can be read wakes those who wait for it: a hold is made before the queue's end is looked at again.
//  3. What an administrator changes is on disk before the one who asked for it is told. So is a topic or group that comes by
//     use, unless the disk refuses: then it is used all the same, and the log says so. Offsets are on disk some seconds
//     later: after a crash a consumer sees again what it committed since, and never misses anything.
//  4. A state file is the old or the new one after a power loss, in Java's shape. One that is damaged beyond its backup does
//     not keep the broker from starting, and one that is damaged never takes the place of its backup.
//  5. Delayed messages are put to their topics before their progress is noted on disk: a crash may repeat a delivery and
//     loses none; none comes early.
//  6. The message of a transaction is delivered at least once if its producer commits it, never if it rolls it back, and the
//     producer is asked until it says which: the half message counts as settled only when what settles it is in the log
//     (docs/design/0011-transactions.md).
//  7. Everything held for a client is bounded, and ends with its connection.
//
// # Concurrency
//
// All exported methods are safe for use by many goroutines. Sends and pulls run on the goroutine that reads their
// connection and take no lock for longer than a look into a table; one that has to make a topic or a group, and so to wait
// for the disk, is taken over by a goroutine of its own. A held pull belongs to the table of package longpoll until it is woken: by the
// dispatch, which answers a single waiter itself, by a waker or by the clock.
//
// Locks are not nested, but for those of queues that are popped from, which come before all others. Nothing is sent or written
// under a table's lock. Goroutines: one or a few for each service with a clock (waiting pulls and pops, schedule, registrar,
// persisters, housekeeping), all of which sleep while nothing happens, and the pools of the servers; Close awaits them all.
//
// # What it does not do
//
// A slave chooses no master: its role is configured.
package broker
