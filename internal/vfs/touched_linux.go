package vfs

import (
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// touchedPages tells which pages of a large mapping of CrashFS were ever
// touched, so that a sparse one need not be read, which would touch it all.
// nil says that all may have been.
func touchedPages(mem []byte) bitmap {
	if len(mem) <= heapMappingMost || pageSize != crashPageSize {
		return nil
	}
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil
	}
	defer f.Close()
	const entry, inMemory, inSwap = 8, 1 << 63, 1 << 62
	first := int64(uintptr(unsafe.Pointer(&mem[0])) / crashPageSize)
	pages := len(mem) / crashPageSize
	var touched bitmap
	touched.set(pages)
	buf := make([]byte, 32<<10)
	for i := 0; i < pages; {
		n, err := f.ReadAt(buf[:min(len(buf), (pages-i)*entry)], (first+int64(i))*entry)
		if err != nil || n < entry {
			return nil
		}
		for b := buf[:n]; len(b) >= entry; b = b[entry:] {
			if binary.NativeEndian.Uint64(b)&(inMemory|inSwap) != 0 {
				touched.set(i)
			}
			i++
		}
	}
	return touched
}

// keepSmallPages asks that a touched byte costs one page and not two megabytes.
func keepSmallPages(mem []byte) {
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // a kernel without huge pages refuses
}
