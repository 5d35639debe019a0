// Package flow says what may begin now, for work whose cost is known only afterwards: puts that wait for the disk, and reads
// of old messages from it (docs/design/0013-flow-control.md). It has no goroutine, and its owner does what it says.
//
// # Main types
//
//   - [Gate] admits puts, by how long such puts are seen to wait.
//   - [Pace] says when the next read from disk may begin, by what such reads make puts wait.
//   - [Quota] bounds what each group, and all together, read from disk in a window of time, as Java does.
//
// # Invariants
//
//  1. A put is not admitted if it would be answered after its producer has given up, as far as can be seen, or be one too many;
//     when nothing waits the next put is admitted.
//  2. Reads get on at a least rate however slow the disk is, and are slowed down while they make puts wait for more than twice
//     as long as without.
//  3. A refusal says why, with the numbers.
//
// # Concurrency
//
// All methods are safe for use by many goroutines. A Gate has no lock.
//
// # What it does not do
//
// It does not know what is put or read.
package flow
