// Package fuzzcheck is for tests only. It holds what fuzz targets check besides
// their own property, and the canary that proves that they can fail.
//
// Bounded is the check: a decoder may allocate in proportion to the bytes it is
// given, and not to what these bytes say of themselves.
//
// # Invariants
//
//  1. FuzzCanary, built with the tag canary, fails within its time whenever the
//     harness works: "make fuzz" demands it. Without the tag it is not there.
//
// # Concurrency
//
// Bounded measures the process, so that other goroutines' allocations count. A
// target calls it from one goroutine, as the fuzzer runs it.
package fuzzcheck
