package vfs

import (
	"os"
	"sync/atomic"
	"unsafe"
)

var pageSize = os.Getpagesize()

// touched keeps the compiler from dropping the reads.
var touched atomic.Uint32

// touch faults in the pages of b, which begins at a page border, one by one. A
// writable page is written by adding nothing, atomically: that makes it present
// and dirty and loses no store of another goroutine, which reading a byte and
// writing it back could.
func touch(b []byte, writable bool) {
	var sum uint32
	for i := 0; i < len(b); i += pageSize {
		p := (*uint32)(unsafe.Pointer(&b[i]))
		if writable {
			sum += atomic.AddUint32(p, 0)
		} else {
			sum += atomic.LoadUint32(p)
		}
	}
	touched.Store(sum)
}
