package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// BackupSuffix ends the name under which WriteFileAtomic keeps the content
// before (Java's ConfigManager). The other files beside are gone after each call.
// An empty file is no content: it is what a writer that does not sync leaves.
const (
	BackupSuffix    = ".bak"
	tempSuffix      = ".tmp"
	backupTmpSuffix = ".bak.tmp"
)

// ReadFile reads a whole file. It is for small ones: state, not messages.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data[:n], nil
}

// RemoveIfThere removes name, a file or an empty directory, if there is one. It
// is durable once the directory around it is synced.
func RemoveIfThere(fsys FS, name string) error {
	if err := fsys.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// WriteFileAtomic replaces the content of name by data, durably: when it
// returns nil the new content survives a power loss, and at each moment before
// name holds the old content or the new one, whole. The old content is kept as
// name+".bak", as Java does for its own recovery.
//
// The backup is a copy and not the renamed old file: between two renames a
// crash would leave no file under name. So name is never absent, and a reader
// needs the backup only after damage that no crash explains. Who reads it then
// writes by a BackedFile, which does not make the damage the backup.
func WriteFileAtomic(fsys FS, name string, data []byte) error {
	old, err := ReadFile(fsys, name)
	switch {
	case err == nil && len(old) == 0:
	case err == nil:
		if err := replace(fsys, name+backupTmpSuffix, name+BackupSuffix, old); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := replace(fsys, name+tempSuffix, name, data); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// replace writes data to temp, durably, and renames it to name.
func replace(fsys FS, temp, name string, data []byte) error {
	err := writeSynced(fsys, temp, data)
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		_ = fsys.Remove(temp) // what failed first is what to tell
	}
	return err
}

func writeSynced(fsys FS, name string, data []byte) error {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// MakeDirs makes dir and its missing parents, durably: each new name is synced
// in the directory that holds it before anything is made below. The deepest one
// that is there may be the work of a process that was killed before it synced
// its name, and is synced as well, where that is allowed.
func MakeDirs(fsys FS, dir string, perm os.FileMode) error {
	var missing []string // deepest first
	d := filepath.Clean(dir)
	for {
		_, err := fsys.Stat(d)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parent := filepath.Dir(d)
		if parent == d {
			break
		}
		missing = append(missing, d)
		d = parent
	}
	if err := fsys.SyncDir(filepath.Dir(d)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	for _, d := range slices.Backward(missing) {
		if err := fsys.MkdirAll(d, perm); err != nil {
			return err
		}
		if err := fsys.SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return fsys.MkdirAll(dir, perm) // which tells of a file in its place
}
