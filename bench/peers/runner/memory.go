package runner

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// touchMemory takes so many bytes of memory and gives them back. A virtual machine may have returned
// its free memory to its host, which then makes each page anew when it is next used, at many times the
// cost of a page of the machine's own: as much as 3 µs a message was seen, on whichever side ran after
// the pause. What was just freed is used first.
func touchMemory(n int) error {
	n = min(n, availableMemory()/2) &^ (1<<21 - 1)
	if n <= 0 {
		return nil
	}
	m, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return err
	}
	const hugePage, populateWrite = 14, 23 // MADV_HUGEPAGE, MADV_POPULATE_WRITE
	_ = advise(m, hugePage)                // only quicker
	return errors.Join(advise(m, populateWrite), syscall.Munmap(m))
}

func advise(m []byte, advice uintptr) error {
	_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), advice)
	if errno != 0 {
		return errno
	}
	return nil
}

// availableMemory returns MemAvailable in bytes, 0 when it is not known.
func availableMemory() int {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(info) {
		if rest, ok := bytes.CutPrefix(line, []byte("MemAvailable:")); ok {
			n, _ := strconv.Atoi(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))))
			return n << 10
		}
	}
	return 0
}
