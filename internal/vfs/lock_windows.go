package vfs

import (
	"os"

	"golang.org/x/sys/windows"
)

// errQuota is what a full quota answers.
const errQuota = windows.ERROR_DISK_QUOTA_EXCEEDED

// lockRange takes byte [0,1), as Java's FileChannel.tryLock does.
func lockRange(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if err == windows.ERROR_LOCK_VIOLATION {
		return ErrLocked
	}
	return err
}
