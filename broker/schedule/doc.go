// Package schedule delivers the messages of delay levels when they are due. It is Java's ScheduleMessageService.
//
// Each delay level is a queue of the schedule topic, in which messages lie in the order in which they fall due. A delivery is
// an ordinary put.
//
// # Main types
//
//   - [Scheduler] delivers; its owner makes, opens, loads and starts it, and tells it of arrivals.
//   - [Store] is what it needs of a store.
//
// # Invariants
//
//  1. No message is delivered before it is due, by the clock as it is when the message is looked at; one that is due much
//     further away than its level allows is due now, as the clock was set back.
//  2. Messages of a level are delivered in their order, and a level's offset moves behind a message once it is stored.
//  3. config/delayOffset.json is written behind a flush of the log, so that a power loss repeats deliveries and loses none. The
//     file delayprogress keeps a process that is killed from repeating more than a batch.
//  4. What cannot be delivered is dropped if it never can be, and told; else it is tried again, and holds up its level alone.
//
// # Concurrency
//
// All methods are safe for use by many goroutines once the scheduler is loaded; Start and Pause are called by one at a time.
// One goroutine delivers, and sleeps while nothing is due.
//
// # What it does not do
//
// It does not put messages to the schedule topic, and knows no timer: messages at arbitrary times are package timer's.
package schedule
