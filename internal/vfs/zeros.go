package vfs

import "io"

// zeros is written over and over where a file system cannot zero by itself.
var zeros [64 << 10]byte

// writeZeros writes n zeros at off; n may be negative, which is nothing to do.
func writeZeros(w io.WriterAt, off, n int64) error {
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
