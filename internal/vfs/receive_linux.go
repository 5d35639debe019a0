package vfs

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// stream is a second descriptor of a file, with an offset, for who writes to it what comes from elsewhere.
type stream struct {
	mu   sync.Mutex
	file *os.File // nil until it is needed
}

// receive implements Receive: os.File splices what comes from a connection.
func (f *osFile) receive(off int64, r io.Reader) (int64, error) {
	if err := f.begin("splice"); err != nil {
		return 0, err
	}
	defer f.end()
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	if f.stream.file == nil {
		fd, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, pathError("dup", f.name, err)
		}
		f.stream.file = os.NewFile(uintptr(fd), f.name)
	}
	if _, err := f.stream.file.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return f.stream.file.ReadFrom(r)
}

// close ends the descriptor, if there is one.
func (s *stream) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
