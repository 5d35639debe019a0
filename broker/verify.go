package broker

import (
	"errors"
	"hash/crc32"
	"io/fs"
	"slices"
	"sync"
)

// A scrub of the store verifies its files against each other. The state files have nothing to be compared with but what was
// written to them: of that the broker keeps a checksum a sector, which tells the place of a damage.

// stateSector is how much one checksum covers.
const stateSector = 512

// writtenState is what the content of a state file has to be.
type writtenState struct {
	mu    sync.Mutex // held while the file is read, written or verified
	known bool
	size  int
	sums  []uint32 // of its sectors
}

// while takes down content while it is written.
func (w *writtenState) while(content []byte, write func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := write()
	w.set(content)
	w.known = err == nil // else it is the old or the new one
	return err
}

func (w *writtenState) set(content []byte) {
	w.known, w.size, w.sums = true, len(content), w.sums[:0]
	for sector := range slices.Chunk(content, stateSector) {
		w.sums = append(w.sums, crc32.ChecksumIEEE(sector))
	}
}

// damagedAt compares content with what was taken down, and returns where the first sector begins that differs.
func (w *writtenState) damagedAt(content []byte) (at int, damaged bool) {
	for i, sum := range w.sums {
		at = i * stateSector
		if end := min(at+stateSector, w.size); end > len(content) || crc32.ChecksumIEEE(content[at:end]) != sum {
			return at, true
		}
	}
	return w.size, len(content) != w.size
}

// verify compares the file with what this process wrote to it last, or found when it looked first. It returns where the
// first sector begins that differs. What is damaged the next save does not make the backup.
func (f stateFile) verify() (at int, damaged bool, err error) {
	w := f.written
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.Damaged() { // it was when it was loaded
		return 0, true, nil
	}
	content, err := f.Read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, false, err
	}
	if !w.known {
		w.set(content)
		return 0, false, nil
	}
	if at, damaged = w.damagedAt(content); damaged {
		f.MarkDamaged()
	}
	return at, damaged, nil
}

// verifyState verifies the state files and has damaged ones written anew from memory.
func (b *Broker) verifyState() {
	for _, part := range []struct {
		file stateFile
		save func() error
	}{
		{b.topics.saver.file, b.topics.saver.save}, {b.groups.saver.file, b.groups.saver.save},
		{b.offsets.saver.file, b.offsets.saver.save}, {b.popper.orders.saver.file, b.popper.orders.saver.save},
		{b.assigner.saver.file, b.assigner.saver.save}, {b.filters.file, b.filters.persist},
		{b.schedule.file, b.schedule.rewrite},
	} {
		at, damaged, err := part.file.verify()
		if err != nil {
			b.log.Error("state file cannot be verified", "file", part.file.Name(), "error", err)
		}
		if !damaged {
			continue
		}
		err = part.save()
		b.log.Error("state file was damaged", "file", part.file.Name(), "byte", at, "mended", err == nil, "error", err)
	}
}
