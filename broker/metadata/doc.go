// Package metadata holds what a broker knows besides its messages and keeps in state files: topics, consumer groups, and how
// far each group has consumed each queue. It is what Java has in TopicConfigManager, SubscriptionGroupManager and
// ConsumerOffsetManager.
//
// # Main types
//
//   - [Topics] is the table of topics; a [Topic] is the same one for as long as it exists.
//   - [Groups] is the table of consumer groups, and of the topics that they may not read.
//   - [Offsets] has where groups have committed to, where they read last, and where they are to go on.
//
// # Invariants
//
//  1. A change of topics or groups is on disk when the method that makes it returns, or its error says that it is not; the
//     change holds all the same. Offsets are on disk with the next Persist.
//  2. A configuration is never changed in place: who has one goes on with it as it was.
//  3. A topic of which no put is under way and none begins is retired; its identity does not come again.
//  4. What Java has written is read, and what is written Java reads; what an older writer left out has its default.
//  5. Offsets are those that were committed last, but for those of queues whose log lost their end (Clamp), and those that a
//     slave's master or a master's slave knows to be further (Merge, Advance).
//
// # Concurrency
//
// All methods are safe for use by many goroutines, but for Load, LoadStatic, OnChange and Reign, which come before. Topics and
// groups are found without allocating. No lock is held while a file is written.
//
// # What it does not do
//
// It does not know what messages the store has, who is online, or what a request may do: it is told the time, and whether
// topics and groups are made on the way.
package metadata
