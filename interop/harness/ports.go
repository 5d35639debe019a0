package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
)

// Ports are taken from below the range of which the kernel takes those of
// outgoing connections, so that no client of a stopped broker can sit on one.
const firstPort, endPort = 12000, 30000

// given are the ports that were given out, which belong to their place for
// good: while its servers are down they are free, and who took one then would
// be found by the brokers and clients that look for the servers to come back.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freePort finds a port that is free and was never given out, with its
// neighbours at the offsets, and gives them all out.
func freePort(offsets ...int) (int, error) {
	given.Lock()
	defer given.Unlock()
	for range 200 {
		port := firstPort + rand.IntN(endPort-firstPort)
		if slices.ContainsFunc(offsets, func(o int) bool { return given.ports[port+o] || !portFree(port+o) }) {
			continue
		}
		for _, o := range offsets {
			given.ports[port+o] = true
		}
		return port, nil
	}
	return 0, errors.New("no free port found")
}

func portFree(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
