package vfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Outcome tells what a crash did, for the reader of a failed test. All of it
// follows from the seed and from what had happened before.
type Outcome struct {
	Seed  uint64
	Names string        // how changes of names were drawn
	Lost  []string      // unsynced changes of names that the crash undid
	Kept  int           // those that it left
	Keep  float64       // chance of an unsynced page to survive as it was last
	Tear  float64       // chance of one to be torn
	Files []FileOutcome // those with anything unsynced
}

// FileOutcome is what a crash did to one file.
type FileOutcome struct {
	Path                      string
	SizeBefore, Size          int64
	Unsynced                  int // pages; the sum of what follows
	Kept, Lost, Between, Torn int // as it was last, as synced, a state between, a mixture
}

// String is the outcome in a few lines.
func (o Outcome) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "crash seed=%d keep=%.2f tear=%.2f names=%q kept=%d\n", o.Seed, o.Keep, o.Tear, o.Names, o.Kept)
	for _, name := range o.Lost {
		fmt.Fprintf(&b, "  undone: %s\n", name)
	}
	for _, f := range o.Files {
		fmt.Fprintf(&b, "  %s: size %d -> %d, of %d pages kept=%d lost=%d between=%d torn=%d\n",
			f.Path, f.SizeBefore, f.Size, f.Unsynced, f.Kept, f.Lost, f.Between, f.Torn)
	}
	return b.String()
}

// Outcome tells what the crash did that made this file system; it is zero for
// one that no crash made.
func (c *CrashFS) Outcome() Outcome { return c.outcome }

// crashOdds are the chances of one crash. They are drawn for each anew: even
// odds for each of a hundred pages would never lose all, nor a single one.
type crashOdds struct{ keep, tear float64 }

func drawOdds(rng *rand.Rand) crashOdds {
	keep := [...]float64{0, 0.1, 0.5, 0.9, 1}
	tears := [...]float64{0, 0, 0.1, 0.5}
	return crashOdds{keep[rng.IntN(len(keep))], tears[rng.IntN(len(tears))]}
}

// Crash returns the file system as a power loss at this moment may leave it.
// The same seed after the same history gives the same one. What survived is
// durable in it; handles, mappings and locks belong to the old one.
func (c *CrashFS) Crash(seed uint64) *CrashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	rng := newRand(seed)
	odds := drawOdds(rng)
	after := c.heir(rng.Uint64())
	after.outcome = Outcome{Seed: seed, Keep: odds.keep, Tear: odds.tear}

	copies := nodeCopies{map[*crashNode]*crashNode{}, durableNames, noNames}
	after.root = copies.of(c.root)
	for _, op := range c.surviving(rng, &after.outcome) {
		copies.op(op).apply(liveNames)
	}
	originals := map[*crashNode]*crashNode{}
	for old, n := range copies.copies {
		originals[n] = old
	}
	after.settle(after.root, "", func(n *crashNode, path string) {
		before := &originals[n].data
		f := FileOutcome{Path: path, SizeBefore: before.size}
		n.data = before.survive(rng, odds, &f)
		if f.Unsynced > 0 || f.Size != f.SizeBefore {
			after.outcome.Files = append(after.outcome.Files, f)
		}
	})
	return after
}

// Kill returns the file system as the end of the process alone leaves it: all
// that was written is there, and what was not synced can still be lost later.
func (c *CrashFS) Kill() *CrashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	after := c.heir(c.rng.Uint64())
	after.cacheID = c.cacheID
	copies := nodeCopies{map[*crashNode]*crashNode{}, liveNames, durableNames}
	after.root = copies.of(c.root)
	for _, op := range c.unsynced {
		after.unsynced = append(after.unsynced, copies.op(op))
	}
	for old, n := range copies.copies {
		if !n.dir {
			n.data = old.data.clone()
			n.gone = old.gone
			if !n.gone {
				after.used += n.data.alloc.count()
			}
		}
	}
	return after
}

// Discard gives back what an abandoned file system holds outside the Go heap.
// Its mappings must not be used any more.
func (c *CrashFS) Discard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.mapped) > 0 {
		n := c.mapped[0]
		n.data.maps = 1
		c.detach(n)
	}
}

// heir is an empty file system with the same disk and clock.
func (c *CrashFS) heir(seed uint64) *CrashFS {
	return &CrashFS{rng: newRand(seed), now: c.now, locks: map[*crashNode]bool{}, capacity: c.capacity, cacheID: newCacheID()}
}

// surviving draws the unsynced changes of names that a crash leaves, in order.
// Each is atomic, and none survives without an earlier one on the same name.
func (c *CrashFS) surviving(rng *rand.Rand, out *Outcome) []nameOp {
	lost := func(int) bool { return false }
	switch n := len(c.unsynced); rng.IntN(4) {
	case 0:
		out.Names = "all lost"
		lost = func(int) bool { return true }
	case 1:
		out.Names = "all kept"
	case 2:
		out.Names = "cut"
		end := rng.IntN(n + 1)
		lost = func(i int) bool { return i >= end }
	case 3:
		out.Names = "each by itself"
		lost = func(int) bool { return rng.IntN(2) == 0 }
	}
	undone := map[nameRef]bool{}
	var kept []nameOp
	for i, op := range c.unsynced {
		if lost(i) || undone[op.from] || undone[op.to] {
			for _, ref := range []nameRef{op.from, op.to} {
				if ref.dir != nil {
					undone[ref] = true
				}
			}
			out.Lost = append(out.Lost, op.String())
			continue
		}
		kept = append(kept, op)
	}
	out.Kept = len(kept)
	return kept
}

// String names the change; directories have no names of their own, so that only
// the last part of each path is told.
func (op nameOp) String() string {
	switch {
	case op.from.dir == nil:
		return "new " + op.to.name
	case op.to.dir == nil:
		return "remove " + op.from.name
	}
	return "rename " + op.from.name + " to " + op.to.name
}

// nodeCopies maps the nodes of a file system to their copies in another. The
// content of files is not copied with them.
type nodeCopies struct {
	copies map[*crashNode]*crashNode
	// What becomes the live and the durable names of a copy.
	live, durable func(dir *crashNode) map[string]*crashNode
}

func liveNames(dir *crashNode) map[string]*crashNode    { return dir.live }
func durableNames(dir *crashNode) map[string]*crashNode { return dir.durable }
func noNames(*crashNode) map[string]*crashNode          { return nil }

// of is the copy of n; a directory is copied with all that is below it.
func (m nodeCopies) of(n *crashNode) *crashNode {
	if c, ok := m.copies[n]; ok {
		return c
	}
	c := &crashNode{dir: n.dir, mode: n.mode, mtime: n.mtime}
	m.copies[n] = c
	if n.dir {
		c.live, c.durable = m.names(m.live(n)), m.names(m.durable(n))
	}
	return c
}

func (m nodeCopies) names(names map[string]*crashNode) map[string]*crashNode {
	copied := make(map[string]*crashNode, len(names))
	for name, n := range names {
		copied[name] = m.of(n)
	}
	return copied
}

func (m nodeCopies) op(op nameOp) nameOp {
	return nameOp{from: m.ref(op.from), to: m.ref(op.to), node: m.of(op.node)}
}

func (m nodeCopies) ref(ref nameRef) nameRef {
	if ref.dir == nil {
		return ref
	}
	return nameRef{m.of(ref.dir), ref.name}
}

// settle makes the names below n durable and gives each file its content, in
// the order of their paths so that a seed always draws the same.
func (c *CrashFS) settle(n *crashNode, path string, content func(n *crashNode, path string)) {
	if !n.dir {
		content(n, path)
		c.used += n.data.alloc.count()
		return
	}
	n.durable = maps.Clone(n.live)
	for _, name := range sortedNames(n.live) {
		c.settle(n.live[name], path+"/"+name, content)
	}
}

// survive draws the content that a crash leaves.
func (d *crashData) survive(rng *rand.Rand, odds crashOdds, out *FileOutcome) crashData {
	size := d.diskSize
	if sizes := append(slices.Clone(d.betweenSizes), d.diskSize); size != d.size || len(sizes) > 1 {
		size = sizes[rng.IntN(len(sizes))]
		if rng.Float64() < odds.keep {
			size = d.size
		}
	}
	out.Size = size
	after := crashData{size: size, diskSize: size, alloc: slices.Clone(d.alloc)}
	last := pagesOf(size)
	after.alloc.clearFrom(last)
	d.eachWritten(func(i int) {
		p := d.choose(rng, i, odds, out)
		if p == nil || i >= last {
			return
		}
		if _, end := cut(i, 0, size); end < crashPageSize {
			p = clonePage(p)
			clear(p[end:])
		}
		setAt(&after.disk, i, p)
		after.alloc.set(i)
	})
	after.pages = slices.Clone(after.disk)
	return after
}

// clone copies the content in all its tenses; mapped pages become pages.
func (d *crashData) clone() crashData {
	after := *d
	after.mem, after.free, after.maps = nil, nil, 0
	after.pages = slices.Clone(d.pages)
	after.disk = slices.Clone(d.disk)
	after.betweenSizes = slices.Clone(d.betweenSizes)
	after.alloc = slices.Clone(d.alloc)
	after.between = maps.Clone(d.between) // its slices never change: they are made anew
	d.eachWritten(func(i int) {
		if d.mapped(i) != nil {
			setAt(&after.pages, i, d.frozen(i))
		}
	})
	return after
}
