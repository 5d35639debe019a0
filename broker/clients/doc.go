// Package clients knows who is connected to a broker and for which groups: consumers with what they subscribe to, producers,
// and which consumer has locked which queue. It is what Java has in ConsumerManager, ProducerManager and RebalanceLockManager.
//
// # Main types
//
//   - [Consumers] has the groups of consumers that are online, and what each wants.
//   - [Producers] has those of producers.
//   - [Locks] says which consumer of a group may consume a queue in order.
//   - [Channel] is the broker's end of a connection, and who is told things; a [Client] is its membership in one group.
//
// # Invariants
//
//  1. A client is online from its heartbeat until it leaves, its channel is closed, or two minutes have gone by without another
//     heartbeat. A group is online while it has a client.
//  2. The other members of a group are told of each change of its members or topics, after the table has it.
//  3. A queue has one owner in a group at a time: a restart forgets no lock whose owner may still consume.
//
// # Concurrency
//
// All methods are safe for use by many goroutines, but for Load. Nobody is told anything, and nothing is written, under a
// table's lock. What a pull needs is found without allocating.
//
// # What it does not do
//
// It closes no connections: it returns those that are silent. How queues are shared out among the members it does not know.
package clients
