// Package mappedfile gives fixed-size files, named by their start offset, as
// one long address space: Java's MappedFile and MappedFileQueue.
//
// # Main types
//
//   - Queue is the address space: the files in order, three positions, reads
//     by offset, growth at the tail, removal at both ends.
//   - File is one file of it, mapped while it is in use.
//   - Ref is a held slice of a File: as long as it is held, its bytes stay
//     mapped, even if the file is deleted or turns cold meanwhile.
//   - Allocator makes the next file before it is needed and brings the pages
//     just ahead of the writer into memory.
//   - writtenAhead has space filled with zeros before the committer gets there,
//     which makes its syncs cheaper.
//   - ring (the TransientStorePool) holds appended bytes off the heap until
//     they are committed to the page cache.
//
// # Invariants
//
//  1. Flushed ≤ Committed ≤ Wrote, and none of them moves back but by
//     TruncateTo. Without a ring Committed is Wrote.
//  2. A byte below Committed is readable through a Ref; a byte at or above it
//     is seen by nobody but the writer.
//  3. Only space that is allocated on the device is mapped for writing, so a
//     full disk is an error of Roll and never a fault while writing.
//  4. A mapping is removed only when nobody holds a Ref to it.
//  5. A new file's name and length are durable before Roll hands it out.
//  6. At most MaxMapped cold files are mapped besides those that are held, so
//     memory does not grow with the store.
//  7. What Receive wrote and did not publish reads as zeros when it returns, so
//     that nothing behind Wrote is taken for data after a crash.
//
// # Concurrency
//
// One goroutine at a time appends (Reserve, Advance, Receive, Roll): the caller
// sees to it. Commit and Flush are called by one flusher at a time.
// Reading is free for all at any time. Truncation excludes appending, which
// the caller arranges.
//
// # What it does not do
//
// It knows nothing of records: it neither finds the end of valid data nor
// fills the tail of a file. It starts no flusher: when to flush is policy.
package mappedfile
