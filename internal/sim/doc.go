// Package sim drives a master and its slaves by a seed through delays, lost
// connections, reordering across connections, partitions, slow disks, kills and
// power losses that tear what was written through mappings. It is for tests
// only.
//
// # Main types
//
//   - Cluster is a master with its slaves: the state machines of package ha
//     over commit logs on file systems that can lose power (vfs.CrashFS).
//   - Switching is a group of brokers whose master changes, with epochs; a ruler
//     stands for the controller.
//   - Settings and SwitchSettings are what a seed draws.
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
// And with epochs:
//
//  4. Where two logs have an epoch from the same offset on, they have the same
//     bytes in it.
//  5. A master's confirm offset is never beyond what the members of the in-sync
//     set hold, as the ruler has decided on it; a blank at the end is nothing to hold.
//  6. A put answered with success is held by all whom the ruler may make master,
//     whenever the set, a master or a log changes.
//
// # Concurrency
//
// One goroutine does everything, in an order that the seed chooses. Only the
// making of the next log file is the log's own affair: Run waits for it after
// each change of a log, in a bubble of testing/synctest, and so a seed replays.
//
// # What it does not do
//
// It has no sockets and no frames: those are tested in package ha. Choosing a
// new master is the affair of who configures the brokers: the ruler takes any
// member of the set.
package sim
