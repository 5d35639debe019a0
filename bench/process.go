package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTicks is USER_HZ, the unit of /proc/PID/stat; Linux shows 100 on every architecture.
const clockTicks = 100

// Usage is what a process has used and holds.
type Usage struct {
	// CPU is user and system time of all threads since the start, in steps of 10 ms.
	CPU time.Duration
	// Resident and Anonymous are bytes of memory: all of it, and what belongs to no file.
	Resident, Anonymous uint64
}

// ProcessUsage reads the usage of a process from /proc.
func ProcessUsage(pid int) (Usage, error) {
	cpu, err := processCPU(pid)
	if err != nil {
		return Usage{}, err
	}
	u := Usage{CPU: cpu}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.Resident = statusBytes(status, "VmRSS:")
	u.Anonymous = statusBytes(status, "RssAnon:")
	return u, nil
}

// processCPU adds the fields utime and stime, counted from the end of the command's name: the name may
// hold spaces and parentheses.
func processCPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("bench: /proc stat has too few fields")
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(string(fields[12]), 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * time.Second / clockTicks, nil
}

func statusBytes(status []byte, name string) uint64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			n, _ := strconv.ParseUint(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			return n << 10
		}
	}
	return 0
}
