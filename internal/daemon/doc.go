// Package daemon holds what the commands that run until they are told to stop have in common: their exit codes, their config
// file, their log, and their end by signal.
//
// The first signal has the daemon stop in order, however long that takes within its patience; the second one quits at once,
// which the store is made for.
//
// The package knows nothing of brokers and name servers. Its functions are called from main's goroutine.
package daemon
