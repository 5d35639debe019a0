package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Wire is a network of network namespaces, one a node. Each has one device, a
// TUN, and the test program carries the packets between them: so it can delay
// and lose any of them, in either direction, without a kernel that has netem.
type Wire struct {
	prefix string

	mu     sync.Mutex
	nodes  map[netip.Addr]*Node
	faults map[link]Fault

	done    sync.WaitGroup
	carried atomic.Int64
	lost    atomic.Int64
}

type link struct{ from, to *Node }

// Fault is what happens to the packets from one node to another. The zero
// value is nothing.
type Fault struct {
	Cut           bool          // all are lost
	Loss          float64       // this part of them is
	Delay, Jitter time.Duration // the others come later, by Delay and up to Jitter, and so perhaps in another order
}

// Node is one namespace.
type Node struct {
	Addr netip.Addr

	space  string // the namespace's name
	device *os.File
	held   atomic.Int32 // packets on their way to it
}

const (
	packetMax = 64 << 10
	heldMax   = 10000 // more packets that wait for a node are lost, as at a full router
)

// NewWire makes a network without nodes. The names of its namespaces begin
// with prefix. It needs root, iproute2 and TUN; the error says what is missing.
func NewWire(prefix string) (*Wire, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("network namespaces need the command ip (package iproute2)")
	}
	return &Wire{prefix: prefix, nodes: map[netip.Addr]*Node{}, faults: map[link]Fault{}}, nil
}

// Node adds a node.
func (w *Wire) Node(name string) (*Node, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &Node{Addr: netip.AddrFrom4([4]byte{10, 77, 0, byte(len(w.nodes) + 1)}), space: w.prefix + name}
	device := fmt.Sprintf("tn%d-%d", os.Getpid(), len(w.nodes))
	var err error
	if n.device, err = openTUN(device); err != nil {
		return nil, fmt.Errorf("no TUN device: %w", err)
	}
	for _, line := range []string{
		"netns add " + n.space,
		"link set " + device + " netns " + n.space,
		"-n " + n.space + " link set lo up",
		"-n " + n.space + " addr add " + n.Addr.String() + "/24 dev " + device,
		"-n " + n.space + " link set " + device + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			n.close()
			return nil, fmt.Errorf("ip %s: %s", line, out)
		}
	}
	w.nodes[n.Addr] = n
	w.done.Add(1)
	go w.run(n)
	return n, nil
}

// Exec is what starts a program in the node's namespace, before its own
// command line. It becomes the program, so that signals reach that.
func (n *Node) Exec() []string { return []string{"ip", "netns", "exec", n.space} }

func (n *Node) close() {
	n.device.Close()
	_ = exec.Command("ip", "netns", "del", n.space).Run()
}

// Set has a fault happen to what goes from one node to another from now on.
func (w *Wire) Set(from, to *Node, f Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[link{from, to}] = f
}

// Heal ends all faults.
func (w *Wire) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.faults)
}

// Packets are how many were carried and lost.
func (w *Wire) Packets() (carried, lost int64) { return w.carried.Load(), w.lost.Load() }

// Close takes the network away.
func (w *Wire) Close() {
	w.mu.Lock()
	for _, n := range w.nodes {
		n.close()
	}
	w.mu.Unlock()
	w.done.Wait()
}

// run carries what a node sends.
func (w *Wire) run(from *Node) {
	defer w.done.Done()
	buf := make([]byte, packetMax)
	for {
		n, err := from.device.Read(buf)
		if err != nil {
			return // closed
		}
		if n >= 20 && buf[0]>>4 == 4 {
			w.carry(from, buf[:n])
		}
	}
}

// destination is where an IPv4 header has the address of the receiver.
const destination = 16

func (w *Wire) carry(from *Node, packet []byte) {
	to, _ := netip.AddrFromSlice(packet[destination : destination+4])
	w.mu.Lock()
	node := w.nodes[to]
	fault := w.faults[link{from, node}]
	w.mu.Unlock()
	switch {
	case node == nil:
	case fault.Cut, fault.Loss > 0 && rand.Float64() < fault.Loss, node.held.Load() >= heldMax:
		w.lost.Add(1)
	case fault.Delay > 0 || fault.Jitter > 0:
		later := fault.Delay
		if fault.Jitter > 0 {
			later += rand.N(fault.Jitter)
		}
		kept := append([]byte(nil), packet...)
		node.held.Add(1)
		time.AfterFunc(later, func() {
			node.held.Add(-1)
			w.deliver(node, kept)
		})
	default:
		w.deliver(node, packet)
	}
}

func (w *Wire) deliver(to *Node, packet []byte) {
	if _, err := to.device.Write(packet); err != nil {
		w.lost.Add(1)
		return
	}
	w.carried.Add(1)
}

// Of linux/if_tun.h and linux/if.h.
const (
	tunSetIff     = 0x400454ca
	iffTUN        = 0x0001
	iffNoPI       = 0x1000
	ifReqSize     = 40
	ifReqPosFlags = 16
)

// openTUN makes a TUN device, from which IP packets are read and to which
// they are written as they are.
func openTUN(name string) (*os.File, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var req [ifReqSize]byte
	copy(req[:ifReqPosFlags-1], name)
	*(*uint16)(unsafe.Pointer(&req[ifReqPosFlags])) = iffTUN | iffNoPI
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunSetIff, uintptr(unsafe.Pointer(&req))); errno != 0 {
		syscall.Close(fd)
		return nil, errno
	}
	return os.NewFile(uintptr(fd), name), nil
}
