package mappedfile

import (
	"errors"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Resident tells whether the bytes [offset, offset+n) of one file are in
// memory; those that are not kept are.
func (q *Queue) Resident(offset int64, n int) bool {
	resident := true
	err := q.withMapping(offset, func(m vfs.Mapping, at int) error {
		resident = m.Resident(at, n)
		return nil
	})
	return resident || err != nil
}

// Load brings the bytes [offset, offset+n) of one file into memory and waits
// for them; those that are not kept are none.
func (q *Queue) Load(offset int64, n int) error {
	return q.withMapping(offset, func(m vfs.Mapping, at int) error { return m.Load(at, n) })
}

// Forget drops them from memory, as far as they are on disk.
func (q *Queue) Forget(offset int64, n int) error {
	return q.withMapping(offset, func(m vfs.Mapping, at int) error { return m.Forget(at, n) })
}

// withMapping does something with the mapping of the file that holds offset.
func (q *Queue) withMapping(offset int64, do func(m vfs.Mapping, at int) error) error {
	f := q.FileAt(offset)
	if f == nil {
		return nil
	}
	if err := q.hold(f); err != nil {
		if errors.Is(err, ErrRemoved) {
			return nil
		}
		return err
	}
	defer f.release()
	return do(f.mapping, int(offset-f.start))
}
