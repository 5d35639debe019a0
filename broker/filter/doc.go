// Package filter decides whether a message belongs to a subscription.
//
// An Expression is what a subscription asks for, compiled once: for the TAG type the set of tag hash codes, which is
// compared with the code that each consume queue unit carries, so that no record is read to pass over it. It has the
// methods that the store asks of a filter (engine.Filter), and is handed to it as it is.
//
// # Invariants
//
//  1. An Expression does not change once compiled: any number of goroutines may use one.
//  2. A message that the subscription asks for is never refused. One that it does not ask for may pass, when its tag's
//     hash code is that of a tag asked for: the client compares the tags again (Java's ExpressionMessageFilter does the same).
//
// # What it does not do
//
// SQL92 expressions are refused with ErrUnsupported; the seam for them is MatchRecord, which sees the stored properties.
package filter
