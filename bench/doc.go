// Package bench measures the engine: what a put, a get and a recovery cost, alone and at several
// writers and queue counts. The studies are benchmarks (go test -bench . ./bench/), the rest of the
// package is what they measure with, and what the comparison in bench/peers, a module of its own,
// measures with too: [Latency] counts latencies, [Usage] reads CPU time and memory of a process, and
// [Source] makes the messages.
//
// # Invariants
//
//  1. Measuring adds at most one clock reading a message and no allocation, so that the figures are
//     the engine's.
//  2. The same work is given to every side: a [Source] makes what the Java harness in bench/peers/java
//     makes, and both count latencies in the same buckets.
//  3. CPU time is of the whole process from the first put to the last dispatch: background work is
//     paid for by the messages that caused it.
//
// # Concurrency
//
// A [Latency] and a [Source] belong to one goroutine each; [Latency.Add] merges when they stopped.
//
// # What it does not do
//
// It asserts no speed: figures depend on the machine. The comparison in bench/peers judges ratios.
package bench
