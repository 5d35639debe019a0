// Package commitlog appends records in one order, makes them durable, and
// finds the true end of the log after a crash: Java's CommitLog.
//
// # Main types
//
//   - CommitLog is the log: Append and AppendBatch, Sync and NotifyDurable,
//     Read, Recover, RemoveBefore.
//   - Sequence counts the offsets of one queue; Append gives them out in the
//     order of the log.
//   - Recovery says what a scan found and why it ended there.
//   - Seal names a durable prefix of the log by its end and a hash, so that a
//     later open can trust it without reading it again.
//
// # Invariants
//
//  1. Records lie back to back; a record never crosses a file, and the rest
//     of a file that it does not fit is a blank record of at least 8 bytes.
//  2. Physical offset, queue offset and store time are fixed under the put
//     lock, so all three grow together along the log.
//  3. Nobody is told that a record is durable before the sync that covers it
//     has returned without an error.
//  4. A failed sync is final: every waiter and every later append gets the
//     error, since the kernel may have dropped the pages it could not write.
//  5. Recovery accepts a record only if every byte of it can be what was
//     appended, given that any page written since the last sync may hold any
//     earlier state of itself, whole or torn at a sector. What lies behind
//     the end found is made to read as zeros before anything is appended, so
//     no remains of an earlier life are taken for records later.
//  6. Appending one message allocates nothing in the steady state.
//
// # Concurrency
//
// Any number of goroutines append and read. Lock order: the put lock, then
// the commit lock; the flush lock is taken before the commit lock and never
// while holding the put lock. No I/O is done under the put lock, except that
// an append waits for the next file where the allocator has not kept ahead.
// Recover and Truncate exclude appends, which the caller arranges.
//
// # What it does not do
//
// It knows nothing of consume queues or of who may read what: dispatch,
// checkpoints and retention policy are the engine's.
package commitlog
