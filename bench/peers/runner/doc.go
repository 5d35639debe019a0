// Package runner puts sides beside each other: it starts each side of a study as a process of its own,
// in turns (A B C, A B C, A B C), takes the median of each figure over the rounds, prints the figures of each study and one table of all
// ratios and bars, draws them in one picture, and says which bars are met.
//
// The main types are [Study], what is compared; [Side], one of those compared; [Figure], what they are
// compared by; and [Bar], what must hold between them.
//
// # Invariants
//
//  1. One side at a time: nothing else that the runner started is running while a side is measured.
//  2. Each run has a new, empty directory, which is gone, and the disk settled, before the next run.
//  3. A side that cannot run here is left out with a word why, and so is each bar that needs it.
//
// # Concurrency
//
// A run is sequential; the runner's only goroutines are those of os/exec.
package runner
