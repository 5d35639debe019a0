// Package vfs is the only door to files, mappings and the system calls around
// them. Everything above it sees an FS; which one decides what a test can do.
//
// OS is the real file system. CrashFS lives in memory and can lose power: it
// keeps, page by page, what was synced, what was written since, and what was
// there in between, and makes of it the file systems that a crash may leave.
// FaultFS wraps another FS and fails, cuts short or delays the operations that
// its rules name. ColdFS wraps another and has a page cache that can be emptied.
// ScratchFS wraps another and keeps what is written in memory, for tools that
// try what would be done.
// BackedFile is state in a small file, read once with a backup at hand and then
// written whole.
// Receive has what comes from a connection go to a file without passing through
// the process, where the system can do so.
// Anonymous is memory without a file, outside the Go heap.
// Shutdown cuts the power of a real file system, for tests.
//
// Invariants:
//
//  1. Every error of an operation on a file names the operation and the path
//     (*fs.PathError, *os.LinkError), and errors.Is finds its cause: an errno,
//     fs.ErrNotExist, ErrLocked, ErrNotSupported, ErrShortFile.
//  2. A mapping never reaches beyond the end of its file when it is made. Who
//     allocates a file before mapping it, and never shortens it while mapped,
//     never meets SIGBUS for want of space.
//  3. Bytes of a mapping and of ReadAt/WriteAt on the same file are the same
//     bytes: either sees the other's writes at once.
//  4. What SyncData, Sync, Mapping.Sync or SyncAll covered when it was called
//     is durable when it returns nil; after an error it may never become so.
//     Mapping.Sync covers its range alone; SyncRange promises nothing.
//  5. A name is durable after SyncDir of its directory, and not before: neither
//     a new name, nor the absence of a removed one, nor a rename.
//  6. A file locked by Lock is opened by nobody else in this process: closing
//     any other descriptor of it would silently drop the lock.
//
// Concurrency: an FS and a File may be used by any number of goroutines, and
// Close of a File waits for calls under way. A Mapping may too, except that
// Unmap must come after every other use of it and of its Bytes; who hands
// slices to others counts them (package mappedfile does).
//
// It does not buffer, cache descriptors, retry or log, and it knows no format.
package vfs
