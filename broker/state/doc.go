// Package state keeps tables of a broker in the JSON files below config/, in the shape in which Java's ConfigManager does.
//
// # Main types
//
//   - [File] is one such file with the generation before it; [Load] reads it.
//   - [Saver] writes a file at once, on behalf of many who change its table at the same time.
//   - [Persister] writes it some time after a change, for tables that change with every message.
//
// # Invariants
//
//  1. After a power loss a file has what was written last, or what was being written.
//  2. A file that is damaged is replaced by its backup when it is read, and never takes the place of its backup.
//  3. A change that [Saver.Save] is called for is on disk when it returns, or its error says that it is not.
//  4. A file that differs from what was written to it is told, with the place.
//
// # Concurrency
//
// All methods are safe for use by many goroutines. Nothing of a saver is locked while it takes a snapshot of its
// table or writes.
//
// # What it does not do
//
// It does not know what the tables hold.
package state
