package runner

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	// touchTime bounds how long one taking of memory may last: a host short of memory gives it slowly.
	touchTime = time.Minute
	touchStep = 64 << 20
)

// heldMemory is memory taken between two runs and given back when the next begins. A virtual machine
// may return its free memory to its host, which then makes each page anew when it is next used, at many
// times the cost of a page of the machine's own: as much as 3 µs a message was seen, on whichever side
// ran after a pause. What was just freed is used first.
type heldMemory struct{ b []byte }

// take takes what is missing of so many bytes, as long as half of the machine's memory stays free.
func (h *heldMemory) take(n int) error {
	n = min(n, availableMemory()/2) &^ (touchStep - 1)
	if n <= 0 || h.b != nil {
		return nil
	}
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return err
	}
	h.b = b
	const hugePage, populateWrite = 14, 23 // MADV_HUGEPAGE, MADV_POPULATE_WRITE
	_ = advise(b, hugePage)                // only quicker
	for begin := time.Now(); len(b) > 0 && time.Since(begin) < touchTime; b = b[touchStep:] {
		if err := advise(b[:touchStep], populateWrite); err != nil {
			return err
		}
	}
	return nil
}

// release gives it back.
func (h *heldMemory) release() error {
	b := h.b
	h.b = nil
	if b == nil {
		return nil
	}
	return syscall.Munmap(b)
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
