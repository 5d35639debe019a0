// Package fuzz is where the campaigns begin that try to break the engine: random histories against a
// model (TestMeta), crashes at every kind of moment (TestCrash), kills of a real process and power
// losses of a real file system (TestKill, TestPowerCut), and engines that are broken on purpose, each
// of which has to be caught (TestBroken, with the build tag "broken"). It is for tests only.
//
// By itself go test runs each for a second or two. The flags of this package say how long, how many,
// or which one again:
//
//	go test ./fuzz -run '^TestCrash$' -timeout 0 -v -args -time=10m
//	go test ./fuzz -run '^TestMeta$' -args -count=10000
//	go test ./fuzz -run '^TestCrash$' -args -seed=4711 -keep=3,8,9
//
// make meta, crash, kill and broken do so. A campaign prints what it did, stops at the first history
// that fails, makes it shorter, and prints how to run it again.
//
// # Invariants
//
//  1. Every campaign prints how many histories, crashes and kills it counted: one that did nothing is
//     seen to have done nothing.
//  2. What fails is named by a seed, and the seed draws the same history on every machine.
//
// # Concurrency
//
// Campaigns run their histories in processes of their own, one for each core.
//
// # What it does not do
//
// What a campaign does and proves is internal/metamorphic's. docs/design/0008-campaigns.md says which
// invariant is guarded where.
package fuzz
