package engine

import (
	"errors"
	"runtime/debug"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// guarded calls fn, and makes an error of a page of log or index that cannot
// be had. Everything that reads mapped memory runs below it.
func guarded(fn func() error) (err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	return fn()
}

// isFault tells whether err is about such a page. Asking costs an allocation.
func isFault(err error) bool {
	var fault *vfs.FaultError
	return errors.As(err, &fault)
}
