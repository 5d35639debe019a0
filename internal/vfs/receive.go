package vfs

import "io"

// Receive writes the next n bytes of r to f, from off on, and returns how many it has written: fewer only with an error, which is io.EOF at
// the end of r. Where the system can do so, the bytes of a connection go from its buffers to the page cache and not through this process. r
// has lost what could not be written.
func Receive(f File, off int64, r io.Reader, n int64) (written int64, err error) {
	r = io.LimitReader(r, n)
	if to, ok := f.(interface {
		receive(off int64, r io.Reader) (int64, error)
	}); ok {
		written, err = to.receive(off, r)
	} else {
		written, err = io.Copy(io.NewOffsetWriter(f, off), r)
	}
	if err == nil && written < n {
		err = io.EOF
	}
	return written, err
}
