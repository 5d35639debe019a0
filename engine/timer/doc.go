// Package timer holds delayed messages until they are due: Java's TimerMessageStore, with its wheel and its log.
//
// A message that is to be delivered later lies in the queue of the timer topic. The timer takes each in from there, in
// order, and notes it in the slot of the second in which it falls due; when that second is over it puts the message back
// into the store, under the topic that it was meant for.
//
// # Main types
//
//   - [Timer] takes in and delivers: Open to Close.
//   - [Queue] is what it needs of a store: the timer topic to read, and a place to put to.
//   - [Checkpoint] is the file that says, in Java's form, how far all is durable.
//
// # Invariants
//
//  1. A message is delivered when its slot's time is over and never before: not by a clock that is set back, nor one that
//     is set forward and back again.
//  2. A unit in the log names a message of the timer topic. The units of a slot are a chain from the newest to the oldest:
//     each names one before it in the log, of the same slot.
//  3. A slot holds units of one time only; while it holds any that are not delivered, no other time may have it.
//  4. The checkpoint is written when the commit log, the timer log and the wheel that it speaks of are on disk. What it
//     says is taken in lies below its position of the timer log or is delivered, and every slot before its time is delivered.
//  5. The progress file is ahead of the checkpoint by what was delivered since, so that a killed process delivers again
//     no more than a batch. It counts only if the commit log still has all that was delivered.
//  6. A message that cannot be delivered (its record is gone, it does not say where it is meant for, the store refuses
//     it for good) is dropped and told, and keeps no other from delivery. One that cannot be put for now is put again until
//     it can.
//  7. The timer of a slave delivers nothing and takes in what its master has taken in. Made a master's, it misses nothing
//     that its master had not delivered, and repeats no more than what was delivered since it was last told.
//  8. Memory does not grow with what is pending: the wheel and the log are mapped, and a slot is read in parts.
//  9. A file that is damaged is told, kept where it has to go, and made again by what holds the same: the wheel by the log,
//     the log by the queue.
//
// # Concurrency
//
// One goroutine takes in and delivers, another makes durable and cleans. Exported methods may be called by any. Lock
// order: flush before state before wheel. Nothing is read from or put to the Queue under a lock that a caller may want,
// but the flush of the store.
//
// # What it does not do
//
// It does not decide what is delayed nor for how long: who puts a message to the timer topic says so in TIMER_OUT_MS (see
// [OutTime]). It does not log.
package timer
