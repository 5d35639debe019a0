// Package pop is the core of pop consumption: who has which message in hand, until when, and what is to be given out
// again. It has no clock, no goroutine and no store: the broker tells it what happened and at which time, and does what it
// says. Java spreads the same over PopMessageProcessor, PopBufferMergeService, PopReviveService and
// ConsumerOrderInfoManager.
//
// # Main types
//
//   - [Handle] is a receipt: what a consumer shows to acknowledge a message (Java's ExtraInfoUtil).
//   - [Checkpoint] and [Ack] are the records of the revive log: some messages were given out, some of them are done.
//   - [Ledger] holds the checkpoints of one queue of the revive log that are not settled.
//   - [Orders] holds, for groups that consume in order, the one batch that each queue has given out.
//
// # Invariants
//
//  1. The ledger is a function of the revive log from the offset that [Ledger.Committed] has returned at any time: to apply
//     the records behind it, in their order, once or twice, gives every checkpoint that was open, with what was acknowledged.
//  2. An offset of a checkpoint leaves the ledger by an acknowledgement, or by Settle once its message is stored elsewhere:
//     no other way, as long as no two checkpoints are added by one key. So each message that was given out is done or comes again.
//  3. A checkpoint is due not before its time, and is returned by Due once: what it covers is not given out twice at a time. One that
//     came by way of the timer is due not before its acknowledgements came that way ([Ledger.Brought]).
//  4. The memory of a ledger is bounded by its open checkpoints, and these by the caller, who asks Len before it adds.
//  5. An ordered queue gives out nothing while an offset of its last batch is neither done nor visible again; and then
//     begins with the first that is not done.
//
// # Concurrency
//
// Ledger and Orders are not safe for use by many goroutines: their owner has a lock. The rest are pure functions.
//
// # What it does not do
//
// It reads and writes no messages, and does not know which are left in a queue: the consumer offset says that, and is the
// broker's. It knows no long polls.
package pop
