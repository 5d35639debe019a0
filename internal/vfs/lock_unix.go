//go:build unix

package vfs

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// errQuota is what a full quota answers.
const errQuota = unix.EDQUOT

// lockRange takes byte [0,1) with a POSIX record lock, the kind that Java's
// FileChannel.tryLock takes. A flock or an open-file-description lock would not
// meet it on every kernel and file system.
func lockRange(f *os.File) error {
	lk := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: 0, Len: 1}
	err := ignoringEINTR(func() error { return unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lk) })
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrLocked
	}
	return err
}

// ignoringEINTR calls again what a signal interrupted: the runtime sends them
// for preemption.
func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
