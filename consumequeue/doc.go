// Package consumequeue keeps the queues of a store: for each offset of a queue
// the place of its message in the commit log. Java's names are ConsumeQueue and
// ConsumeQueueStore; the files are Java's, byte for byte.
//
// The main types are Set, all queues of a store; ConsumeQueue, one of them; and
// Unit, its entry. A Set is opened, recovered once, appended to by the
// dispatcher, synced, and closed:
//
//	set, err := consumequeue.Open(vfs.OS, dir, nil)
//	err = set.Recover(durable, logMin, logEnd, clean)
//	q, err := set.QueueOrCreate("TopicTest", 0)
//	err = q.Append(offset, unit)
//	n, err := q.Read(offset, units)
//	err = set.Sync(0)
//
// Files are not mapped: units gather in a small buffer of their queue, go to the
// files by pwrite, and are read by pread; descriptors are opened on demand and
// bounded. So a queue costs a few hundred bytes of memory while it is idle, and
// a store may have a hundred thousand. docs/design/0003-consumequeue.md tells
// why.
//
// # Invariants
//
//  1. The unit of queue offset n lies at byte 20 n of the queue, and records of
//     successive units lie behind one another in the log. Placeholders are
//     only before the first unit, in the same file.
//  2. Every file has FileSize bytes from the moment others can see it; behind
//     the last unit it is zero.
//  3. written <= max; units below written are in files, those from written on
//     in the tail. A reader that sees max sees every unit below it.
//  4. After a Sync(0) without error every unit appended before it is durable,
//     and the names of all files and folders on the way to it.
//  5. After Recover every unit whose record ends at or below durable is there,
//     and without trust no other one.
//  6. A unit that an Append with an error did not take is not in the queue;
//     one that an Append without error took is, until a truncation or the end
//     of the process, in the tail if it could not be written.
//  7. Open descriptors are at most Options.OpenFiles and one for each call in
//     progress.
//  8. What was read ahead of a queue is not read any more after a truncation of
//     it, or a Rewrite.
//
// # Concurrency
//
// One goroutine at a time may call Append. Read, OffsetByTime, MinOffset,
// MaxOffset, Last and the lookups may be called by any number at any time;
// WriteOut, Sync, CorrectMinOffset, DeleteExpired, DropQueue and DeleteTopic
// too. Truncate excludes appends by itself, but the dispatcher has to know that
// the queue is shorter. The package starts no goroutine that outlives a call.
//
// # What it does not do
//
// It does not read the commit log, so that it cannot know whether a unit is
// true: Options.InLog asks its user where it matters. It does not keep Java's
// batch queues (batchconsumequeue) or extended units (consumequeue_ext), nor
// touch their folders.
package consumequeue
