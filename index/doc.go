// Package index finds messages by key and time: Java's IndexService and IndexFile, byte for byte.
//
// [Index] is the folder of index files. Each file is a hash table over a fixed number of entries;
// when one is full, the next begins, named by the local time of its creation. The unique key, each
// key and the tag of a message become one entry each, with the hash of "topic#key" or "topic#T#tag",
// the message's physical offset and its store time in seconds. Keys themselves are not kept, so an answer may hold messages
// whose key merely has the same hash: the caller, as in Java the client, compares.
//
// # Invariants
//
//  1. Entry numbers count from 1. An entry below the file's count is written before the count grows
//     over it, and never changes until a cut.
//  2. The chain of a slot goes from newer to older: each entry names a lower one, or none. Entries of
//     a slot are all those, and only those, whose hash falls into it.
//  3. Physical offsets never fall from entry to entry, nor from file to file.
//  4. A message has its entries once, whatever is dispatched again: messages below the last entry's
//     offset are skipped, and of the message at it only the keys that are missing are added.
//  5. What a [State] says is on disk: the entries below its count, with their slots, and all older
//     files; and every message below its offset is among them. A slot on disk is as it was when the
//     State was taken, or newer. A State knows of whole messages only, those that were settled.
//  6. A file is mapped only with all its space allocated, so a full disk is an error of Put and never
//     a fault. Put after such an error goes on where it stopped.
//  7. At most Options.MaxMapped files are mapped besides the one being written and those being read.
//     A mapping goes only when nobody reads it.
//
// # Crash safety
//
// A page written since the last sync may be on disk as it was then, as it is, or as it was between,
// and sectors of it may differ in that. So after a crash the slots may name entries that are not
// there. [Index.Recover] takes the last State, which the engine keeps in a file of its own, cuts the
// entries at its count, finds the slots that name others, and takes their true heads from the
// entries. Without a State, as in a store that Java wrote, it keeps the files that Java knew to be on
// disk. Either way it tells from where the log has to be dispatched again.
//
// The State must be renewed, by [Index.Sync], and kept before the log grows again after Recover or
// Truncate cut something, as the entries behind the cut are going to be overwritten.
//
// # Concurrency
//
// Prepare, Put, Settle, Recover and Truncate belong to one goroutine, the dispatcher. Query may be called by any, at
// any time; so may Sync and DeleteExpired, which take turns. A reader goes by the count and the slot,
// both atomic, and sees the entries that were there before them; Put takes no lock but when it begins
// a file. Messages put one after the other are settled together: States and the header are as of the last
// [Index.Settle], queries by key as of the last message. The slots of the active file are brought into memory by a
// goroutine that ends by itself, and that Close waits for.
//
// # What it does not do
//
// It does not read the log, does not verify that a key's text matches, and does not decide which
// messages are indexed: the caller leaves out rolled back transactions. It does not log.
package index
