package vfs

import (
	"math/rand/v2"
	"syscall"

	"github.com/rocketlog/rocketlog/internal/invariants"
)

// The grain of a crash: a page is what the kernel writes out at once.
const (
	crashPageSize  = 4096
	sectorsPerPage = crashPageSize / SectorSize
)

// Bounds on the states remembered between two syncs.
const (
	capturesPerPage  = 3       // states of one page
	capturesOfSize   = 4       // sizes of one file
	capturesOfPages  = 1 << 10 // of one file
	capturesPerVisit = 32      // mapped pages looked at in one operation
)

// heapMappingMost is the largest mapping that is an ordinary slice. Beyond it
// anonymous memory is used, where pages that nobody touches cost nothing.
const heapMappingMost = 1 << 20

// crashPage is one page of a file in one state. It never changes: a write makes
// another, so that files, states and whole file systems share pages.
type crashPage [crashPageSize]byte

var zeroPage crashPage

// crashData is the content of a file in three tenses. A nil page is zeros.
//
// While the file is mapped, its pages below len(mem) live in mem, where other
// goroutines change them without a word; all else is in immutable pages.
type crashData struct {
	size  int64
	pages []*crashPage // the content now, as far as it was written; not that in mem
	mem   []byte       // the content now of a mapped file: whole pages
	free  func()       // gives mem back
	maps  int          // mappings; mem is nil when there are none

	diskSize int64
	disk     []*crashPage // as last synced

	between      map[int][]*crashPage // states of unsynced pages since, oldest first
	captured     int                  // how many states that is
	betweenSizes []int64

	alloc bitmap // pages that have space on the disk
}

// page returns the content of page i now, to be read with readRaw alone.
func (d *crashData) page(i int) *crashPage {
	if p := d.mapped(i); p != nil {
		return p
	}
	return orZero(at(d.pages, i))
}

// mapped returns page i in mem, or nil when it is not there.
func (d *crashData) mapped(i int) *crashPage {
	if off := i * crashPageSize; off < len(d.mem) {
		return (*crashPage)(d.mem[off:])
	}
	return nil
}

func at(pages []*crashPage, i int) *crashPage {
	if i < len(pages) {
		return pages[i]
	}
	return nil
}

func orZero(p *crashPage) *crashPage {
	if p == nil {
		return &zeroPage
	}
	return p
}

// setAt stores p as page i; the slice grows only for pages that hold something.
func setAt(pages *[]*crashPage, i int, p *crashPage) {
	if i >= len(*pages) {
		if p == nil {
			return
		}
		*pages = append(*pages, make([]*crashPage, i+1-len(*pages))...)
	}
	(*pages)[i] = p
}

// frozen returns the content of page i now as an immutable page: one that is
// there already if it is the same.
func (d *crashData) frozen(i int) *crashPage {
	m := d.mapped(i)
	if m == nil {
		return at(d.pages, i)
	}
	known := at(d.disk, i)
	if samePage(m, orZero(known)) {
		return known
	}
	if states := d.between[i]; len(states) > 0 && samePage(m, orZero(states[len(states)-1])) {
		return states[len(states)-1]
	}
	return clonePage(m)
}

// eachWritten calls fn for each page that may hold anything but zeros, in any
// tense, in order.
func (d *crashData) eachWritten(fn func(i int)) {
	n := max(len(d.pages), len(d.disk), len(d.mem)/crashPageSize)
	for i := range d.between {
		n = max(n, i+1)
	}
	touched := touchedPages(d.mem)
	for i := range n {
		if i*crashPageSize < len(d.mem) && touched != nil && !touched.has(i) && at(d.disk, i) == nil && d.between[i] == nil {
			continue
		}
		fn(i)
	}
}

// capturePage remembers the present state of a page if it is a new one.
func (c *CrashFS) capturePage(n *crashNode, i int) {
	d := &n.data
	states := d.between[i]
	newest := at(d.disk, i)
	if len(states) > 0 {
		newest = states[len(states)-1]
	}
	now := d.frozen(i)
	if now == newest {
		return
	}
	switch {
	case len(states) == capturesPerPage:
		forgotten := c.rng.IntN(len(states))
		states = append(states[:forgotten:forgotten], states[forgotten+1:]...)
	case d.captured >= capturesOfPages:
		return
	default:
		d.captured++
	}
	if d.between == nil {
		d.between = map[int][]*crashPage{}
	}
	d.between[i] = append(states[:len(states):len(states)], now)
}

// captureCursor is where the next operation goes on capturing mapped pages.
type captureCursor struct{ file, page int }

// captureSome captures a bounded number of mapped pages, going around.
func (c *CrashFS) captureSome() {
	at := &c.cursor
	for range capturesPerVisit {
		if at.file >= len(c.mapped) {
			*at = captureCursor{}
			if len(c.mapped) == 0 {
				return
			}
		}
		n := c.mapped[at.file]
		// Going around a huge file would take longer than a test, and touch it all.
		if at.page*crashPageSize >= len(n.data.mem) || len(n.data.mem) > heapMappingMost {
			*at = captureCursor{file: at.file + 1}
			continue
		}
		c.capturePage(n, at.page)
		at.page++
	}
}

// syncPages makes pages [from, to) durable. Space for mapped pages that have
// none is found here, too late to refuse the write: a real system would have
// answered it by a signal.
func (d *crashData) syncPages(c *CrashFS, from, to int) error {
	var err error
	d.eachWritten(func(i int) {
		if i < from || i >= to {
			return
		}
		now := d.frozen(i)
		if now != nil && now != at(d.disk, i) && !c.allocate(d, i) {
			err = syscall.ENOSPC
			return
		}
		setAt(&d.disk, i, now)
		d.captured -= len(d.between[i])
		delete(d.between, i)
	})
	return err
}

func (d *crashData) syncAll(c *CrashFS) error {
	if err := d.syncPages(c, 0, int(^uint(0)>>1)); err != nil {
		return err
	}
	d.diskSize, d.betweenSizes = d.size, nil
	return nil
}

// setSize changes the length; the old one is a state that a crash may bring back.
func (c *CrashFS) setSize(d *crashData, size int64) {
	if size == d.size {
		return
	}
	if d.size != d.diskSize {
		if len(d.betweenSizes) == capturesOfSize {
			d.betweenSizes[c.rng.IntN(capturesOfSize)] = d.size
		} else {
			d.betweenSizes = append(d.betweenSizes, d.size)
		}
	}
	d.size = size
}

// truncate sets the length of a file and zeroes and frees what is beyond it.
func (c *CrashFS) truncate(n *crashNode, size int64) {
	d := &n.data
	if size < d.size {
		c.zero(n, size, int64(pagesOf(d.size))*crashPageSize)
		c.used -= d.alloc.clearFrom(pagesOf(size))
	}
	c.setSize(d, size)
	n.mtime = c.now()
}

// zero makes [from, to) zeros, in whole pages where it can.
func (c *CrashFS) zero(n *crashNode, from, to int64) {
	d := &n.data
	last := min(pagesOf(to), max(len(d.pages), len(d.mem)/crashPageSize))
	for i := int(from / crashPageSize); i < last; i++ {
		begin, end := cut(i, from, to)
		switch {
		case d.mapped(i) == nil && at(d.pages, i) == nil:
		case d.mapped(i) == nil && end-begin == crashPageSize:
			c.capturePage(n, i)
			setAt(&d.pages, i, nil)
		default:
			c.storePage(n, i, begin, zeroPage[begin:end])
		}
	}
}

// cut is the part of [from, to) in page i, relative to the page.
func cut(i int, from, to int64) (begin, end int) {
	base := int64(i) * crashPageSize
	return int(max(from-base, 0)), int(min(to-base, crashPageSize))
}

// storePage changes bytes of page i, and captures what it was.
func (c *CrashFS) storePage(n *crashNode, i, begin int, b []byte) {
	d := &n.data
	c.capturePage(n, i)
	if m := d.mapped(i); m != nil {
		copyRaw(m[begin:], b)
		return
	}
	p := *orZero(at(d.pages, i))
	copy(p[begin:], b)
	setAt(&d.pages, i, &p)
}

// allocate takes space for page i; false says that the disk is full.
func (c *CrashFS) allocate(d *crashData, i int) bool {
	if d.alloc.has(i) {
		return true
	}
	if c.used >= c.capacity {
		return false
	}
	c.used++
	d.alloc.set(i)
	return true
}

// freeAll forgets the space of a file and says how much it was.
func (d *crashData) freeAll() int64 { return d.alloc.clearFrom(0) }

// attach makes the content mappable, up to the end of the file.
func (c *CrashFS) attach(n *crashNode) error {
	d := &n.data
	size := pagesOf(d.size) * crashPageSize
	if d.mem == nil {
		mem, free, err := newMemory(size)
		if err != nil {
			return err
		}
		for i, p := range d.pages {
			if p != nil && i*crashPageSize < size {
				copy(mem[i*crashPageSize:], p[:])
			}
		}
		d.mem, d.free = mem, free
		c.mapped = append(c.mapped, n)
	}
	if size > len(d.mem) {
		return ErrNotSupported // grown since it was mapped, and the memory cannot move
	}
	d.maps++
	return nil
}

// detach undoes attach; after the last mapping the content is pages again.
func (c *CrashFS) detach(n *crashNode) {
	d := &n.data
	if d.maps--; d.maps > 0 || d.mem == nil {
		return
	}
	d.eachWritten(func(i int) {
		if d.mapped(i) != nil {
			setAt(&d.pages, i, d.frozen(i))
		}
	})
	invariants.Mangle(d.mem)
	d.free()
	d.mem, d.free = nil, nil
	for i, m := range c.mapped {
		if m == n {
			c.mapped = append(c.mapped[:i:i], c.mapped[i+1:]...)
			break
		}
	}
	c.cursor = captureCursor{}
}

// newMemory returns zeroed memory of n bytes and what gives it back.
func newMemory(n int) ([]byte, func(), error) {
	if n <= heapMappingMost {
		return make([]byte, n), func() {}, nil
	}
	m, err := Anonymous(n)
	if err != nil {
		return nil, nil, err
	}
	b := m.Bytes()
	keepSmallPages(b)
	return b, func() { _ = m.Unmap() }, nil // unmapping what was mapped cannot fail
}

// choose draws the state of page i that survives a crash, and says how.
func (d *crashData) choose(rng *rand.Rand, i int, odds crashOdds, count *FileOutcome) *crashPage {
	now, disk := d.frozen(i), at(d.disk, i)
	if now == disk && d.between[i] == nil {
		return disk
	}
	count.Unsynced++
	states := append([]*crashPage{disk}, d.between[i]...)
	draw := func() *crashPage {
		if rng.Float64() < odds.keep {
			return now
		}
		return states[rng.IntN(len(states))]
	}
	chosen := draw()
	states = append(states, now)
	if rng.Float64() < odds.tear {
		if other := states[rng.IntN(len(states))]; other != chosen {
			count.Torn++
			return tear(rng, chosen, other)
		}
	}
	switch chosen {
	case now:
		count.Kept++
	case disk:
		count.Lost++
	default:
		count.Between++
	}
	return chosen
}

// tear mixes two states of a page by sectors: a head of one and the tail of the
// other, or each sector for itself.
func tear(rng *rand.Rand, a, b *crashPage) *crashPage {
	p := *orZero(a)
	other := orZero(b)
	fromOther := rng.Uint32()
	if rng.IntN(2) == 0 {
		fromOther = ^uint32(0) << (1 + rng.IntN(sectorsPerPage-1))
	}
	for s := range sectorsPerPage {
		if fromOther>>s&1 != 0 {
			off := s * SectorSize
			copy(p[off:off+SectorSize], other[off:])
		}
	}
	return &p
}
