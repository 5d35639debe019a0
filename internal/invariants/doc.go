// Package invariants holds assertions that cost nothing in a release.
//
// Enabled is a constant: true in builds with the tag "invariants" and in race
// builds, false otherwise, so that the compiler drops whatever it guards. The
// package is for checks too dear to keep always on; a cheap check on which the
// data depends belongs in the code, unguarded.
//
// Main names: Enabled, CloseChecker (a second Close, or a use after it, is a
// bug that names itself) and Mangle (a borrowed buffer kept too long shows
// garbage at once). Broken is the other way round: with the tag "broken" a test
// can break the engine, so that it is known to notice.
//
// Invariants:
//
//  1. With Enabled false every function here does nothing, and CloseChecker
//     has no size.
//  2. A failed assertion panics: it is a bug of ours, never a matter of bytes
//     from disk or wire.
//  3. Without the tag "broken" nothing is broken: Broken is false at compile time.
//
// All of it may be used by any number of goroutines, except that Mangle writes
// to the buffer, which must be the caller's alone by then.
//
// It does not log, count or recover.
package invariants
