package engine

import (
	"runtime/debug"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// guarded calls fn, and makes an error of a page of log or index that cannot
// be had. Everything that reads mapped memory runs below it.
func guarded(fn func() error) (err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	return fn()
}
