// Package transaction decides what becomes of the half messages of transactions. It is the part of Java's
// TransactionalMessageServiceImpl that needs neither a store nor a clock.
//
// A message of a transaction is first stored as a half message, in a queue that no consumer reads. Its producer then ends
// the transaction: a commit puts the message to its real topic, a rollback does not. Either way the half message is settled
// by a message in the op queue, which names its offset. A half message that is not ended in time is checked: a copy of it is
// appended to the half queue, the producer is asked about the copy, and the old one counts no more.
//
// # Main types
//
//   - [Half] is a half message as far as decisions need it, read by [ParseHalf].
//   - [Policy] are RocketMQ's times and limits; [Policy.Decide] says what to do with a half message now.
//   - [Ledger] knows which half messages are settled, from where on the two queues must be read after a restart, and
//     which copies are of one transaction.
//
// # Invariants
//
//  1. Every half message below [Ledger.Progress] is settled: ended, copied to the end of the queue, or given up.
//  2. A transaction that is being ended is not settled until the end is confirmed: a restart finds it pending.
//  3. A transaction is ended once in a ledger's life: an end that comes again, of whichever copy, is told so. Java delivers twice when a producer answers late, by the half message that it sent and again
//     by the copy that it is asked about.
//  4. One half message never keeps the others from being decided on.
//  5. Memory is two bits for each half message from the first pending one on, and an entry for each transaction that was
//     checked and is pending, each one that was given up (up to a bound), each op message not yet behind, and each end under way.
//
// # Concurrency
//
// A Ledger is not safe for use by several goroutines; its owner has a lock. Policy and Half are values.
//
// # What it does not do
//
// It reads, stores and sends nothing.
package transaction
