package vfs

import (
	"errors"
	"fmt"
	"io/fs"
)

// DamagedSuffix ends the name under which a BackedFile sets aside what was damaged.
const DamagedSuffix = ".damaged"

// A BackedFile is state in a small file that a process reads once and writes from then on: WriteFileAtomic keeps the
// generation before beside it, which Load takes when the file is of no use.
//
//	name           the state, absent only until the first Save, or since it was set aside
//	name.bak       the generation before
//	name.damaged   what was found under name and was none; nobody reads it but people
//
// The content is at each moment the old one or the new one, also while Save is under way over a damaged file: that is set
// aside first, as it would be made the backup in place of the generation that is all there is.
//
// Of its methods one may be called at a time.
type BackedFile struct {
	fs      FS
	name    string
	damaged bool // what is under name is no generation
}

// NewBackedFile is the file called name, which need not be there.
func NewBackedFile(fsys FS, name string) *BackedFile { return &BackedFile{fs: fsys, name: name} }

// Name is the path of the file.
func (f *BackedFile) Name() string { return f.name }

// Load has decode take the content or, when there is none or decode fails by it, that of the backup. found tells whether decode
// took one. The complaint says what is damaged, even if the backup was good. An empty file is an absent one, about which there
// is nothing to complain: a power loss while Java writes leaves one.
func (f *BackedFile) Load(decode func([]byte) error) (found bool, complaint error) {
	found, err := LoadFile(f.fs, f.name, decode)
	if found {
		return true, nil
	}
	found, errBackup := LoadFile(f.fs, f.name+BackupSuffix, decode)
	if err == nil {
		return found, errBackup
	}
	f.damaged = true
	if found {
		return true, fmt.Errorf("%w; its backup is used instead, and the next save puts the file aside as %s", err, f.name+DamagedSuffix)
	}
	return false, errors.Join(err, errBackup)
}

// LoadFile has decode take the content of a small file, unless there is none, and tells whether it did.
func LoadFile(fsys FS, name string, decode func([]byte) error) (found bool, err error) {
	data, err := ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(data) == 0 {
		return false, nil
	}
	if err == nil {
		if err = decode(data); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}
	return err == nil, err
}

// Read returns what is under the file's own name.
func (f *BackedFile) Read() ([]byte, error) { return ReadFile(f.fs, f.name) }

// Damaged tells whether the file was found to be damaged and was not written since.
func (f *BackedFile) Damaged() bool { return f.damaged }

// MarkDamaged has the next Save set aside what is there: somebody found out that it is not what was saved.
func (f *BackedFile) MarkDamaged() { f.damaged = true }

// Save replaces the content as WriteFileAtomic does.
func (f *BackedFile) Save(data []byte) error {
	if f.damaged {
		// Until the new file is there, the backup stands in for one that is absent as for one that is damaged.
		if err := f.fs.Rename(f.name, f.name+DamagedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f.damaged = false
	}
	return WriteFileAtomic(f.fs, f.name, data)
}
