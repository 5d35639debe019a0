// Package harness starts the programs that the interop tests need and keeps
// account of what they say: servers of either make behind Target and Cluster,
// clients behind Agent, messages behind Balance.
//
// Rules that hold for all of it:
//
//  1. Whatever is started ends with the test binary, even when that is killed.
//  2. Every wait has a bound and says at its end what it waited for.
//  3. Ports are chosen free at run time, below the ephemeral range.
//
// It is for tests only and makes no promise to anyone else.
package harness
