package vfs

import "golang.org/x/sys/unix"

// PhysicalMemory returns the bytes of memory of this machine.
func PhysicalMemory() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return fallbackMemory
	}
	return uint64(info.Totalram) * uint64(info.Unit)
}
