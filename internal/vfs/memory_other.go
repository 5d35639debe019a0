//go:build !linux

package vfs

// PhysicalMemory returns the bytes of memory of this machine; a guess on
// systems that do not tell.
func PhysicalMemory() uint64 { return fallbackMemory }
