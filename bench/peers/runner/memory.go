package runner

import (
	"errors"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	// touchTime bounds how long one taking of memory may last: a host short of memory gives it slowly.
	touchTime = time.Minute
	touchStep = 16 << 20
	// lendAhead is how much lent memory is kept free for the run to take, and lendEvery how often that is
	// looked at: what is free for long goes back to the host.
	lendAhead = 64 << 20
	lendEvery = 5 * time.Millisecond
)

// heldMemory is memory taken between two runs and given back bit by bit while one runs. A virtual machine
// may return its free memory to its host within seconds, and the host then makes each page anew when it is next
// used, at many times the cost of a page of the machine's own: 12 µs instead of 0.3 were seen, 3 µs a
// message, on whichever side wrote. What was just freed is used first.
type heldMemory struct {
	steps [][]byte
	stop  chan struct{}
	lent  sync.WaitGroup
	err   error // of the lending
}

// take takes what is missing of so many bytes, as long as half of the machine's memory stays free.
func (h *heldMemory) take(n int) error {
	held := len(h.steps) * touchStep
	n = min(n, (freeMemory()+held)/2)
	for begin := time.Now(); held+touchStep <= n && time.Since(begin) < touchTime; held += touchStep {
		b, err := syscall.Mmap(-1, 0, touchStep, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err != nil {
			return err
		}
		h.steps = append(h.steps, b)
		const hugePage, populateWrite = 14, 23 // MADV_HUGEPAGE, MADV_POPULATE_WRITE
		_ = advise(b, hugePage)                // only quicker
		if err := advise(b, populateWrite); err != nil {
			return err
		}
	}
	return nil
}

// lend begins to give it back, as fast as it is used.
func (h *heldMemory) lend() {
	h.stop, h.err = make(chan struct{}), nil
	level, stop := freeMemory()+lendAhead, h.stop // which keep forgets
	h.lent.Go(func() { h.runLend(level, stop) })
}

func (h *heldMemory) runLend(level int, stop <-chan struct{}) {
	tick := time.NewTicker(lendEvery)
	defer tick.Stop()
	for {
		for missing := level - freeMemory(); missing > 0 && len(h.steps) > 0; missing -= touchStep {
			last := len(h.steps) - 1
			h.err = errors.Join(h.err, syscall.Munmap(h.steps[last]))
			h.steps = h.steps[:last]
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// keep ends the lending.
func (h *heldMemory) keep() error {
	if h.stop == nil {
		return nil
	}
	close(h.stop)
	h.stop = nil
	h.lent.Wait()
	return h.err
}

func advise(m []byte, advice uintptr) error {
	_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), advice)
	if errno != 0 {
		return errno
	}
	return nil
}

// freeMemory returns the bytes of memory that nobody uses, 0 when that is not known.
func freeMemory() int {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return int(info.Freeram) * int(info.Unit)
}
