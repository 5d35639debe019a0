//go:build unix

package bench

import (
	"syscall"
	"time"
)

// SelfCPU returns the CPU time of this process so far, user and system, to the microsecond.
func SelfCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
