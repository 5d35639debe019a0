// Package longpoll keeps the pulls and pops that have found nothing and wait for a message. It is what Java has in
// PullRequestHoldService and PopLongPollingService, which look at what they hold every few seconds; here nothing is polled.
//
// # Main types
//
//   - [Pulls] holds pulls: a message wakes all that want it.
//   - [Pops] holds pops: a message wakes one of each group, the one that has waited longest.
//   - [Waiter] is who waits, and is told of the end.
//
// # Invariants
//
//  1. A waiter that was taken in is told of the end exactly once: by Resume, or by Free if its owner is gone.
//  2. A wait ends when a message arrives that it wants, or when its time is over: a pull then at most a third of its patience,
//     and five seconds, late.
//  3. As many wait as the table's limit allows, and no goroutine waits with them.
//
// A message that comes between a read and the wait after it wakes nobody. So who waits looks again once it is taken in, and
// calls Recheck if there is something.
//
// # Concurrency
//
// All methods are safe for use by many goroutines. Arrived is on the path of the dispatch: it takes no lock where nobody waits
// at the queue. No lock is held while a waiter is told.
//
// # What it does not do
//
// It reads no messages and answers no requests: who waits does, on the goroutines of the table.
package longpoll
