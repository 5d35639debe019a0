package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// GetStatus is the outcome of a get (Java: GetMessageStatus).
type GetStatus int32

// The get statuses.
const (
	Found GetStatus = iota
	NoMatchedMessage
	MessageWasRemoving
	OffsetFoundNull
	OffsetOverflowBadly
	OffsetOverflowOne
	OffsetTooSmall
	NoMatchedLogicQueue
	NoMessageInQueue
)

var getStatusNames = [...]string{
	"FOUND", "NO_MATCHED_MESSAGE", "MESSAGE_WAS_REMOVING", "OFFSET_FOUND_NULL", "OFFSET_OVERFLOW_BADLY",
	"OFFSET_OVERFLOW_ONE", "OFFSET_TOO_SMALL", "NO_MATCHED_LOGIC_QUEUE", "NO_MESSAGE_IN_QUEUE",
}

// String returns Java's name.
func (s GetStatus) String() string {
	if s < 0 || int(s) >= len(getStatusNames) {
		return fmt.Sprintf("GET_STATUS_%d", int32(s))
	}
	return getStatusNames[s]
}

// Filter chooses messages. It is asked with the queue's entry first, then,
// for those that pass, with the record.
type Filter interface {
	MatchTags(tagsCode int64) bool
	MatchRecord(r message.Record) bool
}

// GetRequest asks for messages of a queue from an offset.
type GetRequest struct {
	Topic    string
	QueueID  int32
	Offset   message.QueueOffset
	MaxMsgs  int    // at most so many
	MaxBytes int    // at most so many bytes, but always one message; 0 is no bound of the caller's
	Filter   Filter // nil takes all
	// HotOnly ends the get before a record that would have to be read from the
	// device, which may take long and is what LoadCold is for.
	HotOnly bool
}

// GetResult is what a Get found. It may be used again for the next Get once
// released.
type GetResult struct {
	Status               GetStatus
	NextOffset           message.QueueOffset // where to go on
	MinOffset, MaxOffset message.QueueOffset // of the queue
	Count, Bytes         int
	// Segments are the records found, in order and as stored; those that lie
	// side by side in the log are one segment. They are borrowed until Release.
	Segments [][]byte
	// Err is why messages could not be read, if that is so: the file cannot be
	// mapped, or its pages cannot be had. NextOffset is then that of the first
	// such message, and Status OffsetFoundNull unless there were others before.
	Err error
	// SuggestSlave says that the reader is so far behind the end of the log
	// that it reads from disk, and a slave could serve it.
	SuggestSlave bool
	// Cold says that a get that is HotOnly stopped before a record that is not in
	// memory, at NextOffset. Without messages its Status is NoMatchedMessage.
	Cold bool

	held []held
	last message.PhyOffset // end of the last segment
	page message.PhyOffset // pages before this one were touched
}

// unitsPerRead is how many queue entries are read at once; a pull of
// RocketMQ's clients asks for 32 messages.
const unitsPerRead = 64

// readUnits are for use again. They are not the result's: that of a pull which waits for messages is kept.
var readUnits = sync.Pool{New: func() any { return new([unitsPerRead]consumequeue.Unit) }}

// queueUnitSize is the size of a queue entry on disk, which bounds are given in.
const queueUnitSize = 20

// maxGetBytes bounds what a caller may ask for in one get, as in Java.
const maxGetBytes = 128 << 20

// Release gives the borrowed memory back.
func (r *GetResult) Release() {
	for i := range r.held {
		r.held[i].ref.Release()
	}
	r.held = r.held[:0]
	clear(r.Segments)
	r.Segments = r.Segments[:0]
}

func (r *GetResult) reset() {
	r.Release()
	r.Status, r.NextOffset, r.MinOffset, r.MaxOffset = NoMatchedMessage, 0, 0, 0
	r.Count, r.Bytes, r.SuggestSlave, r.last, r.page = 0, 0, false, -1, 0
	r.Err, r.Cold = nil, false
}

// Get reads messages of a queue by Java's rules (DefaultMessageStore.getMessage):
// what it found, or why nothing, and where to go on.
func (s *Store) Get(req *GetRequest, res *GetResult) {
	res.reset()
	s.metrics.gets.Add(1)
	q := s.queues.Queue(req.Topic, req.QueueID)
	if q == nil {
		res.Status = NoMatchedLogicQueue
		return
	}
	res.MinOffset, res.MaxOffset = q.MinOffset(), q.MaxOffset()
	res.NextOffset = req.Offset
	switch {
	case res.MaxOffset == 0:
		res.Status, res.NextOffset = NoMessageInQueue, 0
	case req.Offset < res.MinOffset:
		res.Status, res.NextOffset = OffsetTooSmall, res.MinOffset
	case req.Offset == res.MaxOffset:
		res.Status = OffsetOverflowOne
	case req.Offset > res.MaxOffset:
		res.Status, res.NextOffset = OffsetOverflowBadly, res.MaxOffset
	default:
		g := getter{store: s, req: req, res: res}
		if err := g.guardedScan(q); err != nil {
			g.fail(err)
		}
		s.metrics.getMessages.Add(int64(res.Count))
		s.metrics.getBytes.Add(int64(res.Bytes))
		if res.SuggestSlave {
			s.metrics.coldGets.Add(1)
		}
	}
}

// getter is the state of one Get.
type getter struct {
	store *Store
	req   *GetRequest
	res   *GetResult
	// skipBelow is the start of the next log file once an entry pointed into a
	// deleted one: entries before it are not tried one by one.
	skipBelow message.PhyOffset
	lastPhy   message.PhyOffset   // of the last entry looked at
	looked    int                 // entries looked at
	at        message.QueueOffset // of the entry in hand
	err       error               // why its record could not be read
	warm      span                // of a get that is HotOnly
}

// guardedScan is scan where a page that cannot be had is an error.
func (g *getter) guardedScan(q *consumequeue.ConsumeQueue) (err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	g.scan(q)
	if g.res.Cold {
		g.res.NextOffset = g.at
	}
	return g.err
}

// fail ends the get at the entry in hand. A reader who skipped it would lose a
// message that may well be there the next time.
func (g *getter) fail(err error) {
	res := g.res
	res.NextOffset = g.at
	if res.Count == 0 {
		res.Status, res.Err = OffsetFoundNull, err
	}
}

// scan collects messages from the asked offset until the batch is full.
func (g *getter) scan(q *consumequeue.ConsumeQueue) {
	res := g.res
	units := readUnits.Get().(*[unitsPerRead]consumequeue.Unit)
	defer readUnits.Put(units)
	lookAt := max(g.store.opts.MaxFilterMessageSize/queueUnitSize, g.req.MaxMsgs)
	for res.NextOffset < res.MaxOffset && g.looked < lookAt {
		want := min(unitsPerRead, lookAt-g.looked)
		if g.req.Filter == nil {
			want = min(want, max(1, g.req.MaxMsgs-res.Count))
		}
		n, err := q.Read(res.NextOffset, units[:want])
		if err != nil {
			g.unreadable(q, err)
		}
		if n == 0 {
			if res.Count == 0 {
				res.Status = OffsetFoundNull
				if err == nil { // Java's rollNextFile
					perFile := message.QueueOffset(g.store.opts.ConsumeQueueFileSize / queueUnitSize)
					res.NextOffset += perFile - res.NextOffset%perFile
				}
			}
			break
		}
		if g.take(units[:n]) {
			break
		}
	}
	res.SuggestSlave = g.store.log.MaxOffset()-g.lastPhy > g.store.memoryWindow
}

// unreadable has a damaged queue built again. Until it is, the client is told
// that nothing was found, and comes back to the same offset.
func (g *getter) unreadable(q *consumequeue.ConsumeQueue, err error) {
	var damaged *consumequeue.CorruptError
	if errors.As(err, &damaged) {
		g.store.reportDamage(q.Key(), err)
	}
}

// take adds the messages of some entries and tells when the batch is full.
func (g *getter) take(units []consumequeue.Unit) (full bool) {
	res := g.res
	for i, u := range units {
		if i+recordsAhead < len(units) {
			g.prefetch(units[i+recordsAhead])
		}
		if g.full(u) {
			return true
		}
		g.looked++
		g.lastPhy, g.at = u.Offset, res.NextOffset
		res.NextOffset++
		if u.Offset < g.skipBelow {
			continue
		}
		status := g.add(u)
		if g.err != nil || res.Cold {
			return true
		}
		if res.Count > 0 {
			status = Found
		}
		res.Status = status
	}
	return false
}

// recordsAhead is how many entries before its turn a record is asked for, which
// is touched, and looked into by a filter. One at a time each waits for memory:
// twice as long as the filter takes.
const recordsAhead = 4

// filterTextSize is about what lies behind a record's body: its topic and
// properties.
const filterTextSize = 256

// prefetch has the processor bring in what is touched of a record, and what a
// filter reads: its header, and the end, where the properties are.
func (g *getter) prefetch(u consumequeue.Unit) {
	n := len(g.res.held)
	if n == 0 {
		return
	}
	record := g.res.held[n-1].bytes(u.Offset, u.Size)
	switch {
	case record == nil:
		return
	case g.req.Filter == nil:
		vfs.Prefetch(record[:1])
		return
	case !g.req.Filter.MatchTags(u.TagsCode):
		return
	}
	vfs.Prefetch(record[:min(message.RecordSizeMin, len(record))])
	vfs.Prefetch(record[max(0, len(record)-filterTextSize):])
}

// add collects the message of one entry, or tells why not.
func (g *getter) add(u consumequeue.Unit) GetStatus {
	if g.req.Filter != nil && !g.req.Filter.MatchTags(u.TagsCode) {
		return NoMatchedMessage
	}
	record, ok := g.record(u)
	if g.err != nil {
		return OffsetFoundNull
	}
	if !ok {
		g.skipBelow = g.store.log.NextFile(u.Offset)
		return MessageWasRemoving
	}
	if g.req.HotOnly && g.store.pages.cold(u, &g.warm) {
		g.res.Cold = true
		return NoMatchedMessage
	}
	if f := g.req.Filter; f != nil {
		r, err := message.ParseRecord(record)
		if err != nil || !f.MatchRecord(r) {
			return NoMatchedMessage
		}
	}
	res := g.res
	g.touch(u, record)
	if n := len(res.Segments); n > 0 && res.last == u.Offset {
		segment := res.Segments[n-1]
		res.Segments[n-1] = segment[:len(segment)+len(record)]
	} else {
		res.Segments = append(res.Segments, record)
	}
	res.last = u.Offset + message.PhyOffset(u.Size)
	res.Count++
	res.Bytes += len(record)
	g.skipBelow = 0
	return Found
}

// touch reads a byte of each page of a record, so that one that cannot be had
// is met here, and not by who sends the bytes.
func (g *getter) touch(u consumequeue.Unit, record []byte) {
	const page = 4096
	end := u.Offset + message.PhyOffset(u.Size)
	if u.Offset < g.res.last || end > g.res.page {
		vfs.Touch(record)
		g.res.page = end - end%page + page
	}
}

// held is a stretch of one log file that a result borrows.
type held struct {
	ref   mappedfile.Ref
	start message.PhyOffset // of the ref's first byte
}

// bytes returns size bytes at off with the rest of the stretch as capacity, so
// that a segment can grow over its neighbours, or nil if they are not in it.
func (h *held) bytes(off message.PhyOffset, size int32) []byte {
	b := h.ref.Bytes()
	at := int64(off - h.start)
	if at < 0 || size <= 0 || at+int64(size) > int64(len(b)) {
		return nil
	}
	return b[at : at+int64(size)]
}

// record returns the bytes that an entry points to.
func (g *getter) record(u consumequeue.Unit) ([]byte, bool) {
	res := g.res
	if n := len(res.held); n > 0 {
		if b := res.held[n-1].bytes(u.Offset, u.Size); b != nil {
			return b, true
		}
	}
	ref, ok, err := g.store.log.Read(u.Offset)
	if err != nil || !ok {
		g.err = err
		return nil, false
	}
	h := held{ref: ref, start: u.Offset}
	b := h.bytes(u.Offset, u.Size)
	if b == nil {
		ref.Release()
		return nil, false
	}
	res.held = append(res.held, h)
	return b, true
}

// full tells whether u would exceed the limits of one get. The first message
// is returned whatever its size.
func (g *getter) full(u consumequeue.Unit) bool {
	res, o := g.res, &g.store.opts
	if res.Count == 0 {
		return false
	}
	if res.Count >= g.req.MaxMsgs {
		return true
	}
	bytes, count := o.MaxTransferBytesInMemory, o.MaxTransferCountInMemory
	if g.store.log.MaxOffset()-u.Offset > g.store.memoryWindow {
		bytes, count = o.MaxTransferBytesInDisk, o.MaxTransferCountInDisk
	}
	total := res.Bytes + int(u.Size)
	asked := maxGetBytes
	if g.req.MaxBytes > 0 {
		asked = min(max(g.req.MaxBytes, 100), maxGetBytes)
	}
	return res.Count >= count || total > bytes || total > asked
}
