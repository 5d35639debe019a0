package engine

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// checkState compares the small files with what was last written to them: this
// process alone writes them, and knows.
func (r *scrub) checkState() error {
	s := r.store
	s.checkpoints.Lock()
	files := map[string][]byte{checkpointName: s.checkpoints.java.encode()}
	if s.checkpoints.ours != (waymark{}) { // a truncation takes it back until the next checkpoint
		files[waymarkName] = s.checkpoints.ours.encode()
	}
	if s.checkpoints.kept != (waymark{}) {
		files[waymarkName+vfs.BackupSuffix] = s.checkpoints.kept.encode()
	}
	damaged, err := r.compareFiles(files)
	s.checkpoints.Unlock()
	if err != nil {
		return err
	}
	r.writeAgain(damaged, func() error {
		// The second one puts away what the first kept of a waymark that was damaged.
		return errors.Join(s.checkpoint(false), s.checkpoint(false))
	})

	s.marks.mu.Lock()
	damaged, err = nil, nil
	if s.marks.written != nil {
		damaged, err = r.compareFiles(map[string][]byte{markName: s.marks.written})
	}
	s.marks.mu.Unlock()
	r.writeAgain(damaged, s.mark)
	return err
}

// compareFiles returns a fault for each file of the store that has not the
// content that it should.
func (r *scrub) compareFiles(files map[string][]byte) (damaged []ScrubFault, err error) {
	for name, want := range files {
		if err := r.pace(len(want)); err != nil {
			return nil, err
		}
		path := filepath.Join(r.store.dir, name)
		have, err := readCold(r.store.fs, path, len(want))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			damaged = append(damaged, ScrubFault{File: path, Text: "the file is gone"})
		case err != nil:
			return nil, err
		case !bytes.Equal(have, want):
			at := 0
			for at < len(have) && have[at] == want[at] {
				at++
			}
			damaged = append(damaged, ScrubFault{File: path, Offset: int64(at), Text: "the file has not what was written here last"})
		}
	}
	return damaged, nil
}

// writeAgain has files written anew, and reports what was wrong with them.
func (r *scrub) writeAgain(damaged []ScrubFault, write func() error) {
	if len(damaged) == 0 {
		return
	}
	err := write()
	for _, f := range damaged {
		f.Err, f.Mended = err, err == nil
		r.report(f)
	}
}

// readCold reads the first n bytes of a file, or all of a shorter one, and
// leaves the page cache as it was.
func readCold(fsys vfs.FS, path string, n int) (b []byte, err error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b = make([]byte, n)
	got, err := f.ReadCold(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:got], err
}
