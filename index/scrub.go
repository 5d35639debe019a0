package index

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Message is what a record of the log says that its entries are made of.
type Message struct {
	Topic, UniqueKey, Keys, Tag []byte
	Offset                      message.PhyOffset
	StoreTime                   int64 // Unix milliseconds
}

// ScrubOptions are what a Scrub needs of its user.
type ScrubOptions struct {
	// Pace is told of bytes about to be read, and waits as long as it likes. An
	// error ends the scrub.
	Pace func(bytes int) error
	// Found is told of each fault. mend, if not nil, puts the bytes right; it is
	// to be called by the goroutine that puts.
	Found func(fault *CorruptError, mend func() error)
	// IsRecord tells whether a record of the log begins at an offset.
	IsRecord func(message.PhyOffset) bool
}

// Scrub compares the index with the messages of the log, one after the other,
// while Put and Query go on. It reads files and not mappings, so that neither
// their pages nor those of others are displaced, and a device that fails is an
// error. What it keeps in memory is the slots of one file.
type Scrub struct {
	x     *Index
	opts  ScrubOptions
	files []*file
	count []int32 // of each file when the scrub began

	at     int // of files
	handle vfs.File
	buf    []byte
	base   int64   // place of buf in the file
	number int32   // of the next entry
	heads  []int32 // newest entry of each slot, up to number
	first  int64   // offset of the first entry
	last   int64   // offset of the last entry passed
	timed  bool    // the file's begin was found right, so that times can be compared
	given  bool    // up the comparison with the log in this file

	begun   bool // an entry has agreed with a message
	lacking bool // the last message had no entries
	hashes  []int32
	seen    []bool
	before  message.PhyOffset // of the message before
	missing []hole            // of the log, which cannot be compared
}

type hole struct{ from, to message.PhyOffset }

// scrubBlock is how much is read at once.
const scrubBlock = 64 << 10

// BeginScrub begins a scrub of what the index holds now.
func (x *Index) BeginScrub(opts ScrubOptions) *Scrub {
	s := &Scrub{x: x, opts: opts, files: x.list(), before: -1}
	for _, f := range s.files {
		s.count = append(s.count, f.settled.Load())
	}
	return s
}

// Close gives the files back.
func (s *Scrub) Close() error {
	if s.handle == nil {
		return nil
	}
	h := s.handle
	s.handle = nil
	return h.Close()
}

// Skip says that the log cannot be read between two offsets: entries of there
// are not compared with it.
func (s *Scrub) Skip(from, to message.PhyOffset) {
	const holesMax = 1000
	if len(s.missing) == holesMax {
		s.missing = s.missing[1:] // long passed
	}
	s.missing = append(s.missing, hole{from, to})
}

// Compare compares the entries of a message, all of which come in the order of
// the log. An error is one of reading, or of Pace.
func (s *Scrub) Compare(m *Message) error {
	s.hashes = appendHashes(s.hashes[:0], m)
	s.seen = append(s.seen[:0], make([]bool, len(s.hashes))...)
	for i := 0; i < len(s.hashes); {
		if s.seen[i] {
			i++
			continue
		}
		e, ok, err := s.next(m.Offset)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		known := s.find(e.hash)
		switch {
		case e.phy == int64(m.Offset) && known >= 0:
			s.seen[known] = true
			s.begun, s.lacking = true, false
			s.pass(e, m, e.hash)
		case e.phy == int64(m.Offset):
			s.seen[i] = true
			s.pass(e, m, s.hashes[i])
		case known == i && !s.opts.IsRecord(message.PhyOffset(e.phy)):
			s.seen[i] = true
			s.pass(e, m, e.hash)
		default:
			s.lacks(m, i)
			i = len(s.hashes)
		}
	}
	s.before = m.Offset
	return nil
}

// find returns which of the message's hashes h is, -1 if none that is left.
func (s *Scrub) find(h int32) int {
	for i, hash := range s.hashes {
		if hash == h && !s.seen[i] {
			return i
		}
	}
	return -1
}

// lacks notes that the entries of a message from the i-th on are missing. RocketMQ
// before 5.5 has none for tags, which come last. Those of a message that the log no
// longer has may have been deleted after it, and since it was read.
func (s *Scrub) lacks(m *Message, i int) {
	if len(m.Tag) > 0 && i == len(s.hashes)-1 || !s.begun || s.lacking {
		return
	}
	if !s.opts.IsRecord(m.Offset) {
		return
	}
	s.lacking = true
	f := s.files[s.at]
	s.opts.Found(corrupt(f.path, int64(f.entryAt(s.number)),
		fmt.Sprintf("the message at %d of the log is not indexed", m.Offset)), nil)
}

// appendHashes appends the hashes of a message's entries, in their order.
func appendHashes(dst []int32, m *Message) []int32 {
	var prefix message.Hasher
	prefix.Write(m.Topic)
	prefix.WriteString("#")
	add := func(kind string, key []byte) {
		if len(key) > 0 {
			h := prefix
			h.WriteString(kind)
			h.Write(key)
			dst = append(dst, keyHash(h.Sum()))
		}
	}
	add("", m.UniqueKey)
	for key := range bytes.SplitSeq(m.Keys, []byte{message.KeySeparator}) {
		add("", key)
	}
	add(TagKeyPrefix, m.Tag)
	return dst
}

// next returns the entry that a message at off is to be compared with: the first
// at or behind it that is not passed. Those before belong to no message, or to
// none that can be read.
func (s *Scrub) next(off message.PhyOffset) (entry, bool, error) {
	for {
		e, ok, err := s.peek()
		if err != nil || !ok || e.phy >= int64(off) {
			return e, ok, err
		}
		if s.begun && !s.given && !s.excused(e.phy) {
			if s.find(e.hash) >= 0 {
				return e, ok, nil // perhaps of this message, with another offset
			}
			s.giveUp(fmt.Sprintf("entry %d is of %d, where the log has no message", s.number, e.phy))
		}
		s.pass(e, nil, e.hash)
	}
}

// excused tells whether an entry without a message is no fault: the message is
// that before, which Java may index twice, or in a hole of the log.
func (s *Scrub) excused(phy int64) bool {
	if phy == int64(s.before) {
		return true
	}
	for _, h := range s.missing {
		if phy >= int64(h.from) && phy < int64(h.to) {
			return true
		}
	}
	return false
}

// Finish compares what is left with itself: entries behind the last message, and
// the slots and headers.
func (s *Scrub) Finish() error {
	for {
		e, ok, err := s.peek()
		if err != nil || !ok {
			return err
		}
		s.pass(e, nil, e.hash)
	}
}

// peek returns the next entry without passing it.
func (s *Scrub) peek() (entry, bool, error) {
	for {
		if s.at == len(s.files) {
			return entry{}, false, nil
		}
		if s.handle == nil {
			if err := s.open(); err != nil {
				return entry{}, false, err
			}
			continue
		}
		if s.number >= s.count[s.at] {
			if err := s.endFile(); err != nil {
				return entry{}, false, err
			}
			continue
		}
		b, err := s.read(int64(s.files[s.at].entryAt(s.number)), entrySize)
		if err != nil {
			return entry{}, false, err
		}
		return decodeEntry(b), true, nil
	}
}

// open begins the next file; one that was deleted meanwhile is passed over.
func (s *Scrub) open() error {
	f := s.files[s.at]
	h, err := s.x.fs.OpenFile(f.path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		s.at++
		return nil
	}
	if err != nil {
		return err
	}
	s.handle, s.number, s.base, s.buf = h, 1, 0, s.buf[:0]
	s.first, s.last, s.timed, s.given = -1, -1, false, false
	s.heads = append(s.heads[:0], make([]int32, f.slots)...)
	return nil
}

// read returns n bytes at a place of the open file.
func (s *Scrub) read(at int64, n int) ([]byte, error) {
	if at < s.base || at+int64(n) > s.base+int64(len(s.buf)) {
		size := int(min(scrubBlock, s.files[s.at].fileSize()-at))
		if err := s.opts.Pace(size); err != nil {
			return nil, err
		}
		if cap(s.buf) < size {
			s.buf = make([]byte, scrubBlock)
		}
		s.buf, s.base = s.buf[:size], at
		if got, err := s.handle.ReadCold(s.buf, at); got < size {
			s.buf = s.buf[:0]
			if err == io.EOF {
				err = corrupt(s.files[s.at].path, at+int64(got), "the file ends here")
			}
			return nil, err
		}
	}
	return s.buf[at-s.base:][:n], nil
}

// pass goes on behind an entry, which by rights has this hash and is of m,
// unless that is nil. Whatever else of it is wrong is found and can be mended.
func (s *Scrub) pass(e entry, m *Message, hash int32) {
	f := s.files[s.at]
	right := e
	if m != nil {
		right.hash, right.phy = hash, int64(m.Offset)
		s.compareTime(&right, m)
	}
	number := s.number
	s.number++
	if right.hash < 0 || right.phy < s.last {
		s.giveUp(fmt.Sprintf("entry %d has hash %d and is of %d, behind %d", number, e.hash, e.phy, s.last))
	}
	if s.given {
		return
	}
	slot := right.hash % f.slots
	right.prev = s.heads[slot]
	s.heads[slot] = number
	s.last = right.phy
	if number == 1 {
		s.first = right.phy
	}
	if right != e {
		s.foundAt(number, fmt.Sprintf("entry %d is %+v, by the log %+v", number, e, right), func() error {
			var b [entrySize]byte
			right.encode(b[:])
			return s.x.rewrite(f, int64(f.entryAt(number)), b[:])
		})
	}
}

// compareTime sets the time of an entry to that of its message, as far as it is
// certain what it counts from.
func (s *Scrub) compareTime(right *entry, m *Message) {
	f := s.files[s.at]
	begin := f.begin.Load()
	if s.number == 1 {
		s.timed = begin == m.StoreTime
		if !s.timed {
			storeTime := m.StoreTime
			s.opts.Found(corrupt(f.path, posBeginTime, fmt.Sprintf("the file begins at %d, its first message was stored at %d", begin, storeTime)),
				func() error { f.begin.Store(storeTime); return s.x.rewriteHeader(f) })
		}
		return // counted from the end of the file before
	}
	if s.timed {
		right.diff = diffSeconds(m.StoreTime, begin)
	}
}

// giveUp ends the comparison of this file: what is wrong is more than a field.
func (s *Scrub) giveUp(reason string) {
	if !s.given {
		s.given = true
		s.foundAt(min(s.number, s.count[s.at]-1), reason, nil)
	}
}

func (s *Scrub) foundAt(number int32, reason string, mend func() error) {
	f := s.files[s.at]
	s.opts.Found(corrupt(f.path, int64(f.entryAt(number)), reason), mend)
}

// endFile compares slots and header with the entries, and goes to the next file.
func (s *Scrub) endFile() error {
	f, count := s.files[s.at], s.count[s.at]
	used := int32(0)
	for slot, head := range s.heads {
		at := headerSize + slot*slotSize
		b, err := s.read(int64(at), slotSize)
		if err != nil {
			return err
		}
		got := int32(bigEndian32(b))
		if head > 0 {
			used++
		}
		// One that is put meanwhile names an entry behind those counted.
		if got != head && !s.given && (got < count || got >= f.count.Load()) {
			s.foundSlot(slot, got, head)
		}
	}
	if err := s.checkHeader(f, count, used); err != nil {
		return err
	}
	s.at++
	return s.Close()
}

func (s *Scrub) foundSlot(slot int, got, head int32) {
	f, count := s.files[s.at], s.count[s.at]
	at := int64(headerSize + slot*slotSize)
	s.opts.Found(corrupt(f.path, at, fmt.Sprintf("slot %d names entry %d, its newest is %d", slot, got, head)), func() error {
		newest, err := s.x.newestOf(f, int32(slot), head, count)
		if err != nil {
			return err
		}
		return s.x.rewrite(f, at, encodeSlot(newest))
	})
}

// checkHeader compares the header with the entries, and what is on disk with what is in memory.
func (s *Scrub) checkHeader(f *file, count, used int32) error {
	sealed := s.at < len(s.files)-1
	b, err := s.read(0, headerSize)
	if err != nil {
		return err
	}
	stored := decodeHeader(b)
	reason, at := "", 0
	switch {
	case s.given:
		return nil
	case sealed && count != f.entries:
		s.opts.Found(corrupt(f.path, posCount, fmt.Sprintf("count is %d, the file is full with %d", count, f.entries)), nil)
		return nil
	case s.first >= 0 && f.beginPhy.Load() != s.first:
		reason, at = fmt.Sprintf("begins at %d, its first entry is of %d", f.beginPhy.Load(), s.first), posBeginPhy
	case sealed && s.first >= 0 && f.endPhy.Load() != s.last:
		reason, at = fmt.Sprintf("ends at %d, its last entry is of %d", f.endPhy.Load(), s.last), posEndPhy
	case sealed && f.used.Load() != used:
		reason, at = fmt.Sprintf("%d slots are in use, the header counts %d", used, f.used.Load()), posUsed
	case sealed && stored != f.header():
		reason, at = fmt.Sprintf("header is %+v, want %+v", stored, f.header()), headerDifference(stored, f.header())
	case !sealed && (stored.beginTime != f.begin.Load() || stored.beginPhy != f.beginPhy.Load()):
		reason, at = fmt.Sprintf("header is %+v, want %+v", stored, f.header()), headerDifference(stored, f.header())
	default:
		return nil
	}
	first, last := s.first, s.last
	s.opts.Found(corrupt(f.path, int64(at), reason), func() error {
		if first >= 0 {
			f.beginPhy.Store(first)
		}
		if sealed && first >= 0 {
			f.endPhy.Store(last)
			f.used.Store(used)
		}
		return s.x.rewriteHeader(f)
	})
	return nil
}

// headerDifference returns the place of the first field that differs.
func headerDifference(a, b header) int {
	switch {
	case a.beginTime != b.beginTime:
		return posBeginTime
	case a.endTime != b.endTime:
		return posEndTime
	case a.beginPhy != b.beginPhy:
		return posBeginPhy
	case a.endPhy != b.endPhy:
		return posEndPhy
	case a.used != b.used:
		return posUsed
	}
	return posCount
}
