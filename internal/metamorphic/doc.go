// Package metamorphic drives the engine through random histories and holds what it does against a
// model that fits on a page. It is for tests only; fuzz/ runs it, docs/design/0008-campaigns.md says
// which invariant it guards.
//
// # Main types
//
//   - History is a list of operations drawn from a seed: puts of all kinds, gets, queries, flushes,
//     restarts, crashes, retention, the clock, a disk that fills.
//   - OptionSet is one way to set up a store; a history runs under several of them.
//   - Campaign is many histories, on as many cores as there are, until a time or a count is reached.
//
// A history runs in a bubble of testing/synctest: its clock stands still while anything is going on,
// so that intervals of seconds cost nothing and the same seed does the same, as far as the scheduler
// of goroutines does. The store lies on a vfs.CrashFS, whose every call passes a hook. The crash
// campaign takes images of the disk there, as a power loss or a kill at that call leaves it; each is
// opened, held against the promises of that moment, put to, closed and checked, and crashes again
// while it is being recovered.
//
// # Invariants
//
//  1. Histories are free of each other, and an operation does not depend on those before it: any part
//     of a history is a history. So one that fails can be made shorter, and is named by its seed and
//     the numbers of the operations kept.
//  2. The model is told only what the store's user is told: answers, arrivals, and the positions that
//     the store claims. It never looks at the store to know what should be in it.
//  3. A message is lost, doubled, out of order, at another offset or with another content than it was
//     put with: each fails the history. So do a promise that is not kept, bytes of the log that no
//     message accounts for, an error where nothing was wrong with the disk, and goroutines that wait
//     for each other.
//
// # Concurrency
//
// A history belongs to one goroutine, the store's own aside. A process runs one history at a time,
// as its clock is one; campaigns use processes.
//
// # What it does not do
//
// It does not fail operations of the file system, but for want of space: that is the fault campaign's.
// It looks at no file of the store; engine.Check does.
package metamorphic
