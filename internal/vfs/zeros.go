package vfs

import "io"

// zeros is what WriteZeros writes, over and over.
var zeros [64 << 10]byte

// WriteZeros writes n zeros at off, for where a file system cannot zero by itself, or is asked for little; n may be negative, which is
// nothing to do.
func WriteZeros(w io.WriterAt, off, n int64) error {
	for n > 0 {
		m, err := w.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off += int64(m)
		n -= int64(m)
	}
	return nil
}
