package timer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Fault tells of a file of the timer's that is damaged, and what became of it.
type Fault struct {
	File   string // path
	Offset int64  // byte in the file
	Text   string
	Kept   string // where the file was put aside, empty if it was not
	Mended bool   // the timer has all that the file told from elsewhere
	Err    error  // why it could not be mended, if that was tried
}

// String returns the fault in one line.
func (f Fault) String() string {
	state := "not mended"
	switch {
	case f.Mended:
		state = "mended"
	case f.Err != nil:
		state = fmt.Sprintf("not mended: %v", f.Err)
	}
	if f.Kept != "" {
		state += ", kept as " + f.Kept
	}
	return fmt.Sprintf("%s: at byte %d: %s (%s)", f.File, f.Offset, f.Text, state)
}

// asidePrefix begins the name of the folder, below the store's root, that keeps files put aside: that of a repair, which
// neither we nor Java look at.
const asidePrefix = "repair-"

// aside puts files out of the way whose size says that they are damaged: the wheel, which is made again from the log, and
// files of the log from the first such on, whose messages are all in the queue. Nothing is deleted.
type aside struct {
	fs         vfs.FS
	root, keep string
	made       bool // the folder keep is there
	cut        bool // files of the log were put there
	found      func(Fault)
}

// wheelFile puts the wheel aside if its size is not the one it should have.
func (a *aside) wheelFile(want int64) error {
	path := filepath.Join(a.root, wheelName)
	info, err := a.fs.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Size() == want || info.Size() == 0 { // one without a byte was just made
		return err
	}
	return a.put(path, wheelName, info.Size(), want)
}

// logFiles puts files of the log aside from the first on that has not the size it should have. Those behind it go first, so
// that what a crash leaves is a log without a gap.
func (a *aside) logFiles(want int64) error {
	dir := filepath.Join(a.root, logName)
	entries, err := a.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	sizes := map[string]int64{}
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 63); err != nil || len(e.Name()) != mappedfile.NameWidth {
			continue // the log refuses it by its name
		}
		info, err := a.fs.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		names = append(names, e.Name())
		sizes[e.Name()] = info.Size()
	}
	slices.Sort(names)
	first := slices.IndexFunc(names, func(name string) bool { return sizes[name] != want })
	if first < 0 || first == len(names)-1 && sizes[names[first]] == 0 { // the log drops an empty last one, as Java does
		return nil
	}
	a.cut = true
	for _, name := range slices.Backward(names[first:]) {
		if err := a.put(filepath.Join(dir, name), logName+"-"+name, sizes[name], want); err != nil {
			return err
		}
	}
	return nil
}

// put moves a file to the folder of what is kept, for certain.
func (a *aside) put(path, name string, size, want int64) error {
	if !a.made {
		if err := vfs.MakeDirs(a.fs, a.keep, 0o755); err != nil {
			return err
		}
		a.made = true
	}
	kept := filepath.Join(a.keep, name)
	if err := a.fs.Rename(path, kept); err != nil {
		return err
	}
	if err := errors.Join(a.fs.SyncDir(a.keep), a.fs.SyncDir(filepath.Dir(path))); err != nil {
		return err
	}
	f := Fault{File: path, Offset: min(size, want), Text: "it follows one that is damaged", Kept: kept, Mended: true}
	if size != want {
		f.Text = fmt.Sprintf("it has %d bytes, not %d", size, want)
	}
	a.found(f)
	return nil
}
