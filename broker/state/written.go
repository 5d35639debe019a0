package state

import (
	"errors"
	"hash/crc32"
	"io/fs"
	"slices"
	"sync"
)

// A scrub of the store verifies its files against each other. The state files have nothing to be compared with but what was
// written to them: of that a checksum a sector is kept, which tells the place of a damage.

// sectorSize is how much one checksum covers.
const sectorSize = 512

// expected is what the content of a state file has to be.
type expected struct {
	mu    sync.Mutex // held while the file is read, written or verified
	known bool
	size  int
	sums  []uint32 // of its sectors
}

// while takes down content while it is written.
func (w *expected) while(content []byte, write func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := write()
	w.set(content)
	w.known = err == nil // else it is the old or the new one
	return err
}

func (w *expected) set(content []byte) {
	w.known, w.size, w.sums = true, len(content), w.sums[:0]
	for sector := range slices.Chunk(content, sectorSize) {
		w.sums = append(w.sums, crc32.ChecksumIEEE(sector))
	}
}

// damagedAt compares content with what was taken down, and returns where the first sector begins that differs.
func (w *expected) damagedAt(content []byte) (at int, damaged bool) {
	for i, sum := range w.sums {
		at = i * sectorSize
		if end := min(at+sectorSize, w.size); end > len(content) || crc32.ChecksumIEEE(content[at:end]) != sum {
			return at, true
		}
	}
	return w.size, len(content) != w.size
}

// Verify compares the file with what this process wrote to it last, or found when it looked first. It returns where the
// first sector begins that differs. What is damaged the next save does not make the backup.
func (f File) Verify() (at int, damaged bool, err error) {
	w := f.written
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.backed.Damaged() { // it was when it was loaded
		return 0, true, nil
	}
	content, err := f.backed.Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, false, err
	}
	if !w.known {
		w.set(content)
		return 0, false, nil
	}
	if at, damaged = w.damagedAt(content); damaged {
		f.backed.MarkDamaged()
	}
	return at, damaged, nil
}
