package runner

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// evict has the kernel forget the pages of all files below dir, so that they are read from the disk next.
func evict(dir string) error {
	syscall.Sync() // only what is on disk can be forgotten
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		const dontNeed = 4 // POSIX_FADV_DONTNEED
		if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); errno != 0 {
			return errno
		}
		return nil
	})
}
