package vfs

import (
	"fmt"
	"runtime/debug"
	"sync"
	"unsafe"
)

// FaultError says that there is no memory behind a place of a mapping: the
// file was cut by another hand, or its device does not give the page.
type FaultError struct {
	Path   string
	Offset int64 // in the mapping
}

// Error implements error.
func (e *FaultError) Error() string {
	return fmt.Sprintf("%s: byte %d of the mapping cannot be reached: the file was cut, or its device failed", e.Path, e.Offset)
}

// CatchFaults turns the fault of a mapping into an error of the function that
// defers it, which says before that faults are to be panics:
//
//	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
//
// Any other panic goes on. Without it a fault ends the process.
func CatchFaults(was bool, err *error) {
	v := recover()
	debug.SetPanicOnFault(was)
	if v == nil {
		return
	}
	if fault := asFault(v); fault != nil {
		*err = fault
		return
	}
	panic(v)
}

// Guarded calls fn, and makes an error of a page of a mapping that cannot be had.
func Guarded(fn func() error) (err error) {
	defer CatchFaults(debug.SetPanicOnFault(true), &err)
	return fn()
}

// asFault finds the mapping that a panic is about, nil if it is about none.
func asFault(v any) *FaultError {
	at, ok := v.(interface{ Addr() uintptr })
	if !ok {
		return nil
	}
	regions.Lock()
	defer regions.Unlock()
	for begin, r := range regions.byBegin {
		if addr := at.Addr(); addr >= begin && addr-begin < uintptr(r.size) {
			return &FaultError{Path: r.path, Offset: int64(addr - begin)}
		}
	}
	return nil
}

// region is the memory of a mapping.
type region struct {
	path string
	size int
}

// regions are the mappings of the real file system.
var regions = struct {
	sync.Mutex
	byBegin map[uintptr]region
}{byBegin: map[uintptr]region{}}

func addRegion(data []byte, path string) {
	regions.Lock()
	defer regions.Unlock()
	regions.byBegin[uintptr(unsafe.Pointer(&data[0]))] = region{path, len(data)}
}

func removeRegion(data []byte) {
	regions.Lock()
	defer regions.Unlock()
	delete(regions.byBegin, uintptr(unsafe.Pointer(&data[0])))
}

// Touch reads a byte of each page of b, so that a page that cannot be had
// faults here and not where nobody can answer for it.
func Touch(b []byte) {
	if len(b) == 0 {
		return
	}
	// The first byte, and then the first of each page: one in a page is enough,
	// and each waits for memory.
	sum := b[0]
	in := int(uintptr(unsafe.Pointer(&b[0])) % minPageSize)
	for i := minPageSize - in; i < len(b); i += minPageSize {
		sum += b[i]
	}
	if sum == 1 {
		touched.Store(1) // keeps the compiler from dropping the reads
	}
}

// minPageSize is that of the system with the smallest pages.
const minPageSize = 4096
