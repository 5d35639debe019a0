//go:build !linux

package harness

import (
	"errors"
	"net/netip"
	"time"
)

// Wire is a network of network namespaces, which Linux has.
type Wire struct{}

// Fault is what happens to packets.
type Fault struct {
	Cut           bool
	Loss          float64
	Delay, Jitter time.Duration
}

// Node is one namespace.
type Node struct{ Addr netip.Addr }

// NewWire says that there is none.
func NewWire(string) (*Wire, error) { return nil, errors.New("network namespaces need Linux") }

// Node is not there.
func (*Wire) Node(string) (*Node, error) { return nil, errors.ErrUnsupported }

// Exec is nothing.
func (*Node) Exec() []string { return nil }

// Set does nothing.
func (*Wire) Set(_, _ *Node, _ Fault) {}

// Heal does nothing.
func (*Wire) Heal() {}

// Packets are none.
func (*Wire) Packets() (carried, lost int64) { return 0, 0 }

// Close does nothing.
func (*Wire) Close() {}
