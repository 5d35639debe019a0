// Package engine is the message store: put, get, query, dispatch, recover and
// clean (Java: DefaultMessageStore).
//
// # Main types
//
//   - Store is an open store directory.
//   - Options names every setting by RocketMQ's property.
//   - PutResult and GetResult carry Java's statuses.
//   - Replicator copies the log to slaves, and puts wait for it; a Store with
//     Options.Following is a slave's own, and grows by AppendRaw
//     and Receive.
//   - EventListener is told what happens; Metrics is a snapshot of counters.
//   - Report is what Check found in the files of a store.
//
// # Invariants
//
//  1. MinPhyOffset ≤ ReputOffset ≤ ConfirmOffset ≤ MaxPhyOffset. With SyncFlush
//     ConfirmOffset is what is on disk, so nothing is dispatched, and nobody
//     reads it, before it is durable: no queue offset is ever used twice.
//  2. Consume queues and index hold exactly the records below ReputOffset, in
//     log order, and can be rebuilt from the log.
//  3. The checkpoint never claims more than is on disk: what lies below its
//     offsets is read from queues and index after a crash, the rest is
//     dispatched again from the log.
//  4. A status of PutOK means stored as durably as asked. Every other status
//     carries the cause, and says whether the message is in the log.
//  5. A failed sync is final: puts are refused until the store is opened
//     again. A full disk is not: puts go on when there is space.
//  6. What a scrub or a repair changes is in queues and index; the log is
//     written by appends and cut by recovery, and by nothing else.
//  7. A page of a mapped file that cannot be had is an error of the call that
//     needs it; no error of a read leads a reader past a message.
//  8. One process at a time has a store open, a Java broker included.
//
// # Concurrency
//
// All methods are safe for use by many goroutines. The borrowed memory of a
// GetResult or Ref stays valid until released, whatever is deleted meanwhile.
//
// # What it does not do
//
// It knows nothing of sockets, groups or consumers; it neither delays nor
// filters by itself, but for the hook that Get is given.
package engine
