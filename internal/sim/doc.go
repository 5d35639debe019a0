// Package sim drives a master and its slaves by a seed through delays, lost
// connections, reordering across connections, partitions, slow disks, kills and
// power losses that tear what was written through mappings. It is for tests
// only.
//
// # Main types
//
//   - Cluster is a master with its slaves: the state machines of package ha
//     over commit logs on file systems that can lose power (vfs.CrashFS).
//   - Settings are what a seed draws.
//   - Broken names a mistake that the simulator makes on purpose, to show that
//     it would be found.
//
// # Invariants checked
//
//  1. A slave that is served has a prefix of its master's log, byte for byte,
//     when it begins and after each append.
//  2. A slave's acknowledgement, as its master counts it, is never beyond what
//     the slave holds, unless it has crashed since and the master has not
//     noticed.
//  3. A put answered with success is held, at that moment and at the end, by as
//     many slaves as it asked for. So it survives as long as one of them does:
//     a kill of any of them whatever the flush type, a power loss where all
//     flush synchronously.
//
// # Concurrency
//
// One goroutine does everything, in an order that the seed chooses. Only the
// making of the next log file is the log's own affair: Run waits for it before
// each step, in a bubble of testing/synctest, and so a seed replays.
//
// # What it does not do
//
// It has no sockets and no frames: those are tested in package ha. Choosing a
// new master is the affair of who configures the brokers.
package sim
