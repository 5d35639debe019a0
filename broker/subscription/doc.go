// Package subscription knows what consumer groups want of topics. It is what Java has in SubscriptionData's compiled form and
// in ConsumerFilterManager.
//
// # Main types
//
//   - [Subscription] is what a group wants of a topic, with its filter compiled.
//   - [Cache] compiles those that come with each request once for all that are the same.
//   - [Filters] remembers, in a state file, which groups filter by properties, also when they are gone.
//
// # Invariants
//
//  1. A Subscription does not change once made. Its filter is nil only if the expression cannot be evaluated, and Fault says why.
//  2. The cache is bounded, and keeps nothing that cannot be evaluated.
//  3. The file of Filters is Java's, with the bits that Java would have put into it: a Java broker that takes the store over
//     goes on with it.
//
// # Concurrency
//
// All methods are safe for use by many goroutines, but for Load.
//
// # What it does not do
//
// It does not know who is online, and evaluates nothing: package filter does.
package subscription
