//go:build unix

package remoting

import (
	"sync"
	"syscall"
)

// attempt is one write that does not wait. Its call is made once, as a closure for each would be an allocation.
type attempt struct {
	buf  []byte
	n    int
	call func(fd uintptr) bool
}

var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.call = func(fd uintptr) bool {
		a.n, _ = syscall.Write(int(fd), a.buf) // what is wrong the next write says
		return true
	}
	return a
}}

// tryWrite writes what the socket takes at once, and returns how much that is.
func tryWrite(raw syscall.RawConn, b []byte) int {
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.buf, a.n = b, 0
	err := raw.Write(a.call)
	a.buf = nil
	if err != nil {
		return 0
	}
	return max(a.n, 0)
}
