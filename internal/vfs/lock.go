package vfs

import (
	"os"
	"path/filepath"
	"sync"
)

// held are the lock files that this process holds. A record lock belongs to the
// process: it keeps no second opener here out, and it is dropped when any
// descriptor of the file is closed, whoever opened it. So the table answers
// before the file is opened again.
var held struct {
	sync.Mutex
	locks map[*fileLock]struct{} // guarded by the mutex
}

// fileLock is one lock taken by Lock.
type fileLock struct {
	name string
	file *os.File
	info os.FileInfo // tells the file from others, whatever path leads to it
}

// heldHere says whether name is a file that this process has locked. Only files
// of a lock's base name are looked at: the check must cost nothing where
// thousands of others are opened.
func heldHere(name string) bool {
	held.Lock()
	defer held.Unlock()
	return heldLocked(name)
}

func heldLocked(name string) bool {
	base := filepath.Base(name)
	for l := range held.locks {
		if filepath.Base(l.name) != base {
			continue
		}
		info, err := os.Stat(name)
		return err == nil && os.SameFile(info, l.info)
	}
	return false
}

func lockFile(name string) (*fileLock, error) {
	held.Lock()
	defer held.Unlock()
	if heldLocked(name) {
		return nil, pathError("lock", name, ErrLocked)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	l := &fileLock{name: name, file: f}
	l.info, err = f.Stat()
	if err == nil {
		err = pathError("lock", name, lockRange(f))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if held.locks == nil {
		held.locks = make(map[*fileLock]struct{})
	}
	held.locks[l] = struct{}{}
	return l, nil
}

// Close gives the lock back. The file stays: to remove it would let two owners
// lock two files of one name.
func (l *fileLock) Close() error {
	held.Lock()
	defer held.Unlock()
	if _, ok := held.locks[l]; !ok {
		return pathError("unlock", l.name, os.ErrClosed)
	}
	delete(held.locks, l)
	return l.file.Close()
}
