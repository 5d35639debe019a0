// Package golden hands to tests what a Java broker wrote and said: whole stores with their
// manifests, damaged variants of one with what Java recovers from them, and remoting frames. It is
// for tests only.
//
// The main functions are [Store], [Manifest], [TornVariants] with [ApplyPatches], [Frames] and
// [Replication]. What the data is and where it comes from stands in testdata/README.md.
//
// # Invariants
//
//  1. The data is as Java left it. A test gets a copy of its own, which it may change.
//  2. Whatever is missing or cannot be read fails the test that asked for it.
//
// # Concurrency
//
// Every function may be called by parallel tests.
//
// # What it does not do
//
// It knows no format of RocketMQ's: it takes archives and JSON apart and leaves the bytes to the
// packages under test.
package golden
