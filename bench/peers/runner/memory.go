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
	// lendStep is a huge page.
	lendStep = 2 << 20
	// lendAhead is how much lent memory is kept free for the run to take, and lendEvery how often that is
	// looked at: what is free for long goes back to the host. At 2 GB/s not more is taken from one look to the next than is
	// kept free; more looks would wake the runner more often beside what it measures.
	lendAhead = 64 << 20
	lendEvery = 20 * time.Millisecond
)

// heldMemory is memory taken between two runs and given back bit by bit while one runs. A virtual machine
// may return its free memory to its host within seconds, and the host then makes each page anew when it is next
// used, at many times the cost of a page of the machine's own: 12 µs instead of 0.3 were seen, 3 µs a
// message, on whichever side wrote. What was just freed is used first, among blocks of its size: two huge pages next to each other
// that are both free are one larger block, which is taken last. So every other one is given back before those between them.
type heldMemory struct {
	first, later [][]byte // huge pages, none of the first next to another of them
	stop         chan struct{}
	lent         sync.WaitGroup
	err          error // of the lending
}

// take takes what is missing of so many bytes, as long as half of the machine's memory stays free.
func (h *heldMemory) take(n int) error {
	held := (len(h.first) + len(h.later)) * lendStep
	n = min(n, (freeMemory()+held)/2)
	for begin := time.Now(); held+touchStep <= n && time.Since(begin) < touchTime; held += touchStep {
		b, err := syscall.Mmap(-1, 0, touchStep, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
		if err != nil {
			return err
		}
		for at := 0; at < touchStep; at += 2 * lendStep {
			h.first = append(h.first, b[at:at+lendStep])
			h.later = append(h.later, b[at+lendStep:at+2*lendStep])
		}
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
		for missing := level - freeMemory(); missing > 0 && len(h.later) > 0; missing -= lendStep {
			h.err = errors.Join(h.err, h.giveBack())
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// giveBack gives one huge page back.
func (h *heldMemory) giveBack() error {
	from := &h.first
	if len(*from) == 0 {
		from = &h.later
	}
	last := len(*from) - 1
	b := (*from)[last]
	*from = (*from)[:last]
	return unmap(b)
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

// unmap is munmap of a part of a mapping, which that of the syscall package does not know.
func unmap(m []byte) error {
	_, _, errno := syscall.Syscall(syscall.SYS_MUNMAP, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), 0)
	if errno != 0 {
		return errno
	}
	return nil
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
