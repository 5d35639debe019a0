package timer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// checkpointFile is config/timercheck, and beside it our own file of the progress since.
type checkpointFile struct {
	check, progress vfs.File
	dir             string // of the checkpoint
	fs              vfs.FS
	named           bool // the names of the files are durable
	known           bool // check has what was written last, or was found
	noCheck         bool // check was found with bytes that are none
	noProgress      bool // the same of progress

	// delivered is what was written to progress last, empty when that is not known. The run goroutine's.
	delivered []byte
}

// openCheckpoint opens both files, made where they are missing, and reads them. What is no checkpoint reads as the zero
// one, with known false.
func openCheckpoint(fsys vfs.FS, root string) (f *checkpointFile, c Checkpoint, p progress, known bool, err error) {
	f = &checkpointFile{fs: fsys, dir: filepath.Join(root, "config")}
	if err = vfs.MakeDirs(fsys, f.dir, 0o755); err != nil {
		return nil, c, p, false, err
	}
	if f.check, err = fsys.OpenFile(f.checkPath(), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, c, p, false, err
	}
	if f.progress, err = fsys.OpenFile(f.progressPath(), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return nil, c, p, false, errors.Join(err, f.check.Close())
	}
	var b [CheckpointSize]byte
	n, err := readFull(f.check, b[:])
	if err != nil {
		return nil, c, p, false, errors.Join(err, f.close())
	}
	if c, err = ParseCheckpoint(b[:n]); err == nil {
		known = c.VersionCounter > 0 || c.ReadTime > 0
		f.known = true
	}
	f.noCheck = err != nil && !empty(b[:n])
	var pb [progressSize]byte
	n, err = readFull(f.progress, pb[:])
	if err != nil {
		return nil, c, p, false, errors.Join(err, f.close())
	}
	if found, ok := decodeProgress(pb[:n]); ok {
		return f, c, found, known, nil
	}
	f.noProgress = !empty(pb[:n])
	p = progress{slotPhy: noPhy, latePhy: noPhy}
	return f, c, p, known, nil
}

// empty tells that nothing was ever written to bytes of a file.
func empty(b []byte) bool { return bytes.Count(b, zero) == len(b) }

var zero = []byte{0}

func (f *checkpointFile) checkPath() string { return filepath.Join(f.dir, checkpointName) }
func (f *checkpointFile) progressPath() string {
	return filepath.Join(filepath.Dir(f.dir), progressName)
}

func readFull(f vfs.File, b []byte) (int, error) {
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// write makes a checkpoint durable. It lies in one sector and so is on disk whole.
func (f *checkpointFile) write(c Checkpoint) error {
	if err := f.grow(); err != nil {
		return err
	}
	f.known = false
	if _, err := f.check.WriteAt(c.Append(nil), 0); err != nil {
		return err
	}
	if err := f.check.Sync(); err != nil {
		return err
	}
	f.known = true
	if !f.named {
		if err := errors.Join(f.fs.SyncDir(f.dir), f.fs.SyncDir(filepath.Dir(f.dir))); err != nil {
			return err
		}
		f.named = true
	}
	return nil
}

// grow gives the file the length that Java maps.
func (f *checkpointFile) grow() error {
	size, err := f.check.Size()
	if err != nil || size >= checkpointFileSize {
		return err
	}
	return f.check.Truncate(checkpointFileSize)
}

// writeProgress hands the progress to the page cache: it is for the death of the process.
func (f *checkpointFile) writeProgress(p progress) error {
	var b [progressSize]byte
	p.encode(b[:])
	_, err := f.progress.WriteAt(b[:], 0)
	if f.delivered = f.delivered[:0]; err == nil {
		f.delivered = append(f.delivered, b[:]...)
	}
	return err
}

// replaceProgress is writeProgress that no crash takes back: what was there is never read again.
func (f *checkpointFile) replaceProgress(p progress) error {
	return errors.Join(f.writeProgress(p), f.progress.Sync())
}

func (f *checkpointFile) close() error { return errors.Join(f.check.Close(), f.progress.Close()) }

// ReadCheckpoint reads the checkpoint of the store in root, for tools. The error wraps fs.ErrNotExist when it has none.
func ReadCheckpoint(fsys vfs.FS, root string) (Checkpoint, error) {
	b, err := vfs.ReadFile(fsys, filepath.Join(root, "config", checkpointName))
	if err != nil {
		return Checkpoint{}, err
	}
	return ParseCheckpoint(b)
}
