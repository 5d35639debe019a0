package commitlog

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// ErrTooLarge is returned for a record or batch that no file can hold.
var ErrTooLarge = errors.New("commitlog: record too large")

// Sequence counts the offsets of one queue. It is moved under the put lock
// only, and may be read at any time.
type Sequence struct{ next atomic.Int64 }

// Next returns the offset that the queue's next record will have.
func (s *Sequence) Next() message.QueueOffset { return message.QueueOffset(s.next.Load()) }

// Set makes off the next offset. Nothing may be appended meanwhile.
func (s *Sequence) Set(off message.QueueOffset) { s.next.Store(int64(off)) }

// Result is where a record was appended. Of a batch it is the first record,
// but for End.
type Result struct {
	PhyOffset      message.PhyOffset
	QueueOffset    message.QueueOffset
	StoreTimestamp int64             // ms
	End            message.PhyOffset // behind the record, or the whole batch
}

// Append adds m, which must have passed m.Check, at the end of the log and
// gives it seq's next offset. A nil seq, for half of a transaction's records,
// gives offset 0. It returns when the record is in its place, readable or
// not; see Sync for durability. The fields of m that a put sets are set.
//
// The message counts in the light queues as well: it takes the next offset of
// each, and its properties, which are made anew, say which.
func (l *CommitLog) Append(m *message.Message, seq *Sequence, light ...*Sequence) (Result, error) {
	size, err := l.sizeOf(m)
	if err != nil {
		return Result{}, err
	}
	crc := message.BodyCRC(m.Body)

	l.put.Lock()
	if len(light) > 0 {
		nameOffsets(m, light)
		if size, err = l.sizeOf(m); err != nil {
			l.put.Unlock()
			return Result{}, err
		}
	}
	dst, err := l.reserveLocked(size)
	if err != nil {
		l.put.Unlock()
		l.appended() // it may have ended a file with a blank
		return Result{}, err
	}
	res := Result{PhyOffset: l.MaxOffset(), StoreTimestamp: l.storeTimeLocked()}
	if seq != nil {
		res.QueueOffset = seq.Next()
	}
	m.StoreTimestamp, m.PhyOffset, m.QueueOffset = res.StoreTimestamp, res.PhyOffset, res.QueueOffset
	if err := encode(dst, m, crc); err != nil {
		l.put.Unlock()
		return Result{}, err
	}
	if seq != nil {
		seq.next.Add(1)
	}
	advance(light)
	res.End = message.PhyOffset(l.q.Advance(size))
	l.put.Unlock()
	l.appended()
	return res, nil
}

// sizeOf returns the size of m's record, or why the log cannot have it.
func (l *CommitLog) sizeOf(m *message.Message) (int, error) {
	size := m.RecordSize()
	if size > l.maxRecord() {
		return 0, fmt.Errorf("%w: %d bytes, at most %d fit", ErrTooLarge, size, l.maxRecord())
	}
	if len(m.Properties) > message.PropertiesLenMax {
		return 0, message.ErrPropertiesTooLarge
	}
	return size, nil
}

// nameOffsets gives m the property with the next offset of each light queue.
func nameOffsets(m *message.Message, light []*Sequence) {
	offsets := make([]byte, 0, 8*len(light))
	for _, q := range light {
		offsets = message.AppendLightOffset(offsets, q.Next())
	}
	own := m.Properties[:len(m.Properties):len(m.Properties)]
	m.Properties = message.AppendProperty(own, message.PropertyMultiQueueOffset, offsets)
}

// advance moves each of the light queues by one, one that is named twice too.
func advance(light []*Sequence) {
	for i, q := range light {
		if !slices.Contains(light[:i], q) {
			q.next.Add(1)
		}
	}
}

// encode writes a record to its place, which may be a mapping that has lost
// its file.
func encode(dst []byte, m *message.Message, crc uint32) (err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	message.EncodeRecord(dst, m, crc)
	return nil
}

// AppendBatch adds one record for each item, all in one piece of one file,
// with consecutive offsets of seq. Topic, queue, flags, hosts and times are
// m's; body, properties and flag each item's own. It sets offsets[i] to the
// place of item i.
func (l *CommitLog) AppendBatch(m *message.Message, items []message.BatchItem, seq *Sequence, offsets []message.PhyOffset) (Result, error) {
	total := 0
	one := *m
	for i := range items {
		one.Body, one.Properties = items[i].Body, items[i].Properties
		total += one.RecordSize()
	}
	if total > l.maxRecord() {
		return Result{}, fmt.Errorf("%w: a batch of %d bytes, at most %d fit", ErrTooLarge, total, l.maxRecord())
	}

	l.put.Lock()
	dst, err := l.reserveLocked(total)
	if err != nil {
		l.put.Unlock()
		l.appended() // it may have ended a file with a blank
		return Result{}, err
	}
	res := Result{PhyOffset: l.MaxOffset(), StoreTimestamp: l.storeTimeLocked(), QueueOffset: seq.Next()}
	one.StoreTimestamp, one.PhyOffset, one.QueueOffset = res.StoreTimestamp, res.PhyOffset, res.QueueOffset
	for i := range items {
		one.Body, one.Properties, one.Flag = items[i].Body, items[i].Properties, items[i].Flag
		size := one.RecordSize()
		if err := encode(dst[:size], &one, message.BodyCRC(one.Body)); err != nil {
			l.put.Unlock()
			return Result{}, err
		}
		offsets[i] = one.PhyOffset
		dst = dst[size:]
		one.PhyOffset += message.PhyOffset(size)
		one.QueueOffset++
	}
	seq.next.Add(int64(len(items)))
	res.End = message.PhyOffset(l.q.Advance(total))
	l.put.Unlock()
	m.StoreTimestamp, m.PhyOffset, m.QueueOffset = res.StoreTimestamp, res.PhyOffset, res.QueueOffset
	l.appended()
	return res, nil
}

// appended tells those who follow the log.
func (l *CommitLog) appended() {
	if !l.confirmsDurable() {
		l.opts.OnAppend()
	}
}

// ShareClock lets up to n appends after one another use one reading of the
// clock, which costs as much as a good part of an append. The caller sees to it that n
// appends take less than a millisecond, and calls with 0 when they do not: the next
// append then reads the clock, whatever is said meanwhile. It is one caller at a time.
func (l *CommitLog) ShareClock(n int) {
	ends := l.clockShare.Load() >> 32
	if n == 0 {
		ends++
	}
	l.clockShare.Store(ends<<32 | int64(n))
}

// NotBefore makes the store time of records appended from now on at least ms:
// that of the last record, if recovery did not read it.
func (l *CommitLog) NotBefore(ms int64) {
	l.put.Lock()
	defer l.put.Unlock()
	l.put.storeTime = max(l.put.storeTime, ms)
}

// storeTimeLocked returns the present time in ms, never less than before.
func (l *CommitLog) storeTimeLocked() int64 {
	shared := l.clockShare.Load()
	share, ends := int(int32(shared)), shared>>32
	if ends != l.put.clockEnds {
		l.put.clockEnds, l.put.clockUses = ends, 0
	}
	if l.put.clockUses = min(l.put.clockUses, share); l.put.clockUses > 0 {
		l.put.clockUses--
		return l.put.storeTime
	}
	l.put.clockUses = share
	l.put.storeTime = max(l.put.storeTime, l.opts.Now().UnixMilli())
	return l.put.storeTime
}

// reserveLocked returns the place for size bytes of records, ending the
// present file with a blank if they and a blank do not fit it.
func (l *CommitLog) reserveLocked(size int) ([]byte, error) {
	if err := l.acceptsLocked(); err != nil {
		return nil, err
	}
	if l.q.Remaining() < int64(size)+message.BlankSizeMin {
		if err := l.nextFileLocked(); err != nil {
			return nil, err
		}
	}
	return l.roomLocked(size)
}

func (l *CommitLog) acceptsLocked() error {
	if l.put.closed {
		return ErrClosed
	}
	return l.Failure()
}

// nextFileLocked fills the present file with a blank and rolls. Where there is
// no next file to be had the blank stays: the file is full then, and the next
// append tries again.
func (l *CommitLog) nextFileLocked() error {
	if rest := l.q.Remaining(); rest > 0 {
		dst, err := l.roomLocked(message.BlankSizeMin)
		if err != nil {
			return err
		}
		if err := encodeBlank(dst, rest); err != nil {
			return err
		}
		l.q.Skip(message.BlankSizeMin)
	}
	return l.rollLocked()
}

func encodeBlank(dst []byte, size int64) (err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	message.EncodeBlankHeader(dst, size)
	return nil
}

func (l *CommitLog) rollLocked() error {
	if err := l.q.Roll(); err != nil {
		return fmt.Errorf("next commit log file: %w", err)
	}
	return nil
}

// roomLocked reserves n bytes, waiting for a commit while the transient pool
// is full: that is where a disk slower than the senders holds them back.
func (l *CommitLog) roomLocked(n int) ([]byte, error) {
	for {
		dst, err := l.q.Reserve(n)
		if !errors.Is(err, mappedfile.ErrFull) {
			return dst, err
		}
		if err := l.awaitCommitLocked(); err != nil {
			return nil, err
		}
	}
}

// awaitCommitLocked waits until something has left the transient pool.
func (l *CommitLog) awaitCommitLocked() error {
	if l.opts.SyncFlush {
		l.wake(l.kick)
	} else {
		l.wake(l.pool)
	}
	l.put.room.Wait()
	return l.acceptsLocked()
}

func (l *CommitLog) wake(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
