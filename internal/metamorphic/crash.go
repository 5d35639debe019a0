package metamorphic

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// points takes images of a disk as crashes would leave it, at calls of the file
// system that are chosen by the seed, the operation and how many calls it made:
// the same ones as long as the operation makes the same calls.
type points struct {
	off  atomic.Bool // the store has crashed already
	on   bool
	seed uint64

	mu     sync.Mutex
	op     int
	calls  uint64
	only   uint64 // the one call to crash at, or 0
	images []image
}

// image is a disk after a crash, and what its users knew at that moment.
type image struct {
	at    string
	seed  uint64
	kill  bool
	tight bool // as world.tight
	disk  *vfs.CrashFS
	known known
}

// begin tells which operation the calls to come belong to.
func (p *points) begin(op Op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.op, p.calls = op.Number, 0
}

// take returns the images taken so far.
func (p *points) take() []image {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.images
	p.images = nil
	return taken
}

// mix scrambles a few numbers into one.
func mix(numbers ...uint64) uint64 {
	h := uint64(0x9e3779b97f4a7c15)
	for _, n := range numbers {
		h ^= n
		h *= 0xff51afd7ed558ccd
		h ^= h >> 32
		h *= 0xc4ceb9fe1a85ec53
		h ^= h >> 29
	}
	return h
}

// odds say at one of how many calls a crash is tried. What changes the disk or
// what is durable on it is interesting, the rest lies between.
var odds = map[vfs.Op]uint64{
	vfs.OpSync: 3, vfs.OpSyncData: 4, vfs.OpSyncDir: 3, vfs.OpSyncAll: 2, vfs.OpMapSync: 4, vfs.OpRename: 2, vfs.OpRemove: 3,
	vfs.OpAllocate: 3, vfs.OpTruncate: 2, vfs.OpZeroRange: 2, vfs.OpMkdir: 4, vfs.OpWrite: 12, vfs.OpMap: 12, vfs.OpOpen: 24,
}

const oddsOfOthers = 64

// chooses tells whether to crash at the present call, and with which seed.
func (p *points) chooses(op vfs.Op) (seed uint64, yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.only > 0 {
		return mix(p.seed, p.only), p.calls == p.only
	}
	seed = mix(p.seed, uint64(p.op), p.calls)
	n := odds[op]
	if n == 0 {
		n = oddsOfOthers
	}
	return seed, (seed>>20)%n == 0
}

// meet is called before each call of the file system: others may run first, and
// the power may fail. It must not wait, as locks of the store are held.
func (w *world) meet(disk *vfs.CrashFS, c vfs.Call) {
	if w.points.off.Load() {
		return
	}
	for range w.set.yields {
		runtime.Gosched()
	}
	if !w.points.on {
		return
	}
	seed, yes := w.points.chooses(c.Op)
	if !yes {
		return
	}
	w.confirm()
	before := w.copy()
	i := image{at: fmt.Sprintf("%s %s", c.Op, c.Path), seed: seed, kill: seed%5 == 0, tight: w.tight.Load()}
	if seed%7 == 0 {
		disk.Snapshot()
	}
	if i.kill {
		i.disk = disk.Kill()
	} else {
		i.disk = disk.Crash(seed)
	}
	i.known = before.until(w.copy())
	w.stats.at(c.Op)
	w.points.mu.Lock()
	defer w.points.mu.Unlock()
	w.points.images = append(w.points.images, i)
}

// lookAt proves all images taken so far.
func (w *world) lookAt(depth int) error {
	for _, i := range w.points.take() {
		if err := w.prove(i, depth); err != nil {
			end := "power loss"
			if i.kill {
				end = "kill"
			}
			return fmt.Errorf("%s before %s: %w\n%v", end, i.at, err, i.disk.Outcome())
		}
	}
	return nil
}

// prove opens an image, holds it against what was promised, lets life go on for
// a moment, stops it and has it checked. It crashes again on the way, as long
// as depth allows.
func (w *world) prove(i image, depth int) error {
	next := newWorld(w.set, w.queues, w.stats, i.disk)
	next.skew.Store(w.skew.Load())
	next.tight.Store(i.tight)
	next.known = i.known
	promised := next.power
	if i.kill {
		promised = next.kill
		w.stats.Kills++
	} else {
		w.stats.Crashes++
	}
	next.lose(promised)
	if w.stats.Second += depth; depth < 2 && i.seed%3 != 0 {
		next.points.on, next.points.seed, next.points.only = true, i.seed, 1+i.seed>>8%callsOfRecovery
	}
	defer next.abandon()
	if err := next.recovered(promised); err != nil {
		return err
	}
	if i.seed%4 == 0 {
		op := Op{Number: 1<<20 + depth, Kind: Batch, N: 3, Size: 500, Wait: true, Queue: int(i.seed>>16) % w.queues}
		if _, err := next.do(op); err != nil {
			return fmt.Errorf("after recovery: %w", err)
		}
	}
	if err := next.close(); err != nil {
		return err
	}
	return next.lookAt(depth + 1)
}

// callsOfRecovery is about how many calls of the file system an image sees
// until it is stopped again.
const callsOfRecovery = 200
