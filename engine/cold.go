package engine

import (
	"container/list"
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
	// coldChunksMax bounds the memory that cold reads take from the page cache,
	// to 256 MiB: chunks beyond it leave, those not read for longest first.
	coldChunksMax = 1024
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
// Invariants:
//
//  1. Only chunks that were not in memory before they were loaded are dropped.
//  2. At most coldChunksMax chunks are loaded and not dropped.
type coldPages struct {
	log *commitlog.CommitLog
	now func() time.Time
	// openedAt is the log's end when the store was opened. What was before it may
	// not be in memory.
	openedAt message.PhyOffset
	max      int

	// resident remembers chunks that were found in memory: the begin of each, and
	// the second, as a look costs more than all else of a read.
	resident [residentSlots]atomic.Uint64

	mu     sync.Mutex
	chunks map[message.PhyOffset]*list.Element // of loaded chunks, by their begin
	recent list.List                           // of *coldChunk, the last one read in front

	loads, loadedBytes, dropped atomic.Int64
}

// coldChunk is a part of the log that a cold read brought into memory.
type coldChunk struct {
	begin message.PhyOffset
	size  int
	seen  time.Time // when it was last known to be in memory
}

func newColdPages(log *commitlog.CommitLog, now func() time.Time) *coldPages {
	return &coldPages{
		log: log, now: now, openedAt: log.MaxOffset(), max: coldChunksMax,
		chunks: map[message.PhyOffset]*list.Element{},
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

// missing tells whether a chunk is not in memory.
func (p *coldPages) missing(begin message.PhyOffset, size int) bool {
	if size == 0 || p.believed(begin) {
		return false
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

// believed tells whether a chunk was loaded and seen in memory not long ago,
// and marks it as read.
func (p *coldPages) believed(begin message.PhyOffset) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.chunks[begin]
	if e == nil {
		return false
	}
	p.recent.MoveToFront(e)
	c := e.Value.(*coldChunk)
	now := p.now()
	if now.Sub(c.seen) < residentFor {
		return true
	}
	c.seen = now // the caller looks now
	return false
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
		if !p.hot(off) && !p.log.Resident(begin, size) {
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

// keep notes that a chunk was loaded, and drops the one that is too many.
func (p *coldPages) keep(begin message.PhyOffset, size int) error {
	p.loads.Add(1)
	p.loadedBytes.Add(int64(size))
	p.mu.Lock()
	if e := p.chunks[begin]; e != nil { // the system had dropped it by itself
		e.Value.(*coldChunk).seen = p.now()
		p.recent.MoveToFront(e)
		p.mu.Unlock()
		return nil
	}
	p.chunks[begin] = p.recent.PushFront(&coldChunk{begin: begin, size: size, seen: p.now()})
	var surplus *coldChunk
	if p.recent.Len() > p.max {
		surplus = p.recent.Remove(p.recent.Back()).(*coldChunk)
		delete(p.chunks, surplus.begin)
	}
	p.mu.Unlock()
	if surplus == nil {
		return nil
	}
	p.dropped.Add(1)
	return p.log.Forget(surplus.begin, surplus.size)
}

// loaded is how many chunks are loaded and not dropped.
func (p *coldPages) loaded() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recent.Len()
}

// LoadCold brings what a get would read from the device into memory, as far as
// one batch needs it and a bound allows, and tells how many bytes were read. It
// waits for the device; the get that follows does not.
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
		loaded, err := s.pages.load(u)
		bytes += loaded
		if err != nil || bytes >= coldChunksPerLoad*coldChunkSize {
			return bytes, err
		}
	}
	return bytes, nil
}

// recordGuess is what LoadColdAt takes a record to be long: most are shorter, and of a longer one what is in its next chunk
// may have to be waited for in a page fault.
const recordGuess = 4 << 10

// LoadColdAt brings the record at a place of the log into memory where it is not, and tells how many bytes were read. It
// waits for the device; the read that follows does not.
func (s *Store) LoadColdAt(at message.PhyOffset) (bytes int, err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	u := consumequeue.Unit{Offset: at, Size: recordGuess}
	if at < s.log.MinOffset() || !s.pages.cold(u, new(span)) {
		return 0, nil
	}
	return s.pages.load(u)
}
