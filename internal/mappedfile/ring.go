package mappedfile

import (
	"fmt"
	"sync"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// ring holds the bytes between Committed and Wrote off the heap: Java's
// TransientStorePool, as one window over the log instead of whole files, so
// that its size bounds the memory whatever the size of a file. The byte of
// offset o lies at o modulo the size.
//
// The appender writes at and above Wrote, the committer reads below it, so
// they never touch the same byte; holes is shared and has a lock.
type ring struct {
	mapping vfs.Mapping
	buf     []byte
	scratch []byte // a reservation that would wrap lies here until placed

	mu    sync.Mutex
	holes []span // skipped bytes not yet committed, in order
}

type span struct{ from, to int64 }

func newRing(size int, lock bool) (*ring, error) {
	m, err := vfs.Anonymous(size)
	if err != nil {
		return nil, fmt.Errorf("transient pool of %d bytes: %w", size, err)
	}
	if lock {
		_ = m.Lock(0, size) // a limit on locked memory makes it slower, not wrong
	}
	return &ring{mapping: m, buf: m.Bytes()}, nil
}

func (r *ring) close() error { return r.mapping.Unmap() }

func (r *ring) reset() {
	r.mu.Lock()
	r.holes = nil
	r.mu.Unlock()
}

func (r *ring) reserve(wrote, committed int64, n int) ([]byte, error) {
	if n > len(r.buf) {
		return nil, fmt.Errorf("mappedfile: a record of %d bytes does not fit the transient pool of %d", n, len(r.buf))
	}
	if wrote+int64(n)-committed > int64(len(r.buf)) {
		return nil, ErrFull
	}
	at := int(wrote % int64(len(r.buf)))
	if at+n <= len(r.buf) {
		return r.buf[at : at+n : at+n], nil
	}
	if cap(r.scratch) < n {
		r.scratch = make([]byte, n)
	}
	return r.scratch[:n], nil
}

// shorten makes a reservation one of its first n bytes.
func (r *ring) shorten(wrote int64, reserved []byte, n int) {
	at := int(wrote % int64(len(r.buf)))
	if at+len(reserved) > len(r.buf) && at+n <= len(r.buf) { // it lies in scratch, and fits without
		copy(r.buf[at:], reserved[:n])
	}
}

// place copies a reservation that would have wrapped into its two pieces.
func (r *ring) place(wrote int64, n int) {
	at := int(wrote % int64(len(r.buf)))
	if at+n <= len(r.buf) {
		return
	}
	first := copy(r.buf[at:], r.scratch[:n])
	copy(r.buf, r.scratch[first:n])
}

func (r *ring) skip(from, to int64) {
	r.mu.Lock()
	r.holes = append(r.holes, span{from, to})
	r.mu.Unlock()
}

func (r *ring) dropHoles(committed int64) {
	r.mu.Lock()
	for len(r.holes) > 0 && r.holes[0].to <= committed {
		r.holes = r.holes[1:]
	}
	r.mu.Unlock()
}

// next returns the contiguous bytes at from, at most up to to, or how many
// skipped bytes begin there.
func (r *ring) next(from, to int64) (piece []byte, skip int64) {
	r.mu.Lock()
	for _, h := range r.holes {
		if h.from <= from && from < h.to {
			r.mu.Unlock()
			return nil, min(h.to, to) - from
		}
		if from < h.from {
			to = min(to, h.from)
			break
		}
	}
	r.mu.Unlock()
	at := int(from % int64(len(r.buf)))
	n := min(int(to-from), len(r.buf)-at)
	return r.buf[at : at+n], 0
}
