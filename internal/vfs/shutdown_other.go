//go:build !linux

package vfs

// Shutdown is there on Linux alone.
func Shutdown(dir string) error { return pathError("shutdown", dir, ErrNotSupported) }
