package vfs

import (
	"io"
	"os"
	"syscall"
)

// osFS is the real file system. What the standard library does well is here;
// files, mappings, locks and syncs are in the files of each platform.
type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	if flag&os.O_APPEND != 0 {
		return nil, pathError("open", name, syscall.EINVAL)
	}
	if heldHere(name) {
		return nil, pathError("open", name, ErrLocked)
	}
	return openFile(name, flag, perm)
}

func (osFS) MkdirAll(dir string, perm os.FileMode) error { return os.MkdirAll(dir, perm) }
func (osFS) Remove(name string) error                    { return os.Remove(name) }
func (osFS) RemoveAll(name string) error                 { return os.RemoveAll(name) }
func (osFS) Rename(oldname, newname string) error        { return os.Rename(oldname, newname) }
func (osFS) ReadDir(dir string) ([]os.DirEntry, error)   { return os.ReadDir(dir) }
func (osFS) Stat(name string) (os.FileInfo, error)       { return os.Stat(name) }
func (osFS) Lock(name string) (io.Closer, error)         { return lockFile(name) }
