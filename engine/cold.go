package engine

import (
	"container/list"
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

const (
	// coldChunkSize is what is read at once of a cold part of the log: large
	// enough for a device to be at its best, and for the 200 messages behind the
	// one asked for.
	coldChunkSize = 256 << 10
	// coldRegionSize is what is dropped at once: the largest folio, as the system drops none of which a part is to stay.
	coldRegionSize   = 2 << 20
	coldRegionChunks = coldRegionSize / coldChunkSize
	// coldChunksMax bounds the memory that cold reads take from the page cache,
	// to 256 MiB: regions beyond it leave, those not read for longest first.
	coldChunksMax = 1024
	// coldReadAhead is how far the system may read ahead of one who reads on: two windows of 8 MiB, which is as
	// much as a device is given by those who tune it, and much more than the 128 KiB that it has by itself.
	coldReadAhead = 16 << 20
	// coldChunksPerLoad bounds one load: messages far from each other may each
	// need a chunk.
	coldChunksPerLoad = 8
	// hotTail is how much of what this process appended is taken to be in memory
	// without being looked up.
	hotTail = 64 << 20
	// residentFor is how long it is believed of a chunk that it is in memory.
	residentFor = time.Second
	// residentSlots is of how many chunks, 256 MiB, that is remembered.
	residentSlots = 1024
)

// coldPages keeps cold parts of the log from pushing out the tail: it brings
// them into memory by chunks, in system calls and not by page faults, and
// drops those that were not read for longest.
//
// One who reads on has the system read ahead, in requests much larger than a chunk and while the reader is busy. What may
// come so is noted before it is there: it is loaded like all else when its turn comes, which costs a copy then, and so it is counted,
// paced and dropped.
//
// Invariants:
//
//  1. Only chunks that were not in memory before they were loaded, or those before them were, are dropped.
//  2. At most coldChunksMax chunks and one region are loaded, or may be read ahead, and not dropped.
type coldPages struct {
	log *commitlog.CommitLog
	now func() time.Time
	// openedAt is the log's end when the store was opened. What was before it may
	// not be in memory.
	openedAt message.PhyOffset
	max      int
	pace     *coldPace

	// resident remembers chunks that were found in memory: the begin of each, and
	// the second, as a look costs more than all else of a read.
	resident [residentSlots]atomic.Uint64

	mu      sync.Mutex
	regions map[message.PhyOffset]*list.Element // by their begin
	recent  list.List                           // of *coldRegion, the last one read in front
	chunks  int                                 // of all regions

	loads, loadedBytes, dropped atomic.Int64
}

// coldRegion is a part of the log of which cold reads brought chunks into memory.
type coldRegion struct {
	begin  message.PhyOffset
	end    message.PhyOffset // of its last chunk, which may be a part of one
	loaded coldChunks
	ahead  coldChunks                  // of the others those that may be in memory because the ones before them were loaded
	came   [coldRegionChunks]time.Time // when those that are were loaded
}

// coldChunks is a set of a region's chunks, the first by the lowest bit.
type coldChunks uint8

func (c coldChunks) count() int { return bits.OnesCount8(uint8(c)) }

// first returns where the first run of chunks begins, and how many they are; 0 of none.
func (c coldChunks) first() (at, n int) {
	at = bits.TrailingZeros8(uint8(c))
	return at, bits.TrailingZeros8(^(uint8(c) >> at))
}

func newColdPages(log *commitlog.CommitLog, rate int64, now func() time.Time) *coldPages {
	return &coldPages{
		log: log, now: now, openedAt: log.MaxOffset(), max: coldChunksMax,
		pace:    newColdPace(rate, log.MaxOffset()),
		regions: map[message.PhyOffset]*list.Element{},
	}
}

// chunkAt returns the chunk that holds off, without what is not yet written of it.
func (p *coldPages) chunkAt(off message.PhyOffset) (begin message.PhyOffset, size int) {
	next := p.log.NextFile(off)
	file := next - message.PhyOffset(p.log.FileSize())
	begin = off - (off-file)%coldChunkSize
	end := min(begin+coldChunkSize, next, p.log.CommittedOffset())
	return begin, int(max(end-begin, 0))
}

// hot tells whether a record is in memory by where it is.
func (p *coldPages) hot(off message.PhyOffset) bool {
	return off >= max(p.openedAt, p.log.CommittedOffset()-hotTail)
}

// span is a part of the log that one get found in memory: what it reads next
// mostly lies there, too.
type span struct{ begin, end message.PhyOffset }

func (s *span) holds(off message.PhyOffset) bool { return s.begin <= off && off < s.end }

// cold tells whether a record would have to be read from the device, and if not
// where else nothing would. A record of several chunks is judged by its first and last.
func (p *coldPages) cold(u consumequeue.Unit, warm *span) bool {
	if p.hot(u.Offset) {
		return false
	}
	return p.chunkCold(u.Offset, warm) || p.chunkCold(u.Offset+message.PhyOffset(u.Size)-1, warm)
}

func (p *coldPages) chunkCold(off message.PhyOffset, warm *span) bool {
	if warm.holds(off) {
		return false
	}
	begin, size := p.chunkAt(off)
	if p.missing(begin, size) {
		return true
	}
	*warm = span{begin, begin + message.PhyOffset(size)}
	return false
}

// missing tells whether a chunk is not in memory, or not known to be there.
func (p *coldPages) missing(begin message.PhyOffset, size int) bool {
	if size == 0 {
		return false
	}
	switch p.state(begin) {
	case coldFresh:
		return false
	case coldAhead:
		return true
	}
	// Whole seconds of the clock, so at most residentFor.
	seen := uint64(begin)<<16 | uint64(uint16(p.now().Unix()))
	slot := &p.resident[uint64(begin/coldChunkSize)%residentSlots]
	if slot.Load() == seen {
		return false
	}
	if !p.log.Resident(begin, size) {
		return true
	}
	slot.Store(seen)
	return false
}

// coldState is what is known of a chunk.
type coldState int

const (
	coldUnknown coldState = iota // it may be in memory because of others
	coldLoaded                   // loaded, but long ago
	coldFresh                    // loaded not long ago
	coldAhead                    // possibly read ahead
)

// state returns it, and marks a loaded chunk as read.
func (p *coldPages) state(begin message.PhyOffset) coldState {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, at := p.region(begin)
	switch {
	case r == nil:
		return coldUnknown
	case r.ahead>>at&1 != 0:
		return coldAhead
	case r.loaded>>at&1 == 0:
		return coldUnknown
	}
	p.recent.MoveToFront(p.regions[r.begin])
	if p.now().Sub(r.came[at]) < residentFor {
		return coldFresh
	}
	return coldLoaded
}

// region returns that of a chunk, nil when it has none, and which of its chunks it is.
func (p *coldPages) region(begin message.PhyOffset) (r *coldRegion, at int) {
	start, at := p.regionAt(begin)
	if e := p.regions[start]; e != nil {
		r = e.Value.(*coldRegion)
	}
	return r, at
}

func (p *coldPages) regionAt(begin message.PhyOffset) (start message.PhyOffset, at int) {
	inFile := begin - (p.log.NextFile(begin) - message.PhyOffset(p.log.FileSize()))
	start = begin - inFile%coldRegionSize
	return start, int((begin - start) / coldChunkSize)
}

// regionFor is region, which it makes where there is none.
func (p *coldPages) regionFor(begin message.PhyOffset) (r *coldRegion, at int) {
	r, at = p.region(begin)
	if r == nil {
		start, _ := p.regionAt(begin)
		r = &coldRegion{begin: start}
		p.regions[start] = p.recent.PushFront(r)
	}
	return r, at
}

// load brings the chunks of a record into memory and tells how many bytes that
// were.
func (p *coldPages) load(u consumequeue.Unit) (loaded int, err error) {
	end := u.Offset + message.PhyOffset(u.Size)
	for off := u.Offset; off < end; {
		begin, size := p.chunkAt(off)
		if size == 0 {
			return loaded, nil
		}
		if !p.hot(off) && (p.state(begin) == coldAhead || !p.log.Resident(begin, size)) {
			p.expect(begin)
			if err := p.log.Load(begin, size); err != nil {
				return loaded, err
			}
			loaded += size
			if err := p.keep(begin, size); err != nil {
				return loaded, err
			}
		}
		off = begin + message.PhyOffset(size)
	}
	return loaded, nil
}

// expect notes what the system may read ahead when a chunk is loaded that goes on where something is in memory, or begins a file.
// It does not for one read by itself.
func (p *coldPages) expect(begin message.PhyOffset) {
	next := p.log.NextFile(begin)
	before := begin - coldChunkSize
	if begin != next-message.PhyOffset(p.log.FileSize()) && p.state(before) == coldUnknown && !p.log.Resident(before, coldChunkSize) {
		return
	}
	first := begin + coldChunkSize
	end := min(first+message.PhyOffset(min(coldReadAhead, p.max/8*coldChunkSize)), next)
	for at := first; at < end && !p.hot(at); at += coldChunkSize {
		at, size := p.chunkAt(at)
		if size == 0 || p.state(at) != coldUnknown || p.log.Resident(at, size) {
			continue
		}
		p.mu.Lock()
		r, i := p.regionFor(at)
		if (r.loaded|r.ahead)>>i&1 == 0 {
			r.ahead |= 1 << i
			r.end = max(r.end, at+message.PhyOffset(size))
			p.chunks++
		}
		p.mu.Unlock()
	}
}

// keep notes that a chunk was loaded, and drops the regions that are too many.
func (p *coldPages) keep(begin message.PhyOffset, size int) error {
	p.loads.Add(1)
	p.loadedBytes.Add(int64(size))
	p.mu.Lock()
	r, at := p.regionFor(begin)
	if (r.loaded|r.ahead)>>at&1 == 0 { // else it was noted, or the system had dropped it by itself
		p.chunks++
	}
	r.loaded |= 1 << at
	r.ahead &^= 1 << at
	r.came[at] = p.now()
	r.end = max(r.end, begin+message.PhyOffset(size))
	p.recent.MoveToFront(p.regions[r.begin])
	var surplus []*coldRegion
	for p.chunks > p.max && p.recent.Len() > 1 {
		r := p.recent.Remove(p.recent.Back()).(*coldRegion)
		delete(p.regions, r.begin)
		p.chunks -= (r.loaded | r.ahead).count()
		p.dropped.Add(int64(r.loaded.count()))
		surplus = append(surplus, r)
	}
	p.mu.Unlock()
	for _, r := range surplus {
		if err := p.forget(r); err != nil {
			return err
		}
	}
	return nil
}

// forget drops a region, in runs of chunks.
func (p *coldPages) forget(r *coldRegion) error {
	for left := r.loaded | r.ahead; left != 0; {
		at, n := left.first()
		left &^= (1<<n - 1) << at
		begin := r.begin + message.PhyOffset(at*coldChunkSize)
		size := min(message.PhyOffset(n*coldChunkSize), r.end-begin)
		if err := p.log.Forget(begin, int(size)); err != nil {
			return err
		}
	}
	return nil
}

// loaded is how many chunks are loaded and not dropped.
func (p *coldPages) loaded() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.recent.Front(); e != nil; e = e.Next() {
		n += e.Value.(*coldRegion).loaded.count()
	}
	return n
}

// LoadCold brings what a get would read from the device into memory, as far as
// one batch needs it and a bound allows, and tells how many bytes were read. It
// waits for the device, and for its turn while messages are put (Options.ColdBytesPerSecond); the get that follows does not.
func (s *Store) LoadCold(req *GetRequest) (bytes int, err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	q := s.queues.Queue(req.Topic, req.QueueID)
	if q == nil {
		return 0, nil
	}
	var units [unitsPerRead]consumequeue.Unit
	n, err := q.Read(req.Offset, units[:min(unitsPerRead, max(1, req.MaxMsgs))])
	if err != nil {
		return 0, nil // the get tells of it
	}
	for _, u := range units[:n] {
		if req.Filter != nil && !req.Filter.MatchTags(u.TagsCode) {
			continue
		}
		var loaded int
		loaded, err = s.pages.load(u)
		bytes += loaded
		if err != nil || bytes >= coldChunksPerLoad*coldChunkSize {
			break
		}
	}
	s.pages.pace.spend(bytes, s.log.MaxOffset())
	return bytes, err
}

// recordGuess is what LoadColdAt takes a record to be long: most are shorter, and of a longer one what is in its next chunk
// may have to be waited for in a page fault.
const recordGuess = 4 << 10

// LoadColdAt brings the record at a place of the log into memory where it is not, and tells how many bytes were read. It
// waits for the device alone; the read that follows does not.
func (s *Store) LoadColdAt(at message.PhyOffset) (bytes int, err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	u := consumequeue.Unit{Offset: at, Size: recordGuess}
	if at < s.log.MinOffset() || !s.pages.cold(u, new(span)) {
		return 0, nil
	}
	return s.pages.load(u)
}
