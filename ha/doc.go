// Package ha copies the log of a master to its slaves, byte for byte, and tells
// puts when enough slaves have them: Java's DefaultHAService,
// DefaultHAConnection and DefaultHAClient.
//
// # Main types
//
//   - Log is what is copied; engine.Store is one.
//   - Master serves slaves and answers those who wait for them.
//   - Slave follows a master.
//
// The protocol is decided by two state machines without goroutine, clock or
// socket (Leader and Copier, core.go), which master.go and slave.go drive, and
// the simulator (internal/sim) too. format.go has the bytes.
//
// With epochs (Java's AutoSwitchHAService) masters may come and go: Epochs say
// which part of a log was written under which, EpochFile keeps them, Reign is
// what a master begins with. reign.go decides for the Leader who is in sync and
// how far the log is safe, subject.go for the Copier what of its log has to go;
// switchformat.go has the bytes. docs/design/0016-auto-switch.md tells the whole.
//
// # Invariants
//
//  1. A master sends nothing beyond ConfirmOffset: what it may lose by the
//     crash that its flush type allows for, no slave has before it.
//  2. A slave appends at the end of its log and nowhere else, whole records
//     only; so at any time its log is a prefix of its master's, ends behind a
//     record, and can be dispatched, recovered and taken over.
//  3. A slave reports what its log holds as durably as its flush type
//     promises; the master counts a report only up to what it sent.
//  4. A slave that says who it is counts once, by its newest connection, and
//     only if its log ends with the same bytes as the master's does there. Of a
//     Java slave nothing is known but its reports: each connection counts.
//  5. A put is answered with success only when the slaves that it waits for
//     have reported its end.
//  6. With epochs, two logs that both have an epoch have the same bytes in it;
//     nothing is confirmed that some member of the in-sync set, decided on or
//     proposed, does not have; a slave cuts from its log what its master's does
//     not have before it appends.
//  7. What is queued is bounded by what waits: one write for each connection,
//     one entry for each put.
//
// # Concurrency
//
// All methods are safe for use by many goroutines. A Master has one lock, for
// its state machine, under which there is no I/O; waiters are called without
// it. Each connection has a goroutine that reads and one that writes. A Slave
// is one goroutine.
//
// # What it does not do
//
// Without epochs it never truncates a log: a slave that has other bytes than its
// master is refused and reported. It chooses no master and knows no topics.
package ha
