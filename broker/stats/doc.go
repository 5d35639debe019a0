// Package stats counts what a broker does, and says at what rate it did so in the last minute, hour and day. It is what Java
// has in BrokerStatsManager and BrokerStats.
//
// # Main types
//
//   - [Traffic] counts messages of one kind.
//   - [Counters] are a broker's: of its messages, of each group with each topic, and of the requests that were refused.
//   - [Rate] and [Rates] are what a difference of two samples says.
//
// # Invariants
//
//  1. To count is to add to atomics: no lock is taken but to find the counters of a group, and that is shared.
//  2. What never happened has no statistic, as in Java: tools take its absence for zero.
//  3. Memory is that of the groups and topics that did something: about two hundred samples each, none for what did nothing.
//
// # Concurrency
//
// All methods may be called by many goroutines. Sample and SampleTimer are called by one, each [SampleEvery].
//
// # What it does not do
//
// It has no clock and no goroutine, and keeps nothing over a restart. What a group has yet to consume is not counted here.
package stats
