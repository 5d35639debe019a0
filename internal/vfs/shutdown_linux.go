package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// The request that xfstests cuts the power with; ext4, xfs and f2fs know it.
const (
	ioctlShutdown   = 0x8004587d // FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)
	shutdownNoFlush = 2
)

// Shutdown ends the file system mounted at dir as a power loss does: what is not
// on its device by now, its journal included, never will be. Only tests want
// that, and only root may.
func Shutdown(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return pathError("shutdown", dir, unix.IoctlSetPointerInt(int(f.Fd()), ioctlShutdown, shutdownNoFlush))
}
