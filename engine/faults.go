package engine

import (
	"errors"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// isFault tells whether err is about a page of log or index that cannot be had.
// Everything that reads mapped memory runs below vfs.Guarded or the like. Asking
// costs an allocation.
func isFault(err error) bool {
	var fault *vfs.FaultError
	return errors.As(err, &fault)
}
