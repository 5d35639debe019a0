// Package histories runs tests that make up random histories from a seed.
//
// Among all other tests the same few histories run each time, so that nobody's work stops at what was not seen before.
// `make histories` goes on from there with others for as long as one likes, or runs one again: the name of the one that fails
// bears its seed.
package histories
